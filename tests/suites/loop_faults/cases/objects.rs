//! What can be wrong with an object itself: cut, damaged, followed by something, no image at all, or more than is supported.

use nibs_tests::http::Framing;

use super::env;
use crate::case::{Ask, Case, Disk, Ends, Left, SEND, Say, Send, failed};
use crate::objects::{Format, Image, Object};

const CHUNKED: Send = Send { framing: Framing::Chunked, ..SEND };
/// A fault of the object would come back with another try, and is final at once.
const ONE_REQUEST: &[Ask] = &[Ask::Times(1)];

pub fn cases() -> Vec<Case> {
    [whole(), cut(), damaged(), followed(), no_image(), limits()].concat()
}

/// What is unusual, and right.
fn whole() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::ALL {
        cases.push(Case {
            name: "whole, with all digests".into(),
            format,
            env: env(&[("IMG_DIGEST", "sha512:{sha512}"), ("RAW_DIGEST", "sha256:{raw-sha256}")]),
            asks: ONE_REQUEST.to_vec(),
            ..Case::default()
        });
        cases.push(Case {
            name: "whole, one decoder".into(),
            format,
            env: env(&[("DECODE_THREADS", "1")]),
            ..Case::default()
        });
        cases.push(Case {
            name: "whole, 16 decoders".into(),
            format,
            env: env(&[("DECODE_THREADS", "16")]),
            ..Case::default()
        });
        for (what, disk) in [
            ("that is full of 0xa5", Disk::Full(44)),
            ("that is full of 0xa5 and cannot zero by itself", Disk::FullWithoutZeroing(44)),
        ] {
            cases.push(Case {
                name: format!("long runs of zeros, to a disk {what}"),
                format,
                object: Object::Of(Image::Zeros),
                disk,
                ..Case::default()
            });
        }
    }
    for format in [Format::Gzip, Format::Bgzip, Format::Xz, Format::XzBlocks] {
        cases.push(Case {
            name: "zeros behind it".into(),
            format,
            object: Object::FollowedByZeros,
            ..Case::default()
        });
    }
    // The last member of bgzip is empty, and says that the file is whole.
    cases.push(Case {
        name: "without bgzip's empty member at the end".into(),
        format: Format::Bgzip,
        object: Object::CutBy(28),
        ..Case::default()
    });
    cases
}

fn cut() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::ALL {
        let raw = format == Format::Raw;
        for (what, object) in [
            ("in the middle", Object::Cut(50)),
            ("at 99 %", Object::Cut(99)),
            ("before its last byte", Object::CutBy(1)),
            ("before its last 9 bytes", Object::CutBy(9)),
            ("before its last 29 bytes", Object::CutBy(29)),
            ("at the end of a member", Object::Member),
        ] {
            // A raw image's length is known beforehand, and its GPT says how long it should be.
            let left = if raw { Left::Untouched } else { Left::NotBootable };
            let member = object == Object::Member;
            let says: &[&str] =
                if raw || member { &["its partition table speaks of 8,388,608"] } else { &[] };
            // Of raw images that lack less than a block, as of bgzip's empty member, the length speaks.
            let case = Case {
                name: format!("cut {what}"),
                format,
                object,
                ends: failed("image-truncated", left, says),
                asks: ONE_REQUEST.to_vec(),
                ..Case::default()
            };
            cases.push(Case {
                name: format!("cut {what}, in chunks"),
                says: vec![Say::Object(CHUNKED)],
                ends: failed("image-truncated", Left::NotBootable, says),
                ..case.clone()
            });
            cases.push(case);
        }
        for (what, object, says) in [
            ("its partition table", Object::Head(9000), "within its partition table"),
            ("its first MiB", Object::Head(900_000), "its partition table speaks of 8,388,608"),
        ] {
            cases.push(Case {
                name: format!("the image itself ends in {what}"),
                format,
                object,
                ends: failed("image-truncated", Left::Untouched, &[says]),
                asks: ONE_REQUEST.to_vec(),
                ..Case::default()
            });
        }
    }
    cases
}

fn damaged() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::PACKED {
        for percent in [50, 70, 98] {
            cases.push(Case {
                name: format!("a bit flipped at {percent} %"),
                format,
                object: Object::Flipped(percent),
                ends: failed(
                    "image-corrupt",
                    Left::NotBootable,
                    &[" stream is damaged at byte ", "publish the image anew"],
                ),
                asks: ONE_REQUEST.to_vec(),
                ..Case::default()
            });
        }
        // One check for all of it comes at its end.
        let late = matches!(format, Format::Gzip | Format::Zstd);
        let left = if late { Left::NotBootable } else { Left::Untouched };
        cases.push(Case {
            name: "a bit flipped at 5 %".into(),
            format,
            object: Object::Flipped(5),
            ends: failed("image-corrupt", left, &[" stream is damaged at byte "]),
            asks: ONE_REQUEST.to_vec(),
            ..Case::default()
        });
    }
    // What carries no check of its own: the digest tells.
    for format in [Format::Raw, Format::Zstd] {
        for digest in [("IMG_DIGEST", "sha256:{zeros}"), ("RAW_DIGEST", "sha256:{raw-sha256}")] {
            cases.push(Case {
                name: format!("a bit flipped where nothing checks it, {}", digest.0),
                format,
                object: Object::FlippedUnchecked(60),
                env: env(&[digest]),
                ends: failed("digest-mismatch", Left::NotBootable, &["and should have"]),
                asks: ONE_REQUEST.to_vec(),
                ..Case::default()
            });
        }
    }
    for &format in Format::ALL {
        cases.push(Case {
            name: "a GPT that is damaged".into(),
            format,
            object: Object::DamagedTable,
            ends: failed(
                "partition-table",
                Left::Untouched,
                &["entries' checksum", "publish the image anew"],
            ),
            asks: ONE_REQUEST.to_vec(),
            ..Case::default()
        });
    }
    cases
}

fn followed() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::PACKED {
        for (what, junk) in [
            ("a page", &b"<html>502</html>"[..]),
            ("one byte", b"\x01"),
            ("what another format begins with", b"BZh91AY&SY-(\xb5/\xfd"),
        ] {
            // "BZh91AY&SY" is how another stream of bzip2 begins.
            let bzip2 = format == Format::Bzip2 && junk.starts_with(b"BZh");
            let (cause, says): (_, &[&str]) = match bzip2 {
                true => ("image-truncated", &["within its bzip2 stream (part 2)"]),
                false => ("image-trailing-data", &["follows the end of the image at byte"]),
            };
            cases.push(Case {
                name: format!("{what} behind it"),
                format,
                object: Object::Followed(junk),
                ends: failed(cause, Left::NotBootable, says),
                asks: ONE_REQUEST.to_vec(),
                ..Case::default()
            });
        }
    }
    for format in [Format::Zstd, Format::ZstdFrames, Format::Bzip2] {
        cases.push(Case {
            name: "zeros behind it".into(),
            format,
            object: Object::FollowedByZeros,
            ends: failed("image-trailing-data", Left::NotBootable, &["follows the end of the image at byte"]),
            asks: ONE_REQUEST.to_vec(),
            ..Case::default()
        });
    }
    cases
}

fn no_image() -> Vec<Case> {
    let page = b"<!DOCTYPE html><html><body>Please log in</body></html>";
    let refused = |name: &str, object, cause, says: &[&'static str]| Case {
        name: name.into(),
        format: Format::Raw,
        object,
        ends: failed(cause, Left::Untouched, says),
        asks: ONE_REQUEST.to_vec(),
        ..Case::default()
    };
    let mut cases = vec![
        refused(
            "a page of HTML with 200",
            Object::Bytes(page),
            "image-content",
            &["HTML", "ALLOW_UNKNOWN_CONTENT"],
        ),
        refused("JSON with 200", Object::Bytes(b"{\"error\":\"no such key\"}"), "image-content", &["JSON"]),
        refused(
            "a qcow2 image",
            Object::Bytes(b"QFI\xfb\0\0\0\x03 and so on"),
            "image-content",
            &["qemu-img convert"],
        ),
        refused("zeros", Object::ZeroMib(3), "image-content", &["zeros"]),
        refused("nothing", Object::Nothing, "image-empty", &["0 bytes"]),
    ];
    cases.push(Case {
        says: vec![Say::Object(CHUNKED)],
        ..refused("nothing, in chunks", Object::Nothing, "image-empty", &["0 bytes"])
    });
    cases.push(Case {
        name: "an MBR made for blocks of 512 bytes".into(),
        disk: Disk::Blocks4096,
        ..refused("", Object::Of(Image::Mbr), "block-size", &["blocks of 512 bytes"])
    });
    for &format in Format::PACKED {
        cases.push(Case {
            format,
            ..refused("nothing, packed", Object::NothingPacked, "image-empty", &["0 bytes"])
        });
        let says: &[&str] = if format == Format::Bzip2 { &[] } else { &["within another: pack it once"] };
        cases.push(Case { format, ..refused("packed twice", Object::Twice, "image-content", says) });
    }
    for &format in Format::ALL {
        cases.push(Case {
            format,
            object: Object::Of(Image::Blocks4096),
            ..refused(
                "made for blocks of 4096 bytes",
                Object::Nothing,
                "block-size",
                &["blocks of 4096 bytes, and /dev/loop"],
            )
        });
        cases.push(Case {
            format,
            disk: Disk::Blocks4096,
            ..refused(
                "made for blocks of 512 bytes",
                Object::Whole,
                "block-size",
                &["blocks of 512 bytes, and /dev/loop"],
            )
        });
        cases.push(Case {
            name: "of blocks of 4096 bytes, to a disk of such".into(),
            format,
            object: Object::Of(Image::Blocks4096),
            disk: Disk::Blocks4096,
            ..Case::default()
        });
    }
    cases
}

/// What takes more than there is.
fn limits() -> Vec<Case> {
    let zstd = |name: &str, object, ends| Case {
        name: name.into(),
        format: Format::Zstd,
        object,
        ends,
        asks: ONE_REQUEST.to_vec(),
        ..Case::default()
    };
    vec![
        zstd("a window of 8 MiB", Object::Window(23), Ends::Right),
        Case {
            asks: vec![Ask::Times(1), Ask::Warns("a window of 128.0 MiB")],
            ..zstd("a window of 128 MiB", Object::Window(27), Ends::Right)
        },
        zstd(
            "a window of 256 MiB",
            Object::Window(28),
            failed("image-unsupported", Left::Untouched, &["larger than 128 MiB; pack it with --long=27"]),
        ),
        zstd(
            "packed with a dictionary",
            Object::Dictionary,
            failed(
                "image-unsupported",
                Left::Untouched,
                &["it was packed with a dictionary", "publish the image anew"],
            ),
        ),
        zstd(
            "a window of 2 GiB",
            Object::Window(31),
            failed("image-unsupported", Left::Untouched, &["larger than 128 MiB; pack it with --long=27"]),
        ),
    ]
}
