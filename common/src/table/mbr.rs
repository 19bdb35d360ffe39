//! The Master Boot Record, and the chain of extended boot records behind it. No specification: the rules are those of the
//! kernel (`block/partitions/msdos.c`), so that both see the same partitions by the same numbers.

use super::gpt::u32_at;
use super::{Partition, PartitionKind, PartitionTable, ReadAt, TableError, TableKind};

/// The type of the entry by which an MBR announces a GPT.
pub const PROTECTIVE: u8 = 0xee;
/// Where the four entries begin.
pub const ENTRIES_AT: usize = 446;
/// More logical partitions than this cannot be shown (`DISK_MAX_PARTS` is 256).
const MAX_LOGICAL: u32 = 252;

/// An entry: 16 bytes, of which the addresses by cylinder, head and sector are left aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The type; 0 for an unused entry.
    pub kind: u8,
    /// The first block, counted from what the record says.
    pub first_lba: u32,
    /// The number of blocks.
    pub blocks: u32,
}

impl Entry {
    fn is_used(self) -> bool {
        self.kind != 0 && self.blocks != 0
    }

    fn is_extended(self) -> bool {
        // DOS, Windows and Linux, `msdos_partition.h`.
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }

    fn partition(self, number: u32, base_lba: u64) -> Partition {
        let first_lba = base_lba + u64::from(self.first_lba);
        let last_lba = first_lba + u64::from(self.blocks) - 1;
        Partition { number, first_lba, last_lba, kind: PartitionKind::Mbr(self.kind), guid: None, name: None }
    }
}

/// A boot record: block 0, or the beginning of a logical partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootRecord {
    /// The four entries, used or not.
    pub entries: [Entry; 4],
}

impl BootRecord {
    /// The boot record in this block; `None` where there is none, and where the block is the boot sector of a
    /// filesystem, which ends with the same two bytes.
    pub fn parse(block: &[u8]) -> Option<Self> {
        if block.len() < 512 || block[510..512] != [0x55, 0xaa] {
            return None;
        }
        let entry = |index: usize| {
            let entry = &block[ENTRIES_AT + 16 * index..][..16];
            // Bootable or not; anything else is no entry.
            matches!(entry[0], 0 | 0x80).then(|| Entry {
                kind: entry[4],
                first_lba: u32_at(entry, 8),
                blocks: u32_at(entry, 12),
            })
        };
        let record = Self { entries: [entry(0)?, entry(1)?, entry(2)?, entry(3)?] };
        let filesystem = &block[3..11] == b"NTFS    "
            || &block[3..11] == b"EXFAT   "
            || &block[54..57] == b"FAT"
            || &block[82..87] == b"FAT32";
        (!filesystem || record.entries.iter().any(|entry| entry.is_used())).then_some(record)
    }

    /// Whether a GPT follows, alone (protective) or beside entries of its own (hybrid).
    pub fn announces_gpt(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == PROTECTIVE)
    }

    /// The table of its own entries alone.
    pub fn primaries(&self, logical_block_size: u32) -> PartitionTable {
        let used = self
            .entries
            .iter()
            .zip(1..)
            .filter(|(entry, _)| entry.is_used() && !entry.is_extended() && entry.kind != PROTECTIVE);
        let partitions = used.map(|(entry, number)| entry.partition(number, 0)).collect();
        PartitionTable { kind: TableKind::Mbr, logical_block_size, partitions }
    }
}

/// The table of an MBR with its logical partitions.
///
/// # Errors
/// [`TableError::BrokenChain`] and [`TableError::Io`].
pub fn table<R: ReadAt + ?Sized>(
    disk: &R,
    boot_record: &BootRecord,
    blocks: u64,
    logical_block_size: u32,
) -> Result<PartitionTable, TableError> {
    let mut table = boot_record.primaries(logical_block_size);
    add_logical(disk, boot_record, &mut table, blocks)?;
    Ok(table)
}

/// Adds the logical partitions of an MBR to the table of its own entries. Where the chain breaks, those before stay added.
///
/// # Errors
/// [`TableError::BrokenChain`] and [`TableError::Io`].
pub fn add_logical<R: ReadAt + ?Sized>(
    disk: &R,
    boot_record: &BootRecord,
    table: &mut PartitionTable,
    blocks: u64,
) -> Result<(), TableError> {
    let logical_block_size = table.logical_block_size;
    let mut number = 5;
    for extended in boot_record.entries.iter().filter(|entry| entry.is_used() && entry.is_extended()) {
        let base_lba = u64::from(extended.first_lba);
        let mut record_lba = base_lba;
        let mut steps = 0;
        loop {
            if record_lba == 0 || record_lba >= blocks || steps > MAX_LOGICAL {
                return Err(TableError::BrokenChain(record_lba));
            }
            steps += 1;
            let mut block = vec![0; logical_block_size as usize];
            disk.read_exact_at(&mut block, record_lba * u64::from(logical_block_size))?;
            // An extended partition without a record in it is an empty one.
            let Some(record) = BootRecord::parse(&block) else { break };
            for entry in record.entries.iter().filter(|entry| entry.is_used() && !entry.is_extended()) {
                table.partitions.push(entry.partition(number, record_lba));
                number += 1;
            }
            let next = record.entries.iter().find(|entry| entry.is_used() && entry.is_extended());
            match next.map(|next| base_lba + u64::from(next.first_lba)) {
                // Only ever forward, as every tool writes it: a chain that turns back would have no end.
                Some(next) if next > record_lba => record_lba = next,
                Some(next) => return Err(TableError::BrokenChain(next)),
                None => break,
            }
        }
    }
    Ok(())
}
