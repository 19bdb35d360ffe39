//! Which entry of its menu GRUB starts by default, and what that starts.

use std::rc::Rc;

use super::condition::number;
use super::machine::{Loaded, Machine, MenuEntry, Stop};
use super::parser::Script;
use crate::boot::entry::{Entry, Place, Way, plain};
use crate::cause::Cause;
use crate::failure::Failure;

/// Menus in menus.
const DEEPEST: u32 = 8;

/// Characters of a title.
const TITLE_CHARACTERS: usize = 200;

/// What starting an entry came to.
enum Started {
    /// A kernel.
    Kernel(Entry),
    /// Another menu.
    Menu,
    /// Nothing, and why.
    Nothing(Failure),
}

impl Machine<'_> {
    /// What this file starts by default; nothing where it has neither a menu nor a kernel.
    ///
    /// # Errors
    /// [`Cause::BootEntry`] when that is no kernel or takes too much to find out, [`Cause::BootKernel`] when a file that it
    /// names is not there.
    pub(in crate::boot) fn default_entry(&mut self, script: &Script) -> Result<Option<Entry>, Failure> {
        self.ran(script)?;
        let mut titles = Vec::new();
        for _ in 0..DEEPEST {
            if self.menu.is_empty() {
                let Some(loaded) = self.anything() else { return Ok(None) };
                return entry(loaded, &titles, Way::Grub).map(Some);
            }
            let menu = std::mem::take(&mut self.menu);
            let default = self.variables.get("default").unwrap_or_default().to_owned();
            let (at, rest) = pick(&menu, &default).unwrap_or_else(|| {
                if !default.is_empty() {
                    self.note(format!(
                        "no entry is the default {:?}; the first one is",
                        plain(&default, 120)
                    ));
                }
                (0, None)
            });
            match self.start(&menu[at], rest.as_deref(), &mut titles)? {
                Started::Kernel(entry) => return Ok(Some(entry)),
                Started::Menu => {}
                Started::Nothing(failure) => return self.fall_back(&menu, failure, titles).map(Some),
            }
        }
        Err(Failure::new(Cause::BootEntry, "GRUB's menus are nested too deeply"))
    }

    /// Tries the entries that `$fallback` names, one after another.
    fn fall_back(
        &mut self,
        menu: &[MenuEntry],
        failure: Failure,
        mut titles: Vec<String>,
    ) -> Result<Entry, Failure> {
        titles.pop();
        let fallback = self.variables.get("fallback").unwrap_or_default().to_owned();
        for word in fallback.split_ascii_whitespace().take(16) {
            let Some((at, _)) = pick(menu, word) else { continue };
            self.variables.unset("chosen");
            self.notes.add(format!("{failure}; its fallback is entry {word}"));
            if let Started::Kernel(entry) = self.start(&menu[at], None, &mut titles)? {
                return Ok(entry);
            }
            titles.pop();
        }
        Err(failure)
    }

    /// Runs an entry. Its menu, and what it loads, are this machine's then.
    fn start(
        &mut self,
        chosen: &MenuEntry,
        rest: Option<&str>,
        titles: &mut Vec<String>,
    ) -> Result<Started, Failure> {
        titles.push(chosen.title.clone());
        self.loaded = Loaded::default();
        self.arguments = Rc::new(chosen.arguments.clone());
        if chosen.submenu {
            self.variables = self.variables.exported();
        }
        // Its ids, down to this one: what a default would be that means it.
        let id = chosen.id.replace('>', ">>");
        let chain = self
            .variables
            .get("chosen")
            .filter(|above| !above.is_empty())
            .map(|above| format!("{above}>{id}"));
        self.variables.set("chosen", &chain.unwrap_or(id));
        self.variables.export("chosen");
        match rest {
            Some(rest) => drop(self.variables.set("default", rest)),
            None => self.variables.unset("default"),
        }
        self.ran(&chosen.body)?;
        if !self.menu.is_empty() {
            return Ok(Started::Menu);
        }
        let place = format!("{} line {}", chosen.body.source.name, chosen.line);
        let nothing = |cause, what: &str| {
            Started::Nothing(Failure::new(cause, format_args!("{} ({place}) starts {what}", quoted(titles))))
        };
        Ok(match self.anything() {
            Some(loaded) => entry(loaded, titles, chosen.way).map_or_else(
                |failure| Started::Nothing(failure.context(format!("{} ({place})", quoted(titles)))),
                Started::Kernel,
            ),
            None if chosen.submenu => nothing(Cause::BootEntry, "a menu without entries"),
            None => nothing(Cause::BootEntry, "nothing"),
        })
    }

    fn ran(&mut self, script: &Script) -> Result<(), Failure> {
        match self.run(script) {
            Err(Stop::TooMuch) => {
                let what = format!("{} takes more work than any that starts a system", script.source.name);
                Err(Failure::new(Cause::BootEntry, what))
            }
            _ => Ok(()),
        }
    }

    fn anything(&mut self) -> Option<Loaded> {
        let loaded = std::mem::take(&mut self.loaded);
        (loaded.kernel.is_some() || loaded.instead.is_some()).then_some(loaded)
    }
}

fn quoted(titles: &[String]) -> String {
    format!("{:?}", plain(&titles.join(">"), TITLE_CHARACTERS))
}

fn entry(loaded: Loaded, titles: &[String], way: Way) -> Result<Entry, Failure> {
    if let Some((cause, what)) = loaded.instead {
        return Err(Failure::new(cause, format_args!("GRUB would start {what}")));
    }
    let (Some(kernel), Some((source, line))) = (loaded.kernel, loaded.place) else {
        return Err(Failure::new(Cause::BootEntry, "GRUB would start nothing"));
    };
    Ok(Entry {
        title: plain(&titles.join(">"), TITLE_CHARACTERS),
        way,
        place: Place { file: source.file.clone(), line },
        kernel,
        initrds: loaded.initrds,
        options: loaded.options,
        skipped: Vec::new(),
    })
}

/// The entry that a value of `default` means, and what of it is for the submenu: a number, an id or a title; what follows a
/// `>` that is not doubled is looked for in the submenu.
///
/// GRUB takes what begins with a digit for a number. Its version with `blscfg` looks for ids and titles first, since ids begin
/// with the machine's, and takes whole numbers alone.
fn pick(menu: &[MenuEntry], default: &str) -> Option<(usize, Option<String>)> {
    let (name, rest) = split(default);
    let entries = menu.iter().any(|entry| entry.way == Way::GrubEntries);
    let of_number = number(&name).filter(|(_, rest)| !entries || rest.is_empty()).map(|(number, _)| number);
    let of_name = || {
        menu.iter()
            .position(|entry| entry.id == name)
            .or_else(|| menu.iter().position(|entry| entry.title == name))
    };
    let of_number = || of_number.and_then(|number| usize::try_from(number).ok());
    let at = if entries { of_name().or_else(of_number) } else { of_number().or_else(of_name) }?;
    (at < menu.len()).then(|| (at, rest.filter(|rest| !rest.is_empty())))
}

/// A default up to its first `>` that is not doubled, with the doubled ones made single, and the rest as it is.
fn split(default: &str) -> (String, Option<String>) {
    let mut name = String::new();
    let mut characters = default.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if c == '>' && characters.next_if(|(_, next)| *next == '>').is_none() {
            return (name, Some(default[at + 1..].to_owned()));
        }
        name.push(c);
    }
    (name, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_split_at_its_first_single_sign() {
        for (default, name, rest) in [
            ("0", "0", None),
            ("1>2", "1", Some("2")),
            ("1>2>3", "1", Some("2>3")),
            ("a>>b>c>>d", "a>b", Some("c>>d")),
            ("a>", "a", Some("")),
            ("a>>>b", "a>", Some("b")),
            ("", "", None),
        ] {
            assert_eq!(split(default), (name.to_owned(), rest.map(str::to_owned)), "{default}");
        }
    }
}
