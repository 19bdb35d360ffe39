//! `blscfg`: entries of the Boot Loader Specification in GRUB's menu, as the GRUB of Fedora and its family has them.

use std::rc::Rc;

use super::machine::{Machine, MenuEntry, Outcome, Stop};
use super::parser::{Source, parse};
use crate::boot::bls::{BlsEntry, line_of};
use crate::boot::entry::Way;
use crate::boot::limits::{MOST_ENTRIES, SMALL_BYTES};
use crate::boot::version;
use crate::boot::volumes::{BootFile, clean};

/// Where the entries are unless `$blsdir` says it: with a /boot of its own, and without one.
const FOLDERS: [&str; 2] = ["/loader/entries", "/boot/loader/entries"];

/// An entry, its file, and the line that names its kernel.
struct Found {
    entry: BlsEntry,
    source: Rc<Source>,
    line: u32,
}

impl Machine<'_> {
    /// Puts the entries into the menu, the newest first. They are on `$boot`, else on `$root`.
    pub(super) fn entries(&mut self, words: &[String]) -> Outcome {
        if let Some(word) = words.first() {
            self.note(format!("`blscfg {word}`: all entries are taken"));
        }
        let boot = self.variables.get("boot").and_then(|device| self.volumes.of_device(device));
        let Some(volume) = boot.or_else(|| self.root()) else { return Ok(false) };
        let own = self.variables.get("blsdir").filter(|folder| !folder.is_empty()).map(str::to_owned);
        let mut found = Vec::new();
        for folder in own.as_deref().into_iter().chain(FOLDERS) {
            self.budget.look()?;
            let folder = self.volumes.of_loader(volume, folder);
            found = self.read_entries(&folder)?;
            if !found.is_empty() {
                break;
            }
        }
        if found.is_empty() {
            self.note("`blscfg` finds no entry");
            return Ok(false);
        }
        found.sort_by(|one, other| version::compare(&other.entry.id, &one.entry.id));
        for entry in found {
            self.add_bls(entry);
        }
        Ok(true)
    }

    fn read_entries(&mut self, folder: &BootFile) -> Result<Vec<Found>, Stop> {
        let names = match self.volumes.get(folder.volume).dir.list(&folder.path) {
            Ok(names) => names,
            Err(failure) => {
                self.note(failure.to_string());
                return Ok(Vec::new());
            }
        };
        let names = names.iter().filter_map(|name| name.to_str());
        let mut entries = Vec::new();
        for name in names.filter(|name| name.ends_with(".conf") && !name.starts_with('.')).take(MOST_ENTRIES)
        {
            let file = BootFile { volume: folder.volume, path: clean(&format!("{}/{name}", folder.path)) };
            let Some(content) = self.read(&file, SMALL_BYTES)? else { continue };
            let text = String::from_utf8_lossy(&content);
            let entry = BlsEntry::parse(name, &text);
            let source = Rc::new(Source { name: self.volumes.describe(&file), file });
            if entry.linux.is_some() {
                entries.push(Found { entry, source, line: line_of(&text, "linux") });
            } else {
                self.note(format!("{} names no kernel", source.name));
            }
        }
        Ok(entries)
    }

    /// An entry's commands are a piece of script, so that `$kernelopts` gets its value when the entry is started.
    fn add_bls(&mut self, found: Found) {
        let Found { entry, source, line } = found;
        let device = self.volumes.device(source.file.volume);
        let path = entry.linux.unwrap_or_default();
        let options =
            if entry.options.is_empty() { "$default_kernelopts".to_owned() } else { entry.options.join(" ") };
        let slash = |path: &str| if path.starts_with(['/', '(', '$']) { "" } else { "/" }.to_owned();
        // Each stands in the line where it stands in the entry's file.
        let mut text = "\n".repeat(line.saturating_sub(1) as usize);
        text += &format!("linux ({device}){}{path} {options}\n", slash(&path));
        if !entry.initrds.is_empty() {
            let initrds = entry.initrds.iter().map(|path| format!("({device}){}{path}", slash(path)));
            text += &format!("initrd {}\n", initrds.collect::<Vec<_>>().join(" "));
        }
        let body = Rc::new(parse(&text, &source, self.notes));
        let title = entry.title.unwrap_or(path);
        let arguments = vec![title.clone()];
        self.add_entry(MenuEntry {
            title,
            id: entry.id,
            arguments,
            body,
            submenu: false,
            line,
            way: Way::GrubEntries,
        });
    }
}
