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

/// The value of a parameter on a kernel's command line, as of `root` in `root=UUID=1 ro`: the last one counts. Quotes around it, or
/// around the parameter as a whole, are left out.
pub fn parameter<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    let mut rest = options;
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let mut quoted = false;
        let is_end = |c: char| {
            quoted ^= c == '"';
            c.is_ascii_whitespace() && !quoted
        };
        let (word, after) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
        rest = after;
        // What follows is for the first process.
        if word == "--" {
            break;
        }
        let word = word.strip_prefix('"').unwrap_or(word);
        if let Some(value) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
            let value = value.strip_prefix('"').unwrap_or(value);
            found = Some(value.strip_suffix('"').unwrap_or(value));
        }
    }
    found
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_parameter_counts() {
        for (options, expected) in [
            ("root=UUID=1 ro quiet", Some("UUID=1")),
            ("ro root=/dev/sda1 root=/dev/sdb1", Some("/dev/sdb1")),
            ("nfsroot=a ro", None),
            ("a=\"b root=no\" root=LABEL=x", Some("LABEL=x")),
            ("root=\"LABEL=a b\" ro", Some("LABEL=a b")),
            ("\"root=LABEL=a b\" ro", Some("LABEL=a b")),
            ("ro -- root=no", None),
            ("root", None),
            ("root=", Some("")),
            ("root=\"", Some("")),
            ("", None),
        ] {
            assert_eq!(parameter(options, "root"), expected, "{options:?}");
        }
    }
}
