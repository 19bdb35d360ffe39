//! The action `grow-partition`: the root's partition to the disk's end, and its filesystem to the partition's.

use std::os::unix::fs::FileExt;

use anyhow::Context;
use common::cause::Cause;
use common::disk::{OpenDisk, System, find_place, settle};
use common::failure::{Because, Failure};
use common::installed::{FoundRoot, find_root, read_table};
use common::mount::Access;
use common::stop;
use common::sys::{self, PartitionChange};
use common::table::PartitionTable;
use common::values::Values;
use common::variables::DEST_DISK_OR_PARTITION;
use tracing::{debug, info, warn};

mod filesystem;
mod plan;

use filesystem::Growth;
use plan::{Plan, PlanError, Room, Step};

/// Runs the action. It does what is still to be done, so it can be run again after it was killed at any moment.
///
/// # Errors
/// Any of the action's causes.
pub fn run(values: &Values) -> Result<String, Failure> {
    let system = System::default();
    let place = find_place(&system, values.required(&DEST_DISK_OR_PARTITION)?)?;
    let found = find_root(&system, &place)?;
    info!("root is {}", found.describe());
    let Partitioned { found, device_bytes, grown, followed_by } = grow_partition(&system, found)?;
    stop::check()?;
    let growth = found.with_mounted(Access::Write, |root| filesystem::grow(root, &found, device_bytes))?;
    Ok(summary(&found, growth, grown, followed_by.as_deref()))
}

/// The root after its partition was grown.
struct Partitioned {
    found: FoundRoot,
    /// The size of its partition, or of the disk where it has none.
    device_bytes: u64,
    /// Whether the partition became longer in this run.
    grown: bool,
    /// What stands between it and the disk's end.
    followed_by: Option<String>,
}

fn grow_partition(system: &System, found: FoundRoot) -> Result<Partitioned, Failure> {
    let Some(number) = found.partition else {
        let device_bytes = found.disk.size_bytes;
        return Ok(Partitioned { found, device_bytes, grown: false, followed_by: None });
    };
    let disk = OpenDisk::exclusive(system, found.disk.clone())?;
    let table = read_table(&disk)?.ok_or_else(|| gone(&found))?;
    let Plan { room, steps, beyond_mbr } = plan::plan(&disk.file, disk.disk.size_bytes, &table, number)
        .map_err(|error| because(error, &found))?;
    if beyond_mbr {
        let limit =
            "an MBR speaks of no more than 2^32 blocks: what lies behind them on the disk cannot be used";
        warn!("{limit}; an image with a GPT can use all of it");
    }
    for step in &steps {
        stop::check()?;
        write(&disk, step)?;
    }
    let table = match &room {
        _ if steps.is_empty() => table,
        room => verify(&disk, &table, number, room)?,
    };
    let length_bytes = length_bytes(&table, number).ok_or_else(|| gone(&found))?;
    let mut grown = false;
    if let Some(shown) =
        system.partition(&disk.disk, number).filter(|shown| shown.length_bytes < length_bytes)
    {
        grown = true;
        let (start_bytes, before_bytes) = (shown.start_bytes, shown.length_bytes);
        debug!("BLKPG resize of partition {number} from {before_bytes} to {length_bytes} bytes");
        let told = sys::partition(&disk.file, PartitionChange::Resize, number, start_bytes, length_bytes);
        if let Err(error) = told {
            // Settling rereads the table, which serves as well.
            debug!("the kernel refused it: {error}");
        }
    }
    settle(&disk, system, &table)?;
    let followed_by = match room {
        Room::UpTo(_) => {
            info!("partition {number} now reaches the disk's end: {}", gibibytes(length_bytes));
            None
        }
        Room::Full => None,
        Room::Followed(by) => {
            warn!("{by} follows the root's partition {number}, which therefore stays as it is");
            Some(by)
        }
    };
    // After a reread the kernel may know it by another number.
    let shown = system.partition(&disk.disk, number).ok_or_else(|| gone(&found))?;
    let found = FoundRoot { number: shown.device, table: Some(table), ..found };
    Ok(Partitioned { found, device_bytes: length_bytes, grown, followed_by })
}

/// Writes one step, and flushes it to the disk.
fn write(disk: &OpenDisk, step: &Step) -> Result<(), Failure> {
    let Step { what, extent } = step;
    debug!("writing {what}: {} bytes at {}", extent.bytes.len(), extent.offset_bytes);
    disk.file
        .write_all_at(&extent.bytes, extent.offset_bytes)
        .and_then(|()| disk.file.sync_all())
        .with_context(|| format!("writing {what} of {}", disk.disk.describe()))
        .because(Cause::DiskIo)
}

/// Reads the table that was written, which has to be the planned one.
fn verify(
    disk: &OpenDisk,
    before: &PartitionTable,
    number: u32,
    room: &Room,
) -> Result<PartitionTable, Failure> {
    let mut planned = before.clone();
    if let Room::UpTo(last_lba) = room {
        for partition in planned.partitions.iter_mut().filter(|each| each.number == number) {
            partition.last_lba = *last_lba;
        }
    }
    let table = read_table(disk)?;
    if table.as_ref() == Some(&planned) {
        return Ok(planned);
    }
    Err(Failure::new(
        Cause::VerifyFailed,
        format_args!("the partition table of {} is not the one that was written", disk.disk.describe()),
    ))
}

fn length_bytes(table: &PartitionTable, number: u32) -> Option<u64> {
    table.partitions.iter().find(|each| each.number == number).map(|each| each.length_bytes(table))
}

fn gone(found: &FoundRoot) -> Failure {
    Failure::new(
        Cause::PartitionTable,
        format_args!("the partition table changed while it was used: {}", found.describe()),
    )
}

fn because(error: PlanError, found: &FoundRoot) -> Failure {
    let cause = if matches!(error, PlanError::Io(_)) { Cause::DiskIo } else { Cause::PartitionTable };
    Failure { cause, error: error.into() }.context(format!("growing {}", found.describe()))
}

/// What was done, in a line: `root is partition 3, 1.4 → 7.9 GiB (ext4)`.
fn summary(found: &FoundRoot, growth: Growth, grown: bool, followed_by: Option<&str>) -> String {
    let Growth { before_bytes, after_bytes } = growth;
    let name = found.filesystem.name();
    let place = found.partition.map_or("the whole disk".to_owned(), |number| format!("partition {number}"));
    let size = if after_bytes > before_bytes {
        format!("{:.1} → {} ({name})", before_bytes as f64 / GIB, gibibytes(after_bytes))
    } else {
        format!("{} ({name})", gibibytes(after_bytes))
    };
    match followed_by {
        Some(by) => format!("root is {place}, {size}; the partition was not grown: {by} follows it"),
        None if after_bytes > before_bytes || grown => format!("root is {place}, {size}"),
        None => format!("root is {place}, {size}, and already fills the disk"),
    }
}

const GIB: f64 = 1_073_741_824.0;

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use common::disk::Disk;
    use common::mount::Filesystem;

    use super::*;

    fn found(partition: Option<u32>) -> FoundRoot {
        let disk = Disk {
            name: "sda".into(),
            node: PathBuf::from("/dev/sda"),
            number: (8, 0),
            size_bytes: 8 << 30,
            logical_block_size: 512,
            read_only: false,
            discard_max_bytes: 0,
            model: None,
            serial: None,
            wwid: None,
        };
        let filesystem = Filesystem::Ext4;
        let (node, number, os) = (PathBuf::from("/dev/sda3"), (8, 3), "Debian".into());
        FoundRoot { disk, table: None, partition, node, number, filesystem, subvolume: None, os }
    }

    #[test]
    fn the_last_line_says_what_was_done() {
        let gib = |before: f64, after: f64| Growth {
            before_bytes: (before * GIB) as u64,
            after_bytes: (after * GIB) as u64,
        };
        let all = [
            (
                summary(&found(Some(3)), gib(1.4, 7.9), true, None),
                "root is partition 3, 1.4 → 7.9 GiB (ext4)",
            ),
            (
                summary(&found(Some(3)), gib(1.4, 7.9), false, None),
                "root is partition 3, 1.4 → 7.9 GiB (ext4)",
            ),
            (
                summary(&found(Some(3)), gib(7.9, 7.9), false, None),
                "root is partition 3, 7.9 GiB (ext4), and already fills the disk",
            ),
            (
                summary(&found(None), gib(7.9, 7.9), false, None),
                "root is the whole disk, 7.9 GiB (ext4), and already fills the disk",
            ),
            (
                summary(&found(Some(1)), gib(1.0, 2.0), false, Some("partition 2 (1024 MiB)")),
                "root is partition 1, 1.0 → 2.0 GiB (ext4); the partition was not grown: partition 2 (1024 MiB) follows it",
            ),
        ];
        for (text, expected) in all {
            assert_eq!(text, expected);
        }
    }
}
