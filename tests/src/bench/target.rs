//! The disk that is written: a loop device past the page cache, in the same state before every run.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::fs::OFlags;

use super::tool::{stopped, tool};
use crate::loop_device::LoopDevice;

const PIECE_BYTES: usize = 4 << 20;
const ALIGNMENT: usize = 4096;

/// What a disk is like before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// All of it was written, with something that is no image. A real disk has all its blocks; a file that has not
    /// would make whoever writes less, or writes zeros, pay or save what no disk charges. And what is left out by
    /// mistake shows.
    Full,
    /// A file that takes no room: for a disk larger than this machine's.
    Sparse,
}

/// A disk.
#[derive(Debug)]
pub struct Target {
    device: LoopDevice,
    file: TempFile,
}

#[derive(Debug)]
struct TempFile(PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("removing {}: {error}", self.0.display());
        }
    }
}

impl Target {
    /// A new disk over a new file in a folder.
    ///
    /// # Errors
    /// When there is no room, or the kernel's loop driver cannot go past the page cache there.
    pub fn new(folder: &Path, size_bytes: u64, before: Before) -> Result<Self> {
        let path = folder.join(format!("disk-{}", std::process::id()));
        let file = TempFile(path.clone());
        let make = || match before {
            Before::Full => fill(&path, size_bytes),
            Before::Sparse => Ok(File::create(&path)?.set_len(size_bytes)?),
        };
        make().with_context(|| format!("making {} of {} MiB", path.display(), size_bytes >> 20))?;
        let device = LoopDevice::over(&path, &["--direct-io=on"]);
        let name = device.node().file_name().expect("a loop device has a name").to_string_lossy();
        let direct = format!("/sys/block/{name}/loop/dio");
        let is_direct = fs::read_to_string(&direct).with_context(|| format!("reading {direct}"))?;
        ensure!(
            is_direct.trim() == "1",
            "{} has a filesystem without direct I/O: what would be measured is the page cache; use another disk",
            folder.display()
        );
        Ok(Self { device, file })
    }

    /// The device.
    pub fn node(&self) -> &Path {
        self.device.node()
    }

    /// Takes the device away, and hands what is in the file below to `look`.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn detached<T>(self, look: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let Self { device, file } = self;
        tool(Command::new("blockdev").arg("--flushbufs").arg(device.node()))?;
        drop(device);
        look(&file.0)
    }
}

/// Writes a whole file past the page cache, so that neither reads nor late writes of it disturb what is measured.
fn fill(path: &Path, size_bytes: u64) -> Result<()> {
    let flags = i32::try_from(OFlags::DIRECT.bits()).context("O_DIRECT as open(2) takes it")?;
    let file = File::options().write(true).create(true).truncate(true).custom_flags(flags).open(path)?;
    // At once, so that its blocks lie together.
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size_bytes)?;
    let memory = vec![0xa5; PIECE_BYTES + ALIGNMENT];
    let address = memory.as_ptr().addr();
    let start = address.next_multiple_of(ALIGNMENT) - address;
    for offset in (0..size_bytes).step_by(PIECE_BYTES) {
        stopped()?;
        let length = (size_bytes - offset).min(PIECE_BYTES as u64) as usize;
        file.write_all_at(&memory[start..][..length], offset)?;
    }
    Ok(file.sync_all()?)
}
