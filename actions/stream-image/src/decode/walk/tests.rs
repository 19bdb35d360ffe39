use std::io::Write;

use super::*;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const RAW: u8 = 0;
const RLE: u8 = 1;
const COMPRESSED: u8 = 2;

/// Walks the member that the object begins with, in pieces of this size.
fn walk_in(format: Format, object: &[u8], piece: usize) -> Walked {
    let head = &object[..object.len().min(WALK_BYTES)];
    let mut walker = Walker::begin(format, head).expect("a member that can be walked");
    let mut before = 0;
    for piece in object.chunks(piece) {
        match walker.walk(piece) {
            Walked::Within => before += piece.len(),
            Walked::Ends { bytes, decoded_bytes } => {
                return Walked::Ends { bytes: before + bytes, decoded_bytes };
            }
            Walked::Lost => return Walked::Lost,
        }
    }
    Walked::Within
}

/// And that it is the same in pieces of every size.
fn walk(format: Format, object: &[u8]) -> Walked {
    let walked = walk_in(format, object, usize::MAX);
    for piece in (1..20).chain([object.len() / 2, object.len() - 1]).filter(|piece| *piece > 0) {
        assert_eq!(walk_in(format, object, piece), walked, "in pieces of {piece}");
    }
    walked
}

fn ends(bytes: usize, decoded_bytes: u64) -> Walked {
    Walked::Ends { bytes, decoded_bytes }
}

fn block(last: bool, kind: u8, size: u32, stored: &[u8]) -> Vec<u8> {
    let header = size << 3 | u32::from(kind) << 1 | u32::from(last);
    [&header.to_le_bytes()[..3], stored].concat()
}

fn frame(descriptor: u8, fields: &[u8], blocks: &[Vec<u8>], checksum: &[u8]) -> Vec<u8> {
    [&ZSTD[..], &[descriptor], fields, &blocks.concat(), checksum].concat()
}

#[test]
fn a_zstd_frame_ends_where_its_blocks_do() {
    let blocks = [
        block(false, RAW, 5, b"abcde"),
        block(false, RLE, 100_000, b"x"),
        block(false, RAW, 0, b""),
        block(true, COMPRESSED, 3, &[9, 9, 9]),
    ];
    let decoded_bytes = 5 + 100_000 + ZSTD_BLOCK_BYTES;
    // RFC 8878, 3.1.1.1.1: size of the content, single segment, checksum, dictionary.
    for size_flag in 0..4u8 {
        for single_segment in [0, 1] {
            for checksum in [0, 1] {
                for dictionary_flag in 0..4u8 {
                    let window = 1 - usize::from(single_segment);
                    let dictionary = [0, 1, 2, 4][usize::from(dictionary_flag)];
                    let size = [usize::from(single_segment), 2, 4, 8][usize::from(size_flag)];
                    let object = frame(
                        size_flag << 6 | single_segment << 5 | checksum << 2 | dictionary_flag,
                        &vec![0xff; window + dictionary + size],
                        &blocks,
                        &vec![0xee; 4 * usize::from(checksum)],
                    );
                    let next = [&object[..], &ZSTD].concat();
                    assert_eq!(walk(Format::Zstd, &next), ends(object.len(), decoded_bytes));
                    for end in 5..object.len() {
                        assert_eq!(
                            walk_in(Format::Zstd, &object[..end], usize::MAX),
                            Walked::Within,
                            "{end}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn what_zstd_packs_ends_where_it_says() {
    let image: Vec<u8> = (0..700_000u32).map(|index| (index.wrapping_mul(index) >> 9) as u8).collect();
    for (level, checksum, sized) in [(1, false, false), (3, true, true), (19, true, false)] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).unwrap();
        encoder.include_checksum(checksum).unwrap();
        encoder.set_pledged_src_size(sized.then_some(image.len() as u64)).unwrap();
        encoder.write_all(&image).unwrap();
        let object = encoder.finish().unwrap();
        let Walked::Ends { bytes, decoded_bytes } = walk(Format::Zstd, &[&object[..], b"junk"].concat())
        else {
            panic!("no end at level {level}")
        };
        assert_eq!(bytes, object.len());
        assert!(decoded_bytes >= image.len() as u64, "{decoded_bytes}");
    }
}

#[test]
fn a_skippable_frame_says_how_long_it_is() {
    for (kind, length) in [(0x50, 0), (0x51, 1), (0x5f, 300)] {
        let mut object = vec![kind, 0x2a, 0x4d, 0x18];
        object.extend(u32::try_from(length).unwrap().to_le_bytes());
        object.extend(vec![0x28; length]);
        assert_eq!(walk(Format::Zstd, &[&object[..], &ZSTD].concat()), ends(object.len(), 0));
    }
    // 4 GiB of nothing are no sum that overflows, and need no memory.
    assert_eq!(walk(Format::Zstd, b"\x50\x2a\x4d\x18\xff\xff\xff\xff and so on"), Walked::Within);
}

#[test]
fn a_block_of_no_kind_has_no_end() {
    let reserved = block(true, 3, 4, b"1234");
    let object = frame(0, &[0x58], &[block(false, RAW, 3, b"abc"), reserved], b"");
    assert_eq!(walk(Format::Zstd, &object), Walked::Lost);
}

#[test]
fn what_is_no_member_is_not_walked() {
    for (format, head) in [
        (Format::Zstd, &b"\x28\xb5\x2f"[..]),
        (Format::Zstd, b"\x60\x2a\x4d\x18\0\0\0\0"),
        (Format::Zstd, b""),
        (Format::Gzip, b"\x1f\x8b\x08"),
        // gzip's own members do not say how long they are, nor do those with a name, or another field first.
        (Format::Gzip, b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0"),
        (Format::Gzip, b"\x1f\x8b\x08\x0c\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0"),
        (Format::Gzip, b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0AB\x02\0\x1b\0"),
        (Format::Gzip, b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0B"),
        (Format::Xz, b"\xfd7zXZ\0\0\x04\0\0\0\0\0\0\0\0\0\0"),
        (Format::Bzip2, b"BZh91AY&SY\0\0\0\0\0\0\0\0"),
        (Format::Raw, b"BC"),
    ] {
        assert!(Walker::begin(format, head).is_none(), "{format:?} {head:?}");
    }
}

/// A member by bgzip of this length, with fields behind its own, that says it decodes to so much.
fn bgzf(length: usize, fields: &[u8], decoded_bytes: u32) -> Vec<u8> {
    let mut member = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff".to_vec();
    member.extend(u16::try_from(6 + fields.len()).unwrap().to_le_bytes());
    member.extend(b"BC\x02\0");
    member.extend(u16::try_from(length - 1).unwrap().to_le_bytes());
    member.extend(fields);
    member.resize(length - 4, 0x5a);
    member.extend(decoded_bytes.to_le_bytes());
    member
}

#[test]
fn a_bgzip_member_says_how_long_it_is() {
    // The empty one that bgzip ends a file with.
    let end = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0";
    assert_eq!(walk(Format::Gzip, end), ends(28, 0));
    for (length, fields) in [(28, &b""[..]), (100, b"XY\x03\0abc"), (1 << 16, b"")] {
        let object = bgzf(length, fields, 65_280);
        assert_eq!(walk(Format::Gzip, &[&object[..], end].concat()), ends(length, 65_280));
        for cut in [18, length / 2, length - 1] {
            assert_eq!(
                walk_in(Format::Gzip, &object[..cut], usize::MAX),
                Walked::Within,
                "{cut} of {length}"
            );
        }
    }
}

#[test]
fn a_bgzip_member_that_lies_has_no_end_or_a_wrong_one() {
    let with = |at: usize, bytes: &[u8]| {
        let mut object = bgzf(60, b"XY\x03\0abc", 9);
        object[at..at + bytes.len()].copy_from_slice(bytes);
        walk(Format::Gzip, &object)
    };
    assert_eq!(with(0, b"\x1f"), ends(60, 9));
    // Its length is within its header, its field is of another length, and there is none at all.
    assert_eq!(with(16, &[0, 0]), Walked::Lost);
    assert_eq!(with(16, &[27, 0]), Walked::Lost);
    assert_eq!(with(14, &[3, 0]), Walked::Lost);
    assert_eq!(with(10, &[5, 0]), Walked::Lost);
    // The first that leaves room for the four bytes at its end, which are then what stands there.
    assert_eq!(with(16, &[28, 0]), ends(29, 0x5a5a_5a5a));
    // Its length is beyond what is there.
    assert_eq!(with(16, &[0xff, 0xff]), Walked::Within);
}
