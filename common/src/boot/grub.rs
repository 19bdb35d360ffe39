//! What GRUB would start by default.
//!
//! A grub.cfg is a script that makes a menu. It is run here as GRUB would run it: variables, conditions, functions, `search`, and
//! the commands that load something; what does not decide what is started is passed over.

use std::rc::Rc;

use super::entry::{Entry, Notes};
use super::limits::{Budget, CONFIG_BYTES};
use super::volumes::{BootFile, VolumeId, Volumes};
use super::{Firmware, Wanted, os_id};
use crate::failure::Failure;

mod assignments;
mod commands;
mod condition;
mod entries;
mod lexer;
mod load;
mod machine;
mod menu;
mod options;
mod parser;
mod search;
mod variables;

pub(super) use assignments::assignments;
use machine::Machine;
use parser::{Source, parse};

/// What a file of this content would start; nothing where it leads to no menu and no kernel.
///
/// # Errors
/// [`crate::cause::Cause::BootEntry`] and [`crate::cause::Cause::BootKernel`].
pub(super) fn of_text(
    volumes: &Volumes,
    wanted: &Wanted,
    notes: &mut Notes,
    budget: &mut Budget,
    file: &BootFile,
    text: &str,
) -> Result<Option<Entry>, Failure> {
    let source = Rc::new(Source { name: volumes.describe(file), file: file.clone() });
    let script = parse(text, &source, notes);
    let mut machine = Machine::new(volumes, wanted, notes, budget);
    machine.begin_at(file);
    machine.default_entry(&script)
}

/// What this file would start; nothing where it is not there, cannot be read, or leads to no menu and no kernel, which is noted.
///
/// # Errors
/// Those of [`of_text`].
pub(super) fn of_file(
    volumes: &Volumes,
    wanted: &Wanted,
    notes: &mut Notes,
    budget: &mut Budget,
    file: &BootFile,
) -> Result<Option<Entry>, Failure> {
    let content = match volumes.get(file.volume).dir.read(&file.path, CONFIG_BYTES) {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(None),
        Err(failure) => {
            notes.add(failure.to_string());
            return Ok(None);
        }
    };
    let entry = of_text(volumes, wanted, notes, budget, file, &String::from_utf8_lossy(&content))?;
    if entry.is_none() {
        notes.add(format!("{} leads to no menu entry", volumes.describe(file)));
    }
    Ok(entry)
}

/// What the first grub.cfg that leads anywhere would start.
///
/// # Errors
/// Those of [`of_text`].
pub(super) fn entry(volumes: &Volumes, wanted: &Wanted, notes: &mut Notes) -> Result<Option<Entry>, Failure> {
    let mut budget = Budget::new();
    for file in places(volumes, wanted.firmware) {
        if let Some(entry) = of_file(volumes, wanted, notes, &mut budget, &file)? {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// Where a grub.cfg can be, the one first that GRUB begins with on this firmware.
fn places(volumes: &Volumes, firmware: Firmware) -> Vec<BootFile> {
    let mut boot = Vec::new();
    if let Some(id) = volumes.mounted_at("/boot") {
        boot.extend(
            ["/grub/grub.cfg", "/grub2/grub.cfg"].map(|path| BootFile { volume: id, path: path.to_owned() }),
        );
    }
    let below =
        |path: &str| super::volumes::clean(&format!("{}/{path}", volumes.get(volumes.root()).subvolume));
    for path in ["boot/grub/grub.cfg", "boot/grub2/grub.cfg"] {
        boot.push(BootFile { volume: volumes.root(), path: below(path) });
    }
    let mut esp = Vec::new();
    for id in volumes.esps() {
        esp.extend(of_vendors(volumes, id));
        let others = ["/grub/grub.cfg", "/grub2/grub.cfg", "/boot/grub/grub.cfg", "/flatcar/grub/grub.cfg"];
        esp.extend(others.map(|path| BootFile { volume: id, path: path.to_owned() }));
    }
    let mut all = Vec::new();
    let (first, second) = if firmware == Firmware::Uefi { (esp, boot) } else { (boot, esp) };
    for file in first.into_iter().chain(second) {
        if !all.contains(&file) {
            all.push(file);
        }
    }
    all
}

/// `EFI/*/grub.cfg` of an EFI system partition: that of the installed system's own vendor first, that of no vendor last.
fn of_vendors(volumes: &Volumes, esp: VolumeId) -> Vec<BootFile> {
    let own = os_id(volumes).unwrap_or_default();
    let names = volumes.get(esp).dir.list("EFI").unwrap_or_default();
    let mut names: Vec<String> =
        names.into_iter().filter_map(|name| name.into_string().ok()).take(64).collect();
    names.sort_by_key(|name| (name.eq_ignore_ascii_case("boot"), !name.eq_ignore_ascii_case(&own)));
    names.into_iter().map(|name| BootFile { volume: esp, path: format!("/EFI/{name}/grub.cfg") }).collect()
}
