//! Where partitions lie or once lay on a disk, by every partition table that there is a trace of.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use common::table::mbr::BootRecord;
use common::table::{self, PartitionTable, TableKind, gpt};

use crate::range::Range;

/// The block sizes that a table can have been made for: a disk can be switched between them, and the table stays.
const BLOCK_SIZES: [u32; 2] = [512, 4096];

/// A part of a disk, and what it is called in a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) name: String,
    pub(crate) range: Range,
}

/// What the partition tables of a disk say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Each table in words: `GPT with 3 partitions`.
    pub(crate) tables: Vec<String>,
    /// The partitions of all tables, by place, each place once.
    pub(crate) partitions: Vec<Area>,
    /// Extended partitions of an MBR: they hold the table of the logical ones, and must outlast them.
    pub(crate) extended: Vec<Area>,
    /// Headers of GPTs, wherever they are: on a disk that has grown, the backup is not at the end.
    pub(crate) headers: Vec<Range>,
}

impl Layout {
    /// Reads all tables.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn read(file: &File, size_bytes: u64, logical_block_size: u32) -> io::Result<Self> {
        let mut tables = Vec::new();
        let mut headers = Vec::new();
        for block_size in BLOCK_SIZES {
            let blocks = size_bytes / u64::from(block_size);
            if blocks < 2 {
                continue;
            }
            // An MBR looks the same in both; it counts in the disk's own blocks.
            let found = table::traces(file, size_bytes, block_size)?;
            tables.extend(found.into_iter().filter(|table| {
                table.kind == TableKind::Gpt || table.logical_block_size == logical_block_size
            }));
            for copy in
                [gpt::read_primary(file, blocks, block_size)?, gpt::read_backup(file, blocks, block_size)?]
            {
                headers.extend(copy.ok().map(|copy| {
                    let start_bytes = copy.header.own_lba() * u64::from(block_size);
                    Range { start_bytes, end_bytes: start_bytes + u64::from(block_size) }
                }));
            }
        }
        let mut first = vec![0; logical_block_size as usize];
        table::ReadAt::read_exact_at(file, &mut first, 0)?;
        Ok(Self::of(&tables, BootRecord::parse(&first).as_ref(), headers, size_bytes, logical_block_size))
    }

    /// The layout that these tables make.
    fn of(
        tables: &[PartitionTable],
        boot_record: Option<&BootRecord>,
        headers: Vec<Range>,
        size_bytes: u64,
        logical_block_size: u32,
    ) -> Self {
        let mut layout = Self { headers, ..Self::default() };
        let mut seen = BTreeSet::new();
        for table in tables {
            let kind = match table.kind {
                TableKind::Gpt => "GPT",
                TableKind::Mbr => "MBR",
            };
            let count = table.partitions.len();
            layout.tables.push(format!("{kind} with {count} partition{}", if count == 1 { "" } else { "s" }));
            for partition in &table.partitions {
                let start_bytes = partition.start_bytes(table);
                let range = Range { start_bytes, end_bytes: start_bytes + partition.length_bytes(table) };
                if seen.insert(range) {
                    layout
                        .partitions
                        .push(Area { name: format!("partition {} of the {kind}", partition.number), range });
                }
            }
        }
        layout.partitions.sort_by_key(|area| area.range);
        layout.extended =
            boot_record.map(|record| extended(record, size_bytes, logical_block_size)).unwrap_or_default();
        layout
    }
}

/// The extended partitions of an MBR, as far as they lie on the disk.
fn extended(record: &BootRecord, size_bytes: u64, logical_block_size: u32) -> Vec<Area> {
    record
        .entries
        .iter()
        // The three types that the kernel takes for extended (`msdos_partition.h`).
        .filter(|entry| matches!(entry.kind, 0x05 | 0x0f | 0x85))
        .map(|entry| {
            let bytes = |blocks: u32| u64::from(blocks) * u64::from(logical_block_size);
            let start_bytes = bytes(entry.first_lba);
            Range { start_bytes, end_bytes: (start_bytes + bytes(entry.blocks)).min(size_bytes) }
        })
        .filter(|range| range.start_bytes > 0 && range.start_bytes < range.end_bytes)
        .map(|range| Area { name: "the extended partition".into(), range })
        .collect()
}

#[cfg(test)]
mod tests {
    use common::table::mbr::Entry;
    use common::table::{Partition, PartitionKind};

    use super::*;

    fn table(kind: TableKind, partitions: &[(u32, u64, u64)]) -> PartitionTable {
        let partition = |&(number, first_lba, last_lba): &(u32, u64, u64)| Partition {
            number,
            first_lba,
            last_lba,
            kind: PartitionKind::Mbr(0x83),
            guid: None,
            name: None,
        };
        PartitionTable {
            kind,
            logical_block_size: 512,
            partitions: partitions.iter().map(partition).collect(),
        }
    }

    #[test]
    fn partitions_of_all_tables_count_and_each_place_once() {
        let tables = [
            table(TableKind::Gpt, &[(1, 2048, 4095), (3, 8192, 16383)]),
            table(TableKind::Gpt, &[(1, 2048, 4095), (2, 4096, 8191)]),
            table(TableKind::Mbr, &[(2, 8192, 16383), (5, 20480, 20480)]),
        ];
        let layout = Layout::of(&tables, None, Vec::new(), 1 << 30, 512);
        assert_eq!(
            layout.tables,
            ["GPT with 2 partitions", "GPT with 2 partitions", "MBR with 2 partitions"]
        );
        let areas: Vec<(&str, u64, u64)> = layout
            .partitions
            .iter()
            .map(|area| (area.name.as_str(), area.range.start_bytes / 512, area.range.end_bytes / 512))
            .collect();
        assert_eq!(
            areas,
            [
                ("partition 1 of the GPT", 2048, 4096),
                ("partition 2 of the GPT", 4096, 8192),
                ("partition 3 of the GPT", 8192, 16384),
                ("partition 5 of the MBR", 20480, 20481),
            ]
        );
        assert_eq!(layout.extended, []);
    }

    #[test]
    fn extended_partitions_are_kept_apart_and_end_with_the_disk() {
        let unused = Entry { kind: 0, first_lba: 0, blocks: 0 };
        let record = BootRecord {
            entries: [
                Entry { kind: 0x83, first_lba: 2048, blocks: 2048 },
                Entry { kind: 0x0f, first_lba: 4096, blocks: u32::MAX },
                Entry { kind: 0x05, first_lba: 0, blocks: 100 },
                unused,
            ],
        };
        let layout = Layout::of(&[], Some(&record), Vec::new(), 1 << 30, 4096);
        let range = Range { start_bytes: 4096 * 4096, end_bytes: 1 << 30 };
        assert_eq!(layout.extended, [Area { name: "the extended partition".into(), range }]);
    }
}
