//! The firmware's variables (3.3, chapter 8.2), by a mount of efivarfs that nobody else sees: the container has none, and
//! the in-memory OS need not have one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Context;
use rustix::fs::{AtFlags, Dir, IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, openat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use tracing::{debug, warn};

use super::boot_next::{Choice, Entry, Seen};
use super::load_option::{LoadOption, MOST_BYTES};
use super::units;
use crate::cause::Cause;
use crate::failure::{Because, Failure};

/// EFI_GLOBAL_VARIABLE (3.3), as efivarfs puts it behind a variable's name.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Kept when the power goes, and there for the boot manager and for systems (EFI_VARIABLE_NON_VOLATILE,
/// _BOOTSERVICE_ACCESS, _RUNTIME_ACCESS; 8.2).
const KEPT: u32 = 7;

/// The variables of this machine's firmware.
#[derive(Debug)]
pub struct Variables {
    folder: OwnedFd,
}

impl Variables {
    /// Mounts efivarfs where no other process sees it; the mount goes away with this.
    ///
    /// # Errors
    /// [`Cause::Mount`] where the kernel has no efivarfs, or this container may not mount.
    pub fn mount() -> Result<Self, Failure> {
        let doing = "mounting efivarfs";
        let context = fsopen("efivarfs", FsOpenFlags::FSOPEN_CLOEXEC)
            .context("the kernel that runs this action knows no efivarfs")
            .context(doing)
            .because(Cause::Mount)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mounted = fsconfig_create(&context)
            .and_then(|()| fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes));
        let mount = mounted.context(doing).because(Cause::Mount)?;
        // What fsmount gives is a path, not an open folder.
        let folder = open_folder(&mount).context(doing).because(Cause::Mount)?;
        Ok(Self { folder })
    }

    /// The variables in a folder that efivarfs is mounted on.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: open_folder(File::open(folder)?)? })
    }

    /// What is said of booting. A boot entry that is none is told to the log, and its number stays taken.
    ///
    /// # Errors
    /// [`Cause::File`] when a variable cannot be read.
    pub fn seen(&self) -> Result<Seen, Failure> {
        let mut entries = Vec::new();
        for number in self.numbers().context("listing the firmware's variables").because(Cause::File)? {
            let name = entry_name(number);
            let option = match self.data(&name)?.as_deref().map(LoadOption::parse) {
                Some(Ok(option)) => Some(option),
                Some(Err(error)) => {
                    debug!("{name}: {error}");
                    None
                }
                None => None,
            };
            entries.push(Entry { number, option });
        }
        let all = |name: &str| Ok::<_, Failure>(units(&self.data(name)?.unwrap_or_default()));
        let one = |name: &str| Ok::<_, Failure>(all(name)?.first().copied());
        Ok(Seen { entries, order: all("BootOrder")?, current: one("BootCurrent")?, next: one("BootNext")? })
    }

    /// Does what was planned: writes our entry where there is none, and has the firmware start the chosen one next. What
    /// was written is read back.
    ///
    /// # Errors
    /// [`Cause::File`] when a variable cannot be written, [`Cause::VerifyFailed`] when it does not keep what was.
    pub fn start_next(&self, choice: &Choice) -> Result<(), Failure> {
        if let Choice::Own { number, option, .. } = choice {
            self.set(&entry_name(*number), &option.to_bytes())?;
        }
        self.set("BootNext", &choice.number().to_le_bytes())
    }

    /// Whether the firmware starts signed programs alone (3.3, table 3.1); nothing where it does not say.
    ///
    /// # Errors
    /// [`Cause::File`] when the variable cannot be read.
    pub fn secure_boot(&self) -> Result<Option<bool>, Failure> {
        Ok(self.data("SecureBoot")?.and_then(|data| data.first().map(|byte| *byte == 1)))
    }

    /// The numbers of all boot entries.
    fn numbers(&self) -> io::Result<BTreeSet<u16>> {
        let mut numbers = BTreeSet::new();
        for entry in Dir::read_from(&self.folder)? {
            numbers.extend(entry_number(&entry?.file_name().to_string_lossy()));
        }
        Ok(numbers)
    }

    /// What a variable holds; nothing where it is not there.
    fn data(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.read(name)
            .with_context(|| format!("reading the firmware's variable {name}"))
            .because(Cause::File)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let opened = openat(&self.folder, file_name(name), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = match opened {
            Err(Errno::NOENT) => return Ok(None),
            opened => File::from(opened?),
        };
        let mut content = Vec::new();
        // Four bytes of attributes come first (Documentation/filesystems/efivarfs.rst).
        file.take(4 + MOST_BYTES as u64 + 1).read_to_end(&mut content)?;
        Ok((content.len() > 4).then(|| content.split_off(4)))
    }

    fn set(&self, name: &str, data: &[u8]) -> Result<(), Failure> {
        if self.data(name)?.as_deref() == Some(data) {
            debug!("{name} is set already");
            return Ok(());
        }
        self.write(name, data)
            .with_context(|| format!("writing the firmware's variable {name}"))
            .because(Cause::File)?;
        if self.data(name)?.as_deref() == Some(data) {
            debug!("{name} was written, {} bytes", data.len());
            return Ok(());
        }
        let text = format_args!("the firmware did not keep what was written to its variable {name}");
        Err(Failure::new(Cause::VerifyFailed, text))
    }

    fn write(&self, name: &str, data: &[u8]) -> io::Result<()> {
        let was_there = self.read(name)?.is_some();
        // efivarfs makes most variables immutable, so that nobody removes them by mistake.
        let locked = if was_there { self.unlock(name)? } else { None };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        let mut content = KEPT.to_le_bytes().to_vec();
        content.extend(data);
        let written = openat(&self.folder, file_name(name), flags, mode)
            .map_err(io::Error::from)
            // One write is one call of SetVariable: half of a variable cannot be written.
            .and_then(|file| match File::from(file).write(&content)? {
                length if length == content.len() => Ok(()),
                length => Err(io::Error::other(format!("{length} of {} bytes were taken", content.len()))),
            });
        if written.is_err() && !was_there {
            // Older kernels leave an empty file for a variable that could not be made.
            let _ = unlinkat(&self.folder, file_name(name), AtFlags::empty());
        }
        if let Some(flags) = locked
            && let Err(error) = self.lock(name, flags)
        {
            warn!("making the firmware's variable {name} immutable again: {error}");
        }
        written
    }

    /// Makes a variable writable; gives its flags where it was not.
    fn unlock(&self, name: &str) -> io::Result<Option<IFlags>> {
        let file = openat(&self.folder, file_name(name), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let flags = match ioctl_getflags(&file) {
            // A filesystem without flags.
            Err(Errno::NOTTY | Errno::OPNOTSUPP) => return Ok(None),
            flags => flags?,
        };
        if !flags.contains(IFlags::IMMUTABLE) {
            return Ok(None);
        }
        ioctl_setflags(&file, flags.difference(IFlags::IMMUTABLE))?;
        Ok(Some(flags))
    }

    fn lock(&self, name: &str, flags: IFlags) -> io::Result<()> {
        let file = openat(&self.folder, file_name(name), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(ioctl_setflags(&file, flags)?)
    }
}

fn open_folder(folder: impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    Ok(openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn file_name(name: &str) -> String {
    format!("{name}-{GLOBAL}")
}

/// `Boot001A` for 26 (3.1).
pub fn entry_name(number: u16) -> String {
    format!("Boot{number:04X}")
}

/// The number of a boot entry, by the name of its file. `BootOrder` and `BootNext` are none.
fn entry_number(file: &str) -> Option<u16> {
    let digits = file.strip_suffix(GLOBAL)?.strip_suffix('-')?.strip_prefix("Boot")?;
    let is_hex = |c: char| c.is_ascii_digit() || ('A'..='F').contains(&c);
    (digits.len() == 4 && digits.chars().all(is_hex)).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::boot_next::{OWN, Wanted, plan};
    use super::super::device_path::{HardDrive, Signature};
    use super::*;

    /// A folder as efivarfs shows it.
    fn firmware(variables: &[(&str, &[u8])]) -> (TempDir, Variables) {
        let folder = tempfile::tempdir().unwrap();
        for (name, data) in variables {
            fs::write(folder.path().join(file_name(name)), [&[7, 0, 0, 0], *data].concat()).unwrap();
        }
        let variables = Variables::at(folder.path()).unwrap();
        (folder, variables)
    }

    fn wanted() -> Wanted {
        let signature = Signature::Gpt([7; 16]);
        let partition = HardDrive { number: 2, first_lba: 4096, blocks: 131_072, signature };
        Wanted { partition, loaders: vec!["\\EFI\\BOOT\\BOOTX64.EFI".into()] }
    }

    #[test]
    fn names_are_those_of_boot_entries_alone() {
        assert_eq!(entry_number(&file_name("Boot001A")), Some(26));
        for other in ["BootOrder", "BootNext", "Boot001a", "Boot00001", "Boot+001", "Key0001", "Boot000"] {
            assert_eq!(entry_number(&file_name(other)), None, "{other}");
        }
        assert_eq!(entry_number("Boot0001-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"), None);
        assert_eq!(entry_name(26), "Boot001A");
    }

    #[test]
    fn what_is_seen_is_what_is_there() {
        let option = LoadOption::to_start("debian", wanted().partition, "\\EFI\\debian\\shimx64.efi");
        let (folder, variables) = firmware(&[
            ("Boot0003", &option.to_bytes()),
            ("Boot0001", b"junk"),
            ("BootOrder", &[3, 0, 1, 0]),
            ("BootCurrent", &[1, 0]),
            ("Timeout", &[0, 0]),
        ]);
        // Made, and never written: as an older kernel leaves it.
        fs::write(folder.path().join(file_name("Boot0002")), b"").unwrap();
        let seen = variables.seen().unwrap();
        let entry = |number, option: Option<&LoadOption>| Entry { number, option: option.cloned() };
        assert_eq!(seen.entries, [entry(1, None), entry(2, None), entry(3, Some(&option))]);
        assert_eq!((seen.order, seen.current, seen.next), (vec![3, 1], Some(1), None));
    }

    #[test]
    fn our_entry_is_written_once_and_nothing_else_changes() {
        let other =
            LoadOption::to_start("x", HardDrive { number: 9, ..wanted().partition }, "\\x").to_bytes();
        let (folder, variables) = firmware(&[("Boot0000", &other), ("BootOrder", &[0, 0])]);
        let names = || {
            let files = fs::read_dir(folder.path()).unwrap();
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<String>>()
        };
        let content = |name: &str| fs::read(folder.path().join(file_name(name))).unwrap();
        for _ in 0..3 {
            let choice = plan(&variables.seen().unwrap(), &wanted()).unwrap();
            assert_eq!(choice.number(), 1);
            variables.start_next(&choice).unwrap();
            assert_eq!(content("BootNext"), [7, 0, 0, 0, 1, 0]);
            assert_eq!(content("BootOrder"), [7, 0, 0, 0, 0, 0]);
            assert_eq!(content("Boot0000")[4..], other);
            let own = LoadOption::parse(&content("Boot0001")[4..]).unwrap();
            assert_eq!((own.name().as_str(), own.starts().unwrap().0), (OWN, wanted().partition));
            assert_eq!(names().len(), 4, "{:?}", names());
            // The firmware takes it away when it has started what it names.
            fs::remove_file(folder.path().join(file_name("BootNext"))).unwrap();
        }
    }

    #[test]
    fn what_the_firmware_does_not_keep_is_a_failure() {
        let (folder, variables) = firmware(&[]);
        // Takes the place of a variable that cannot be written.
        fs::create_dir(folder.path().join(file_name("BootNext"))).unwrap();
        let choice = Choice::Existing { number: 4, name: "x".into(), loader: "\\x".into() };
        let failure = variables.start_next(&choice).unwrap_err();
        assert_eq!(failure.cause, Cause::File);
        assert!(failure.to_string().contains("variable BootNext"), "{failure}");
    }
}
