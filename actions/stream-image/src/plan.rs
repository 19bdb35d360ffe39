//! What will be written where, from the first bytes of the image and what is known of the disk. Nothing here touches a
//! disk: whatever is refused here leaves it as it was.

use common::cause::Cause;
use common::failure::Failure;
use common::table::gpt::{GptCopy, GptError, Header, with_entries};
use common::table::mbr::BootRecord;
use common::table::relocate::{Fitted, fit};

use crate::content::{filesystem, mistaken};
use crate::figures::{grouped, size};

/// What is held back of an image until all of it is verified, and what is zeroed at both ends of the disk: an MBR, both
/// GPTs, and the first copies of nearly every filesystem's and RAID's label lie there.
pub(crate) const END_BYTES: usize = 1 << 20;
/// The farthest that a partition table's entries may lie from the beginning: all before them is held in memory.
const LARGEST_HEAD_BYTES: u64 = 16 << 20;
const BLOCK_SIZES: [u32; 2] = [512, 4096];

/// What is known of the disk.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// For messages.
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    pub(crate) logical_block_size: u32,
}

/// What an image begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A GPT, and how it will stand on this disk.
    Gpt { fitted: Box<Fitted>, moved: bool, partitions: usize },
    /// An MBR.
    Mbr,
    /// A filesystem without a partition table.
    Filesystem(&'static str),
    /// Something unknown, which is allowed.
    Unknown(String),
}

/// What will be written where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) layout: Layout,
    /// The partition table speaks of so many bytes: an image that has fewer is not whole.
    pub(crate) least_bytes: u64,
    /// From here to the disk's end, too, the image is held back.
    pub(crate) tail_start_bytes: u64,
}

impl Plan {
    /// The image's length, as far as its table says.
    pub(crate) fn expected_bytes(&self) -> Option<u64> {
        (self.least_bytes > 0).then_some(self.least_bytes)
    }

    /// For a log line.
    pub(crate) fn describe(&self) -> String {
        match &self.layout {
            Layout::Gpt { partitions, .. } => {
                format!("a GPT with {partitions} partitions, {}", size(self.least_bytes))
            }
            Layout::Mbr => format!("an MBR, its partitions end at {}", size(self.least_bytes)),
            Layout::Filesystem(name) => format!("a filesystem without a partition table ({name})"),
            Layout::Unknown(what) => format!("unknown content ({what})"),
        }
    }
}

/// How many bytes of the image must be known before it can be planned: the first MiB, more where a GPT's entries lie
/// behind it.
pub(crate) fn head_bytes(first: &[u8], logical_block_size: u32) -> usize {
    let end_bytes = gpt_header(first, logical_block_size)
        .ok()
        .and_then(|header| {
            let end_lba = header.entries_lba().checked_add(header.array_blocks(logical_block_size))?;
            end_lba.checked_mul(logical_block_size.into())
        })
        .filter(|end_bytes| *end_bytes <= LARGEST_HEAD_BYTES)
        .unwrap_or(0) as usize;
    end_bytes.max(END_BYTES).next_multiple_of(END_BYTES)
}

/// Plans the image that begins with `head`, all of it where it is shorter than [`head_bytes`]. `length_bytes` is the
/// image's length where that is known.
///
/// # Errors
/// [`Cause::ImageEmpty`], [`Cause::ImageContent`], [`Cause::ImageTruncated`], [`Cause::PartitionTable`],
/// [`Cause::BlockSize`], [`Cause::DiskTooSmall`].
pub(crate) fn plan(
    head: &[u8],
    target: &Target,
    length_bytes: Option<u64>,
    allow_unknown_content: bool,
) -> Result<Plan, Failure> {
    if head.is_empty() {
        return Err(Failure::new(Cause::ImageEmpty, "the image has 0 bytes"));
    }
    let boot_record = BootRecord::parse(head);
    let plan = match boot_record {
        Some(record) if record.announces_gpt() => gpt(head, target)?,
        Some(record) if record.entries.iter().any(|entry| entry.kind != 0 && entry.blocks != 0) => {
            mbr(&record, target, length_bytes)?
        }
        _ => bare(head, target, allow_unknown_content)?,
    };
    let needed_bytes = plan.least_bytes.max(length_bytes.unwrap_or(0)).max(head.len() as u64);
    if needed_bytes > target.size_bytes || plan.tail_start_bytes < head.len() as u64 {
        return Err(too_small(needed_bytes.max(2 * END_BYTES as u64), target));
    }
    match length_bytes {
        Some(length_bytes) if length_bytes < plan.least_bytes => {
            Err(shorter_than_its_table(length_bytes, &plan))
        }
        _ => Ok(plan),
    }
}

/// An image that ended before its own partition table says.
pub(crate) fn shorter_than_its_table(length_bytes: u64, plan: &Plan) -> Failure {
    Failure::new(
        Cause::ImageTruncated,
        format_args!(
            "the image has {} bytes, and its partition table speaks of {}",
            grouped(length_bytes),
            grouped(plan.least_bytes)
        ),
    )
}

fn gpt_header(head: &[u8], logical_block_size: u32) -> Result<Header, GptError> {
    let block_size = logical_block_size as usize;
    let end = head.len().min(2 * block_size);
    Header::parse(head.get(block_size..end).unwrap_or_default(), 1)
}

fn gpt(head: &[u8], target: &Target) -> Result<Plan, Failure> {
    let block_size = target.logical_block_size;
    let header = gpt_header(head, block_size).map_err(|error| {
        let other = BLOCK_SIZES.into_iter().find(|other| *other != block_size && gpt_header(head, *other).is_ok());
        match other {
            Some(other) => Failure::new(
                Cause::BlockSize,
                format_args!(
                    "the image was made for disks with logical blocks of {other} bytes, and {} has {block_size}",
                    target.name
                ),
            ),
            None => damaged(&error),
        }
    })?;
    let blocks = header.other_lba().checked_add(1).ok_or_else(|| damaged(&"its last copy is nowhere"))?;
    header.fits(blocks, block_size).map_err(|error| damaged(&error))?;
    let start = header.entries_lba().saturating_mul(block_size.into());
    if start.saturating_add(header.array_bytes()) > LARGEST_HEAD_BYTES {
        return Err(damaged(&format!(
            "its entries begin at byte {}, more than {LARGEST_HEAD_BYTES} is not supported",
            grouped(start)
        )));
    }
    let start = start as usize;
    let entries = head.get(start..start + header.array_bytes() as usize).ok_or_else(|| {
        Failure::new(
            Cause::ImageTruncated,
            format_args!(
                "the image ended at byte {}, within its partition table",
                grouped(head.len() as u64)
            ),
        )
    })?;
    let copy = with_entries(header, entries.to_vec(), block_size).map_err(|error| damaged(&error))?;
    let table = copy.table();
    table.check(blocks).map_err(|error| damaged(&error))?;
    let least_bytes = blocks.saturating_mul(block_size.into());
    let fitted = fitted(&copy, head, target, least_bytes)?;
    let tail_bytes = fitted.backup.bytes.len().next_multiple_of(END_BYTES) as u64;
    Ok(Plan {
        layout: Layout::Gpt {
            moved: copy.header.other_lba() != target.size_bytes / u64::from(block_size) - 1,
            partitions: table.partitions.len(),
            fitted: Box::new(fitted),
        },
        least_bytes,
        tail_start_bytes: whole_blocks(target).saturating_sub(tail_bytes),
    })
}

/// The GPT on this disk. On one that is too small, the figures of the whole image say more than those of its table.
fn fitted(copy: &GptCopy, head: &[u8], target: &Target, least_bytes: u64) -> Result<Fitted, Failure> {
    fit(copy, head, target.size_bytes).map_err(|error| match least_bytes > target.size_bytes {
        true => too_small(least_bytes, target),
        false => damaged(&error),
    })
}

fn too_small(needed_bytes: u64, target: &Target) -> Failure {
    let (needed, there) = (grouped(needed_bytes), grouped(target.size_bytes));
    Failure::new(
        Cause::DiskTooSmall,
        format_args!("the image needs {needed} bytes, and {} has {there}", target.name),
    )
}

fn damaged(why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Cause::PartitionTable, format_args!("the image announces a GPT, and it is damaged: {why}"))
}

fn mbr(record: &BootRecord, target: &Target, length_bytes: Option<u64>) -> Result<Plan, Failure> {
    let ends = record.entries.iter().filter(|entry| entry.kind != 0);
    let end_lba = ends.map(|entry| u64::from(entry.first_lba) + u64::from(entry.blocks)).max().unwrap_or(0);
    let least_bytes = end_lba * u64::from(target.logical_block_size);
    // An MBR does not say what its blocks are. Where the image fits them as 512 bytes, and is too short for more, they are.
    if let Some(failure) = length_bytes.and_then(|length_bytes| made_for_512(end_lba, length_bytes, target)) {
        return Err(failure);
    }
    Ok(Plan { layout: Layout::Mbr, least_bytes, tail_start_bytes: default_tail(target) })
}

/// Why an image with an MBR whose partitions end at this block does not belong on this disk, as its length shows.
fn made_for_512(end_lba: u64, length_bytes: u64, target: &Target) -> Option<Failure> {
    let block_size = target.logical_block_size;
    let fits_512 = length_bytes >= end_lba * 512;
    (block_size != 512 && fits_512 && length_bytes < end_lba * u64::from(block_size)).then(|| {
        Failure::new(
            Cause::BlockSize,
            format_args!(
                "the image was made for disks with logical blocks of 512 bytes, and {} has {block_size}",
                target.name
            ),
        )
    })
}

/// What is wrong with an image of this length, once all of it is there.
///
/// # Errors
/// [`Cause::ImageTruncated`], [`Cause::BlockSize`].
pub(crate) fn check_length(plan: &Plan, target: &Target, length_bytes: u64) -> Result<(), Failure> {
    if length_bytes >= plan.least_bytes {
        return Ok(());
    }
    let end_lba = plan.least_bytes / u64::from(target.logical_block_size);
    let other_blocks =
        (plan.layout == Layout::Mbr).then(|| made_for_512(end_lba, length_bytes, target)).flatten();
    Err(other_blocks.unwrap_or_else(|| shorter_than_its_table(length_bytes, plan)))
}

fn bare(head: &[u8], target: &Target, allow_unknown_content: bool) -> Result<Plan, Failure> {
    let layout = match filesystem(head) {
        Some(name) => Layout::Filesystem(name),
        None if allow_unknown_content => Layout::Unknown(mistaken(head)),
        None => {
            return Err(Failure::new(
                Cause::ImageContent,
                format_args!(
                    "the image begins with no partition table and no filesystem; {}; ALLOW_UNKNOWN_CONTENT=true writes it all the same",
                    mistaken(head)
                ),
            ));
        }
    };
    Ok(Plan { layout, least_bytes: 0, tail_start_bytes: default_tail(target) })
}

fn default_tail(target: &Target) -> u64 {
    whole_blocks(target).saturating_sub(END_BYTES as u64)
}

fn whole_blocks(target: &Target) -> u64 {
    target.size_bytes - target.size_bytes % u64::from(target.logical_block_size)
}

#[cfg(test)]
mod tests;
