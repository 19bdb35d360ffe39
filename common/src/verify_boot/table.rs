//! Whether firmware and kernel find the partitions.

use std::fs::File;
use std::io;

use super::Finding;
use crate::blkid;
use crate::cause::Cause;
use crate::failure::{Because, Failure};
use crate::table::gpt::{self, GptCopy, GptError};
use crate::table::mbr::{BootRecord, PROTECTIVE};
use crate::table::{self, PartitionTable, ReadAt, TableError};

/// What a disk begins and ends with.
#[derive(Debug)]
pub(super) struct Seen {
    /// The last block of the disk.
    end_lba: u64,
    /// Block 0.
    record: Option<BootRecord>,
    /// The copies of a GPT; not looked at where the disk cannot have one.
    primary: Option<Result<GptCopy, GptError>>,
    backup: Option<Result<GptCopy, GptError>>,
    /// What Linux takes for the table.
    table: Result<Option<PartitionTable>, String>,
    /// The format of the whole disk, where it has no table.
    content: Option<String>,
}

impl Seen {
    /// The table, where there is one.
    pub(super) fn table(&self) -> Option<&PartitionTable> {
        self.table.as_ref().ok().and_then(Option::as_ref)
    }
}

/// Reads both ends.
///
/// # Errors
/// [`Cause::DiskIo`].
pub(super) fn look(disk: &File, size_bytes: u64, logical_block_size: u32) -> Result<Seen, Failure> {
    let content = match blkid::probe(disk, 0, size_bytes).because(Cause::DiskIo)? {
        Some(signature) if signature.table.is_none() => signature.kind,
        _ => None,
    };
    read(disk, size_bytes, logical_block_size, content).because(Cause::DiskIo)
}

fn read<R: ReadAt + ?Sized>(
    disk: &R,
    size_bytes: u64,
    logical_block_size: u32,
    content: Option<String>,
) -> io::Result<Seen> {
    let table = match table::read(disk, size_bytes, logical_block_size) {
        Err(TableError::Io(error)) => return Err(error),
        other => other.map_err(|error| error.to_string()),
    };
    let blocks = size_bytes / u64::from(logical_block_size);
    let end_lba = blocks.saturating_sub(1);
    if blocks < 3 {
        return Ok(Seen { end_lba, record: None, primary: None, backup: None, table, content });
    }
    let mut first = vec![0; logical_block_size as usize];
    disk.read_exact_at(&mut first, 0)?;
    Ok(Seen {
        end_lba,
        record: BootRecord::parse(&first),
        primary: Some(gpt::read_primary(disk, blocks, logical_block_size)?),
        backup: Some(gpt::read_backup(disk, blocks, logical_block_size)?),
        table,
        content,
    })
}

/// Says whether the table is right.
pub(super) fn judge(seen: &Seen) -> Vec<Finding> {
    let error = |text: String| vec![Finding::error(Cause::PartitionTable, text)];
    let primary = seen.primary.as_ref().and_then(|copy| copy.as_ref().ok());
    let table = match &seen.table {
        Err(why) => return error(format!("its partition table is damaged: {why}")),
        Ok(Some(table)) => table,
        Ok(None) => {
            return match (&seen.content, primary) {
                (Some(content), _) => vec![Finding::right(format!(
                    "there is no partition table: the disk as a whole is {content}"
                ))],
                (None, Some(_)) => error(
                    "it has a GPT, but no protective MBR in block 0, without which neither firmware nor Linux looks for one".into(),
                ),
                (None, None) => error("it has no partition table and no filesystem".into()),
            };
        }
    };
    let (Some(record), true) = (&seen.record, table.is_gpt()) else {
        return judge_mbr(table, primary);
    };
    let mut findings = Vec::new();
    let count = table.partitions.len();
    if count == 0 {
        return error("its GPT has no partitions".into());
    }
    // `block/partitions/efi.c`, `pmbr_part_valid`.
    if !record.entries.iter().any(|entry| entry.kind == PROTECTIVE && entry.first_lba == 1) {
        return error(
            "the protective entry in its MBR does not begin at block 1, so Linux does not look for the GPT"
                .into(),
        );
    }
    let (Some(primary), Some(backup)) = (&seen.primary, &seen.backup) else { return findings };
    match (primary, backup) {
        (Err(why), _) => {
            return error(format!(
                "the first copy of its GPT is damaged, and Linux takes no other by itself: {why}"
            ));
        }
        (Ok(_), Err(why)) => {
            return error(format!(
                "the last copy of its GPT is damaged: {why}; the image may have ended early"
            ));
        }
        (Ok(first), Ok(last)) => {
            if last.header.own_lba() != seen.end_lba {
                findings.push(Finding::warning(format!(
                    "the last copy of the GPT is at block {}, and the disk ends with block {}: the table was not fitted to the disk",
                    last.header.own_lba(),
                    seen.end_lba
                )));
            } else if first.header.other_lba() != seen.end_lba {
                findings.push(Finding::warning(format!(
                    "the first copy of the GPT says that the last one is at block {}, and there is one at block {}",
                    first.header.other_lba(),
                    seen.end_lba
                )));
            }
            if first.entries != last.entries {
                findings.push(Finding::warning(
                    "the two copies of the GPT differ: firmware and Linux take the first",
                ));
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::right(format!(
            "the partition table is right: GPT, both copies, {}",
            partitions(count)
        )));
    }
    findings
}

fn judge_mbr(table: &PartitionTable, primary: Option<&GptCopy>) -> Vec<Finding> {
    let count = table.partitions.len();
    match (count, primary) {
        (0, Some(_)) => vec![Finding::error(
            Cause::PartitionTable,
            "it has a GPT, but its MBR has no protective entry, without which neither firmware nor Linux looks for one",
        )],
        (0, None) => vec![Finding::error(Cause::PartitionTable, "its MBR has no partitions")],
        (_, Some(_)) => vec![Finding::warning(
            "there is a GPT behind an MBR that does not announce it: the MBR counts, and some tools ask which is meant",
        )],
        (_, None) => {
            vec![Finding::right(format!("the partition table is right: MBR, {}", partitions(count)))]
        }
    }
}

fn partitions(count: usize) -> String {
    if count == 1 { "1 partition".into() } else { format!("{count} partitions") }
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;
    use crate::table::mbr::ENTRIES_AT;
    use crate::table::relocate;

    const BLOCK: usize = 512;
    const BLOCKS: u64 = 4096;

    /// A disk of 2 MiB with a GPT of one partition.
    fn disk() -> Vec<u8> {
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x0001_0000_u32.to_le_bytes());
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        for (at, value) in [(24, 1), (32, BLOCKS - 1), (40, 34), (48, BLOCKS - 34), (72, 2_u64)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[80..84].copy_from_slice(&128_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        let mut entries = vec![0; 128 * 128];
        entries[..32].fill(7);
        entries[32..40].copy_from_slice(&40_u64.to_le_bytes());
        entries[40..48].copy_from_slice(&100_u64.to_le_bytes());
        header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
        let checksum = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&checksum.to_le_bytes());
        let header = gpt::Header::parse(&header, 1).unwrap();
        let copy = gpt::with_entries(header, entries, BLOCK as u32).unwrap();
        let mut disk = vec![0; BLOCKS as usize * BLOCK];
        disk[ENTRIES_AT + 4] = PROTECTIVE;
        disk[ENTRIES_AT + 8..ENTRIES_AT + 12].copy_from_slice(&1_u32.to_le_bytes());
        disk[ENTRIES_AT + 12..ENTRIES_AT + 16].copy_from_slice(&u32::MAX.to_le_bytes());
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        let fitted = relocate::fit(&copy, &disk[..BLOCK], disk.len() as u64).unwrap();
        for extent in [fitted.backup, fitted.entries, fitted.header, fitted.boot_record] {
            let at = extent.offset_bytes as usize;
            disk[at..at + extent.bytes.len()].copy_from_slice(&extent.bytes);
        }
        disk
    }

    fn judged(disk: &[u8], content: Option<&str>) -> Finding {
        let seen = read(disk, disk.len() as u64, BLOCK as u32, content.map(str::to_owned)).unwrap();
        let findings = judge(&seen);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.into_iter().next().unwrap()
    }

    #[track_caller]
    fn broken(disk: &[u8], words: &str) {
        let finding = judged(disk, None);
        assert_eq!(finding.weight, Weight::Error(Cause::PartitionTable), "{finding:?}");
        assert!(finding.text.contains(words), "{finding:?}");
    }

    #[test]
    fn a_right_table_is_right() {
        assert_eq!(
            judged(&disk(), None),
            Finding::right("the partition table is right: GPT, both copies, 1 partition")
        );
        let mut mbr = vec![0; 1 << 20];
        mbr[ENTRIES_AT + 4] = 0x83;
        mbr[ENTRIES_AT + 8] = 40;
        mbr[ENTRIES_AT + 12] = 100;
        mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(judged(&mbr, None), Finding::right("the partition table is right: MBR, 1 partition"));
        let bare = judged(&vec![0; 1 << 20], Some("ext4"));
        assert_eq!(bare, Finding::right("there is no partition table: the disk as a whole is ext4"));
    }

    #[test]
    fn each_damage_has_its_words() {
        let end = disk().len();
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut disk = disk();
            change(&mut disk);
            disk
        };
        broken(
            &with(&|disk| disk[end - BLOCK + 60] ^= 1),
            "the last copy of its GPT is damaged: header checksum",
        );
        broken(
            &with(&|disk| disk[end - BLOCK - 100] ^= 1),
            "the last copy of its GPT is damaged: entries' checksum",
        );
        broken(
            &with(&|disk| disk[end - BLOCK..].fill(0)),
            "the last copy of its GPT is damaged: no signature",
        );
        broken(&with(&|disk| disk[BLOCK + 60] ^= 1), "the first copy of its GPT is damaged");
        broken(&with(&|disk| disk[2 * BLOCK + 40] ^= 1), "the first copy of its GPT is damaged");
        broken(
            &with(&|disk| {
                disk[BLOCK + 60] ^= 1;
                disk[end - BLOCK + 60] ^= 1;
            }),
            "both copies of the GPT are damaged",
        );
        broken(&with(&|disk| disk[510] = 0), "no protective MBR");
        broken(&with(&|disk| disk[ENTRIES_AT + 4] = 0), "its MBR has no protective entry");
        broken(&with(&|disk| disk[ENTRIES_AT + 8] = 2), "does not begin at block 1");
        // A disk that is smaller than the image.
        broken(&with(&|disk| disk.truncate(60 * BLOCK)), "both copies of the GPT are damaged");
        broken(&vec![0; 1 << 20], "no partition table and no filesystem");
    }

    #[test]
    fn a_table_that_was_not_fitted_warns() {
        let mut larger = disk();
        larger.resize(larger.len() + (1 << 20), 0);
        let finding = judged(&larger, None);
        assert_eq!(finding.weight, Weight::Warning);
        assert!(finding.text.contains("at block 4095, and the disk ends with block 6143"), "{finding:?}");
        // The backup of an older system at the disk's end.
        let mut older = disk();
        let end = older.len();
        older.resize(end + (1 << 20), 0);
        let entries_at = end - 33 * BLOCK;
        let backup = GptCopy {
            header: gpt::Header::parse(&older[end - BLOCK..end], BLOCKS - 1).unwrap().moved(
                6143,
                1,
                6143 - 34,
                6143 - 32,
            ),
            entries: older[entries_at..entries_at + 128 * 128].to_vec(),
            logical_block_size: BLOCK as u32,
        };
        let mut entries = backup.entries.clone();
        entries[40] ^= 1;
        let header = backup.header.with_entries(&entries);
        let at = 6143 * BLOCK;
        older[at..at + 92].copy_from_slice(header.bytes());
        older[at - 32 * BLOCK..at].copy_from_slice(&entries);
        let seen = read(&older[..], older.len() as u64, BLOCK as u32, None).unwrap();
        let texts: Vec<String> = judge(&seen)
            .into_iter()
            .map(|finding| {
                assert_eq!(finding.weight, Weight::Warning);
                finding.text
            })
            .collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].contains("says that the last one is at block 4095"), "{texts:?}");
        assert!(texts[1].contains("the two copies of the GPT differ"), "{texts:?}");
    }
}
