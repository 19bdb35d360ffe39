//! The files of a cycle's machine: its disks, and its firmware's variables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{clear, dirty_disk};
use crate::os;

/// The disk of the machine: larger than the image, so that there is something to grow into.
pub(super) const DISK_BYTES: u64 = 8 << 30;
/// Where the root of the Debian image begins (`tests/os/debian.sh`).
const ROOT_BYTES: u64 = 66 << 20;

/// The machine's disks and its firmware's variables. They go with it, unless `NIBS_KEEP` is set.
#[derive(Debug)]
pub struct DiskFile {
    /// The disk that a system is installed on.
    pub file: PathBuf,
    /// Another, with an older system.
    pub older: Option<PathBuf>,
    /// The firmware's variables; made by the machine.
    pub efi_variables: PathBuf,
    folder: PathBuf,
}

impl DiskFile {
    /// Beside the folder of the logs, not in it.
    pub(super) fn make(logs: &Path, older: bool) -> Result<Self> {
        let folder = logs.with_extension("disk");
        clear(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut disk = Self {
            file: folder.join("disk.raw"),
            older: None,
            efi_variables: folder.join("efi-variables.fd"),
            folder,
        };
        dirty_disk::write(&disk.file, DISK_BYTES)?;
        if older {
            let file = disk.folder.join("older.raw");
            write_older(&file)?;
            disk.older = Some(file);
        }
        Ok(disk)
    }

    /// Whether the older system is as it was.
    ///
    /// # Errors
    /// When it cannot be compared.
    pub(super) fn older_is_untouched(&self) -> Result<bool> {
        let Some(older) = &self.older else { return Ok(true) };
        let same = Command::new("cmp").arg("--silent").arg(older).arg(untouched(older)).status();
        Ok(same.context("starting cmp")?.success())
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        if std::env::var_os("NIBS_KEEP").is_none()
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            eprintln!("removing {}: {error}", self.folder.display());
        }
    }
}

/// A copy, for a comparison.
fn untouched(older: &Path) -> PathBuf {
    older.with_extension("untouched")
}

/// An installed Debian, whose root has another label and UUID than the one that is going to be installed: two that cannot be told
/// apart are refused.
fn write_older(file: &Path) -> Result<()> {
    let image = os::debian()?.raw;
    let run = |command: &mut Command| -> Result<()> {
        let output = command.output().with_context(|| format!("starting {:?}", command.get_program()))?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    };
    let copy = |from: &Path, to: &Path| {
        run(Command::new("cp").args(["--reflink=auto", "--sparse=always"]).arg(from).arg(to))
    };
    copy(&image, file)?;
    let root = format!("{}?offset={ROOT_BYTES}", file.display());
    run(Command::new("tune2fs").args(["-L", "older-root", "-U", "random", &root]))?;
    copy(file, &untouched(file))
}
