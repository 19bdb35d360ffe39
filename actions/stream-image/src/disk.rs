//! The disk: both ends zeroed first, what is held back written last.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Context;
use common::cause::Cause;
use common::disk::OpenDisk;
use common::failure::{Because, Failure};
use tracing::debug;

use crate::figures::grouped;
use crate::plan::{END_BYTES, Layout, Plan};

/// Zeros the first and the last MiB, so that nothing older boots, and flushes them.
///
/// # Errors
/// [`Cause::DiskIo`]
pub(crate) fn zero_ends(disk: &OpenDisk) -> Result<(), Failure> {
    let zeros = vec![0; END_BYTES.min(usize::try_from(disk.disk.size_bytes).unwrap_or(usize::MAX))];
    let last_bytes = disk.disk.size_bytes - zeros.len() as u64;
    for offset_bytes in [0, last_bytes] {
        write_at(&disk.file, &zeros, offset_bytes, "zeroing an end of the disk")?;
    }
    flush(&disk.file, "flushing the zeroed ends of the disk")
}

/// Flushes everything down to the disk's medium.
pub(crate) fn flush(file: &File, doing: &'static str) -> Result<(), Failure> {
    file.sync_all().context(doing).because(Cause::DiskIo)
}

fn write_at(file: &File, bytes: &[u8], offset_bytes: u64, doing: &str) -> Result<(), Failure> {
    file.write_all_at(bytes, offset_bytes)
        .with_context(|| format!("{doing}: writing {} bytes at byte {}", bytes.len(), grouped(offset_bytes)))
        .because(Cause::DiskIo)
}

/// What is held back of an image until all of it is verified: both ends of the disk, as they will be.
pub(crate) struct HeldBack {
    /// The image's first bytes.
    pub(crate) head: Vec<u8>,
    /// The disk's last bytes.
    pub(crate) tail: Vec<u8>,
}

impl HeldBack {
    pub(crate) fn new(head: Vec<u8>, plan: &Plan, size_bytes: u64) -> Self {
        let tail = vec![0; (size_bytes - plan.tail_start_bytes) as usize];
        Self { head, tail }
    }

    /// Fits the partition table to the disk, in memory.
    pub(crate) fn fit(&mut self, plan: &Plan) {
        let Layout::Gpt { fitted, .. } = &plan.layout else { return };
        for extent in [&fitted.entries, &fitted.header, &fitted.boot_record] {
            put(&mut self.head, extent.offset_bytes as usize, &extent.bytes);
        }
        if let Some(at) = stale_backup(plan) {
            let block = fitted.header.bytes.len();
            let in_tail =
                at.checked_sub(plan.tail_start_bytes).and_then(|at| self.tail.get_mut(at as usize..));
            let held = in_tail.or_else(|| self.head.get_mut(usize::try_from(at).ok()?..)).unwrap_or_default();
            if is_gpt_header(held) && held.len() >= block {
                held[..block].fill(0);
            }
        }
        put(
            &mut self.tail,
            (fitted.backup.offset_bytes - plan.tail_start_bytes) as usize,
            &fitted.backup.bytes,
        );
    }

    /// Writes both ends: from here on the disk boots. The disk's end first, then the beginning, block 0 at the very
    /// last, each flushed.
    ///
    /// # Errors
    /// [`Cause::DiskIo`]
    pub(crate) fn write(&self, disk: &OpenDisk, plan: &Plan) -> Result<(), Failure> {
        wipe_stale_backup(disk, plan, self.head.len() as u64)?;
        write_at(&disk.file, &self.tail, plan.tail_start_bytes, "writing the disk's end")?;
        flush(&disk.file, "flushing the disk's end")?;
        let block = (disk.disk.logical_block_size as usize).min(self.head.len());
        write_at(&disk.file, &self.head[block..], block as u64, "writing the image's beginning")?;
        flush(&disk.file, "flushing the image's beginning")?;
        write_at(&disk.file, &self.head[..block], 0, "writing block 0")?;
        flush(&disk.file, "flushing block 0")
    }
}

fn put(target: &mut [u8], at: usize, bytes: &[u8]) {
    target[at..at + bytes.len()].copy_from_slice(bytes);
}

fn stale_backup(plan: &Plan) -> Option<u64> {
    let Layout::Gpt { fitted, .. } = &plan.layout else { return None };
    // A header fills a block.
    fitted.stale_backup_lba.map(|lba| lba * fitted.header.bytes.len() as u64)
}

fn is_gpt_header(block: &[u8]) -> bool {
    block.starts_with(b"EFI PART")
}

/// The image's own last copy would be found again by tools that search for it, once the disk has another end.
fn wipe_stale_backup(disk: &OpenDisk, plan: &Plan, head_bytes: u64) -> Result<(), Failure> {
    let Some(at) = stale_backup(plan).filter(|at| (head_bytes..plan.tail_start_bytes).contains(at)) else {
        return Ok(());
    };
    let mut block = vec![0; disk.disk.logical_block_size as usize];
    disk.file
        .read_exact_at(&mut block, at)
        .context("reading the image's own last GPT")
        .because(Cause::DiskIo)?;
    if is_gpt_header(&block) {
        debug!("wiping the image's own last GPT at byte {at}");
        block.fill(0);
        write_at(&disk.file, &block, at, "wiping the image's own last GPT")?;
    }
    Ok(())
}

/// Drops what the page cache still has of the disk, so that readers see what is on it.
pub(crate) fn forget_cache(disk: &OpenDisk) {
    if let Err(error) = rustix::fs::fadvise(&disk.file, 0, None, rustix::fs::Advice::DontNeed) {
        debug!("dropping the page cache of {}: {error}", disk.disk.name);
    }
}
