//! Fitting a GPT to the disk it is on: the last copy belongs to the disk's end, and both headers say where everything
//! is. Entries keep their order, numbers and bytes, and the array its place and size, whatever tool made it.

use super::gpt::{GptCopy, Header, u32_at};
use super::mbr::{ENTRIES_AT, PROTECTIVE};
use super::{PartitionTable, TableKind};

/// Bytes and their place on the disk, whole blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Where they go, in bytes.
    pub offset_bytes: u64,
    /// What goes there.
    pub bytes: Vec<u8>,
}

/// A GPT fitted to a disk. To be written in this order, each flushed, so that one right copy is there at any moment:
/// [`Fitted::backup`], [`Fitted::entries`], [`Fitted::header`], [`Fitted::boot_record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// The last copy, entries and header, up to the disk's end.
    pub backup: Extent,
    /// The entries of the first copy.
    pub entries: Extent,
    /// The header of the first copy.
    pub header: Extent,
    /// Block 0, in which the protective entry covers the disk. Everything else of it is kept.
    pub boot_record: Extent,
    /// The block at which the last copy's header was before, where that is another one. Wipe it once the new one is
    /// written, if a header is still there: it lies behind all partitions.
    pub stale_backup_lba: Option<u64>,
    /// The last block that a partition may have now.
    pub last_usable_lba: u64,
}

/// Why a GPT cannot be fitted to a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// The partitions and the last copy do not fit.
    #[error("the partition table and its partitions need {needed_bytes} bytes, the disk has {disk_bytes}")]
    TooSmall {
        /// The smallest disk that would do.
        needed_bytes: u64,
        /// The disk's size.
        disk_bytes: u64,
    },
    /// The first copy's entries would lie outside the space before the partitions.
    #[error("there is no room for {0} blocks of entries before the first partition")]
    NoRoom(u64),
    /// A partition lies where the first copy is written.
    #[error("partition {0} lies where the partition table is")]
    Occupied(u32),
}

/// The smallest disk in bytes that takes the GPT and its partitions.
pub fn needed_bytes(copy: &GptCopy) -> u64 {
    let last_lba = copy.table().partitions.iter().map(|partition| partition.last_lba).max();
    let last_lba = last_lba.unwrap_or(0).max(copy.header.first_usable_lba());
    // Behind the last partition only the entries and the header of the last copy.
    let array_blocks = copy.header.array_blocks(copy.logical_block_size);
    last_lba.saturating_add(array_blocks + 2).saturating_mul(copy.logical_block_size.into())
}

/// Fits a GPT, read from either of its copies, to a disk of `size_bytes`. `boot_record` is block 0 as it is. The entries
/// of `copy` may have been changed: all checksums are made anew.
///
/// # Errors
/// [`FitError`].
///
/// # Panics
/// When `boot_record` is shorter than a block.
pub fn fit(copy: &GptCopy, boot_record: &[u8], size_bytes: u64) -> Result<Fitted, FitError> {
    let GptCopy { header, entries, logical_block_size } = copy;
    let block_size = u64::from(*logical_block_size);
    let blocks = size_bytes / block_size;
    let needed_bytes = needed_bytes(copy);
    if needed_bytes > blocks * block_size {
        return Err(FitError::TooSmall { needed_bytes, disk_bytes: size_bytes });
    }
    let array_blocks = header.array_blocks(*logical_block_size);
    let from_backup = header.own_lba() != 1;
    let entries_lba = match header.entries_lba() {
        lba if !from_backup && lba + array_blocks > header.first_usable_lba() => {
            return Err(FitError::NoRoom(array_blocks));
        }
        lba if !from_backup => lba,
        // The last copy does not say where the first one's entries are: behind the header, unless `sgdisk --move-main-table`
        // put them right before the partitions.
        _ if header.first_usable_lba() < 2 + array_blocks => return Err(FitError::NoRoom(array_blocks)),
        _ if boot_space_is_reserved(header, array_blocks) => header.first_usable_lba() - array_blocks,
        _ => 2,
    };
    // The header and the entries; no tool makes such a partition, and writing here would damage it.
    let occupied = copy.table().partitions.into_iter().find(|each| {
        each.first_lba < 2 || (each.first_lba < entries_lba + array_blocks && entries_lba <= each.last_lba)
    });
    if let Some(partition) = occupied {
        return Err(FitError::Occupied(partition.number));
    }
    let backup_lba = blocks - 1;
    let backup_entries_lba = backup_lba - array_blocks;
    let last_usable_lba = backup_entries_lba - 1;

    let header = header.with_entries(entries);
    let primary = header.moved(1, backup_lba, last_usable_lba, entries_lba);
    let backup = header.moved(backup_lba, 1, last_usable_lba, backup_entries_lba);

    let mut array = entries.clone();
    array.resize((array_blocks * block_size) as usize, 0);
    let block = |header: &Header| {
        let mut block = header.bytes().to_vec();
        block.resize(*logical_block_size as usize, 0);
        block
    };
    let old_backup_lba = if from_backup { header.own_lba() } else { header.other_lba() };
    let last_partition_lba = copy.table().partitions.iter().map(|each| each.last_lba).max().unwrap_or(0);
    let stale = old_backup_lba > last_partition_lba.max(header.first_usable_lba())
        && old_backup_lba < backup_entries_lba;
    Ok(Fitted {
        backup: Extent {
            offset_bytes: backup_entries_lba * block_size,
            bytes: [array.clone(), block(&backup)].concat(),
        },
        entries: Extent { offset_bytes: entries_lba * block_size, bytes: array },
        header: Extent { offset_bytes: block_size, bytes: block(&primary) },
        boot_record: Extent {
            offset_bytes: 0,
            bytes: covering(&boot_record[..*logical_block_size as usize], old_backup_lba, blocks),
        },
        stale_backup_lba: stale.then_some(old_backup_lba),
        last_usable_lba,
    })
}

/// Whether the first usable block leaves more room than header and entries need and is no common alignment.
fn boot_space_is_reserved(header: &Header, array_blocks: u64) -> bool {
    let first_usable_lba = header.first_usable_lba();
    first_usable_lba > 2 + array_blocks && !first_usable_lba.is_multiple_of(2048)
}

/// Block 0 with a protective entry that covers a disk of so many blocks. In a hybrid record, the protective entry that
/// covers only the part before the other entries is left as it is.
fn covering(boot_record: &[u8], old_last_lba: u64, blocks: u64) -> Vec<u8> {
    let clipped = |blocks: u64| u32::try_from(blocks).unwrap_or(u32::MAX);
    let mut record = boot_record.to_vec();
    let kinds: Vec<u8> = (0..4).map(|index| record[ENTRIES_AT + 16 * index + 4]).collect();
    let alone = kinds.iter().filter(|kind| **kind != 0).count() == 1;
    for (index, kind) in kinds.iter().enumerate() {
        let entry = &mut record[ENTRIES_AT + 16 * index..][..16];
        let covers_all = u32_at(entry, 12) == clipped(old_last_lba) || u32_at(entry, 12) == u32::MAX;
        if *kind == PROTECTIVE && (alone || covers_all) {
            let first_lba = u64::from(u32_at(entry, 8));
            entry[12..16].copy_from_slice(&clipped(blocks.saturating_sub(first_lba)).to_le_bytes());
        }
    }
    record
}

impl PartitionTable {
    /// The byte behind the last partition; 0 without any.
    pub fn end_bytes(&self) -> u64 {
        let ends = self.partitions.iter().map(|partition| partition.last_lba.saturating_add(1));
        ends.max().unwrap_or(0).saturating_mul(self.logical_block_size.into())
    }

    /// Whether the table is a GPT.
    pub fn is_gpt(&self) -> bool {
        self.kind == TableKind::Gpt
    }
}
