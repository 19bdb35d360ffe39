//! What was found: an entry to start, and what was passed over on the way to it.

use tracing::debug;

use super::volumes::{BootFile, Volumes};

/// As many notes are kept; the rest is only counted.
const MOST_NOTES: usize = 64;

/// As much of a line is in a note.
const NOTE_CHARACTERS: usize = 200;

/// How an entry was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its kernel was given.
    Given,
    /// An entry of the Boot Loader Specification, as systemd-boot takes it.
    SystemdBoot,
    /// An entry of a grub.cfg.
    Grub,
    /// An entry of the Boot Loader Specification, as a grub.cfg with `blscfg` takes it.
    GrubEntries,
    /// The newest kernel in /boot, since no boot loader's configuration led to one.
    Newest,
}

impl Way {
    /// For a log line.
    pub fn words(self) -> &'static str {
        match self {
            Self::Given => "a kernel that was given",
            Self::SystemdBoot => "an entry of systemd-boot",
            Self::Grub => "an entry of GRUB",
            Self::GrubEntries => "a Boot Loader Specification entry of GRUB",
            Self::Newest => "the newest kernel",
        }
    }
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: BootFile,
    /// The line, from 1 on; 0 is the file as a whole.
    pub line: u32,
}

/// Something to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its title, without control characters; may be empty.
    pub title: String,
    /// How it was found.
    pub way: Way,
    /// Where it stands.
    pub place: Place,
    /// The kernel.
    pub kernel: BootFile,
    /// The initrds, which are loaded one behind the other: microcode first.
    pub initrds: Vec<BootFile>,
    /// The kernel's command line, as the kernel gets it.
    pub options: String,
    /// What was passed over, each with its place: constructs that are not known, files that could not be read.
    pub skipped: Vec<String>,
}

impl Entry {
    /// For a log line: `"Debian GNU/Linux" (an entry of GRUB, /boot/grub/grub.cfg line 112)`.
    pub fn describe(&self, volumes: &Volumes) -> String {
        let file = volumes.describe(&self.place.file);
        let line = if self.place.line == 0 { String::new() } else { format!(" line {}", self.place.line) };
        format!("{:?} ({}, {file}{line})", self.title, self.way.words())
    }
}

/// What was passed over.
#[derive(Debug, Default)]
pub(super) struct Notes {
    kept: Vec<String>,
    more: usize,
}

impl Notes {
    pub(super) fn add(&mut self, note: impl AsRef<str>) {
        if self.kept.len() == MOST_NOTES {
            self.more += 1;
            return;
        }
        let note = plain(note.as_ref(), NOTE_CHARACTERS);
        debug!("skipped: {note}");
        self.kept.push(note);
    }

    pub(super) fn into_kept(mut self) -> Vec<String> {
        if self.more > 0 {
            self.kept.push(format!("and {} more", self.more));
        }
        self.kept
    }

    /// The last of them, for a failure.
    pub(super) fn words(&self) -> String {
        self.kept.iter().rev().take(3).rev().cloned().collect::<Vec<_>>().join("; ")
    }
}

/// The beginning of a text, without control characters.
pub(super) fn plain(text: &str, most_characters: usize) -> String {
    text.chars().take(most_characters).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
