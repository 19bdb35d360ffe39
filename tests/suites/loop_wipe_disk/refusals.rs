//! What is refused, and that the disk then is as it was, to the byte, as are all others that were named with it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nibs_tests::binaries::binary;
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;
use nibs_tests::signatures::Format;
use tempfile::TempDir;

use super::{MIB, full, wipe, wipe_command};

/// A mount that goes away with its guard.
struct Mounted(TempDir);

impl Mounted {
    /// Read-only, so that the filesystem itself writes nothing meanwhile.
    fn new(device: &Path) -> Self {
        Self::with(device, "ro")
    }

    fn with(device: &Path, options: &str) -> Self {
        let folder = TempDir::new().unwrap();
        run(Command::new("mount").args(["-o", options]).arg(device).arg(folder.path()));
        Self(folder)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--recursive").arg(self.0.path()).status();
    }
}

/// A swap space in use that is given back with its guard.
struct Swapped(PathBuf);

impl Drop for Swapped {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0).status();
    }
}

/// A GPT with two partitions that the kernel shows.
fn partitioned() -> LoopDevice {
    let disk = LoopDevice::new(400 * MIB);
    run(Command::new("sgdisk").args(["--new=1:0:+330M", "--new=2:0:0"]).arg(disk.node()));
    disk.show_partitions();
    disk
}

/// Runs the action on the disk and on one that nothing speaks against. Neither may change.
#[track_caller]
fn refused(disk: &LoopDevice, cause: &str, words: &[&str]) {
    let free = full(8 * MIB);
    let before = disk.content();
    for disks in [vec![disk.node()], vec![free.node(), disk.node()]] {
        let outcome = wipe(&disks);
        let message = outcome.failed(cause);
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
        assert!(message.contains(&disk.node().display().to_string()), "{message}");
    }
    assert!(disk.content() == before, "a refused disk has changed");
    assert!(free.content().iter().all(|byte| *byte == 0xa5), "another disk has changed");
}

#[test]
fn mounted() {
    let disk = partitioned();
    Format::Ext4.make(&disk.partition(1));
    let mounted = Mounted::new(&disk.partition(1));
    let name = disk.partition(1).file_name().unwrap().to_str().unwrap().to_owned();
    let at = format!("{name} is mounted at {}", mounted.0.path().display());
    refused(&disk, "disk-mounted", &[&at, "nothing was written to it"]);
    drop(mounted);

    let whole = LoopDevice::new(400 * MIB);
    Format::Xfs.make(whole.node());
    let _mounted = Mounted::new(whole.node());
    refused(&whole, "disk-mounted", &["is mounted at"]);
}

#[test]
fn mounted_where_the_action_cannot_see_it() {
    // A mount namespace with its own first process: the action sees neither the mount nor who made it.
    let disk = partitioned();
    Format::Ext4.make(&disk.partition(1));
    let folder = TempDir::new().unwrap();
    let mounted = Mounted::new(&disk.partition(1));
    let before = disk.content();
    let script = format!(
        "umount {} && exec {} --dest-disk {}",
        mounted.0.path().display(),
        binary("wipe-disk").display(),
        disk.node().display()
    );
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let outcome = Outcome::read(&output);
    let message = outcome.failed("disk-mounted");
    assert!(message.contains("is mounted at a place that this container does not see (ext4)"), "{message}");
    assert!(disk.content() == before);
}

#[test]
fn swapped_on() {
    let disk = partitioned();
    Format::Swap.make(&disk.partition(1));
    run(Command::new("swapon").arg(disk.partition(1)));
    let _swapped = Swapped(disk.partition(1));
    refused(&disk, "disk-swap", &["is swap space in use"]);
}

#[test]
fn all_disks_of_a_filesystem_are_mounted_with_it() {
    // mountinfo names one of them.
    let disks = [LoopDevice::new(400 * MIB), LoopDevice::new(400 * MIB)];
    run(Command::new("mkfs.btrfs").args(["-q", "-f"]).args(disks.iter().map(LoopDevice::node)));
    let _mounted = Mounted::new(disks[0].node());
    for disk in &disks {
        refused(disk, "disk-mounted", &["is mounted at"]);
    }
}

#[test]
fn holds_the_running_system() {
    let disk = LoopDevice::new(400 * MIB);
    Format::Ext4.make(disk.node());
    let mounted = Mounted::with(disk.node(), "rw");
    let root = mounted.0.path();
    fs::copy(binary("wipe-disk"), root.join("wipe-disk")).unwrap();
    for folder in ["proc", "sys", "dev"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    let script = format!(
        "cd {root} && mount --rbind /sys sys && mount --rbind /dev dev && mount -t proc proc proc && exec chroot . /wipe-disk --dest-disk {disk}",
        root = root.display(),
        disk = disk.node().display()
    );
    let output =
        Command::new("unshare").args(["--mount", "--pid", "--fork", "sh", "-c", &script]).output().unwrap();
    let outcome = Outcome::read(&output);
    let message = outcome.failed("disk-runs-system");
    assert!(message.contains("the running system lives on"), "{message}");
}

#[test]
fn read_only() {
    let disk = LoopDevice::read_only(8 * MIB);
    refused(&disk, "disk-read-only", &["is read-only; nothing was written to it"]);
}

#[test]
fn claimed_or_open_elsewhere() {
    let disk = partitioned();
    let claim = OpenOptions::new().read(true).custom_flags(libc_excl()).open(disk.node()).unwrap();
    refused(&disk, "disk-busy", &["a program that claims it for itself"]);
    drop(claim);
    // Somebody who only reads a partition keeps its node, and it is shown as before.
    let reader = File::open(disk.partition(2)).unwrap();
    refused(&disk, "disk-busy", &["another program has it open", "nothing was written to any disk"]);
    assert!(disk.partition(1).exists() && disk.partition(2).exists());
    drop(reader);
    wipe(&[disk.node()]).succeeded();
}

/// `O_EXCL` of asm-generic/fcntl.h.
fn libc_excl() -> i32 {
    0o200
}

#[test]
fn a_partition() {
    let disk = partitioned();
    for shown in [true, false] {
        let outcome = wipe(&[&disk.partition(1)]);
        let message = outcome.failed("not-a-whole-disk");
        assert!(message.contains(&format!("give the whole disk, {}", disk.node().display())), "{message}");
        if shown {
            nibs_tests::installed_image::forget_partitions(&disk);
        }
    }
}

#[test]
fn what_is_no_disk() {
    let file = tempfile::Builder::new().tempfile_in("/dev/shm").unwrap();
    file.as_file().set_len(8 * MIB).unwrap();
    for (path, cause, word) in [
        (file.path(), "not-a-block-device", "is no block device"),
        (Path::new("/dev/null"), "not-a-block-device", "is no block device"),
        (Path::new("/dev/shm"), "not-a-block-device", "is no block device"),
        (Path::new("/dev/sdzz"), "disk-missing", "there is no /dev/sdzz; this machine has"),
        (Path::new("serial:NOT-THERE"), "disk-missing", "there is no serial:NOT-THERE"),
        (
            Path::new("/dev/disk/by-id/ata-NOT_THERE"),
            "disk-missing",
            "there is no /dev/disk/by-id/ata-NOT_THERE",
        ),
        (Path::new("sda"), "configuration", "accepted: /dev/NAME"),
        (Path::new("/tmp/disk.img"), "configuration", "accepted: /dev/NAME"),
    ] {
        let outcome = wipe(&[path]);
        let message = outcome.failed(cause);
        assert!(message.contains(word), "{message}");
    }
    assert!(fs::metadata("/dev/sdzz").is_err(), "a file was made in /dev");
}

#[test]
fn without_a_medium() {
    let empty = LoopDevice::new(0);
    let outcome = wipe(&[empty.node()]);
    assert!(outcome.failed("disk-missing").contains("has no medium"), "{}", outcome.text);
}

#[test]
fn a_disk_that_is_named_twice() {
    let disk = full(8 * MIB);
    let folder = tempfile::Builder::new().tempdir_in("/dev/shm").unwrap();
    let link = folder.path().join("disk");
    std::os::unix::fs::symlink(disk.node(), &link).unwrap();
    for twice in [disk.node(), link.as_path()] {
        let outcome = wipe(&[disk.node(), twice]);
        assert!(outcome.failed("configuration").contains("each disk once"), "{}", outcome.text);
    }
    let mut both = wipe_command(&[disk.node()]);
    let outcome = Outcome::of(both.env("DEST_DISK", "/dev/sdzz"));
    assert!(outcome.failed("configuration").starts_with("both DISKS="), "{}", outcome.text);
    let mut later = wipe_command(&[disk.node()]);
    let outcome = Outcome::of(later.env("WIPE_METHOD", "secure-erase"));
    assert!(outcome.failed("configuration").contains("secure-erase is not there yet"), "{}", outcome.text);
    assert!(disk.content().iter().all(|byte| *byte == 0xa5));
    // The same in both is no contradiction.
    let mut same = wipe_command(&[disk.node()]);
    Outcome::of(same.env("DEST_DISK", disk.node())).succeeded();
}

#[test]
fn all_that_speaks_against_any_disk_is_said_at_once() {
    let outcome = wipe(&[Path::new("/dev/sdzz"), Path::new("/dev/null")]);
    let message = outcome.failed("disk-missing");
    assert!(message.contains("there is no /dev/sdzz") && message.contains("/dev/null is there"), "{message}");
}
