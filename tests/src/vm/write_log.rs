//! The log of a disk's writes that QEMU's `blklogwrites` keeps, in the format of the kernel's dm-log-writes: what a power
//! cut could have left at any moment is worked out from it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const SECTOR_BYTES: usize = 512;
const FLUSH: u64 = 1;
const FORCED: u64 = 2;
const DISCARD: u64 = 4;

/// What a disk was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Bytes at their place.
    Write {
        /// The first byte's place.
        offset_bytes: u64,
        /// What is written.
        data: Vec<u8>,
        /// It is on the medium when it ends (FUA).
        forced: bool,
    },
    /// All that was written before is on the medium when it ends.
    Flush,
    /// The range may read as anything.
    Discard,
}

/// All that a disk was asked for, in its order.
#[derive(Debug, Clone, Default)]
pub struct WriteLog {
    /// In the order in which QEMU was asked.
    pub entries: Vec<Entry>,
}

impl WriteLog {
    /// Reads a log, also one of a machine that was killed: its count of entries is not up to date then.
    ///
    /// # Errors
    /// When it cannot be read, or is no such log.
    pub fn read(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        Self::parse(&fs::read(file).with_context(|| format!("reading {}", file.display()))?)
            .with_context(|| format!("reading {}", file.display()))
    }

    fn parse(log: &[u8]) -> Result<Self> {
        let number =
            |at: usize| -> Option<u64> { Some(u64::from_le_bytes(log.get(at..at + 8)?.try_into().ok()?)) };
        ensure!(number(0) == Some(MAGIC) && number(8) == Some(1), "it is no log of writes");
        let mut entries = Vec::new();
        let mut at = SECTOR_BYTES;
        while let (Some(sector), Some(sectors), Some(flags)) = (number(at), number(at + 8), number(at + 16)) {
            at += SECTOR_BYTES;
            if sectors == 0 && flags == 0 {
                break;
            }
            if flags & FLUSH != 0 {
                entries.push(Entry::Flush);
            }
            if flags & DISCARD != 0 {
                entries.push(Entry::Discard);
            } else if sectors > 0 {
                let length = sectors as usize * SECTOR_BYTES;
                // The machine may have been killed before the data was there: then it was not on the disk either.
                let Some(data) = log.get(at..at + length) else { break };
                let (offset_bytes, forced) = (sector * SECTOR_BYTES as u64, flags & FORCED != 0);
                entries.push(Entry::Write { offset_bytes, data: data.to_vec(), forced });
                at += length;
            }
        }
        Ok(Self { entries })
    }

    /// What is on the medium when the power is cut after the first `count` entries, of a disk that held `before`: all
    /// that was flushed, and of what was not the pieces of 512 bytes that `survives` picks.
    pub fn cut(&self, before: &[u8], count: usize, mut survives: impl FnMut() -> bool) -> Vec<u8> {
        let mut disk = before.to_vec();
        let entries = &self.entries[..count];
        let flushed = entries.iter().rposition(|entry| *entry == Entry::Flush).unwrap_or(0);
        for (index, entry) in entries.iter().enumerate() {
            let Entry::Write { offset_bytes, data, forced } = entry else { continue };
            for (piece, at) in data.chunks(SECTOR_BYTES).zip((*offset_bytes as usize..).step_by(SECTOR_BYTES))
            {
                if index < flushed || *forced || survives() {
                    disk[at..at + piece.len()].copy_from_slice(piece);
                }
            }
        }
        disk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(entries: &[(u64, u64, u64, u8)]) -> Vec<u8> {
        let block = |words: &[u64]| {
            let mut block: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            block.resize(SECTOR_BYTES, 0);
            block
        };
        let mut log = block(&[MAGIC, 1, 0]);
        for (sector, sectors, flags, byte) in entries {
            log.extend(block(&[*sector, *sectors, *flags, 0]));
            log.extend(vec![*byte; *sectors as usize * SECTOR_BYTES]);
        }
        log.extend(block(&[]));
        log
    }

    #[test]
    fn a_cut_keeps_what_was_flushed_and_any_part_of_the_rest() {
        let log = logged(&[(0, 1, 0, 7), (0, 0, FLUSH, 0), (1, 1, 0, 8), (2, 1, FORCED, 9)]);
        let log = WriteLog::parse(&log).unwrap();
        assert_eq!(log.entries.len(), 4);
        let disk = |count, survives: bool| -> Vec<u8> {
            log.cut(&[1; 4 * SECTOR_BYTES], count, || survives)
                .chunks(SECTOR_BYTES)
                .map(|block| block[0])
                .collect()
        };
        assert_eq!(disk(0, true), [1, 1, 1, 1]);
        assert_eq!((disk(1, false), disk(1, true)), (vec![1, 1, 1, 1], vec![7, 1, 1, 1]));
        assert_eq!(disk(2, false), [7, 1, 1, 1]);
        assert_eq!((disk(4, false), disk(4, true)), (vec![7, 1, 9, 1], vec![7, 8, 9, 1]));
    }

    #[test]
    fn a_log_that_ends_in_the_middle_is_read_so_far() {
        let log = logged(&[(0, 1, 0, 7), (1, 8, 0, 8)]);
        assert_eq!(WriteLog::parse(&log[..log.len() - 1000]).unwrap().entries.len(), 1);
        assert!(WriteLog::parse(&[0; 4096]).is_err());
    }
}
