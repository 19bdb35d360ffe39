//! Whether a disk holds the image after a run.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::tool::{stopped, tool};

const PIECE_BYTES: u64 = 4 << 20;
const BLOCK_BYTES: u64 = 512;
/// The backup header of a GPT and its entries.
const BACKUP_BYTES: u64 = 33 * BLOCK_BYTES;

/// How a way leaves the image's partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// As it is in the image.
    Copied,
    /// Fitted to the disk: the size in the protective MBR and the primary header are changed, the backup is moved.
    Fitted,
}

/// Compares all bytes of an image with a disk.
///
/// # Errors
/// When one is another than it must be, with its place.
pub fn verify(image: &Path, disk: &Path, table: Table) -> Result<()> {
    let open = |path: &Path| File::open(path).with_context(|| format!("opening {}", path.display()));
    let (expected_file, found_file) = (open(image)?, open(disk)?);
    let length_bytes = expected_file.metadata()?.len();
    let mut expected = vec![0; PIECE_BYTES as usize];
    let mut found = expected.clone();
    for offset in (0..length_bytes).step_by(PIECE_BYTES as usize) {
        stopped()?;
        let length = PIECE_BYTES.min(length_bytes - offset) as usize;
        let (expected, found) = (&mut expected[..length], &mut found[..length]);
        expected_file.read_exact_at(expected, offset)?;
        found_file.read_exact_at(found, offset)?;
        if expected == found {
            continue;
        }
        let blocks = expected.chunks(BLOCK_BYTES as usize).zip(found.chunks(BLOCK_BYTES as usize));
        for (index, (expected, found)) in blocks.enumerate() {
            let at = offset + index as u64 * BLOCK_BYTES;
            let is_table = at < 2 * BLOCK_BYTES || at >= length_bytes - BACKUP_BYTES;
            if expected != found && !(table == Table::Fitted && is_table) {
                bail!("the disk is not the image: its block at byte {at} differs");
            }
        }
    }
    if table == Table::Fitted {
        let said = tool(Command::new("sgdisk").arg("--verify").arg(disk))?;
        ensure!(said.contains("No problems found"), "sgdisk finds on the disk: {said}");
    }
    Ok(())
}
