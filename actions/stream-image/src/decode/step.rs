//! One step of a decoder.

/// What a decoder did with what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    /// The member, frame or stream is complete.
    pub(super) ended: bool,
}

impl Step {
    pub(super) const NONE: Self = Self { consumed: 0, produced: 0, ended: false };
}
