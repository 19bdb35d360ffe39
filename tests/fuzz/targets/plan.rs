//! A plan for whatever an image begins with keeps to the disk, and both its ends, once written, hold the table it is for.
#![no_main]

use common::table::{read, traces};
use libfuzzer_sys::fuzz_target;
use nibs_fuzz::{Disk, measured, seal, take};
use stream_image::fuzzing::{Cause, head_bytes, plan};

const MIB: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let [flags, log, length_log] = take(&mut input);
    let (size, length) = (u32::from_le_bytes(take(&mut input)), u32::from_le_bytes(take(&mut input)));
    let block_size = if flags & 1 == 0 { 512 } else { 4096 };
    // A disk is a whole number of blocks.
    let size_bytes = (u64::from(size) << (log & 31)) / u64::from(block_size) * u64::from(block_size);
    let length_bytes = (flags & 4 != 0).then(|| u64::from(length) << (length_log & 31));
    let mut head = input.to_vec();
    if flags & 8 == 0 {
        seal(&mut head, 1, block_size as usize);
    }
    // All that there is, or as much as is asked for, with zeros behind.
    if flags & 16 == 0 {
        head.resize(head_bytes(&head, block_size), 0);
        seal(&mut head, 1, block_size as usize);
    }
    let needed = head_bytes(&head, block_size);
    assert!(needed.is_multiple_of(MIB as usize) && (1..=16).contains(&(needed >> 20)), "{needed}");
    head.truncate(needed);
    let allow = flags & 32 != 0;

    let (planned, bytes) = measured(|| plan(&head, size_bytes, block_size, length_bytes, allow));
    // The ends of the disk: an array of 4 MiB at most, twice, each rounded up, and what fitting takes.
    assert!(bytes <= head.len() + (64 << 20), "{bytes} bytes of memory");
    let planned = match planned {
        Ok(planned) => planned,
        Err(failure) => {
            let known = [
                Cause::ImageEmpty,
                Cause::ImageContent,
                Cause::ImageTruncated,
                Cause::PartitionTable,
                Cause::BlockSize,
                Cause::DiskTooSmall,
            ];
            assert!(known.contains(&failure.cause), "{:?}", failure.cause);
            let text = failure.to_string();
            assert!(text.len() < 400 && text.chars().all(|c| !c.is_control()), "{text:?}");
            return;
        }
    };
    assert!(planned.least_bytes <= size_bytes && head.len() as u64 <= planned.tail_start_bytes);
    assert!(
        planned.tail_start_bytes.is_multiple_of(block_size.into()) && planned.tail_start_bytes < size_bytes
    );
    assert!(length_bytes.is_none_or(|length| planned.least_bytes <= length && length <= size_bytes));
    // What fits on a disk fits on a larger one.
    let larger =
        plan(&head, size_bytes + MIB, block_size, length_bytes, allow).expect("it fits on a larger disk");
    assert_eq!((&larger.description, larger.least_bytes), (&planned.description, planned.least_bytes));

    let Some(fitted) = &planned.fitted else {
        assert!(planned.ends.is_none_or(|(first, last)| first == head && last.iter().all(|byte| *byte == 0)));
        return;
    };
    assert!(
        fitted.backup.offset_bytes >= planned.tail_start_bytes,
        "the last copy is written with the disk's end"
    );
    assert_eq!(fitted.backup.offset_bytes + fitted.backup.bytes.len() as u64, size_bytes);
    let Some((first, last)) = &planned.ends else { return };
    assert_eq!((first.len(), last.len() as u64), (head.len(), size_bytes - planned.tail_start_bytes));
    let before = read(&Disk::new(planned.least_bytes, &head, &[]), planned.least_bytes, block_size);
    let written = Disk::new(size_bytes, first, last);
    let after = read(&written, size_bytes, block_size);
    let (before, after) =
        (before.expect("it was planned").expect("it has a table"), after.expect("it is right"));
    assert_eq!(after, Some(before));
    // One table, in both copies, beside the MBR's own.
    let tables = traces(&written, size_bytes, block_size).expect("all of it can be read");
    assert!(tables.iter().filter(|table| table.is_gpt()).count() <= 1, "{tables:?}");
});
