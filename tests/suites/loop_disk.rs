//! What the kernel gives on real loop devices: claims that keep others out, and partitions that it forgets.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::cause::Cause;
use common::disk::{OpenDisk, Place, System, find_disk, find_place, uses};
use common::failure::Failure;
use common::sys;
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::signatures::Format;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A disk with two partitions that the kernel shows.
fn partitioned() -> LoopDevice {
    let disk = LoopDevice::new(700 * MIB);
    run(Command::new("sgdisk").args(["--new=1:0:+330M", "--new=2:0:0"]).arg(disk.node()));
    disk.show_partitions();
    disk
}

fn claim(disk: &LoopDevice) -> Result<OpenDisk, Failure> {
    let system = System::default();
    OpenDisk::exclusive(&system, find_disk(&system, disk.node().to_str().unwrap())?)
}

/// Whether a command succeeds; its output is of no interest.
fn works(command: &mut Command) -> bool {
    command.output().unwrap().status.success()
}

/// The claim alone, without the look at who uses the disk that comes before it.
fn claims(node: &Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    // O_EXCL of asm-generic/fcntl.h.
    File::options().read(true).custom_flags(0o200).open(node).is_ok()
}

#[test]
fn the_kernel_lets_nobody_claim_a_disk_whose_partition_is_in_use() {
    let disk = partitioned();
    assert!(claims(disk.node()));
    Format::Ext4.make(&disk.partition(1));
    let folder = TempDir::new().unwrap();
    run(Command::new("mount").arg(disk.partition(1)).arg(folder.path()));
    let (whole, same, other) = (claims(disk.node()), claims(&disk.partition(1)), claims(&disk.partition(2)));
    let failure = claim(&disk).unwrap_err();
    run(Command::new("umount").arg(folder.path()));
    assert!(!whole, "the disk of a mounted partition was claimed");
    assert!(!same);
    // The other partition is free: a claim of it is none of the disk.
    assert!(other);
    assert_eq!(failure.cause, Cause::DiskMounted);
    assert!(claims(disk.node()));
}

#[test]
fn a_claim_keeps_mounts_swap_and_other_claims_away_from_disk_and_partitions() {
    let disk = partitioned();
    Format::Ext4.make(&disk.partition(1));
    Format::Swap.make(&disk.partition(2));
    let folder = TempDir::new().unwrap();
    let open = claim(&disk).unwrap();
    assert_eq!((open.disk.size_bytes, open.disk.logical_block_size), (700 * MIB, 512));
    assert!(!works(Command::new("mount").arg(disk.partition(1)).arg(folder.path())));
    assert!(!works(Command::new("swapon").arg(disk.partition(2))));
    assert!(!claims(disk.node()) && !claims(&disk.partition(1)));
    let failure = claim(&disk).unwrap_err();
    assert_eq!(failure.cause, Cause::DiskBusy);
    assert!(failure.to_string().contains("nothing was written to it"), "{failure}");
    drop(open);
    // A child that another test is about to start has the claim too, until it has become its program.
    let mounts = || works(Command::new("mount").arg(disk.partition(1)).arg(folder.path()));
    assert!((0..50).any(|_| mounts() || {
        std::thread::sleep(Duration::from_millis(20));
        false
    }));
    run(Command::new("umount").arg(folder.path()));
}

#[test]
fn a_disk_is_found_by_node_and_link_and_a_partition_with_and_without_its_node() {
    let disk = partitioned();
    let system = System::default();
    let folder = tempfile::Builder::new().tempdir_in("/dev/shm").unwrap();
    let name = disk.node().file_name().unwrap().to_str().unwrap();
    let link = |to: &Path, name: &str| {
        let path = folder.path().join(name);
        symlink(to, &path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = link(disk.node(), "whole");
    for selector in [disk.node().to_str().unwrap(), &whole] {
        assert_eq!(find_disk(&system, selector).unwrap().name, name, "{selector}");
    }
    let second = link(&disk.partition(2), "second");
    let of = |selector: &str| match find_place(&system, selector).unwrap() {
        Place::Partition(found, number) => (found.name, number),
        Place::Disk(found) => panic!("{selector} was taken for the disk {}", found.name),
    };
    assert_eq!(of(&second), (name.to_owned(), 2));
    assert_eq!(of(disk.partition(2).to_str().unwrap()), (name.to_owned(), 2));
    let open = claim(&disk).unwrap();
    assert_eq!(open.forget_partitions(&system).unwrap().len(), 2);
    assert_eq!(of(disk.partition(2).to_str().unwrap()), (name.to_owned(), 2));
    // A link to a node that is gone names nothing.
    assert_eq!(find_place(&system, &second).unwrap_err().cause, Cause::DiskMissing);
}

#[test]
fn partitions_are_forgotten_and_shown_again() {
    let disk = partitioned();
    let system = System::default();
    let open = claim(&disk).unwrap();
    // Their device numbers are new each time.
    let shown = || {
        let partitions = system.partitions(&open.disk).into_iter();
        partitions.map(|each| (each.number, each.start_bytes, each.length_bytes)).collect::<Vec<_>>()
    };
    let before = shown();
    assert_eq!(before.iter().map(|each| each.0).collect::<Vec<_>>(), [1, 2]);
    let forgotten = open.forget_partitions(&system).unwrap();
    assert_eq!(forgotten.len(), 2);
    assert_eq!(shown(), []);
    assert!(!disk.partition(1).exists());
    open.show_again(&forgotten);
    assert_eq!(shown(), before);

    // One that somebody reads stays, and so do the others.
    let reader = File::open(disk.partition(2)).unwrap();
    let failure = open.forget_partitions(&system).unwrap_err();
    assert_eq!(failure.cause, Cause::DiskBusy);
    assert!(failure.to_string().contains("another program has it open"), "{failure}");
    assert_eq!(shown(), before);
    drop(reader);
    open.forget_partitions(&system).unwrap();
}

#[test]
fn somebody_who_only_looks_for_a_moment_is_waited_for() {
    let disk = partitioned();
    let open = claim(&disk).unwrap();
    let mut reader = Command::new("sh")
        .args(["-c", "exec <\"$0\" && echo open && sleep 1"])
        .arg(disk.partition(1))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    assert_eq!(open.forget_partitions(&System::default()).unwrap().len(), 2);
    assert!(reader.wait().unwrap().success());
}

#[test]
fn read_only_disks_are_refused_and_disks_of_4096_known() {
    let read_only = LoopDevice::read_only(8 * MIB);
    assert_eq!(claim(&read_only).unwrap_err().cause, Cause::DiskReadOnly);
    let large_blocks = LoopDevice::with_block_size(8 * MIB, 4096);
    let open = claim(&large_blocks).unwrap();
    assert_eq!(open.disk.logical_block_size, 4096);
    assert_eq!(uses(&System::default(), &open.disk), []);
}

#[test]
fn a_node_that_is_another_device_is_refused() {
    let (disk, other) = (LoopDevice::new(8 * MIB), LoopDevice::new(8 * MIB));
    let system = System::default();
    let mut found = find_disk(&system, disk.node().to_str().unwrap()).unwrap();
    found.node = other.node().to_owned();
    assert_eq!(OpenDisk::exclusive(&system, found).unwrap_err().cause, Cause::NotABlockDevice);
}

#[test]
fn a_node_that_is_missing_is_said_to_be() {
    let disk = LoopDevice::new(8 * MIB);
    let system = System::default();
    let mut found = find_disk(&system, disk.node().to_str().unwrap()).unwrap();
    found.node = "/dev/not-there".into();
    let failure = OpenDisk::exclusive(&system, found).unwrap_err();
    assert_eq!(failure.cause, Cause::DiskMissing);
    assert!(failure.to_string().contains("give the task the volume /dev:/dev"), "{failure}");
}

#[test]
fn a_second_opening_past_the_cache_is_of_the_same_claim() {
    use std::os::unix::fs::FileExt;
    let disk = LoopDevice::new(8 * MIB);
    let open = claim(&disk).unwrap();
    let direct = open.direct().unwrap();
    // O_DIRECT wants whole blocks.
    assert_eq!(direct.write_at(b"short", 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    open.file.write_all_at(&[7; 4096], MIB).unwrap();
    open.file.sync_all().unwrap();
    assert_eq!(disk.content()[MIB as usize..][..4096], [7; 4096]);
}

#[test]
fn zeros_and_discards_reach_the_range_alone_and_the_cache_is_dropped() {
    use std::os::unix::fs::FileExt;
    let disk = LoopDevice::new(8 * MIB);
    let open = claim(&disk).unwrap();
    open.file.write_all_at(&vec![7; 8 * MIB as usize], 0).unwrap();
    open.file.sync_all().unwrap();
    sys::zero(&open.file, MIB, MIB).unwrap();
    sys::discard(&open.file, 4 * MIB, MIB).unwrap();
    assert!(sys::zero(&open.file, 100, 512).is_err(), "a range that is no whole block");
    let content = disk.content();
    for (mib, expected) in [7, 0, 7, 7, 0, 7, 7, 7].into_iter().enumerate() {
        let part = &content[mib << 20..][..MIB as usize];
        assert!(part.iter().all(|byte| *byte == expected), "MiB {mib}");
    }
    // Behind the device's back: what is in the cache stays until it is dropped.
    let backing = File::options().write(true).open(disk.backing()).unwrap();
    let mut first = [0; 512];
    open.file.read_exact_at(&mut first, 2 * MIB).unwrap();
    backing.write_all_at(&[9; 512], 2 * MIB).unwrap();
    backing.sync_all().unwrap();
    open.file.read_exact_at(&mut first, 2 * MIB).unwrap();
    assert_eq!(first, [7; 512]);
    sys::drop_cache(&open.file).unwrap();
    open.file.read_exact_at(&mut first, 2 * MIB).unwrap();
    assert_eq!(first, [9; 512]);
}
