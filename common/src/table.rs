//! Partition tables, read by us: the kernel may lack the parser, or may not have looked yet.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

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
