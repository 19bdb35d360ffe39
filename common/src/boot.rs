//! What the boot loader of an installed system would start by default: a kernel, its initrds and its command line.
//!
//! The caller mounts what boot files can be on ([`Volumes`]); [`default_entry`] looks there, in this order:
//!
//! 1. systemd-boot with its entries (Boot Loader Specification, type 1), where it is the loader that a UEFI firmware starts;
//! 2. GRUB with its grub.cfg, which is run as GRUB would run it, `blscfg` included;
//! 3. the newest kernel in /boot.
//!
//! A configuration that cannot be read, or leads to nothing, is passed over with a note ([`Entry::skipped`]); one that leads to
//! what is not there, or is no kernel, is a failure. Of the two causes, [`Cause::BootKernel`] is a disk that will not start:
//! kernel or initrd are missing on a volume that is known. [`Cause::BootEntry`] says only that there is nothing to load from
//! here: the default may be a unified kernel image or a hypervisor, or be on a volume that was not given. What images say is
//! hostile: time, depth and memory are bounded.

use std::path::Path;

use crate::cause::Cause;
use crate::failure::Failure;
use crate::root_dir::Kind;

pub mod bls;
mod command_line;
mod entry;
mod grub;
pub mod grubenv;
mod limits;
mod newest;
mod pattern;
mod systemd_boot;
#[cfg(test)]
mod tests;
pub mod version;
mod volumes;

pub use entry::{Entry, Place, Way, parameter};
pub use volumes::{BootFile, Prioritised, Volume, VolumeId, Volumes};

use entry::{Notes, plain};
use limits::Budget;
use systemd_boot::Installed;

/// How a machine is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// From the boot code of a disk.
    Bios,
    /// From a file on the EFI system partition.
    Uefi,
}

/// The kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit x86, amd64.
    X86_64,
    /// 64-bit ARM, arm64.
    Aarch64,
}

impl Machine {
    /// The one that this binary was built for.
    pub const OWN: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };
}

/// What is looked for: the default of a boot loader on this machine, or what was given in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How this machine is started.
    pub firmware: Firmware,
    /// Its processor.
    pub machine: Machine,
    /// `GRUBCFG_PATH`: the only configuration that is looked at.
    pub grub_cfg: Option<String>,
    /// `KERNEL_PATH`. Alone, it gets the initrd that is beside it, and the command line of the default entry.
    pub kernel: Option<String>,
    /// `INITRD_PATH`, in the place of what was found.
    pub initrd: Option<String>,
    /// `CMD_LINE`, in the place of what was found.
    pub options: Option<String>,
}

impl Wanted {
    /// The default of the boot loader, for a machine like this one.
    pub fn default_on(firmware: Firmware) -> Self {
        Self { firmware, machine: Machine::OWN, grub_cfg: None, kernel: None, initrd: None, options: None }
    }
}

/// Finds what is to be started. Paths that were given are those of the installed system (`/boot/vmlinuz`, wherever /boot is), or
/// begin at the top of one of the volumes. Kernel and initrds are regular files that are there.
///
/// # Errors
/// [`Cause::BootEntry`] when nothing is found, or what is found is no kernel; [`Cause::BootKernel`] when it names a kernel or an
/// initrd that is not there; [`Cause::Configuration`] when a path that was given leads to no file.
pub fn default_entry(volumes: &Volumes, wanted: &Wanted) -> Result<Entry, Failure> {
    let mut notes = Notes::default();
    let mut entry = match &wanted.kernel {
        Some(path) => given(volumes, wanted, path, &mut notes)?,
        None => found(volumes, wanted, &mut notes)?,
    };
    if let Some(path) = &wanted.initrd {
        entry.initrds = vec![given_file(volumes, "INITRD_PATH", path)?];
    }
    if let Some(options) = &wanted.options {
        entry.options.clone_from(options);
    }
    entry.skipped = notes.into_kept();
    Ok(entry)
}

/// What a grub.cfg of this content, at this place, would start; nothing where it leads to no menu and no kernel.
///
/// # Errors
/// [`Cause::BootEntry`] and [`Cause::BootKernel`], as of [`default_entry`].
pub fn of_grub_cfg(
    volumes: &Volumes,
    wanted: &Wanted,
    file: &BootFile,
    text: &[u8],
) -> Result<Option<Entry>, Failure> {
    let mut notes = Notes::default();
    let entry =
        grub::of_text(volumes, wanted, &mut notes, &mut Budget::new(), file, &String::from_utf8_lossy(text))?;
    Ok(entry.map(|entry| Entry { skipped: notes.into_kept(), ..entry }))
}

/// Goes through all ways.
fn found(volumes: &Volumes, wanted: &Wanted, notes: &mut Notes) -> Result<Entry, Failure> {
    if let Some(path) = &wanted.grub_cfg {
        let file = given_file(volumes, "GRUBCFG_PATH", path)?;
        return grub::of_file(volumes, wanted, notes, &mut Budget::new(), &file)?
            .ok_or_else(|| Failure::new(Cause::BootEntry, format_args!("GRUBCFG_PATH: {}", notes.words())));
    }
    let installed = systemd_boot::installed(volumes, wanted);
    let of_systemd_boot = |when: Installed, notes: &mut Notes| match installed {
        Some((how, esp)) if how == when => systemd_boot::entry(volumes, wanted, esp, notes),
        _ => Ok(None),
    };
    if let Some(entry) = of_systemd_boot(Installed::Surely, notes)? {
        return Ok(entry);
    }
    if let Some(entry) = grub::entry(volumes, wanted, notes)? {
        return Ok(entry);
    }
    if let Some(entry) = of_systemd_boot(Installed::Perhaps, notes)? {
        return Ok(entry);
    }
    if let Some(entry) = newest::entry(volumes)? {
        return Ok(entry);
    }
    let looked: Vec<String> = volumes.iter().map(|(_, volume)| volume.describe()).collect();
    let words = notes.words();
    let why = if words.is_empty() { String::new() } else { format!(": {words}") };
    Err(Failure::new(
        Cause::BootEntry,
        format_args!(
            "no systemd-boot, no grub.cfg and no kernel in /boot lead to something to start; looked at {}{why}",
            looked.join(", ")
        ),
    ))
}

/// A kernel that was given, with what belongs to it.
fn given(volumes: &Volumes, wanted: &Wanted, path: &str, notes: &mut Notes) -> Result<Entry, Failure> {
    let kernel = given_file(volumes, "KERNEL_PATH", path)?;
    let place = Place { file: kernel.clone(), line: 0 };
    let mut entry = Entry {
        title: plain(path, 200),
        way: Way::Given,
        place,
        initrds: newest::initrds(volumes, &kernel),
        kernel,
        options: String::new(),
        skipped: Vec::new(),
    };
    if wanted.options.is_some() && wanted.initrd.is_some() {
        return Ok(entry);
    }
    match found(volumes, wanted, notes) {
        Ok(default) => {
            if default.kernel == entry.kernel {
                entry.initrds = default.initrds;
            }
            entry.options = default.options;
        }
        Err(failure) => {
            notes.add(format!("nothing to take a command line from: {failure}"));
            if wanted.options.is_none() {
                entry.options =
                    command_line::make(volumes, wanted.initrd.is_some() || !entry.initrds.is_empty())?;
            }
        }
    }
    Ok(entry)
}

/// The file that a given path leads to.
fn given_file(volumes: &Volumes, variable: &str, path: &str) -> Result<BootFile, Failure> {
    let own = volumes.of_system(path);
    let tops = volumes.iter().map(|(volume, _)| BootFile { volume, path: volumes::clean(path) });
    let mut candidates = std::iter::once(own).chain(tops);
    candidates.find(|file| volumes.kind(file) == Some(Kind::File)).ok_or_else(|| {
        let looked: Vec<String> = volumes.iter().map(|(_, volume)| volume.describe()).collect();
        let text = format!(
            "{variable}={path:?} is not valid; accepted: the path of a regular file of the installed system; looked at {}",
            looked.join(", ")
        );
        Failure::new(Cause::Configuration, text)
    })
}

/// The `ID` of the installed system's os-release.
fn os_id(volumes: &Volumes) -> Option<String> {
    ["/etc/os-release", "/usr/lib/os-release"].into_iter().find_map(|path| {
        let file = volumes.of_system(path);
        let text =
            volumes.get(file.volume).dir.read(Path::new(&file.path), limits::SMALL_BYTES).ok().flatten()?;
        let text = String::from_utf8_lossy(&text);
        let value = text.lines().find_map(|line| line.trim().strip_prefix("ID="))?;
        Some(value.trim_matches(['"', '\'']).to_owned()).filter(|id| !id.is_empty())
    })
}
