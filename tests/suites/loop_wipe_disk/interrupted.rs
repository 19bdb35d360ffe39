//! A run that is stopped, killed, or meets a disk that fails.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;
use nibs_tests::signatures::{Format, assert_blank, assert_blank_range};
use tempfile::TempDir;

use super::{MIB, Memory, full, partitions, wipe, wipe_command};

fn signal(pid: u32, name: &str) {
    run(Command::new("kill").args(["-s", name, &pid.to_string()]));
}

#[test]
fn whoever_begins_again_after_a_kill_finishes_the_work() {
    let formats = [Format::Zfs, Format::Luks2, Format::Lvm, Format::Zfs, Format::Md12, Format::Zfs];
    let make = || {
        let disk = LoopDevice::new(6 * 40 * MIB + 4 * MIB);
        let mut sgdisk = Command::new("sgdisk");
        run(sgdisk.args(["--new=0:0:+40M"; 6]).arg(disk.node()));
        disk.show_partitions();
        for (format, number) in formats.into_iter().zip(1..) {
            format.put(&disk.partition(number));
        }
        let places = partitions(&disk);
        (disk, places)
    };
    let (disk, places) = make();
    let start = Instant::now();
    wipe(&[disk.node()]).succeeded();
    let whole_run = start.elapsed();
    drop(disk);
    assert_eq!(places.len(), formats.len());

    let mut half_way = 0;
    for part in 1..=12 {
        let (disk, places) = make();
        let mut child = wipe_command(&[disk.node()]).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(whole_run * part / 12);
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        half_way += u32::from(!output.status.success() && text.contains("found a partition table: GPT"));
        let again = wipe(&[disk.node()]);
        again.succeeded();
        assert_blank(disk.node());
        for &(start, length) in &places {
            assert_blank_range(&disk, start, length);
        }
    }
    assert!(half_way >= 3, "only {half_way} of 12 kills came in the middle of the work");
}

#[test]
fn on_sigterm_it_stops_between_two_steps() {
    // So large that zeroing takes long, even where the kernel only frees blocks.
    let folder = TempDir::new().unwrap();
    let backing = folder.path().join("disk");
    File::create(&backing).and_then(|file| file.set_len(8 << 40)).unwrap();
    let disk = LoopDevice::over(&backing, &[]);
    let mut command = wipe_command(&[disk.node()]);
    let child = command.env("WIPE_METHOD", "zero").stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    let asked = Instant::now();
    signal(child.id(), "TERM");
    let outcome = Outcome::read(&child.wait_with_output().unwrap());
    let message = outcome.failed("stopped");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert!(message.contains("it is wiped in part"), "{message}");
    assert!(message.contains(&disk.node().display().to_string()), "{message}");
}

#[test]
fn a_disk_that_fails_does_not_stop_the_others_and_is_named() {
    // Its blocks have no room below them, so that writing them fails.
    let memory = Memory::new("tmpfs,size=256k");
    let broken = LoopDevice::over(&memory.file(64 * MIB), &[]);
    let good = full(8 * MIB);
    let other = full(8 * MIB);
    let outcome = wipe(&[good.node(), broken.node(), other.node()]);
    let message = outcome.failed("disk-io");
    let name = |disk: &Path| disk.display().to_string();
    assert!(message.starts_with("1 of 3 disks failed: "), "{message}");
    assert!(message.contains(&name(broken.node())) && message.contains("it is wiped in part"), "{message}");
    assert!(!message.contains(&name(good.node())), "{message}");
    for disk in [&good, &other] {
        assert!(disk.content().iter().all(|byte| *byte == 0), "{} was not wiped", disk.node().display());
    }
}

#[test]
fn several_disks_are_wiped_at_once() {
    let disks = [LoopDevice::new(400 * MIB), LoopDevice::with_block_size(400 * MIB, 4096), full(8 * MIB)];
    Format::Ext4.make(disks[0].node());
    Format::Xfs.make(disks[1].node());
    let outcome = wipe(&disks.each_ref().map(LoopDevice::node));
    let done = outcome.succeeded();
    for (disk, word) in disks.iter().zip(["ext4 erased", "xfs erased", "nothing was found on it"]) {
        assert!(done.contains(&disk.node().display().to_string()) && done.contains(word), "{done}");
        assert_blank(disk.node());
    }
}
