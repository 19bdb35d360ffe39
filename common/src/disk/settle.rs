//! Making the kernel show a disk's partitions. It may lack the table's parser, take no rereading (a loop device), or
//! have looked before the table was there, so that what it shows is compared and mended, partition by partition.

use std::time::{Duration, Instant};

use tracing::debug;

use super::attributes::{PartitionNode, System};
use super::open::OpenDisk;
use crate::cause::Cause;
use crate::failure::Failure;
use crate::stop;
use crate::sys::{self, PartitionChange};
use crate::table::{PartitionTable, TableKind};

/// The kernel does it at once or, behind a slow driver, within a second or two.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// A change of one partition in the kernel's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    change: PartitionChange,
    number: u32,
    start_bytes: u64,
    length_bytes: u64,
}

/// Makes the kernel show exactly the partitions of `table`, and returns when it does. A partition that is in use can
/// become longer, and nothing else. A table that is shown already is left alone: call
/// [`sys::reread_partition_table`] before where names and GUIDs may have changed too.
///
/// # Errors
/// [`Cause::PartitionsMissing`] with what is missing, [`Cause::Stopped`].
pub fn settle(disk: &OpenDisk, system: &System, table: &PartitionTable) -> Result<(), Failure> {
    let to_do = || plan(&system.partitions(&disk.disk), table);
    if to_do().is_empty() {
        return Ok(());
    }
    if let Err(error) = sys::reread_partition_table(&disk.file) {
        debug!(
            "rereading the partition table of {}: {error}; telling the kernel each partition",
            disk.disk.name
        );
    }
    let start = Instant::now();
    let mut refused = None;
    loop {
        let steps = to_do();
        if steps.is_empty() {
            return Ok(());
        }
        for &Step { change, number, start_bytes, length_bytes } in &steps {
            debug!(
                "BLKPG {change:?} partition {number} of {}: {length_bytes} bytes at {start_bytes}",
                disk.disk.name
            );
            if let Err(error) = sys::partition(&disk.file, change, number, start_bytes, length_bytes) {
                refused = Some((change, number, error));
            }
        }
        if to_do().is_empty() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(unsettled(disk, &to_do(), refused));
        }
        stop::check()?;
        std::thread::sleep(PAUSE);
    }
}

fn unsettled(
    disk: &OpenDisk,
    steps: &[Step],
    refused: Option<(PartitionChange, u32, std::io::Error)>,
) -> Failure {
    let wrong: Vec<String> = steps
        .iter()
        .map(|step| match step.change {
            PartitionChange::Add => format!("partition {} is not there", step.number),
            PartitionChange::Delete => format!("partition {} is still there", step.number),
            PartitionChange::Resize => format!("partition {} has another length", step.number),
        })
        .collect();
    let last = refused
        .map(|(change, number, error)| {
            format!("; the kernel refused to {} partition {number}: {error}", verb(change))
        })
        .unwrap_or_default();
    Failure::new(
        Cause::PartitionsMissing,
        format_args!(
            "the kernel does not show the partitions of {} after {} s: {}{last}",
            disk.disk.describe(),
            PATIENCE.as_secs(),
            wrong.join(", ")
        ),
    )
}

fn verb(change: PartitionChange) -> &'static str {
    match change {
        PartitionChange::Add => "add",
        PartitionChange::Delete => "forget",
        PartitionChange::Resize => "resize",
    }
}

/// What must change so that `shown` becomes `table`: first what goes or shrinks, so that there is room.
fn plan(shown: &[PartitionNode], table: &PartitionTable) -> Vec<Step> {
    let mut steps = Vec::new();
    let wanted = |number: u32| table.partitions.iter().find(|partition| partition.number == number);
    let mut kept = Vec::new();
    for node in shown {
        let step = |change, length_bytes| Step {
            change,
            number: node.number,
            start_bytes: node.start_bytes,
            length_bytes,
        };
        match wanted(node.number) {
            Some(partition) if partition.start_bytes(table) == node.start_bytes => {
                kept.push(node.number);
                let length_bytes = partition.length_bytes(table);
                if length_bytes != node.length_bytes {
                    steps.push((
                        length_bytes > node.length_bytes,
                        step(PartitionChange::Resize, length_bytes),
                    ));
                }
            }
            None if is_extended_stub(node, table) => {}
            _ => steps.push((false, step(PartitionChange::Delete, node.length_bytes))),
        }
    }
    steps.sort_by_key(|(grows, _)| *grows);
    let mut steps: Vec<Step> = steps.into_iter().map(|(_, step)| step).collect();
    steps.extend(table.partitions.iter().filter(|partition| !kept.contains(&partition.number)).map(
        |partition| Step {
            change: PartitionChange::Add,
            number: partition.number,
            start_bytes: partition.start_bytes(table),
            length_bytes: partition.length_bytes(table),
        },
    ));
    steps
}

/// The kernel shows an extended partition as one or two sectors, for boot loaders (`block/partitions/msdos.c`).
fn is_extended_stub(node: &PartitionNode, table: &PartitionTable) -> bool {
    table.kind == TableKind::Mbr
        && node.number <= 4
        && node.length_bytes <= 2 * u64::from(table.logical_block_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Partition, PartitionKind};

    fn node(number: u32, start_bytes: u64, length_bytes: u64) -> PartitionNode {
        PartitionNode { name: format!("sda{number}"), number, device: (8, number), start_bytes, length_bytes }
    }

    fn table(kind: TableKind, partitions: &[(u32, u64, u64)]) -> PartitionTable {
        let partitions = partitions.iter().map(|&(number, first_lba, last_lba)| Partition {
            number,
            first_lba,
            last_lba,
            kind: PartitionKind::Mbr(0x83),
            guid: None,
            name: None,
        });
        PartitionTable { kind, logical_block_size: 512, partitions: partitions.collect() }
    }

    fn changes(steps: &[Step]) -> Vec<(PartitionChange, u32)> {
        steps.iter().map(|step| (step.change, step.number)).collect()
    }

    #[test]
    fn what_is_shown_rightly_is_left_alone() {
        let table = table(TableKind::Gpt, &[(1, 2048, 4095), (14, 4096, 8191)]);
        let shown = [node(1, 2048 * 512, 2048 * 512), node(14, 4096 * 512, 4096 * 512)];
        assert_eq!(plan(&shown, &table), []);
    }

    #[test]
    fn room_is_made_before_it_is_taken() {
        let table = table(TableKind::Gpt, &[(1, 2048, 8191), (2, 8192, 9215), (4, 16384, 20479)]);
        let shown = [
            node(1, 2048 * 512, 2048 * 512),
            node(2, 8192 * 512, 4096 * 512),
            node(3, 4096 * 512, 1024 * 512),
            node(4, 10240 * 512, 1024 * 512),
        ];
        assert_eq!(
            changes(&plan(&shown, &table)),
            [
                (PartitionChange::Resize, 2),
                (PartitionChange::Delete, 3),
                (PartitionChange::Delete, 4),
                (PartitionChange::Resize, 1),
                (PartitionChange::Add, 4),
            ]
        );
    }

    #[test]
    fn the_stub_of_an_extended_partition_may_stay() {
        let mbr = table(TableKind::Mbr, &[(1, 2048, 4095), (5, 6144, 8191)]);
        let shown =
            [node(1, 2048 * 512, 2048 * 512), node(2, 4096 * 512, 1024), node(5, 6144 * 512, 2048 * 512)];
        assert_eq!(plan(&shown, &mbr), []);
        let gpt = table(TableKind::Gpt, &[(1, 2048, 4095), (5, 6144, 8191)]);
        assert_eq!(changes(&plan(&shown, &gpt)), [(PartitionChange::Delete, 2)]);
    }
}
