//! GRUB's commands that load a kernel and its initrds.

use std::rc::Rc;

use super::machine::{Loaded, Machine, Outcome};
use crate::boot::entry::plain;
use crate::cause::Cause;
use crate::root_dir::Kind;

impl Machine<'_> {
    /// Takes a kernel and its command line.
    pub(super) fn linux(&mut self, words: &[String], line: u32) -> Outcome {
        self.loaded = Loaded::default();
        let Some((path, options)) = words.split_first() else { return Ok(false) };
        self.budget.look()?;
        match self.file(path).filter(|file| self.volumes.kind(file) == Some(Kind::File)) {
            Some(file) => {
                self.loaded.options = command_line(options);
                self.loaded.kernel = Some(file);
                let source = self.here.as_ref().map(|(source, _)| Rc::clone(source));
                self.loaded.place = source.map(|source| (source, line));
                Ok(true)
            }
            None => {
                self.loaded.instead = Some(self.missing_file("kernel", path));
                Ok(false)
            }
        }
    }

    /// Takes initrds, in the place of those before.
    pub(super) fn initrd(&mut self, words: &[String]) -> Outcome {
        if self.loaded.kernel.is_none() {
            return Ok(false);
        }
        let mut initrds = Vec::new();
        for path in words.iter().filter(|word| !word.starts_with("--")) {
            self.budget.look()?;
            match self.file(path).filter(|file| self.volumes.kind(file) == Some(Kind::File)) {
                Some(file) => initrds.push(file),
                None => {
                    self.loaded.instead = Some(self.missing_file("initrd", path));
                    return Ok(false);
                }
            }
        }
        self.loaded.initrds = initrds;
        Ok(true)
    }

    /// Why a file cannot be loaded. On a volume that is not known it may well be there.
    fn missing_file(&self, what: &str, path: &str) -> (Cause, String) {
        let Some(file) = self.file(path) else {
            let root = plain(self.variables.get("root").unwrap_or_default(), 60);
            let path = plain(path, 200);
            return (
                Cause::BootEntry,
                format!("the {what} {path}, whose device is not known (root is {root:?})"),
            );
        };
        let name = plain(&self.volumes.describe(&file), 200);
        match &self.lost {
            Some(lost) => (Cause::BootEntry, format!("the {what} {name}, which is not there; {lost}")),
            None => (Cause::BootKernel, format!("the {what} {name}, which is not there")),
        }
    }
}

/// The command line that GRUB hands to a kernel: words with a space in quotes, quotes and backslashes behind a backslash.
fn command_line(words: &[String]) -> String {
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        let quote = if word.contains(' ') { "\"" } else { "" };
        line.push_str(quote);
        for (at, c) in word.char_indices() {
            let escape = word[at..].strip_prefix("\\x").is_some_and(|rest| {
                rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit)
            });
            if matches!(c, '\\' | '\'' | '"') && !escape {
                line.push('\\');
            }
            line.push(if c.is_control() { ' ' } else { c });
        }
        line.push_str(quote);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_quoted_as_grub_does() {
        for (words, expected) in [
            (vec!["root=UUID=1", "ro", "quiet"], "root=UUID=1 ro quiet"),
            (vec!["dyndbg=file x.c +p", "a"], "\"dyndbg=file x.c +p\" a"),
            (vec!["a\\b", "it's"], "a\\\\b it\\'s"),
            (vec!["root=LABEL=a\\x20b"], "root=LABEL=a\\x20b"),
            (vec!["a\nb\0c"], "a b c"),
            (vec![], ""),
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(command_line(&words), expected);
        }
    }
}
