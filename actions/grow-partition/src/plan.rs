//! What is to be written so that the root's partition reaches the disk's end. It reads the table, and writes nothing.

use std::io;

use common::table::gpt::{self, GptError, Header};
use common::table::mbr::{BootRecord, ENTRIES_AT, Entry};
use common::table::relocate::{Extent, FitError, fit};
use common::table::{Partition, PartitionTable, ReadAt, TableKind};

/// Partitions end on a multiple of this, as all tools have it.
const ALIGNMENT_BYTES: u64 = 1 << 20;

/// The first block that an entry of an MBR cannot speak of.
const MBR_END_LBA: u64 = 1 << 32;

/// Where an entry of a GPT has its last block.
const GPT_LAST_LBA_AT: usize = 40;

/// The most boot records of a chain; a longer one was refused when the table was read.
const MOST_RECORDS: usize = 256;

/// Whether the root's partition can become longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Room {
    /// Up to this block.
    UpTo(u64),
    /// It reaches the disk's end already.
    Full,
    /// This stands between it and the disk's end.
    Followed(String),
}

/// One step of writing, to be flushed before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is written, for the log.
    pub(crate) what: &'static str,
    /// The bytes, and where they go.
    pub(crate) extent: Extent,
}

/// What is to be done to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whether the partition can become longer.
    pub(crate) room: Room,
    /// What differs on the disk from what it should be, in the order of writing. A run that is killed between two of them
    /// leaves a table that reads as before or as planned.
    pub(crate) steps: Vec<Step>,
    /// Whether blocks at the disk's end cannot be used, because an MBR cannot speak of them.
    pub(crate) beyond_mbr: bool,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The disk cannot be read.
    #[error("reading the partition table: {0}")]
    Io(#[from] io::Error),
    /// No copy of the GPT is right.
    #[error("no copy of the GPT can be read: {0}")]
    Gpt(GptError),
    /// The GPT cannot be fitted to the disk.
    #[error("{0}")]
    Fit(#[from] FitError),
    /// The table has no such partition any more.
    #[error("the table has no partition {0}")]
    Gone(u32),
}

/// Plans the growth of partition `number` on a disk of `size_bytes` with this table.
///
/// # Errors
/// [`PlanError`].
pub(crate) fn plan<R: ReadAt + ?Sized>(
    disk: &R,
    size_bytes: u64,
    table: &PartitionTable,
    number: u32,
) -> Result<Plan, PlanError> {
    let root = table.partitions.iter().find(|each| each.number == number).ok_or(PlanError::Gone(number))?;
    match table.kind {
        TableKind::Gpt => plan_gpt(disk, size_bytes, table, root),
        TableKind::Mbr => plan_mbr(disk, size_bytes, table, root),
    }
}

fn plan_gpt<R: ReadAt + ?Sized>(
    disk: &R,
    size_bytes: u64,
    table: &PartitionTable,
    root: &Partition,
) -> Result<Plan, PlanError> {
    let logical_block_size = table.logical_block_size;
    let blocks = size_bytes / u64::from(logical_block_size);
    let mut copy = match gpt::read_primary(disk, blocks, logical_block_size)? {
        Ok(copy) => copy,
        Err(_) => gpt::read_backup(disk, blocks, logical_block_size)?.map_err(PlanError::Gpt)?,
    };
    let follower = table
        .partitions
        .iter()
        .filter(|each| each.first_lba > root.last_lba)
        .min_by_key(|each| each.first_lba);
    let boot_record = read(disk, 0, logical_block_size as usize)?;
    let end_lba = fit(&copy, &boot_record, size_bytes)?.last_usable_lba + 1;
    let room = room(root, follower.map(|each| describe(each, table)), end_lba, logical_block_size);
    let old_backup_lba = [copy.header.own_lba(), copy.header.other_lba()].into_iter().max().unwrap_or(0);
    if let Room::UpTo(last_lba) = room {
        let at = (root.number as usize - 1) * copy.header.entry_bytes() as usize + GPT_LAST_LBA_AT;
        copy.entries[at..at + 8].copy_from_slice(&last_lba.to_le_bytes());
    }
    let fitted = fit(&copy, &boot_record, size_bytes)?;
    let stale = stale_header(disk, table, old_backup_lba, &fitted.backup)?;
    let all = [
        Some(("the last copy of the GPT", fitted.backup)),
        // Before the first header forgets where it is: a run that is killed finds it again.
        stale.map(|extent| ("zeros over the older last copy of the GPT", extent)),
        Some(("the entries of the first copy of the GPT", fitted.entries)),
        Some(("the header of the first copy of the GPT", fitted.header)),
        Some(("the protective MBR", fitted.boot_record)),
    ];
    Ok(Plan { room, steps: differing(disk, all.into_iter().flatten())?, beyond_mbr: false })
}

/// The header of a last copy that is not at the disk's end any more, if it is still there and in no partition.
fn stale_header<R: ReadAt + ?Sized>(
    disk: &R,
    table: &PartitionTable,
    lba: u64,
    backup: &Extent,
) -> io::Result<Option<Extent>> {
    let block_size = u64::from(table.logical_block_size);
    let in_use =
        lba <= 1 || table.partitions.iter().any(|each| (each.first_lba..=each.last_lba).contains(&lba));
    let offset_bytes = lba.saturating_mul(block_size);
    if in_use || offset_bytes >= backup.offset_bytes {
        return Ok(None);
    }
    let block = read(disk, offset_bytes, block_size as usize)?;
    Ok(Header::parse(&block, lba).is_ok().then(|| Extent { offset_bytes, bytes: vec![0; block.len()] }))
}

/// An entry of a boot record, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    record_lba: u64,
    index: usize,
    role: Role,
    first_lba: u64,
    blocks: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary,
    Extended,
    Logical,
    /// The entry of a boot record that leads to the next one.
    Link,
}

impl Slot {
    fn end_lba(self) -> u64 {
        self.first_lba + self.blocks
    }
}

fn plan_mbr<R: ReadAt + ?Sized>(
    disk: &R,
    size_bytes: u64,
    table: &PartitionTable,
    root: &Partition,
) -> Result<Plan, PlanError> {
    let block_size = table.logical_block_size;
    let slots = slots(disk, block_size)?;
    let find = |wanted: &dyn Fn(&Slot) -> bool| slots.iter().copied().find(wanted);
    let is_root = |slot: &Slot| {
        matches!(slot.role, Role::Primary | Role::Logical)
            && (slot.first_lba, slot.end_lba()) == (root.first_lba, root.last_lba + 1)
    };
    let own = find(&is_root).ok_or(PlanError::Gone(root.number))?;
    // A logical partition grows with what it is in.
    let container = find(&|slot| {
        own.role == Role::Logical
            && slot.role == Role::Extended
            && (slot.first_lba..slot.end_lba()).contains(&own.first_lba)
    });
    let link = find(&|slot| {
        own.role == Role::Logical && slot.role == Role::Link && slot.first_lba == own.record_lba
    });
    let follower = slots
        .iter()
        .filter(|slot| slot.first_lba > own.first_lba)
        .filter(|slot| match slot.role {
            Role::Primary | Role::Extended => true,
            Role::Logical => own.role == Role::Logical,
            Role::Link => false,
        })
        .min_by_key(|slot| slot.first_lba)
        .map(|slot| describe_slot(slot, table));
    let blocks = size_bytes / u64::from(block_size);
    let room = room(root, follower, blocks.min(MBR_END_LBA), block_size);
    let mut steps = Vec::new();
    if let Room::UpTo(last_lba) = room {
        let outer =
            [("the entry of the extended partition", container), ("the link to the logical partition", link)];
        let outer = outer.into_iter().filter_map(|(what, slot)| Some((what, slot?)));
        for (what, slot) in outer.chain([("the entry of the partition", own)]) {
            let offset_bytes = slot.record_lba * u64::from(block_size);
            // A record can be in two steps, the later one goes on from the earlier.
            let earlier = steps.iter().rev().find(|step: &&Step| step.extent.offset_bytes == offset_bytes);
            let mut bytes = match earlier {
                Some(step) => step.extent.bytes.clone(),
                None => read(disk, offset_bytes, block_size as usize)?,
            };
            lengthen(&mut bytes, slot, (last_lba + 1).max(slot.end_lba()));
            steps.push(Step { what, extent: Extent { offset_bytes, bytes } });
        }
    }
    Ok(Plan { room, steps, beyond_mbr: blocks > MBR_END_LBA })
}

/// Gives an entry its new length, and as the last cylinder, head and sector the mark that they do not matter.
fn lengthen(record: &mut [u8], slot: Slot, end_lba: u64) {
    let entry = &mut record[ENTRIES_AT + 16 * slot.index..][..16];
    let blocks = u32::try_from(end_lba - slot.first_lba).unwrap_or(u32::MAX);
    entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[12..16].copy_from_slice(&blocks.to_le_bytes());
}

/// All entries of an MBR and of the chain behind it.
fn slots<R: ReadAt + ?Sized>(disk: &R, block_size: u32) -> io::Result<Vec<Slot>> {
    let record = |lba: u64| -> io::Result<Vec<(usize, Entry)>> {
        let block = read(disk, lba * u64::from(block_size), block_size as usize)?;
        let entries =
            BootRecord::parse(&block).map(|record| record.entries.into_iter().enumerate().collect());
        let used = |(_, entry): &(usize, Entry)| entry.kind != 0 && entry.blocks != 0;
        Ok(entries.map(|all: Vec<_>| all.into_iter().filter(used).collect()).unwrap_or_default())
    };
    let slot = |record_lba, index, role, base_lba: u64, entry: Entry| Slot {
        record_lba,
        index,
        role,
        first_lba: base_lba + u64::from(entry.first_lba),
        blocks: entry.blocks.into(),
    };
    let mut slots = Vec::new();
    for (index, entry) in record(0)? {
        let role = if is_extended(entry) { Role::Extended } else { Role::Primary };
        slots.push(slot(0, index, role, 0, entry));
    }
    for extended in slots.clone().into_iter().filter(|slot| slot.role == Role::Extended) {
        let mut next = Some(extended.first_lba);
        for _ in 0..MOST_RECORDS {
            let Some(lba) = next.take() else { break };
            for (index, entry) in record(lba)? {
                if is_extended(entry) {
                    let link = slot(lba, index, Role::Link, extended.first_lba, entry);
                    next = next.or(Some(link.first_lba));
                    slots.push(link);
                } else {
                    slots.push(slot(lba, index, Role::Logical, lba, entry));
                }
            }
        }
    }
    Ok(slots)
}

fn is_extended(entry: Entry) -> bool {
    matches!(entry.kind, 0x05 | 0x0f | 0x85)
}

fn room(root: &Partition, follower: Option<String>, end_lba: u64, logical_block_size: u32) -> Room {
    if let Some(follower) = follower {
        return Room::Followed(follower);
    }
    let alignment_blocks = (ALIGNMENT_BYTES / u64::from(logical_block_size)).max(1);
    let end_lba = end_lba / alignment_blocks * alignment_blocks;
    if end_lba > root.last_lba + 1 { Room::UpTo(end_lba - 1) } else { Room::Full }
}

fn describe(partition: &Partition, table: &PartitionTable) -> String {
    let name = partition.name.as_ref().map(|name| format!("{name:?}, ")).unwrap_or_default();
    format!(
        "partition {} ({name}{:.0} MiB)",
        partition.number,
        partition.length_bytes(table) as f64 / 1_048_576.0
    )
}

fn describe_slot(slot: &Slot, table: &PartitionTable) -> String {
    match table.partitions.iter().find(|each| each.first_lba == slot.first_lba) {
        Some(partition) => describe(partition, table),
        None => format!("the extended partition {}", slot.index + 1),
    }
}

/// The steps that change something.
fn differing<R: ReadAt + ?Sized>(
    disk: &R,
    all: impl Iterator<Item = (&'static str, Extent)>,
) -> io::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for (what, extent) in all {
        if read(disk, extent.offset_bytes, extent.bytes.len())? != extent.bytes {
            steps.push(Step { what, extent });
        }
    }
    Ok(steps)
}

fn read<R: ReadAt + ?Sized>(disk: &R, offset_bytes: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    disk.read_exact_at(&mut bytes, offset_bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
