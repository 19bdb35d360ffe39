//! The serial console of a machine, as the file that QEMU writes it to.

use std::fs;
use std::path::{Path, PathBuf};

/// How many lines of the console an error shows.
const SHOWN_LINES: usize = 40;

/// Reads what a machine said on its serial console so far.
#[derive(Clone, Debug)]
pub(super) struct Console {
    file: PathBuf,
}

impl Console {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Everything, without what moves a cursor or sets a colour.
    pub(super) fn text(&self) -> String {
        plain(&String::from_utf8_lossy(&fs::read(&self.file).unwrap_or_default()))
    }

    /// The last lines that say something, under a heading.
    pub(super) fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        format!("--- end of the console ({})\n{}", self.file.display(), shown.join("\n"))
    }
}

/// `text` without terminal control sequences (ECMA-48 CSI) and control characters other than line feeds.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character == '\x1b' {
            if rest.next_if_eq(&'[').is_some() {
                // Parameters and intermediates, then one final byte of 0x40 to 0x7e.
                while rest.next_if(|c| !('\x40'..='\x7e').contains(c)).is_some() {}
            }
            rest.next();
        } else if character == '\n' || character == '\t' || !character.is_control() {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn colours_and_cursor_moves_are_left_out() {
        assert_eq!(
            plain("\x1b[2J\x1b[01;01H[\x1b[0;32m  OK  \x1b[0m] up\r\nlogin: "),
            "[  OK  ] up\nlogin: "
        );
        assert_eq!(plain("\x1b[0"), "");
    }
}
