//! How much of what it has decoded a decoder must keep, as a zstd frame's header says: that is the memory it takes.

use super::format::Format;

/// What every decoder may take. Only packing with `--long` or `--ultra` asks for more.
pub(super) const USUAL_WINDOW_BYTES: u64 = 8 << 20;

/// What zstd's command line allows with `--long=27`, and no more.
pub(super) const ZSTD_WINDOW_LOG_MAX: u32 = 27;
pub(super) const LARGEST_WINDOW_BYTES: u64 = 1 << ZSTD_WINDOW_LOG_MAX;

/// The window of the member that begins so; 0 where the format has a small one, or the header is not all there.
pub(super) fn window_bytes(format: Format, head: &[u8]) -> u64 {
    let skippable = head.first().is_some_and(|first| first & 0xf0 == 0x50);
    match format {
        Format::Zstd if format.begins(head) && !skippable => zstd(&head[4..]).unwrap_or(0),
        _ => 0,
    }
}

/// RFC 8878, 3.1.1.1: the header from its descriptor on.
fn zstd(header: &[u8]) -> Option<u64> {
    let descriptor = *header.first()?;
    if descriptor & 0x20 == 0 {
        let window = header.get(1)?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: all of the content is the window.
    let start = 1 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = 1 << (descriptor >> 6);
    let mut bytes = [0; 8];
    bytes[..length].copy_from_slice(header.get(start..start + length)?);
    // 3.1.1.1.4: two bytes count from 256.
    Some(u64::from_le_bytes(bytes) + if length == 2 { 256 } else { 0 })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_window_is_read_as_the_packer_wrote_it() {
        for log in [10, 20, 23, 27, 30] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(b"something").unwrap();
            assert_eq!(window_bytes(Format::Zstd, &encoder.finish().unwrap()), 1 << log);
        }
        for length in [7, 255, 256, 70_000] {
            let frame = zstd::bulk::compress(&vec![7; length], 1).unwrap();
            assert!(frame[4] & 0x20 != 0);
            assert_eq!(window_bytes(Format::Zstd, &frame), length as u64, "{length}");
            assert_eq!(window_bytes(Format::Zstd, &frame[..5]), 0);
        }
        assert_eq!(window_bytes(Format::Zstd, b"\x50\x2a\x4d\x18\x04\0\0\0size"), 0);
        assert_eq!(window_bytes(Format::Gzip, b"\x1f\x8b\x08"), 0);
    }
}
