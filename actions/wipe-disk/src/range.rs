//! A part of a disk.

/// Bytes from `start_bytes` up to `end_bytes`, which is not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    pub(crate) start_bytes: u64,
    pub(crate) end_bytes: u64,
}

impl Range {
    pub(crate) fn length_bytes(self) -> u64 {
        self.end_bytes - self.start_bytes
    }
}
