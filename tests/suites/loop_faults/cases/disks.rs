//! Disks that are no good, and settings that cannot be right.

use nibs_tests::http::Framing;

use super::env;
use crate::case::{Ask, Case, Disk, Left, Run, SEND, Say, Send, failed};
use crate::objects::{Format, IMAGE_MIB, Image, Object};
use crate::target::DISK_BYTES;

const MIB: u64 = 1 << 20;

pub fn cases() -> Vec<Case> {
    [sizes(), uses(), failing(), settings()].concat()
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::ALL {
        for (what, bytes) in
            [("exactly as large", 0), ("512 bytes larger", 512), ("700 KiB larger", 700 << 10)]
        {
            cases.push(Case {
                name: format!("a disk {what}"),
                format,
                disk: Disk::Bytes(IMAGE_MIB * MIB + bytes),
                ..Case::default()
            });
        }
        for (what, bytes) in [("4 KiB too small", IMAGE_MIB * MIB - 4096), ("of 3 MiB", 3 * MIB)] {
            cases.push(Case {
                name: format!("a disk {what}, as the GPT says"),
                format,
                disk: Disk::Bytes(bytes),
                ends: failed(
                    "disk-too-small",
                    Left::Untouched,
                    &["needs 8,388,608 bytes, and /dev/loop", "use a smaller image, or a larger disk"],
                ),
                ..Case::default()
            });
        }
        // Neither a length nor a table says so beforehand.
        cases.push(Case {
            name: "a disk that is too small, as only the end shows".into(),
            format,
            object: Object::Of(Image::Filesystem(13)),
            says: vec![Say::Object(Send { framing: Framing::Chunked, ..SEND })],
            ends: failed(
                "disk-too-small",
                Left::NotBootable,
                &["goes on after byte 12,582,912, where /dev/loop"],
            ),
            ..Case::default()
        });
    }
    cases.push(Case {
        name: "a disk that is too small, as the length says".into(),
        format: Format::Raw,
        object: Object::Of(Image::Filesystem(13)),
        ends: failed("disk-too-small", Left::Untouched, &["needs 13,631,488 bytes, and /dev/loop"]),
        ..Case::default()
    });
    cases
}

fn uses() -> Vec<Case> {
    let named = |name| Disk::Named(name);
    let refusals: [(&str, Disk, &str, &[&str]); 14] = [
        (
            "a disk that is read-only",
            Disk::ReadOnly,
            "disk-read-only",
            &["is read-only; nothing was written to it"],
        ),
        ("a disk that is not there", named("/dev/nvme7n1"), "disk-missing", &["/dev/nvme7n1"]),
        ("a serial number that is not there", named("serial:NOBODY"), "disk-missing", &["NOBODY"]),
        ("a by-id link that is not there", named("/dev/disk/by-id/nvme-NOBODY"), "disk-missing", &["NOBODY"]),
        ("a character device", named("/dev/null"), "not-a-block-device", &["/dev/null"]),
        ("a file", Disk::File, "not-a-block-device", &["/dev/shm/"]),
        ("a partition", Disk::Partition, "not-a-whole-disk", &["give the whole disk"]),
        ("a mounted disk", Disk::Mounted, "disk-mounted", &["is mounted at /tmp/nibs-mount-"]),
        (
            "a disk with a mounted partition",
            Disk::PartitionMounted,
            "disk-mounted",
            &["p1 is mounted at /tmp/nibs-mount-"],
        ),
        ("a disk that is swapped on", Disk::Swap, "disk-swap", &["swap space in use"]),
        ("a disk that another program has claimed", Disk::Busy, "disk-busy", &["in use"]),
        (
            "the disk that the system runs from",
            Disk::RunsSystem,
            "disk-runs-system",
            &["the running system lives on loop"],
        ),
        ("two disks with one serial number", Disk::Twins, "disk-ambiguous", &["fits several disks"]),
        ("no path at all", named("sda"), "configuration", &["DEST_DISK"]),
    ];
    refusals
        .map(|(name, disk, cause, says)| Case {
            name: name.into(),
            disk,
            ends: failed(cause, Left::Untouched, says),
            asks: vec![Ask::Times(0)],
            ..Case::default()
        })
        .to_vec()
}

fn failing() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::ALL {
        cases.push(Case {
            name: "a thin disk without room for it".into(),
            format,
            disk: Disk::Thin(5),
            ends: failed(
                "disk-io",
                Left::NotBootable,
                &["at byte ", "look at the disk, then run the workflow again"],
            ),
            // A disk that fails is no reason to fetch again.
            asks: vec![Ask::Times(1)],
            ..Case::default()
        });
    }
    cases.push(Case {
        name: "a partition that the kernel cannot forget".into(),
        disk: Disk::PartitionOpen,
        ends: failed(
            "partitions-missing",
            Left::NotBootable,
            &["the kernel does not show the partitions of /dev/loop", "run the workflow again"],
        ),
        ..Case::default()
    });
    cases.push(Case {
        name: "too few open files".into(),
        run: Run::Files(6),
        ends: failed("internal", Left::Untouched, &["Too many open files"]),
        asks: vec![Ask::Times(0)],
        ..Case::default()
    });
    cases
}

fn settings() -> Vec<Case> {
    const WRONG: &[(&str, &str)] = &[
        ("IMG_URL", "ftp://127.0.0.1/image"),
        ("IMG_URL", "htp://user:{secret}@h/image"),
        ("IMG_URL", "user:{secret}@h/image"),
        ("IMG_URL", ""),
        ("DEST_DISK", ""),
        ("DEST_DISK", "sda"),
        ("IMG_DIGEST", "http://user:{secret}@[/sums"),
        ("RAW_DIGEST", "sha256:zz"),
        ("STALL_TIMEOUT_SECONDS", "soon"),
        ("STALL_TIMEOUT_SECONDS", "0"),
        ("RETRY_ENABLED", "maybe"),
        ("RETRY_DURATION_MINUTES", "-1"),
        ("PROGRESS_INTERVAL_SECONDS", "x"),
        ("DECODE_THREADS", "0"),
        ("DECODE_THREADS", "17"),
        ("DECODE_THREADS", "-1"),
        ("DECODE_THREADS", "two"),
        ("DECODE_THREADS", "1.5"),
        ("COMPRESSED", "perhaps"),
        ("ALLOW_UNKNOWN_CONTENT", "yes"),
        ("SKIP_VERIFY", "yes"),
        ("CA_CERT", "no certificate"),
        ("HTTP_BEARER_TOKEN", "{secret}\n{secret}"),
        ("HTTP_PASSWORD", "{secret}"),
        ("HTTP_PROXY", "socks9://user:{secret}@h"),
        ("HTTPS_PROXY", "http://user:{secret}@[h"),
    ];
    let wrong = |&(variable, value): &(&'static str, &str)| Case {
        name: format!("{variable}={value:?}"),
        env: env(&[(variable, value)]),
        ends: failed("configuration", Left::Untouched, &[variable]),
        asks: vec![Ask::Times(0)],
        ..Case::default()
    };
    let mut cases: Vec<Case> = WRONG.iter().map(wrong).collect();
    cases.push(Case {
        name: "unknown content that is allowed".into(),
        object: Object::Of(Image::Filesystem(DISK_BYTES / MIB - 2)),
        env: env(&[("ALLOW_UNKNOWN_CONTENT", "true")]),
        ..Case::default()
    });
    cases
}
