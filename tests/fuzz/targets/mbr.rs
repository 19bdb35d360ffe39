//! Reading a disk with an MBR ends, takes little memory, and what is found there is found by those who erase, too.
#![no_main]

use common::table::mbr::{BootRecord, ENTRIES_AT};
use common::table::{PartitionKind, TableKind, read, traces};
use libfuzzer_sys::fuzz_target;
use nibs_fuzz::{Disk, measured, take};

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let [size, flags] = take(&mut input);
    let logical_block_size = 512u32 << (flags & 7);
    let size_bytes = u64::from(logical_block_size) * (1 << (size & 31)) + u64::from(flags >> 3);
    // Four entries and a signature are all that counts of a block: of each, 66 bytes are in the input.
    let mut blocks = vec![0; input.len().div_ceil(66) * logical_block_size as usize];
    for (block, bytes) in blocks.chunks_mut(logical_block_size as usize).zip(input.chunks(66)) {
        block[ENTRIES_AT..][..bytes.len()].copy_from_slice(bytes);
    }
    let disk = Disk::new(size_bytes, &blocks, &[]);
    if let Some(record) = BootRecord::parse(&blocks) {
        let mut again = vec![0; 512];
        for (entry, bytes) in record.entries.iter().zip(again[ENTRIES_AT..].chunks_mut(16)) {
            bytes[4] = entry.kind;
            bytes[8..12].copy_from_slice(&entry.first_lba.to_le_bytes());
            bytes[12..16].copy_from_slice(&entry.blocks.to_le_bytes());
        }
        again[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(BootRecord::parse(&again), Some(record));
    }

    let (table, bytes) = measured(|| read(&disk, size_bytes, logical_block_size));
    // Four chains of 253 records, three partitions of 88 bytes in each, doubled while the list grows.
    assert!(bytes <= 600_000 + 4 * logical_block_size as usize, "{bytes} bytes of memory");
    assert!(disk.reads.get() <= 4 * 254, "{} reads", disk.reads.get());
    let (traces, bytes) = measured(|| traces(&disk, size_bytes, logical_block_size));
    assert!(bytes <= 1_200_000 + 8 * logical_block_size as usize, "{bytes} bytes of memory");
    let blocks = size_bytes / u64::from(logical_block_size);
    for table in traces.as_ref().map_or(&[][..], |tables| tables) {
        for partition in &table.partitions {
            assert!(0 < partition.first_lba && partition.first_lba <= partition.last_lba);
            assert!(partition.last_lba < blocks);
        }
    }
    let Ok(Some(table)) = table else { return };
    assert_eq!(table.kind, TableKind::Mbr, "no GPT has right checksums by chance");
    let mut numbers: Vec<u32> = table.partitions.iter().map(|each| each.number).collect();
    numbers.dedup();
    assert!(numbers.is_sorted() && numbers.len() == table.partitions.len(), "{numbers:?}");
    for partition in &table.partitions {
        assert!(!matches!(partition.kind, PartitionKind::Mbr(0 | 0x05 | 0x0f | 0x85)));
        // Neither overflows.
        assert!(partition.start_bytes(&table) + partition.length_bytes(&table) <= size_bytes);
    }
    let traces = traces.expect("the disk could be read");
    assert!(table.partitions.is_empty() || traces.contains(&table), "what is read leaves a trace");
});
