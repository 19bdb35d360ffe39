//! What happens on the way, for whoever watches.

use std::time::Duration;

use crate::tinkerbell::Report;

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The six images go into a registry.
    Images,
    /// The image to install and the in-memory OS are made, or are there.
    Systems,
    /// `nibs` reads what the user has.
    Check,
    /// The virtual machine and its disk.
    Machine,
    /// The node boots from its disk.
    Boot,
}

impl Phase {
    /// What a line of it begins with.
    pub fn label(self) -> &'static str {
        match self {
            Self::Images => "registry",
            Self::Systems => "os",
            Self::Check => "check",
            Self::Machine => "vm",
            Self::Boot => "booted",
        }
    }

    /// What it does, for a live line and for an error.
    pub fn what(self) -> &'static str {
        match self {
            Self::Images => "pushing the images to a registry",
            Self::Systems => "making the operating systems",
            Self::Check => "checking the objects and making the Workflow",
            Self::Machine => "making the machine",
            Self::Boot => "booting from the disk",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A phase began.
    Begun(Phase),
    /// A phase ended well.
    Done {
        /// Which.
        phase: Phase,
        /// Its outcome.
        words: String,
        /// How long it took.
        took: Duration,
    },
    /// The agent reported a state.
    Action {
        /// The state.
        report: Report,
        /// What the action said last, at its end.
        words: Option<String>,
    },
    /// Something unusual that does not end the run.
    Word(String),
}
