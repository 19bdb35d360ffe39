//! Partition tables, read by us: the kernel may lack the parser, or may not have looked yet.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

pub mod gpt;
pub mod mbr;
pub mod relocate;

#[cfg(test)]
mod tests;

/// Something that can be read at an offset: a disk, or the first bytes of an image.
pub trait ReadAt {
    /// Fills the buffer from this offset in bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end, and whatever the device gives.
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset_bytes)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let start = usize::try_from(offset_bytes).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// Which of the two.
    pub kind: TableKind,
    /// The unit of all addresses, in bytes.
    pub logical_block_size: u32,
    /// What is in it, by number. Of an MBR: primary and logical ones, without the extended one itself.
    pub partitions: Vec<Partition>,
}

/// The kind of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// GUID Partition Table (UEFI 2.10, chapter 5.3).
    Gpt,
    /// Master Boot Record, with logical partitions.
    Mbr,
}

/// A partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1; logical ones of an MBR from 5.
    pub number: u32,
    /// The first block.
    pub first_lba: u64,
    /// The last block, included.
    pub last_lba: u64,
    /// What the table says is in it.
    pub kind: PartitionKind,
    /// Its own GUID, as GPT stores it (mixed endian).
    pub guid: Option<[u8; 16]>,
    /// Its name in a GPT.
    pub name: Option<String>,
}

/// What a table says is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionKind {
    /// Type GUID, as GPT stores it (mixed endian).
    Gpt([u8; 16]),
    /// Type byte of an MBR.
    Mbr(u8),
}

impl Partition {
    /// Where it begins, in bytes.
    pub fn start_bytes(&self, table: &PartitionTable) -> u64 {
        self.first_lba * u64::from(table.logical_block_size)
    }

    /// How long it is, in bytes.
    pub fn length_bytes(&self, table: &PartitionTable) -> u64 {
        (self.last_lba - self.first_lba + 1) * u64::from(table.logical_block_size)
    }
}

/// Why a partition table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk could not be read.
    #[error("reading the partition table: {0}")]
    Io(#[from] io::Error),
    /// The protective MBR announces a GPT, and neither copy of it is right.
    #[error("both copies of the GPT are damaged: the first ({primary}), the last ({backup})")]
    Gpt {
        /// What is wrong with the copy after block 0.
        primary: gpt::GptError,
        /// What is wrong with the copy at the disk's end.
        backup: gpt::GptError,
    },
    /// An entry cannot be right.
    #[error("partition {number} goes from block {first_lba} to {last_lba}, the disk from 0 to {end_lba}")]
    Outside {
        /// The partition's number.
        number: u32,
        /// Its first block.
        first_lba: u64,
        /// Its last block.
        last_lba: u64,
        /// The last block of the disk.
        end_lba: u64,
    },
    /// Two entries claim the same blocks.
    #[error("partitions {0} and {1} overlap")]
    Overlap(u32, u32),
    /// The chain of extended boot records leads nowhere, or does not end.
    #[error("the chain of logical partitions is broken at block {0}")]
    BrokenChain(u64),
}

/// Reads the partition table of a disk of `size_bytes`. A GPT counts only behind an MBR that announces it, as for
/// firmware and kernel (UEFI 2.10, 5.2.3; `block/partitions/efi.c`), also behind a hybrid one; where its first copy is
/// damaged, its last one is read. `None` where there is no table.
///
/// # Errors
/// A table that is there and cannot be right, and a disk that cannot be read.
pub fn read<R: ReadAt + ?Sized>(
    disk: &R,
    size_bytes: u64,
    logical_block_size: u32,
) -> Result<Option<PartitionTable>, TableError> {
    let Some(blocks) = blocks(size_bytes, logical_block_size) else { return Ok(None) };
    let mut first = vec![0; logical_block_size as usize];
    disk.read_exact_at(&mut first, 0)?;
    let Some(boot_record) = mbr::BootRecord::parse(&first) else { return Ok(None) };
    let table = if boot_record.announces_gpt() {
        let copy = match gpt::read_primary(disk, blocks, logical_block_size)? {
            Ok(copy) => copy,
            Err(primary) => gpt::read_backup(disk, blocks, logical_block_size)?
                .map_err(|backup| TableError::Gpt { primary, backup })?,
        };
        copy.table()
    } else {
        mbr::table(disk, &boot_record, blocks, logical_block_size)?
    };
    table.check(blocks)?;
    Ok(Some(table))
}

/// Every table that there is a trace of, for those who erase: a GPT without its MBR, an older backup GPT behind an MBR,
/// and of each the partitions that begin on the disk, as far as they lie on it: the kernel shows those too.
///
/// # Errors
/// When the disk cannot be read.
pub fn traces<R: ReadAt + ?Sized>(
    disk: &R,
    size_bytes: u64,
    logical_block_size: u32,
) -> io::Result<Vec<PartitionTable>> {
    let Some(blocks) = blocks(size_bytes, logical_block_size) else { return Ok(Vec::new()) };
    let mut tables = Vec::new();
    tables.extend(gpt::read_primary(disk, blocks, logical_block_size)?.ok().map(|copy| copy.table()));
    tables.extend(gpt::read_backup(disk, blocks, logical_block_size)?.ok().map(|copy| copy.table()));
    let mut first = vec![0; logical_block_size as usize];
    disk.read_exact_at(&mut first, 0)?;
    if let Some(boot_record) = mbr::BootRecord::parse(&first) {
        let mut table = boot_record.primaries(logical_block_size);
        if let Err(TableError::Io(error)) = mbr::add_logical(disk, &boot_record, &mut table, blocks) {
            return Err(error);
        }
        tables.push(table);
    }
    for table in &mut tables {
        table
            .partitions
            .retain(|each| each.first_lba > 0 && each.first_lba <= each.last_lba && each.first_lba < blocks);
        for partition in &mut table.partitions {
            partition.last_lba = partition.last_lba.min(blocks - 1);
        }
    }
    tables.retain(|table| !table.partitions.is_empty());
    tables.dedup();
    Ok(tables)
}

/// The number of blocks of a disk that can hold a table; at least 64 bytes of entries follow the boot code of block 0.
fn blocks(size_bytes: u64, logical_block_size: u32) -> Option<u64> {
    let usable = logical_block_size.is_power_of_two() && (512..=65536).contains(&logical_block_size);
    (usable && size_bytes >= u64::from(logical_block_size))
        .then(|| size_bytes / u64::from(logical_block_size))
}

impl PartitionTable {
    /// Whether every partition lies on a disk of so many blocks, and none on another.
    ///
    /// # Errors
    /// [`TableError::Outside`], [`TableError::Overlap`]
    pub fn check(&self, blocks: u64) -> Result<(), TableError> {
        for &Partition { number, first_lba, last_lba, .. } in &self.partitions {
            if first_lba == 0 || first_lba > last_lba || last_lba >= blocks {
                return Err(TableError::Outside { number, first_lba, last_lba, end_lba: blocks - 1 });
            }
        }
        let mut by_place: Vec<&Partition> = self.partitions.iter().collect();
        by_place.sort_by_key(|partition| partition.first_lba);
        match by_place.windows(2).find(|pair| pair[1].first_lba <= pair[0].last_lba) {
            Some(pair) => Err(TableError::Overlap(pair[0].number, pair[1].number)),
            None => Ok(()),
        }
    }
}
