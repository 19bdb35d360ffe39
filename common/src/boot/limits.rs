//! How much of what others wrote is looked at, so that hostile files end soon, too.

/// A file that configures a boot loader. One with 200 kernels has less than half of it.
pub(super) const CONFIG_BYTES: u64 = 1 << 20;

/// A small file: an entry, a command line, os-release.
pub(super) const SMALL_BYTES: u64 = 64 * 1024;

/// Entries of the Boot Loader Specification in one folder.
pub(super) const MOST_ENTRIES: usize = 512;

/// The work that one search may take. One unit is a command of a script or 64 bytes that a word became; a look at a file
/// costs as much as [`LOOK`] of them.
const WORK: u32 = 100_000;

/// What a look at a file costs.
const LOOK: u32 = 20;

/// All that is read of files.
const READ_BYTES: u64 = 8 << 20;

/// What is left to spend.
#[derive(Debug)]
pub(super) struct Budget {
    work: u32,
    read_bytes: u64,
}

/// A search that took too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

impl Budget {
    pub(super) fn new() -> Self {
        Self { work: WORK, read_bytes: READ_BYTES }
    }

    /// Spends work on this many bytes.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), TooMuch> {
        let cost = u32::try_from(1 + bytes / 64).unwrap_or(u32::MAX);
        self.work = self.work.checked_sub(cost).ok_or(TooMuch)?;
        Ok(())
    }

    /// Spends a look at a file.
    pub(super) fn look(&mut self) -> Result<(), TooMuch> {
        self.work = self.work.checked_sub(LOOK).ok_or(TooMuch)?;
        Ok(())
    }

    /// Spends what a file took that was read.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), TooMuch> {
        self.look()?;
        self.read_bytes = self.read_bytes.checked_sub(bytes as u64).ok_or(TooMuch)?;
        Ok(())
    }
}
