//! Disks and images that are refused before the first write: the disk stays as it was, to the byte.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use nibs_tests::disk_image::{DiskImage, MIB, Packing, Table};
use nibs_tests::http::Answer;
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;

use super::bench::{Bench, DISK_MIB, IMAGE};

/// Asserts a refusal before the first write, and gives the last line's message.
#[track_caller]
fn refused(bench: &Bench, outcome: &Outcome, cause: &str) -> String {
    let message = outcome.failed(cause).to_owned();
    assert!(message.contains("nothing was written to"), "{message}");
    bench.assert_untouched();
    message
}

#[test]
fn a_disk_that_is_too_small() {
    // Known from the GPT within a packed image, and from the length of a raw one without.
    for (size_bytes, packing) in [
        (12 * MIB - 4096, Packing::Gzip),
        (10 * MIB, Packing::Raw),
        (10 * MIB, Packing::Xz),
        (3 * MIB, Packing::Zstd),
    ] {
        let bench = Bench::new(size_bytes, 512);
        let outcome = bench.stream(packing.pack(&IMAGE), Answer::Full);
        let message = refused(&bench, &outcome, "disk-too-small");
        assert!(message.contains("needs 12,582,912 bytes, and /dev/loop"), "{message}");
    }
    let mut filesystem = vec![0; 12 * MIB as usize];
    filesystem[1080..1082].copy_from_slice(&[0x53, 0xef]);
    let bench = Bench::new(10 * MIB, 512);
    refused(&bench, &bench.stream(filesystem, Answer::Full), "disk-too-small");
}

#[test]
fn an_image_made_for_other_blocks() {
    for (made_for, disk_has) in [(512, 4096), (4096, 512)] {
        let image = DiskImage { logical_block_size: made_for, ..DiskImage::default() }.make();
        let bench = Bench::new(DISK_MIB * MIB, disk_has);
        let outcome = bench.stream(Packing::Gzip.pack(&image), Answer::Full);
        let message = refused(&bench, &outcome, "block-size");
        assert!(message.contains(&format!("blocks of {made_for} bytes, and /dev/loop")), "{message}");
    }
    let mbr = DiskImage { table: Table::Mbr, ..DiskImage::default() }.make();
    let bench = Bench::new(DISK_MIB * MIB, 4096);
    refused(&bench, &bench.stream(mbr, Answer::Full), "block-size");
}

#[test]
fn what_is_no_image() {
    let bench = Bench::default();
    for (object, cause, says) in [
        (b"<!DOCTYPE html><html><body>Please log in</body></html>".to_vec(), "image-content", "HTML"),
        (b"{\"error\":\"no such key\"}".to_vec(), "image-content", "JSON"),
        ([&b"QFI\xfb\0\0\0\x03"[..], &[1; 70_000]].concat(), "image-content", "qemu-img convert"),
        (vec![0; 3 * MIB as usize], "image-content", "zeros"),
        (Packing::Gzip.pack(&Packing::Gzip.pack(&IMAGE)), "image-content", "within another"),
        (Vec::new(), "image-empty", "0 bytes"),
        (Packing::Zstd.pack(&[]), "image-empty", "0 bytes"),
        (IMAGE[..8 * MIB as usize].to_vec(), "image-truncated", "its partition table speaks of 12,582,912"),
        (IMAGE[..9000].to_vec(), "image-truncated", "within its partition table"),
        (Packing::Gzip.pack(&IMAGE[..900_000]), "image-truncated", "speaks of"),
        (
            {
                let mut damaged = IMAGE.to_vec();
                damaged[1024 + 56] ^= 1;
                damaged
            },
            "partition-table",
            "entries' checksum",
        ),
    ] {
        let outcome = bench.stream(object, Answer::Full);
        let message = refused(&bench, &outcome, cause);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_disk_that_is_in_use() {
    let bench = Bench::default();
    let url = bench.server.serve_shared("/image", IMAGE.clone(), &[Answer::Full]);

    let other = File::options().read(true).custom_flags(exclusive()).open(bench.disk.node()).unwrap();
    let busy = Outcome::of(&mut bench.action(&url));
    refused(&bench, &busy, "disk-busy");
    drop(other);

    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(bench.disk.node()));
    let folder = tempfile::tempdir().unwrap();
    run(Command::new("mount").arg(bench.disk.node()).arg(folder.path()));
    let mounted = Outcome::of(&mut bench.action(&url));
    let again = bench.disk.content();
    run(Command::new("umount").arg(folder.path()));
    let message = mounted.failed("disk-mounted").to_owned();
    assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
    assert!(again[512..] != IMAGE[512..again.len().min(IMAGE.len())], "something was written");
    assert_eq!(bench.server.requests().len(), 0, "nothing is fetched for a disk that is refused");
}

fn exclusive() -> i32 {
    rustix::fs::OFlags::EXCL.bits() as i32
}

#[test]
fn swap_space_that_is_in_use() {
    let bench = Bench::default();
    run(Command::new("mkswap").arg(bench.disk.node()));
    run(Command::new("swapon").arg(bench.disk.node()));
    let url = bench.server.serve_shared("/image", IMAGE.clone(), &[Answer::Full]);
    let outcome = Outcome::of(&mut bench.action(&url));
    run(Command::new("swapoff").arg(bench.disk.node()));
    assert!(outcome.failed("disk-swap").contains("swap space in use"), "{}", outcome.text);
    assert!(bench.disk.content()[4086..4096] == *b"SWAPSPACE2");
}

#[test]
fn what_is_no_whole_disk_that_can_be_written() {
    let bench = Bench::default();
    let url = bench.server.serve_shared("/image", IMAGE.clone(), &[Answer::Full]);
    let stream_to = |disk: &str| Outcome::of(bench.action(&url).env("DEST_DISK", disk));

    bench.disk.show_partitions();
    let partition = bench.disk.partition(1);
    assert!(
        stream_to(partition.to_str().unwrap()).failed("not-a-whole-disk").contains("give the whole disk")
    );
    stream_to("/dev/null").failed("not-a-block-device");
    stream_to("/dev/nvme7n1").failed("disk-missing");
    stream_to("serial:NOBODY").failed("disk-missing");
    assert!(!std::path::Path::new("/dev/nvme7n1").exists(), "a file in the place of a disk");

    let read_only = LoopDevice::read_only(DISK_MIB * MIB);
    stream_to(read_only.node().to_str().unwrap()).failed("disk-read-only");
    bench.assert_untouched();
}

#[test]
fn a_configuration_that_cannot_be_right() {
    let bench = Bench::default();
    let url = bench.server.serve_shared("/image", IMAGE.clone(), &[Answer::Full]);
    for (name, value) in [
        ("IMG_URL", "ftp://127.0.0.1/image"),
        ("IMG_DIGEST", "sha256:1234"),
        ("STALL_TIMEOUT_SECONDS", "soon"),
        ("CA_CERT", "no certificate"),
        ("DEST_DISK", "sda"),
        ("SKIP_VERIFY", "yes"),
    ] {
        let outcome = Outcome::of(bench.action(&url).env(name, value));
        let message = outcome.failed("configuration");
        assert!(message.contains(name) || message.contains(value), "{message}");
    }
    Outcome::of(bench.action(&url).env_remove("IMG_URL")).failed("configuration");
    bench.assert_untouched();
}
