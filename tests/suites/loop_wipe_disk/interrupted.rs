//! A run that is stopped, killed, or meets a disk that fails.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;
use nibs_tests::signal::{self, Signal};
use nibs_tests::signatures::{Format, assert_blank, assert_blank_range};

use super::{MIB, Memory, full, partitions, wipe, wipe_command};

#[test]
fn whoever_begins_again_after_a_kill_finishes_the_work() {
    let formats = [Format::Zfs, Format::Luks2, Format::Lvm, Format::Zfs, Format::Md12, Format::Zfs];
    let make = || {
        let disk = LoopDevice::new(6 * 65 * MIB + 4 * MIB);
        let mut sgdisk = Command::new("sgdisk");
        run(sgdisk.args(["--new=0:0:+65M"; 6]).arg(disk.node()));
        disk.show_partitions();
        for (format, number) in formats.into_iter().zip(1..) {
            format.put(&disk.partition(number));
        }
        let places = partitions(&disk);
        (disk, places)
    };
    let (disk, places) = make();
    assert_eq!(places.len(), formats.len());
    let whole_run = wipe(&[disk.node()]);
    whole_run.succeeded();
    drop(disk);

    // By what it has said so far, and not by the clock: the machine may be busy.
    let parts = 10;
    let mut half_way = 0;
    for part in 1..parts {
        let (disk, places) = make();
        let mut child = wipe_command(&[disk.node()]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.take(whole_run.lines.len() * part / parts).count();
        assert!(said > 0);
        let _ = child.kill();
        half_way += u32::from(!child.wait().unwrap().success());
        let again = wipe(&[disk.node()]);
        again.succeeded();
        assert_blank(disk.node());
        for &(start, length) in &places {
            assert_blank_range(&disk, start, length);
        }
    }
    assert!(half_way >= 5, "only {half_way} kills came in the middle of the work");
}

#[test]
fn on_sigterm_it_stops_between_two_steps() {
    // Each of these takes hundreds of rounds. On less than 64 MiB libblkid looks for no ZFS.
    const PARTITIONS: usize = 40;
    let disk = LoopDevice::new(PARTITIONS as u64 * 65 * MIB + 4 * MIB);
    run(Command::new("sgdisk").args(["--new=0:0:+65M"; PARTITIONS]).arg(disk.node()));
    disk.show_partitions();
    for number in 1..=PARTITIONS {
        Format::Zfs.put(&disk.partition(number as u32));
    }
    let places = partitions(&disk);

    let mut child = wipe_command(&[disk.node()]).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("found zfs_member (") {
        assert!(reader.read_line(&mut text).unwrap() > 0, "it ended without a find: {text}");
    }
    let asked = Instant::now();
    signal::send(child.id(), Signal::TERM).unwrap();
    reader.read_to_string(&mut text).unwrap();
    let stopped_after = asked.elapsed();
    let status = child.wait().unwrap();
    let outcome = Outcome::read(&Output { status, stdout: text.into_bytes(), stderr: Vec::new() });
    let message = outcome.failed("stopped");
    assert!(stopped_after < Duration::from_secs(2), "{stopped_after:?}");
    assert!(message.contains("it is wiped in part"), "{message}");
    assert!(message.contains(&disk.node().display().to_string()), "{message}");
    // The tables are still there, and the next run finds the rest through them.
    assert_eq!(partitions(&disk), places);
    wipe(&[disk.node()]).succeeded();
    assert_blank(disk.node());
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
        let left = disk.content().iter().position(|byte| *byte != 0);
        assert_eq!(left, None, "on {}: {}", disk.node().display(), outcome.text);
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
