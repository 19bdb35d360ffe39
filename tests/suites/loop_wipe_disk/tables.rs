//! Partition tables of every kind, and what lies in their partitions.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use nibs_tests::installed_image::forget_partitions;
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::signatures::{Format, assert_blank, assert_blank_range};

use super::{MIB, full, partitions, wipe};

/// A GPT with a partition for each format, and a small one full of bytes; the kernel shows them.
fn everything(block_size: u32) -> LoopDevice {
    let disk = LoopDevice::with_block_size(330 * MIB * Format::ALL.len() as u64, block_size);
    let mut sgdisk = Command::new("sgdisk");
    sgdisk.arg("--new=0:0:+1M");
    for _ in Format::ALL {
        sgdisk.arg("--new=0:0:+320M");
    }
    run(sgdisk.arg(disk.node()));
    disk.show_partitions();
    std::fs::write(disk.partition(1), vec![0xa5; MIB as usize]).unwrap();
    for (format, number) in Format::ALL.into_iter().zip(2..) {
        format.make(&disk.partition(number));
    }
    disk
}

/// Partitions from a script for sfdisk.
fn sfdisk(disk: &LoopDevice, script: &str) {
    let mut child = Command::new("sfdisk")
        .args(["--quiet", "--no-tell-kernel"])
        .arg(disk.node())
        .stdin(Stdio::piped())
        .spawn()
        .expect("sfdisk");
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "sfdisk: {script}");
}

/// Overwrites bytes of a disk.
fn put(disk: &LoopDevice, bytes: &[u8], offset_bytes: u64) {
    let file = std::fs::File::options().write(true).open(disk.node()).unwrap();
    file.write_all_at(bytes, offset_bytes).and_then(|()| file.sync_all()).unwrap();
}

#[test]
fn what_lies_in_partitions_is_erased_with_and_without_their_nodes() {
    for (block_size, shown) in [(512, true), (4096, false)] {
        let disk = everything(block_size);
        let neighbour = full(16 * MIB);
        let places = partitions(&disk);
        assert_eq!(places.len(), 1 + Format::ALL.len());
        if !shown {
            forget_partitions(&disk);
        }
        let outcome = wipe(&[disk.node()]);
        let done = outcome.succeeded();
        for format in Format::ALL {
            assert!(done.contains(format.kind()), "{}: {done}", format.kind());
        }
        assert!(done.contains("2 crypto_LUKS") && done.contains("3 linux_raid_member"), "{done}");
        assert!(done.contains("2 gpt, PMBR erased"), "{done}");
        assert_blank(disk.node());
        for &(start, length) in &places {
            assert_blank_range(&disk, start, length);
        }
        // libblkid looks for no RAID in less than 1.44 MB, and still nothing is left there.
        let content = disk.content();
        let (start, length) = places[0];
        assert!(content[start as usize..][..length as usize].iter().all(|byte| *byte == 0));
        assert!(!disk.partition(1).exists(), "the kernel still shows partitions");
        assert!(neighbour.content().iter().all(|byte| *byte == 0xa5));
    }
}

#[test]
fn a_backup_gpt_alone_leads_to_its_partitions() {
    for block_size in [512, 4096] {
        let disk = LoopDevice::with_block_size(700 * MIB, block_size);
        run(Command::new("sgdisk").args(["--new=1:0:+330M", "--new=2:0:0"]).arg(disk.node()));
        disk.show_partitions();
        Format::Ext4.make(&disk.partition(1));
        Format::Md10.make(&disk.partition(2));
        let places = partitions(&disk);
        forget_partitions(&disk);
        // The protective MBR, the first header and its entries.
        put(&disk, &vec![0; MIB as usize], 0);
        let outcome = wipe(&[disk.node()]);
        assert!(outcome.succeeded().contains("ext4, linux_raid_member, gpt erased"), "{}", outcome.text);
        assert_blank(disk.node());
        for (start, length) in places {
            assert_blank_range(&disk, start, length);
        }
    }
}

#[test]
fn partitions_of_both_tables_are_freed_where_gpt_and_backup_differ() {
    let disk = LoopDevice::new(700 * MIB);
    run(Command::new("sgdisk").args(["--new=1:2048:+330M", "--new=2:0:0"]).arg(disk.node()));
    disk.show_partitions();
    Format::Swap.make(&disk.partition(1));
    Format::Xfs.make(&disk.partition(2));
    let mut places = partitions(&disk);
    forget_partitions(&disk);
    let mut backup = disk.content();
    let backup = backup.split_off((699 * MIB) as usize);
    // A new table, with the old one at the disk's end.
    run(Command::new("sgdisk").args(["--zap-all", "--new=1:4096:+8M"]).arg(disk.node()));
    disk.show_partitions();
    Format::Lvm.put(&disk.partition(1));
    places.extend(partitions(&disk));
    forget_partitions(&disk);
    put(&disk, &backup, 699 * MIB);

    let outcome = wipe(&[disk.node()]);
    let done = outcome.succeeded();
    for kind in ["swap", "xfs", "LVM2_member", "2 gpt"] {
        assert!(done.contains(kind), "{kind}: {done}");
    }
    assert_blank(disk.node());
    for (start, length) in places {
        assert_blank_range(&disk, start, length);
    }
}

#[test]
fn logical_partitions_of_an_mbr_are_freed_and_then_their_chain() {
    for block_size in [512, 4096] {
        let disk = LoopDevice::with_block_size(1400 * MIB, block_size);
        sfdisk(
            &disk,
            "label: dos\n1: size=330MiB, type=83\n2: size=1040MiB, type=5\n5: size=330MiB, type=83\n6: size=330MiB, type=8e\n7: size=330MiB, type=82\n",
        );
        // Without the extended one, which partx takes for 1 KiB whatever the block size is.
        for numbers in ["1", "5:7"] {
            run(Command::new("partx").args(["--add", "--nr", numbers]).arg(disk.node()));
        }
        let formats = [(1, Format::Xfs), (5, Format::Ext4), (6, Format::Lvm), (7, Format::Swap)];
        for (number, format) in formats {
            format.make(&disk.partition(number));
        }
        let places = partitions(&disk);
        assert_eq!(places.len(), 5, "{places:?}");
        forget_partitions(&disk);

        let outcome = wipe(&[disk.node()]);
        let done = outcome.succeeded();
        for (_, format) in formats {
            assert!(done.contains(format.kind()), "{done}");
        }
        assert!(outcome.text.contains("found a partition table: MBR with 4 partitions"), "{}", outcome.text);
        assert_blank(disk.node());
        // The extended partition among them: its own boot record is gone too.
        for (start, length) in places {
            assert_blank_range(&disk, start, length);
        }
    }
}

#[test]
fn an_old_backup_in_the_middle_of_a_grown_disk_is_erased() {
    let disk = LoopDevice::new(64 * MIB);
    run(Command::new("sgdisk").arg("--new=1:0:+8M").arg(disk.node()));
    let header = 64 * MIB - 512;
    run(Command::new("truncate").arg("--size=96M").arg(disk.backing()));
    run(Command::new("losetup").arg("--set-capacity").arg(disk.node()));
    assert_eq!(&disk.content()[header as usize..][..8], b"EFI PART");
    let mut command = super::wipe_command(&[disk.node()]);
    nibs_tests::outcome::Outcome::of(command.env("WIPE_METHOD", "signatures")).succeeded();
    assert_ne!(&disk.content()[header as usize..][..8], b"EFI PART");
}
