//! A GPT that is read, fitted to a disk and written is the same GPT, in both copies, and no partition is written to.
#![no_main]

use common::table::gpt::{GptCopy, MAX_ARRAY_BYTES, read_backup, read_primary};
use common::table::relocate::{FitError, Fitted, fit};
use common::table::{PartitionTable, read, traces};
use libfuzzer_sys::fuzz_target;
use nibs_fuzz::{Disk, measured, seal, take};

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let [flags, more] = take(&mut input);
    let logical_block_size = if flags & 1 == 0 { 512 } else { 4096 };
    let mut image = input.to_vec();
    let blocks = image.len() / logical_block_size;
    image.truncate(blocks * logical_block_size);
    // Checksums, unless it is they that are tried.
    if flags & 2 == 0 {
        seal(&mut image, 1, logical_block_size);
    }
    if flags & 4 == 0 && blocks > 1 {
        seal(&mut image, blocks - 1, logical_block_size);
    }
    // All of the input stands at the disk's beginning, or its half at the end of a larger one.
    let apart = if flags & 8 == 0 { 0 } else { 1u64 << (more & 31) };
    let (head, tail) = match apart {
        0 => (&image[..], &[][..]),
        _ => image.split_at(blocks / 2 * logical_block_size),
    };
    let size_bytes = image.len() as u64 + apart * logical_block_size as u64;
    let blocks = size_bytes / logical_block_size as u64;
    let disk = Disk::new(size_bytes, head, tail);
    let logical_block_size = logical_block_size as u32;

    let (table, bytes) = measured(|| read(&disk, size_bytes, logical_block_size));
    // Two arrays, and a partition of 88 bytes with a name of 108 for each 128 bytes of one, doubled while the list grows.
    let array_bytes = MAX_ARRAY_BYTES.min(size_bytes) as usize;
    assert!(bytes <= 16_384 + 6 * array_bytes, "{bytes} bytes of memory for a disk of {size_bytes}");
    let (traces, bytes) = measured(|| traces(&disk, size_bytes, logical_block_size));
    assert!(bytes <= 32_768 + 12 * array_bytes, "{bytes} bytes of memory for a disk of {size_bytes}");
    let traces = traces.expect("all of it can be read");
    for partition in traces.iter().flat_map(|table| &table.partitions) {
        assert!(0 < partition.first_lba && partition.first_lba <= partition.last_lba);
        assert!(partition.last_lba < blocks);
    }
    if let Ok(Some(table)) = &table {
        assert!(table.partitions.is_empty() || traces.contains(table), "what is read leaves a trace");
    }
    if blocks == 0 {
        return;
    }

    let primary = read_primary(&disk, blocks, logical_block_size).expect("all of it can be read");
    let backup = read_backup(&disk, blocks, logical_block_size).expect("all of it can be read");
    let boot_record = &head[..head.len().min(logical_block_size as usize)];
    if boot_record.len() < logical_block_size as usize {
        return;
    }
    for copy in [primary, backup].into_iter().flatten() {
        let table = copy.table();
        if table.check(blocks).is_err() {
            continue;
        }
        // Smaller, the same, larger, much larger.
        for size_bytes in
            [size_bytes - size_bytes / 4, size_bytes, size_bytes + 12_345, size_bytes + (3 << 40)]
        {
            let (fitted, bytes) = measured(|| fit(&copy, boot_record, size_bytes));
            assert!(bytes <= 65_536 + 8 * copy.entries.len(), "{bytes} bytes of memory");
            if let Ok(fitted) = fitted {
                check(&copy, &table, &fitted, size_bytes);
            }
        }
    }
});

fn check(copy: &GptCopy, table: &PartitionTable, fitted: &Fitted, size_bytes: u64) {
    let block_size = copy.logical_block_size;
    let blocks = size_bytes / u64::from(block_size);
    let Fitted { backup, entries, header, boot_record, .. } = fitted;
    for extent in [backup, entries, header, boot_record] {
        let (start, end) = (extent.offset_bytes, extent.offset_bytes + extent.bytes.len() as u64);
        assert!(start.is_multiple_of(block_size.into()) && end.is_multiple_of(block_size.into()));
        assert!(end <= size_bytes, "written behind the disk's end");
        for partition in &table.partitions {
            let first = partition.start_bytes(table);
            assert!(
                end <= first || start >= first + partition.length_bytes(table),
                "bytes {start} to {end} are written, and partition {} begins at {first}",
                partition.number
            );
        }
    }
    let stale = fitted.stale_backup_lba.unwrap_or(blocks);
    assert!(table.partitions.iter().all(|each| stale < each.first_lba || stale > each.last_lba));

    let place = |extent: &common::table::relocate::Extent| extent.offset_bytes as usize;
    let mut head = vec![0; (place(entries) + entries.bytes.len()).max(2 * block_size as usize)];
    for extent in [entries, header, boot_record] {
        head[place(extent)..][..extent.bytes.len()].copy_from_slice(&extent.bytes);
    }
    let disk = Disk::new(blocks * u64::from(block_size), &head, &backup.bytes);
    let first =
        read_primary(&disk, blocks, block_size).expect("all of it can be read").expect("a right first copy");
    let last =
        read_backup(&disk, blocks, block_size).expect("all of it can be read").expect("a right last copy");
    assert_eq!((&first.table(), &last.table()), (table, table));
    assert!(first.entries == copy.entries && last.entries == copy.entries);
    assert_eq!((first.header.other_lba(), last.header.own_lba()), (blocks - 1, blocks - 1));
    assert_eq!(
        fit(&first, &boot_record.bytes, size_bytes).as_ref().map(|again| (&again.header, &again.backup)),
        Ok((header, backup))
    );
    match fit(&last, &boot_record.bytes, size_bytes) {
        Ok(again) => assert_eq!(again.backup, *backup),
        // The last copy alone does not say where the first one's entries are, which may be anywhere before that block.
        Err(FitError::Occupied(number)) => assert!(
            table
                .partitions
                .iter()
                .any(|each| each.number == number && each.first_lba < last.header.first_usable_lba()),
            "partition {number} does not lie before the first usable block"
        ),
        Err(error) => panic!("{error}"),
    }
}
