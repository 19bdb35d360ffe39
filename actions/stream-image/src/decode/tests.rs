use std::io::Write;
use std::sync::mpsc::{channel, sync_channel};

use bytes::Bytes;

use super::*;
use crate::buffer::ALIGNMENT;

/// Something that packs, and is not all the same.
fn image(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..length)
        .map(|index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if index / 4096 % 3 == 0 { (state >> 24) as u8 } else { (index / 4096) as u8 }
        })
        .collect()
}

fn pack(format: Format, data: &[u8]) -> Vec<u8> {
    match format {
        Format::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Format::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Format::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Format::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Format::Raw => data.to_vec(),
    }
}

const PACKED: [Format; 4] = [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2];

/// Decodes an object that arrives in pieces of this size, by one decoder and by several; a failure by its cause.
fn decode(object: &[u8], piece: usize) -> Result<Vec<u8>, Failure> {
    let alone = decode_with(1, object, piece);
    let together = decode_with(3, object, piece);
    match (&alone, &together) {
        (Ok(one), Ok(other)) => assert!(one == other),
        // Where it is cut inside of what is damaged, a decoder sees less of it.
        (Err(_), Err(_)) => {}
        _ => panic!("{:?} by one decoder, {:?} by several", alone.map(drop), together.map(drop)),
    }
    alone
}

fn decode_with(threads: usize, object: &[u8], piece: usize) -> Result<Vec<u8>, Failure> {
    let (feed, from) = channel();
    for chunk in object.chunks(piece) {
        feed.send(Feed::Data(Bytes::copy_from_slice(chunk))).unwrap();
    }
    feed.send(Feed::End).unwrap();
    let (to, decoded) = sync_channel(1);
    let mut stage = Decode::new(from, to, threads);
    let worker = std::thread::spawn(move || stage.run());
    let mut image = Vec::new();
    let mut complete = false;
    while let Ok(piece) = decoded.recv() {
        match piece {
            Decoded::Data(buffer) => {
                assert!(!complete);
                assert_eq!(buffer.offset_bytes, image.len() as u64);
                assert!(image.len().is_multiple_of(ALIGNMENT), "a disk cannot go on writing here");
                image.extend_from_slice(buffer.filled());
            }
            Decoded::Begin { .. } => assert!(image.is_empty()),
            Decoded::End => complete = true,
        }
    }
    match worker.join().unwrap() {
        Ok(()) => {
            assert!(complete);
            Ok(image)
        }
        Err(Ended::Fault(fault)) => {
            assert!(!complete);
            Err(fault.failure)
        }
        Err(Ended::Quietly) => panic!("ended quietly"),
    }
}

fn cause(object: &[u8]) -> Cause {
    decode(object, 1 << 16).unwrap_err().cause
}

#[test]
fn every_format_gives_the_image_whatever_the_pieces() {
    let image = image(3 << 20);
    for format in [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2, Format::Raw] {
        let object = pack(format, &image);
        for piece in [1, 4099, 1 << 16, 1 << 30] {
            if piece == 1 && object.len() > 2 << 20 {
                continue;
            }
            assert!(decode(&object, piece).unwrap() == image, "{format:?} in pieces of {piece}");
        }
    }
}

#[test]
fn an_image_of_several_members_is_one_image() {
    let image = image(1 << 20);
    for format in PACKED {
        let object: Vec<u8> = image.chunks(300_000).flat_map(|part| pack(format, part)).collect();
        for piece in [7, 1 << 20] {
            assert!(decode(&object, piece).unwrap() == image, "{format:?}");
        }
        let with_empty: Vec<u8> = [pack(format, &image), pack(format, &[])].concat();
        assert!(decode(&with_empty, 1 << 20).unwrap() == image, "{format:?}");
        assert!(decode(&pack(format, &[]), 100).unwrap().is_empty());
    }
    let skippable =
        [&b"\x51\x2a\x4d\x18\x05\0\0\0hello"[..], &pack(Format::Zstd, &image), b"\x50\x2a\x4d\x18\0\0\0\0"]
            .concat();
    assert!(decode(&skippable, 9).unwrap() == image);
}

#[test]
fn an_end_anywhere_else_is_a_truncated_image() {
    let image = image(200_000);
    for format in PACKED {
        let object = pack(format, &image);
        let step = object.len() / 53;
        for end in (12..object.len()).step_by(step).chain(object.len() - 20..object.len()) {
            let cause = cause(&object[..end]);
            assert_eq!(cause, Cause::ImageTruncated, "{format:?} {end} of {}", object.len());
        }
        let two = [object.clone(), object].concat();
        let failure = decode(&two[..two.len() - 100], 4096).unwrap_err();
        assert!(failure.to_string().contains("(part 2) at byte"), "{failure}");
    }
}

#[test]
fn a_flipped_bit_is_never_an_image() {
    let image = image(200_000);
    for format in PACKED {
        let object = pack(format, &image);
        for at in (10..object.len()).step_by(object.len() / 97) {
            let mut damaged = object.clone();
            damaged[at] ^= 0x10;
            match decode(&damaged, 1 << 16) {
                // A bit of a gzip header's time stamp, or of what a packer may choose, changes nothing.
                Ok(decoded) => assert!(decoded == image, "{format:?} {at}"),
                Err(failure) => assert!(
                    matches!(
                        failure.cause,
                        Cause::ImageCorrupt
                            | Cause::ImageTruncated
                            | Cause::ImageUnsupported
                            | Cause::ImageTrailingData
                    ),
                    "{format:?} {at}: {failure}"
                ),
            }
        }
        let mut damaged = object.clone();
        let middle = object.len() / 2;
        damaged[middle] ^= 0x10;
        assert_eq!(cause(&damaged), Cause::ImageCorrupt, "{format:?}");
    }
}

#[test]
fn what_follows_the_end_is_padding_or_an_error() {
    let image = image(100_000);
    for format in PACKED {
        let object = pack(format, &image);
        let with = |tail: &[u8]| decode(&[&object[..], tail].concat(), 1000);
        let failure = with(b"<html>").unwrap_err();
        assert_eq!(failure.cause, Cause::ImageTrailingData);
        let expected =
            format!("something that is no {} follows the end of the image at byte ", format.name());
        assert!(failure.to_string().starts_with(&expected), "{failure}");
        let zeros = with(&[0; 10_240]);
        match format {
            Format::Gzip | Format::Xz => assert!(zeros.unwrap() == image, "{format:?}"),
            _ => assert_eq!(zeros.unwrap_err().cause, Cause::ImageTrailingData),
        }
        assert_eq!(with(&[0, 0, 0, 0, 9]).unwrap_err().cause, Cause::ImageTrailingData);
    }
    let xz = pack(Format::Xz, &image);
    assert_eq!(cause(&[&xz[..], &[0; 6]].concat()), Cause::ImageTrailingData);
    assert_eq!(decode(&[&xz[..], &[0; 8], &xz].concat(), 1000).unwrap().len(), 200_000);
    let gzip = pack(Format::Gzip, &image);
    assert_eq!(cause(&[&gzip[..], &[0; 8], &gzip].concat()), Cause::ImageTrailingData);
}

#[test]
fn a_window_beyond_the_limit_is_refused() {
    let packed = |log| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(b"some image").unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(decode(&packed(27), 100).unwrap(), b"some image");
    let failure = decode(&packed(28), 100).unwrap_err();
    assert_eq!(failure.cause, Cause::ImageUnsupported);
    assert!(failure.to_string().contains("its window is larger than 128 MiB"), "{failure}");
}

/// A gzip member that says how long it is, as bgzip writes them.
fn bgzf(data: &[u8]) -> Vec<u8> {
    let plain = pack(Format::Gzip, data);
    let length = u16::try_from(plain.len() + 8 - 1).unwrap().to_le_bytes();
    let mut member = plain[..10].to_vec();
    member[3] = 4;
    member.extend([6, 0, b'B', b'C', 2, 0, length[0], length[1]]);
    member.extend(&plain[10..]);
    member
}

/// An image in members of bgzip's own size, with its empty last one.
fn bgzip(image: &[u8]) -> Vec<u8> {
    image.chunks(0xff00).chain([&[][..]]).flat_map(bgzf).collect()
}

fn frames(image: &[u8], frame_bytes: usize) -> Vec<u8> {
    image.chunks(frame_bytes).flat_map(|part| pack(Format::Zstd, part)).collect()
}

#[test]
fn what_was_packed_in_parts_is_one_image() {
    let image = image(21 << 20);
    let skippable = |frame: Vec<u8>| [b"\x50\x2a\x4d\x18\x04\0\0\0size".to_vec(), frame].concat();
    for (what, object) in [
        ("bgzip", bgzip(&image)),
        ("bgzip, then gzip", [bgzip(&image[..8 << 20]), pack(Format::Gzip, &image[8 << 20..])].concat()),
        ("frames of 4 MiB", frames(&image, 4 << 20)),
        ("frames of 100 KB", frames(&image, 100_000)),
        (
            "frames of 1 and of 3,000,001 bytes",
            [frames(&image[..40], 1), frames(&image[40..], 3_000_001)].concat(),
        ),
        (
            "skippable ones between",
            image.chunks(5 << 20).map(|part| pack(Format::Zstd, part)).flat_map(skippable).collect(),
        ),
    ] {
        for piece in [4099, 1 << 16, 1 << 30] {
            assert!(decode(&object, piece).unwrap() == image, "{what} in pieces of {piece}");
        }
    }
}

#[test]
fn parts_that_are_damaged_are_told_by_their_place() {
    let image = image(12 << 20);
    for (what, object) in [("bgzip", bgzip(&image)), ("zstd", frames(&image, 3 << 20))] {
        for at in [1, 2, 3].map(|quarter| object.len() * quarter / 4 + 77) {
            let mut damaged = object.clone();
            damaged[at] ^= 0x10;
            for threads in [1, 3] {
                let failure = decode_with(threads, &damaged, 1 << 16).unwrap_err();
                assert_eq!(failure.cause, Cause::ImageCorrupt, "{what}: {failure}");
                let text = failure.to_string().replace(',', "");
                let place = text.split("at byte ").nth(1).and_then(|text| text.split(' ').next()).unwrap();
                let place: usize = place.parse().unwrap();
                // At the latest where a check of the part it is in fails.
                assert!(place.abs_diff(at) < 3 << 19, "damaged at {at} of {}: {text}", object.len());
            }
            let failure = decode(&object[..at], 1 << 16).unwrap_err();
            assert_eq!(failure.cause, Cause::ImageTruncated, "{what}: {failure}");
        }
        let failure = decode(&[&object[..], b"junk"].concat(), 1 << 16).unwrap_err();
        assert_eq!(failure.cause, Cause::ImageTrailingData, "{what}: {failure}");
    }
    // Zeros may follow gzip, and nothing may follow zeros.
    let bgzip = bgzip(&image);
    assert!(decode(&[&bgzip[..], &[0; 4096]].concat(), 1 << 16).unwrap() == image);
    assert_eq!(cause(&[&bgzip[..], &[0; 4096], &bgzip].concat()), Cause::ImageTrailingData);
}

#[test]
fn a_member_that_lies_about_its_length_is_damaged() {
    // It points at the next but one: cut there, its decoder finds more than it should.
    let image = image(9 << 20);
    let mut object = bgzip(&image);
    let length =
        |object: &[u8], at: usize| usize::from(u16::from_le_bytes([object[at + 16], object[at + 17]])) + 1;
    let mut at = 0;
    while at < 3 << 20 {
        at += length(&object, at);
    }
    let wrong = u16::try_from(length(&object, at) / 2).unwrap();
    object[at + 16..at + 18].copy_from_slice(&wrong.to_le_bytes());
    // Its end is where no member begins, so the rest is left to a decoder that needs no lengths.
    assert!(decode(&object, 1 << 16).unwrap() == image);
}
