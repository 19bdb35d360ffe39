//! Reading partition tables as the tools of the field make them, fitting them to a disk, and making the kernel show them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use common::disk::{OpenDisk, System, find_disk, settle};
use common::mount::Device;
use common::table::relocate::{Fitted, fit};
use common::table::{self, PartitionKind, PartitionTable, TableKind, gpt};
use nibs_tests::disk_image::{DiskImage, MIB, Table, write};
use nibs_tests::loop_device::{LoopDevice, run};

fn open(disk: &LoopDevice) -> OpenDisk {
    let system = System::default();
    OpenDisk::exclusive(&system, find_disk(&system, disk.node().to_str().unwrap()).unwrap()).unwrap()
}

fn read(disk: &OpenDisk) -> PartitionTable {
    table::read(&disk.file, disk.disk.size_bytes, disk.disk.logical_block_size).unwrap().expect("a table")
}

/// Number, start and length in bytes.
fn places(table: &PartitionTable) -> Vec<(u32, u64, u64)> {
    table
        .partitions
        .iter()
        .map(|each| (each.number, each.start_bytes(table), each.length_bytes(table)))
        .collect()
}

fn shown(disk: &OpenDisk) -> Vec<(u32, u64, u64)> {
    let shown = System::default().partitions(&disk.disk);
    shown.into_iter().map(|node| (node.number, node.start_bytes, node.length_bytes)).collect()
}

#[test]
fn tables_of_sgdisk_and_sfdisk_are_read() {
    for logical_block_size in [512, 4096] {
        for table in [Table::Gpt, Table::GptWithEntriesAt(1024), Table::Mbr] {
            if (table, logical_block_size) == (Table::GptWithEntriesAt(1024), 4096) {
                continue;
            }
            let image = DiskImage { table, logical_block_size, ..DiskImage::default() };
            let disk = LoopDevice::with_block_size(12 * MIB, logical_block_size);
            write(disk.node(), &image.make());
            let read = read(&open(&disk));
            let expected: &[(u32, u64, u64)] = match table {
                Table::Mbr => &[(1, 3 * MIB, MIB), (5, 6 * MIB, MIB), (6, 8 * MIB, 3 * MIB)],
                _ => &[(1, 5 * MIB, 6 * MIB), (14, 3 * MIB, MIB), (15, 4 * MIB, MIB)],
            };
            assert_eq!(places(&read), expected, "{table:?} {logical_block_size}");
            match table {
                Table::Mbr => assert_eq!(read.partitions[1].kind, PartitionKind::Mbr(0x83)),
                _ => assert_eq!(read.partitions[0].name.as_deref(), Some("root")),
            }
        }
    }
}

#[test]
fn the_last_copy_is_read_where_the_first_is_gone() {
    let disk = LoopDevice::new(12 * MIB);
    write(disk.node(), &DiskImage::default().make());
    let before = read(&open(&disk));
    let device = File::options().write(true).open(disk.node()).unwrap();
    device.write_all_at(&[0; 16_384], 512).unwrap();
    device.sync_all().unwrap();
    drop(device);
    assert_eq!(read(&open(&disk)), before);
}

fn put(disk: &OpenDisk, fitted: &Fitted) {
    for extent in [&fitted.backup, &fitted.entries, &fitted.header, &fitted.boot_record] {
        disk.file.write_all_at(&extent.bytes, extent.offset_bytes).unwrap();
        disk.file.sync_all().unwrap();
    }
    if let Some(lba) = fitted.stale_backup_lba {
        let block = vec![0; disk.disk.logical_block_size as usize];
        disk.file.write_all_at(&block, lba * block.len() as u64).unwrap();
    }
}

#[test]
fn a_fitted_gpt_satisfies_sgdisk() {
    for (table, logical_block_size) in [
        (Table::Gpt, 512),
        (Table::Gpt, 4096),
        (Table::GptWithEntriesAt(1024), 512),
        (Table::GptWithEntriesAt(4096), 512),
    ] {
        // Larger, and so small that only the last copy of the GPT fits behind the partitions.
        for size_bytes in [40 * MIB, 12 * MIB, 11 * MIB + 40 * 1024] {
            let image = DiskImage { table, logical_block_size, ..DiskImage::default() }.make();
            let disk = LoopDevice::with_block_size(size_bytes, logical_block_size);
            write(disk.node(), &image[..(size_bytes as usize).min(image.len())]);
            let opened = open(&disk);
            let blocks = 12 * MIB / u64::from(logical_block_size);
            let copy = gpt::read_primary(&image[..], blocks, logical_block_size).unwrap().unwrap();
            put(&opened, &fit(&copy, &image, size_bytes).unwrap());
            assert_eq!(places(&read(&opened)), places(&copy.table()));
            drop(opened);
            let said = run(Command::new("sgdisk").arg("--verify").arg(disk.node()));
            assert!(
                said.contains("No problems found"),
                "{table:?} {logical_block_size} {size_bytes}: {said}"
            );
        }
    }
}

#[test]
fn the_kernel_shows_what_the_table_has() {
    for (table, logical_block_size) in [(Table::Gpt, 512), (Table::Gpt, 4096), (Table::Mbr, 512)] {
        let disk = LoopDevice::with_block_size(12 * MIB, logical_block_size);
        write(disk.node(), &DiskImage { table, logical_block_size, ..DiskImage::default() }.make());
        let opened = open(&disk);
        assert_eq!(shown(&opened), []);
        let table = read(&opened);
        settle(&opened, &System::default(), &table).unwrap();
        let mut expected = places(&table);
        expected.sort_unstable();
        assert_eq!(shown(&opened), expected);
        settle(&opened, &System::default(), &table).unwrap();

        // Another table in its place: one partition moves, one grows, one goes.
        let mut other = table.clone();
        other.partitions.retain(|partition| partition.number < 15);
        other.partitions.iter_mut().for_each(|partition| match partition.number {
            1 if table.kind == TableKind::Gpt => partition.last_lba -= 8,
            14 => {
                (partition.first_lba, partition.last_lba) = (partition.first_lba + 8, partition.last_lba + 16)
            }
            6 => partition.last_lba += 8,
            _ => {}
        });
        settle(&opened, &System::default(), &other).unwrap();
        let mut expected = places(&other);
        expected.sort_unstable();
        assert_eq!(shown(&opened), expected);
        settle(&opened, &System::default(), &PartitionTable { partitions: Vec::new(), ..other }).unwrap();
        assert_eq!(shown(&opened), []);
    }
}

#[test]
fn a_partition_that_is_in_use_can_grow_and_nothing_else() {
    let disk = LoopDevice::new(12 * MIB);
    write(disk.node(), &DiskImage::default().make());
    let opened = open(&disk);
    let table = read(&opened);
    settle(&opened, &System::default(), &table).unwrap();
    let _user = File::open(disk.partition(1)).unwrap();
    let mut larger = table.clone();
    larger.partitions[0].last_lba += 64;
    settle(&opened, &System::default(), &larger).unwrap();
    assert!(shown(&opened).contains(&(1, 5 * MIB, 6 * MIB + 64 * 512)));

    let mut moved = table;
    moved.partitions[0].first_lba += 64;
    let failure = settle(&opened, &System::default(), &moved).unwrap_err();
    assert_eq!(failure.cause.word(), "partitions-missing");
    let message = failure.to_string();
    assert!(message.contains("partition 1 is still there") && message.contains("refused to"), "{message}");
}

#[test]
fn a_partition_opens_where_dev_has_no_node() {
    let disk = LoopDevice::new(12 * MIB);
    let image = DiskImage::default().make();
    write(disk.node(), &image);
    let opened = open(&disk);
    settle(&opened, &System::default(), &read(&opened)).unwrap();
    let partition = System::default().partition(&opened.disk, 15).unwrap();
    let nowhere = Path::new("/nowhere").join(&partition.name);
    for usual in [nowhere, disk.partition(15)] {
        let device = Device::find(&usual, partition.device).unwrap();
        let mut content = vec![0; MIB as usize];
        device.open().unwrap().read_exact_at(&mut content, 0).unwrap();
        assert!(content == image[4 * MIB as usize..5 * MIB as usize], "{}", usual.display());
    }
}
