//! The GUID Partition Table as bytes (UEFI 2.10, 5.3). Every field is checked before it is used: an image and a disk can
//! hold anything.

use std::io;

use super::{Partition, PartitionKind, PartitionTable, ReadAt, TableKind};

/// The bytes of a header that the specification defines.
pub const HEADER_BYTES: usize = 92;
/// No array of entries is larger; 128 entries of 128 bytes take 16 KiB, and some tools make room for thousands.
pub const MAX_ARRAY_BYTES: u64 = 4 << 20;

const SIGNATURE: &[u8; 8] = b"EFI PART";

/// What is wrong with one copy of a GPT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// There is no header.
    #[error("no signature at block {0}")]
    NoSignature(u64),
    /// The revision is none that is known.
    #[error("revision {0:#010x}, known is 0x00010000")]
    Revision(u32),
    /// The header's length cannot be right.
    #[error("a header of {0} bytes")]
    HeaderSize(u32),
    /// The header's checksum is wrong.
    #[error("header checksum {found:#010x}, computed {computed:#010x}")]
    HeaderChecksum {
        /// What the header says.
        found: u32,
        /// What it should say.
        computed: u32,
    },
    /// The header speaks of another place than the one it is at.
    #[error("the header says that it is at block {says}, and is at {is}")]
    Place {
        /// What the header says.
        says: u64,
        /// Where it was read.
        is: u64,
    },
    /// Size or number of the entries cannot be right.
    #[error("{count} entries of {size} bytes")]
    Entries {
        /// Number of entries.
        count: u32,
        /// Bytes of each.
        size: u32,
    },
    /// The blocks that the header speaks of cannot be right.
    #[error("usable blocks {first_usable_lba} to {last_usable_lba}, entries at block {entries_lba}")]
    Layout {
        /// The first block that a partition may have.
        first_usable_lba: u64,
        /// The last one.
        last_usable_lba: u64,
        /// Where the entries begin.
        entries_lba: u64,
    },
    /// The entries' checksum is wrong.
    #[error("entries' checksum {found:#010x}, computed {computed:#010x}")]
    EntriesChecksum {
        /// What the header says.
        found: u32,
        /// What it should say.
        computed: u32,
    },
}

/// A header whose own fields agree with each other. Changing a field is complete only after [`Header::seal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `HeaderSize` bytes: whatever a tool puts behind the fields of the specification is kept.
    bytes: Vec<u8>,
}

impl Header {
    /// Reads the header that begins with `block`, found at `lba`.
    ///
    /// # Errors
    /// Whatever is wrong with it. What lies outside the disk is found by [`Header::fits`].
    pub fn parse(block: &[u8], lba: u64) -> Result<Self, GptError> {
        if block.len() < HEADER_BYTES || &block[..8] != SIGNATURE {
            return Err(GptError::NoSignature(lba));
        }
        let revision = u32_at(block, 8);
        if revision != 0x0001_0000 {
            return Err(GptError::Revision(revision));
        }
        let size = u32_at(block, 12);
        let bytes = usize::try_from(size)
            .ok()
            .filter(|size| *size >= HEADER_BYTES)
            .and_then(|size| block.get(..size));
        let header = Self { bytes: bytes.ok_or(GptError::HeaderSize(size))?.to_vec() };
        let (found, computed) = (u32_at(block, 16), header.checksum());
        if found != computed {
            return Err(GptError::HeaderChecksum { found, computed });
        }
        if header.own_lba() != lba {
            return Err(GptError::Place { says: header.own_lba(), is: lba });
        }
        let (count, size) = (header.entry_count(), header.entry_bytes());
        if !(128..=4096).contains(&size)
            || !size.is_power_of_two()
            || count == 0
            || header.array_bytes() > MAX_ARRAY_BYTES
        {
            return Err(GptError::Entries { count, size });
        }
        Ok(header)
    }

    /// Whether what the header speaks of lies on a disk of so many blocks, and the entries where no partition is.
    ///
    /// # Errors
    /// [`GptError::Layout`].
    pub fn fits(&self, blocks: u64, logical_block_size: u32) -> Result<(), GptError> {
        let (first_usable_lba, last_usable_lba) = (self.first_usable_lba(), self.last_usable_lba());
        let entries_lba = self.entries_lba();
        let entries_end = entries_lba.checked_add(self.array_blocks(logical_block_size));
        let outside_usable =
            entries_end.is_some_and(|end| end <= first_usable_lba || entries_lba > last_usable_lba);
        let on_disk = last_usable_lba < blocks && entries_end.is_some_and(|end| end <= blocks);
        if on_disk
            && outside_usable
            && entries_lba >= 2
            && first_usable_lba >= 2
            && first_usable_lba <= last_usable_lba
        {
            return Ok(());
        }
        Err(GptError::Layout { first_usable_lba, last_usable_lba, entries_lba })
    }

    /// Where this copy is.
    pub fn own_lba(&self) -> u64 {
        u64_at(&self.bytes, 24)
    }

    /// Where the other copy is.
    pub fn other_lba(&self) -> u64 {
        u64_at(&self.bytes, 32)
    }

    /// The first block that a partition may have.
    pub fn first_usable_lba(&self) -> u64 {
        u64_at(&self.bytes, 40)
    }

    /// The last block that a partition may have.
    pub fn last_usable_lba(&self) -> u64 {
        u64_at(&self.bytes, 48)
    }

    /// Where this copy's entries begin.
    pub fn entries_lba(&self) -> u64 {
        u64_at(&self.bytes, 72)
    }

    /// How many entries there are, used or not.
    pub fn entry_count(&self) -> u32 {
        u32_at(&self.bytes, 80)
    }

    /// The bytes of an entry: 128 times a power of two.
    pub fn entry_bytes(&self) -> u32 {
        u32_at(&self.bytes, 84)
    }

    /// The bytes of all entries.
    pub fn array_bytes(&self) -> u64 {
        u64::from(self.entry_count()) * u64::from(self.entry_bytes())
    }

    /// The blocks of all entries.
    pub fn array_blocks(&self, logical_block_size: u32) -> u64 {
        self.array_bytes().div_ceil(u64::from(logical_block_size))
    }

    /// The same GPT's header with other places in it; its checksum is made anew.
    #[must_use]
    pub fn moved(&self, own_lba: u64, other_lba: u64, last_usable_lba: u64, entries_lba: u64) -> Self {
        let mut header = self.clone();
        for (at, value) in [(24, own_lba), (32, other_lba), (48, last_usable_lba), (72, entries_lba)] {
            header.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header.seal();
        header
    }

    /// The same header for other entries: their number and size stay.
    #[must_use]
    pub fn with_entries(&self, entries: &[u8]) -> Self {
        let mut header = self.clone();
        header.bytes[88..92].copy_from_slice(&crc32fast::hash(entries).to_le_bytes());
        header.seal();
        header
    }

    /// The bytes of the header.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn entries_checksum(&self) -> u32 {
        u32_at(&self.bytes, 88)
    }

    /// The checksum is computed with its own field as zero.
    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.bytes[..16]);
        hasher.update(&[0; 4]);
        hasher.update(&self.bytes[20..]);
        hasher.finalize()
    }

    fn seal(&mut self) {
        let checksum = self.checksum();
        self.bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// One copy of a GPT, header and entries, both with right checksums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GptCopy {
    /// The header.
    pub header: Header,
    /// All entries, used or not, as they stand on the disk.
    pub entries: Vec<u8>,
    /// The unit of all addresses, in bytes.
    pub logical_block_size: u32,
}

impl GptCopy {
    /// The copy as a partition table: the entries that are used.
    pub fn table(&self) -> PartitionTable {
        let partitions = self.entries.chunks_exact(self.header.entry_bytes() as usize).zip(1..).filter_map(
            |(entry, number)| {
                let kind: [u8; 16] = entry[..16].try_into().ok()?;
                let name: Vec<u16> = entry[56..128]
                    .chunks_exact(2)
                    .map(|c| u16::from_le_bytes([c[0], c[1]]))
                    .take_while(|c| *c != 0)
                    .collect();
                (kind != [0; 16]).then(|| Partition {
                    number,
                    first_lba: u64_at(entry, 32),
                    last_lba: u64_at(entry, 40),
                    kind: PartitionKind::Gpt(kind),
                    guid: entry[16..32].try_into().ok(),
                    name: (!name.is_empty()).then(|| String::from_utf16_lossy(&name)),
                })
            },
        );
        PartitionTable {
            kind: TableKind::Gpt,
            logical_block_size: self.logical_block_size,
            partitions: partitions.collect(),
        }
    }
}

/// Reads the copy after block 0.
///
/// # Errors
/// Outside, a disk that cannot be read; inside, what is wrong with the copy.
pub fn read_primary<R: ReadAt + ?Sized>(
    disk: &R,
    blocks: u64,
    logical_block_size: u32,
) -> io::Result<Result<GptCopy, GptError>> {
    read_copy(disk, 1, blocks, logical_block_size)
}

/// Reads the copy at the disk's end. Where the first header is right, and only its entries are not, it says where the
/// last one is: the disk may have grown.
///
/// # Errors
/// As [`read_primary`].
pub fn read_backup<R: ReadAt + ?Sized>(
    disk: &R,
    blocks: u64,
    logical_block_size: u32,
) -> io::Result<Result<GptCopy, GptError>> {
    let at_end = read_copy(disk, blocks - 1, blocks, logical_block_size)?;
    if at_end.is_ok() {
        return Ok(at_end);
    }
    let elsewhere = read_header(disk, 1, blocks, logical_block_size)?.map(|header| header.other_lba());
    match elsewhere {
        Ok(lba) if lba > 1 && lba < blocks - 1 => {
            Ok(read_copy(disk, lba, blocks, logical_block_size)?.or(at_end))
        }
        _ => Ok(at_end),
    }
}

fn read_header<R: ReadAt + ?Sized>(
    disk: &R,
    lba: u64,
    blocks: u64,
    logical_block_size: u32,
) -> io::Result<Result<Header, GptError>> {
    if lba == 0 || lba >= blocks {
        return Ok(Err(GptError::NoSignature(lba)));
    }
    let mut block = vec![0; logical_block_size as usize];
    disk.read_exact_at(&mut block, lba * u64::from(logical_block_size))?;
    Ok(Header::parse(&block, lba).and_then(|header| header.fits(blocks, logical_block_size).map(|()| header)))
}

fn read_copy<R: ReadAt + ?Sized>(
    disk: &R,
    lba: u64,
    blocks: u64,
    logical_block_size: u32,
) -> io::Result<Result<GptCopy, GptError>> {
    let header = match read_header(disk, lba, blocks, logical_block_size)? {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    // At most MAX_ARRAY_BYTES, and on the disk: the header was checked.
    let mut entries = vec![0; header.array_bytes() as usize];
    disk.read_exact_at(&mut entries, header.entries_lba() * u64::from(logical_block_size))?;
    Ok(with_entries(header, entries, logical_block_size))
}

/// Joins a header and its entries.
///
/// # Errors
/// [`GptError::EntriesChecksum`].
pub fn with_entries(header: Header, entries: Vec<u8>, logical_block_size: u32) -> Result<GptCopy, GptError> {
    let (found, computed) = (header.entries_checksum(), crc32fast::hash(&entries));
    if found != computed {
        return Err(GptError::EntriesChecksum { found, computed });
    }
    Ok(GptCopy { header, entries, logical_block_size })
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
