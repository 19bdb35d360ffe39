//! What goes wrong on the way: each case ends in exactly one of right, refused before the first write with the disk as it
//! was, or failed with its own cause and a disk that does not boot.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nibs_tests::binaries::command;
use nibs_tests::disk_image::{MIB, Packing};
use nibs_tests::http::{Answer, HttpServer};
use nibs_tests::loop_device::run;
use nibs_tests::outcome::Outcome;
use tempfile::TempDir;

use super::bench::{Bench, IMAGE};

/// What a fault leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Left {
    Untouched,
    NotBootable,
}
use Left::{NotBootable, Untouched};

/// Runs one case, then streams the whole image to the same disk.
fn case(bench: &Bench, name: &str, object: &[u8], answer: Answer, cause: &str, left: Left) -> String {
    eprintln!("{name}");
    nibs_tests::disk_image::write(bench.disk.node(), &bench.before);
    let url = bench.server.serve("/image", object, &[answer]);
    let outcome = Outcome::of(bench.action(&url).env("STALL_TIMEOUT_SECONDS", "0.7"));
    let message = outcome.failed(cause).to_owned();
    match left {
        Untouched => {
            assert!(message.contains("nothing was written to /dev/loop"), "{message}");
            bench.assert_untouched();
        }
        NotBootable => {
            assert!(message.contains("was left not bootable, both its ends are zero"), "{message}");
            bench.assert_not_bootable();
        }
    }
    message
}

/// After whatever happened, the same disk takes the image.
fn again(bench: &Bench) {
    bench.stream(Packing::Zstd.pack(&IMAGE), Answer::Full).succeeded();
    let table = run(Command::new("sgdisk").arg("--verify").arg(bench.disk.node()));
    assert!(table.contains("No problems found"), "{table}");
}

#[test]
fn a_connection_that_ends_early() {
    let bench = Bench::default();
    for packing in Packing::ALL {
        let object = packing.pack(&IMAGE);
        let at = |percent: usize| object.len() * percent / 100;
        // Half of the first MiB and less has been seen by then.
        for (after, left) in [
            (0, Untouched),
            (3, Untouched),
            (400, Untouched),
            (60_000, Untouched),
            (at(50), NotBootable),
            (at(99), NotBootable),
            (object.len() - 1, NotBootable),
        ] {
            let name = format!("{packing:?} closed after {after} of {}", object.len());
            let message = case(&bench, &name, &object, Answer::Closed(after), "image-truncated", left);
            assert!(
                message.contains("the image ended at byte ") && message.contains("the connection broke"),
                "{message}"
            );
        }
        case(&bench, "reset in the first MiB", &object, Answer::Reset(60_000), "image-truncated", Untouched);
        case(&bench, "reset in the middle", &object, Answer::Reset(at(60)), "image-truncated", NotBootable);
        let message =
            case(&bench, "stalled at first", &object, Answer::Stalled(0), "server-stalled", Untouched);
        assert!(message.contains("nothing for 0.7 s at byte 0 of "), "{message}");
        case(
            &bench,
            "stalled at the end",
            &object,
            Answer::Stalled(object.len() - 1),
            "server-stalled",
            NotBootable,
        );
        case(
            &bench,
            "too long a length",
            &object,
            Answer::WithLength(object.len() as u64 + 9),
            "image-truncated",
            // With the length of a raw image it is known beforehand what comes, and it fits.
            NotBootable,
        );
        case(
            &bench,
            "chunks without an end",
            &object,
            Answer::ChunkedWithoutEnd,
            "image-truncated",
            NotBootable,
        );
    }
    again(&bench);
}

#[test]
fn an_object_that_ends_early() {
    let bench = Bench::default();
    for packing in Packing::ALL {
        let object = packing.pack(&IMAGE);
        for percent in [50, 99] {
            let cut = &object[..object.len() * percent / 100];
            // A raw image's length is known beforehand, and its GPT says how long it should be.
            let left = if packing == Packing::Raw { Untouched } else { NotBootable };
            case(&bench, &format!("{packing:?} of {percent} %"), cut, Answer::Full, "image-truncated", left);
            case(&bench, "the same in chunks", cut, Answer::Chunked, "image-truncated", NotBootable);
            case(&bench, "the same without a length", cut, Answer::Unframed, "image-truncated", NotBootable);
        }
        let cut = &object[..object.len() - 1];
        case(&bench, "but for the last byte", cut, Answer::Chunked, "image-truncated", NotBootable);
        let short = Answer::WithLength(object.len() as u64 - 7);
        let left = if packing == Packing::Raw { Untouched } else { NotBootable };
        case(&bench, "too short a length", &object, short, "image-truncated", left);
    }
    // At a member's end everything looks whole, but for what the GPT says.
    for packing in [Packing::Gzip, Packing::Zstd, Packing::Xz, Packing::Bzip2] {
        let first = packing.pack(&IMAGE[..9 * MIB as usize]);
        let message =
            case(&bench, "a member is missing", &first, Answer::Full, "image-truncated", NotBootable);
        assert!(
            message.contains("the image has 9,437,184 bytes, and its partition table speaks of 12,582,912"),
            "{message}"
        );
    }
    again(&bench);
}

#[test]
fn an_object_that_is_damaged() {
    let bench = Bench::default();
    for packing in [Packing::Gzip, Packing::Zstd, Packing::Xz, Packing::Bzip2] {
        let object = packing.pack(&IMAGE);
        for percent in [50, 70, 98] {
            let mut damaged = object.clone();
            damaged[object.len() * percent / 100] ^= 0x40;
            let name = format!("{packing:?} with a flipped bit at {percent} %");
            let message = case(&bench, &name, &damaged, Answer::Full, "image-corrupt", NotBootable);
            assert!(message.contains(" stream is damaged at byte "), "{message}");
        }
        let junk = [&object[..], b"<html>502</html>"].concat();
        let message = case(&bench, "junk behind", &junk, Answer::Full, "image-trailing-data", NotBootable);
        assert!(message.contains("follows the end of the image at byte"), "{message}");
        let mut late = object.clone();
        late[30] ^= 0x40;
        let outcome = bench.stream(late, Answer::Full);
        assert_ne!(outcome.code, 0);
    }
    let wide = nibs_tests::disk_image::pipe(
        Command::new("zstd").args(["-1", "--quiet", "--ultra", "--long=28", "-c"]),
        &IMAGE,
    );
    case(&bench, "a window beyond the limit", &wide, Answer::Full, "image-unsupported", Untouched);
    again(&bench);
}

#[test]
fn a_disk_that_ends_before_the_image_does() {
    // Neither a length nor a table says so beforehand.
    let bench = Bench::default();
    let mut filesystem = vec![7; 21 * MIB as usize];
    filesystem[1080..1082].copy_from_slice(&[0x53, 0xef]);
    for packing in [Packing::Raw, Packing::Gzip] {
        let object = packing.pack(&filesystem);
        let message = case(&bench, "too large", &object, Answer::Chunked, "disk-too-small", NotBootable);
        assert!(message.contains("goes on after byte 20,971,520, where /dev/loop"), "{message}");
    }
    again(&bench);
}

/// A disk on a filesystem that has no room for all of it.
struct ThinDisk {
    node: PathBuf,
    folder: TempDir,
}

impl ThinDisk {
    fn new(room_mib: u64, disk_mib: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={room_mib}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder.path()));
        let backing = folder.path().join("disk");
        File::create(&backing).unwrap().set_len(disk_mib * MIB).unwrap();
        let node = run(Command::new("losetup").args(["--show", "--find"]).arg(&backing)).trim().into();
        Self { node, folder }
    }
}

impl Drop for ThinDisk {
    fn drop(&mut self) {
        let detached = Command::new("losetup").arg("--detach").arg(&self.node).status();
        let unmounted = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
        if !detached.is_ok_and(|status| status.success()) || !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stayed behind", self.node.display());
        }
    }
}

#[test]
fn a_disk_that_fails_to_write() {
    let server = HttpServer::plain();
    let url = server.serve_shared("/image", IMAGE.clone(), &[Answer::Full]);
    // Room for both zeroed ends, and for some of the middle.
    let disk = ThinDisk::new(6, 20);
    let outcome = Outcome::of(
        command("stream-image").env("IMG_URL", url).env("DEST_DISK", &disk.node).env("LOG_LEVEL", "debug"),
    );
    let message = outcome.failed("disk-io");
    assert!(message.contains("was left not bootable") && message.contains("look at the disk"), "{message}");
    assert_eq!(server.requests().len(), 1, "a disk that fails is no reason to fetch again");
    assert!(ends_are_zero(&disk.node), "{}", outcome.text);
}

fn ends_are_zero(node: &Path) -> bool {
    let device = File::open(node).unwrap();
    [0, 19 * MIB].into_iter().all(|at| {
        let mut bytes = vec![1; MIB as usize];
        device.read_exact_at(&mut bytes, at).unwrap();
        bytes.iter().all(|byte| *byte == 0)
    })
}
