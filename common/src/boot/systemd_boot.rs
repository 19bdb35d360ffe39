//! What systemd-boot would start by default, if that is what the EFI system partition holds.

use std::cmp::Ordering;

use super::bls::{BlsEntry, line_of, without_counter};
use super::entry::{Entry, Notes, Place, Way, plain};
use super::limits::{MOST_ENTRIES, SMALL_BYTES};
use super::volumes::{BootFile, VolumeId, Volumes, clean};
use super::{Firmware, Machine, Wanted, command_line, os_id, pattern, version};
use crate::cause::Cause;
use crate::failure::Failure;
use crate::root_dir::Kind;

/// What every systemd-boot has in it, since version 210.
const MARK: &[u8] = b"#### LoaderInfo: systemd-boot ";

/// No loader of the EFI is near to this.
const LOADER_BYTES: u64 = 16 << 20;

/// Whether systemd-boot is what the firmware starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Installed {
    /// It is the loader that a firmware starts which remembers none, or the only one.
    Surely,
    /// It is there, but that loader is another one.
    Perhaps,
}

/// Something that could be started, and where it stands.
#[derive(Debug)]
struct Candidate {
    entry: BlsEntry,
    place: Place,
}

/// Whether systemd-boot is there, and on which volume.
pub(super) fn installed(volumes: &Volumes, wanted: &Wanted) -> Option<(Installed, VolumeId)> {
    if wanted.firmware != Firmware::Uefi {
        return None;
    }
    let (fallback, own) = match wanted.machine {
        Machine::X86_64 => ("/EFI/BOOT/BOOTX64.EFI", "/EFI/systemd/systemd-bootx64.efi"),
        Machine::Aarch64 => ("/EFI/BOOT/BOOTAA64.EFI", "/EFI/systemd/systemd-bootaa64.efi"),
    };
    volumes.esps().find_map(|id| {
        let dir = &volumes.get(id).dir;
        match dir.read(fallback, LOADER_BYTES) {
            Ok(Some(loader)) if loader.windows(MARK.len()).any(|bytes| bytes == MARK) => {
                Some((Installed::Surely, id))
            }
            found => {
                let own = dir.kind(own).ok().flatten() == Some(Kind::File);
                own.then_some((
                    if matches!(found, Ok(None)) { Installed::Surely } else { Installed::Perhaps },
                    id,
                ))
            }
        }
    })
}

/// What it would start; nothing where it has no entry.
///
/// # Errors
/// [`Cause::BootEntry`] when that is no kernel, [`Cause::BootKernel`] when a file that it names is not there.
pub(super) fn entry(
    volumes: &Volumes,
    wanted: &Wanted,
    esp: VolumeId,
    notes: &mut Notes,
) -> Result<Option<Entry>, Failure> {
    let mut candidates = Vec::new();
    // The extended boot loader partition holds entries, too.
    let extended = volumes.mounted_at("/boot").filter(|boot| *boot != esp);
    for volume in [Some(esp), extended].into_iter().flatten() {
        gather(volumes, wanted, volume, notes, &mut candidates);
    }
    candidates.sort_by(|one, other| order(&one.entry, &other.entry));
    let default = default(volumes, esp, notes);
    let fits = |candidate: &&Candidate| {
        default.as_deref().is_some_and(|default| is_named(&candidate.entry, default))
    };
    let Some(chosen) = candidates.iter().find(fits).or(candidates.first()) else { return Ok(None) };
    if let (Some(default), false) = (&default, fits(&chosen)) {
        notes.add(format!(
            "no entry of systemd-boot fits the default {:?}; the first one is taken",
            plain(default, 80)
        ));
    }
    started(volumes, chosen).map(Some)
}

fn started(volumes: &Volumes, chosen: &Candidate) -> Result<Entry, Failure> {
    let Candidate { entry, place } = chosen;
    let title = plain(entry.title.as_deref().unwrap_or(&entry.id), 200);
    let name = volumes.describe(&place.file);
    let Some(linux) = &entry.linux else {
        let what = entry.program.as_deref().unwrap_or("nothing");
        let text = format!(
            "{title:?} ({name}) starts {}, which is an EFI program and no kernel alone",
            plain(what, 120)
        );
        return Err(Failure::new(Cause::BootEntry, text));
    };
    let file = |what: &str, path: &str| {
        let file = BootFile { volume: place.file.volume, path: clean(path) };
        if volumes.kind(&file) == Some(Kind::File) {
            return Ok(file);
        }
        let text =
            format!("{title:?} ({name}) starts the {what} {}, which is not there", volumes.describe(&file));
        Err(Failure::new(Cause::BootKernel, plain(&text, 400)))
    };
    let kernel = file("kernel", linux)?;
    let initrds = entry.initrds.iter().map(|path| file("initrd", path)).collect::<Result<Vec<_>, _>>()?;
    let mut options = entry.options.join(" ");
    if options.is_empty() {
        options = command_line::of_kernel_install(volumes).unwrap_or_default();
    }
    let options = options.replace(|c: char| c.is_control(), " ");
    Ok(Entry {
        title,
        way: Way::SystemdBoot,
        place: place.clone(),
        kernel,
        initrds,
        options,
        skipped: Vec::new(),
    })
}

fn gather(
    volumes: &Volumes,
    wanted: &Wanted,
    volume: VolumeId,
    notes: &mut Notes,
    candidates: &mut Vec<Candidate>,
) {
    let dir = &volumes.get(volume).dir;
    let mut list = |folder: &str, end: &str| match dir.list(folder) {
        Ok(names) => names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| !name.starts_with('.') && name.to_ascii_lowercase().ends_with(end))
            .take(MOST_ENTRIES)
            .collect(),
        Err(failure) => {
            notes.add(failure.to_string());
            Vec::new()
        }
    };
    let (entries, images) = (list("/loader/entries", ".conf"), list("/EFI/Linux", ".efi"));
    for name in entries {
        let file = BootFile { volume, path: format!("/loader/entries/{name}") };
        let content = match dir.read(&file.path, SMALL_BYTES) {
            Ok(content) => content.unwrap_or_default(),
            Err(failure) => {
                notes.add(failure.to_string());
                continue;
            }
        };
        let text = String::from_utf8_lossy(&content);
        let entry = BlsEntry::parse(&name, &text);
        let ours = match wanted.machine {
            Machine::X86_64 => "x64",
            Machine::Aarch64 => "aa64",
        };
        if entry.architecture.as_ref().is_some_and(|other| !other.eq_ignore_ascii_case(ours)) {
            notes.add(format!("{} is for another architecture", volumes.describe(&file)));
        } else if entry.linux.is_none() && entry.program.is_none() {
            notes.add(format!("{} names no kernel", volumes.describe(&file)));
        } else {
            candidates.push(Candidate { place: Place { file, line: line_of(&text, "linux") }, entry });
        }
    }
    for name in images {
        // What such an image says of itself is in it; its system's name is the key that it is sorted by.
        let path = format!("/EFI/Linux/{name}");
        let (id, tries_left) = without_counter(name.get(..name.len() - 4).unwrap_or(&name));
        let (id, version) = (id.to_owned(), Some(id.to_owned()));
        let entry = BlsEntry {
            id,
            version,
            tries_left,
            sort_key: os_id(volumes),
            program: Some(path.clone()),
            ..BlsEntry::default()
        };
        candidates.push(Candidate { entry, place: Place { file: BootFile { volume, path }, line: 0 } });
    }
}

/// The default of loader.conf, in lower case.
fn default(volumes: &Volumes, esp: VolumeId, notes: &mut Notes) -> Option<String> {
    let text = match volumes.get(esp).dir.read("/loader/loader.conf", SMALL_BYTES) {
        Ok(text) => text?,
        Err(failure) => {
            notes.add(failure.to_string());
            return None;
        }
    };
    let text = String::from_utf8_lossy(&text);
    let value =
        |line: &str| line.trim().strip_prefix("default")?.strip_prefix([' ', '\t']).map(str::to_owned);
    let default = text.lines().filter_map(value).next_back()?.trim().to_ascii_lowercase();
    if default.starts_with('@') {
        notes.add(format!("the default {:?} of loader.conf is in the firmware", plain(&default, 40)));
        return None;
    }
    Some(default).filter(|default| !default.is_empty() && default.len() <= 1024)
}

fn is_named(entry: &BlsEntry, pattern: &str) -> bool {
    let id = entry.id.to_ascii_lowercase();
    let end = if entry.linux.is_none() { ".efi" } else { ".conf" };
    id.len() <= 1024 && (pattern::fits(pattern, &id) || pattern::fits(pattern, &format!("{id}{end}")))
}

/// The order of the menu: what has no tries left goes last; then by sort key, machine and version, the newest first; those
/// without a sort key follow, by their names, the newest first.
fn order(one: &BlsEntry, other: &BlsEntry) -> Ordering {
    let bad = |entry: &BlsEntry| entry.tries_left == Some(0);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    bad(one)
        .cmp(&bad(other))
        .then(one.sort_key.is_none().cmp(&other.sort_key.is_none()))
        .then_with(|| match (&one.sort_key, &other.sort_key) {
            (Some(key), Some(other_key)) => key
                .cmp(other_key)
                .then_with(|| one.machine_id.cmp(&other.machine_id))
                .then_with(|| version::compare(&text(&other.version), &text(&one.version))),
            _ => Ordering::Equal,
        })
        .then_with(|| version::compare(&other.id, &one.id))
        .then_with(|| other.tries_left.cmp(&one.tries_left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_is_ordered_as_the_specification_says() {
        let entry = |name: &str, key: &str, version: &str| BlsEntry {
            sort_key: (!key.is_empty()).then(|| key.to_owned()),
            version: (!version.is_empty()).then(|| version.to_owned()),
            ..BlsEntry::parse(name, "")
        };
        let sorted = [
            entry("a-2.conf", "debian", "6.10"),
            entry("b-1.conf", "debian", "6.9"),
            entry("c.conf", "fedora", "7"),
            entry("z-6.10.conf", "", ""),
            entry("z-6.9+1-2.conf", "", ""),
            entry("a.conf", "", ""),
            entry("a-3+0-3.conf", "debian", "6.11"),
            entry("z-6.11+0.conf", "", ""),
        ];
        let mut shuffled: Vec<_> = sorted.iter().cloned().rev().collect();
        shuffled.sort_by(order);
        assert_eq!(shuffled, sorted);
    }
}
