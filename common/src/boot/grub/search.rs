//! GRUB's ways of finding a volume: `search`, `probe` and Flatcar's `gptprio.next`.

use super::machine::{Machine, Outcome};
use super::options::Options;
use crate::boot::entry::plain;
use crate::boot::volumes::{Prioritised, Volume, VolumeId};
use crate::root_dir::Kind;

/// By what a volume is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    File,
    Label,
    Uuid,
    PartitionLabel,
    PartitionUuid,
    DiskUuid,
}

impl Machine<'_> {
    /// `search --fs-uuid --set=root UUID`, and `search.fs_uuid UUID root` of a core image. Hints say where GRUB looks first; only
    /// the volumes of one system are looked at here.
    pub(super) fn search(&mut self, name: &str, words: &[String]) -> Outcome {
        let mut by = match name {
            "search.fs_label" => By::Label,
            "search.fs_uuid" => By::Uuid,
            _ => By::File,
        };
        let mut variable = None;
        let mut names = Vec::new();
        let mut options = Options::new(words);
        while let Some((option, word)) = options.next() {
            match option {
                Some("-f" | "--file") => by = By::File,
                Some("-l" | "--label") => by = By::Label,
                Some("-u" | "--fs-uuid") => by = By::Uuid,
                // Those of Flatcar's GRUB.
                Some("--part-label") => by = By::PartitionLabel,
                Some("--part-uuid") => by = By::PartitionUuid,
                Some("--disk-uuid") => by = By::DiskUuid,
                // Behind `--set` alone the name of the variable may be left out.
                Some("-s" | "--set") if word.contains('=') || options.plain_left() > 1 => {
                    variable = options.value(word)
                }
                Some(hint) if hint == "-h" || hint.starts_with("--hint") => drop(options.value(word)),
                Some(_) => {}
                None => names.push(word),
            }
        }
        let Some(wanted) = names.first().copied() else { return Ok(false) };
        if name != "search" {
            variable = names.get(1).map(|name| (*name).to_owned());
        }
        let variable = variable.filter(|name| !name.is_empty()).unwrap_or("root".to_owned());
        let mut found = None;
        for (id, volume) in self.volumes.iter() {
            let is = match by {
                By::Label => volume.label.as_deref() == Some(wanted),
                By::Uuid => volume.uuid.as_deref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(wanted)),
                By::PartitionUuid => {
                    volume.partition_uuid.as_deref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(wanted))
                }
                By::PartitionLabel | By::DiskUuid => false,
                By::File => {
                    self.budget.look()?;
                    wanted.starts_with('/')
                        && self.volumes.kind(&self.volumes.of_loader(id, wanted)) == Some(Kind::File)
                }
            };
            if is {
                found = Some(id);
                break;
            }
        }
        let Some(id) = found else {
            let by = match by {
                By::File => "the file",
                By::Label => "the label",
                By::Uuid => "the UUID",
                By::PartitionLabel => "the partition label",
                By::PartitionUuid => "the partition UUID",
                By::DiskUuid => "a disk of the UUID",
            };
            let lost = format!("no volume has {by} {}", plain(wanted, 80));
            self.note(&lost);
            if variable == "root" {
                self.lost = Some(lost);
            }
            return Ok(false);
        };
        if variable == "root" {
            self.lost = None;
        }
        let device = self.volumes.device(id);
        Ok(self.set(&variable, &device))
    }

    /// `probe --set=VARIABLE --fs-uuid DEVICE`.
    pub(super) fn probe(&mut self, words: &[String]) -> bool {
        let mut variable = None;
        let mut what: fn(&Volume) -> Option<&String> = |_| None;
        let mut device = None;
        let mut options = Options::new(words);
        while let Some((option, word)) = options.next() {
            match option {
                Some("-s" | "--set") => variable = options.value(word),
                Some("-u" | "--fs-uuid") => what = |volume| volume.uuid.as_ref(),
                Some("-l" | "--label") => what = |volume| volume.label.as_ref(),
                Some("-f" | "--fs") => what = |volume| volume.filesystem.as_ref(),
                Some("--part-uuid") => what = |volume| volume.partition_uuid.as_ref(),
                Some(_) => {}
                None => device = Some(word),
            }
        }
        let volume = device.and_then(|device| self.volumes.of_device(device)).map(|id| self.volumes.get(id));
        match (variable, volume.and_then(what).cloned()) {
            (Some(variable), Some(value)) => self.set(&variable, &value),
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    /// Chooses one of two systems by the attributes of their partitions, as the loader of ChromeOS does.
    pub(super) fn next_prioritised(&mut self, words: &[String]) -> bool {
        let can = |each: &&Prioritised| each.priority > 0 && (each.successful || each.tries > 0);
        // Of equals the first one wins.
        let best = self.volumes.prioritised.iter().rev().filter(can).max_by_key(|each| each.priority);
        let Some(best) = best.map(|best| best.partition_uuid.to_ascii_lowercase()) else {
            self.note("`gptprio.next` finds no partition with a priority");
            return false;
        };
        let own = self.volumes.iter().find(|(_, volume)| volume.partition_uuid.as_deref() == Some(&best));
        let device: Option<VolumeId> = own.map(|(id, _)| id);
        let mut options = Options::new(words);
        while let Some((option, word)) = options.next() {
            let value = options.value(word);
            match (option, value) {
                (Some("-u" | "--set-uuid"), Some(name)) => drop(self.set(&name, &best)),
                (Some("-d" | "--set-device"), Some(name)) => {
                    let device = device.map(|id| self.volumes.device(id)).unwrap_or_default();
                    self.set(&name, &device);
                }
                _ => {}
            }
        }
        true
    }
}
