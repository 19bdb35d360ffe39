//! Whether a disk that was written will start and configure itself: looked at as the firmware, the boot loader and the installed
//! system will look at it, while something can still be said.
//!
//! Each check has two halves: `look` reads, `judge` is a pure function from what was read to [`Finding`]s. An error is what surely
//! keeps the system from starting: the partition table, the boot loader, the kernel and its initrd, `root=`, the architecture, and
//! a root that cannot be told from another one. All else, and all that is only not known here, warns: no good image is stopped.
//! Nothing is written.

use tracing::{info, warn};

use crate::boot::{self, Wanted};
use crate::cause::Cause;
use crate::disk::{Disk, System};
use crate::efi::Firmware;
use crate::failure::Failure;
use crate::installed::devices::BlockDevice;
use crate::installed::{FoundRoot, Installed, with_volumes};
use crate::mount::Device;
use crate::stop;

mod cloud_init;
mod entry;
mod filesystems;
mod firmware;
mod hidden;
mod netplan;
mod table;

pub use hidden::hides_a_system;

/// How the system will be started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The firmware of this machine.
    pub firmware: Firmware,
    /// What of the installed system is started.
    pub wanted: Wanted,
    /// Whether the firmware starts it. Else the running kernel does, and a boot loader that is missing only warns.
    pub by_firmware: bool,
}

impl Start {
    /// What the firmware of this machine starts from a disk.
    pub fn by_firmware(firmware: Firmware) -> Self {
        let kind = match firmware {
            Firmware::Bios => boot::Firmware::Bios,
            Firmware::Uefi { .. } => boot::Firmware::Uefi,
        };
        Self { firmware, wanted: Wanted::default_on(kind), by_firmware: true }
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The system will not start.
    Error(Cause),
    /// Something is unusual, or not as the system needs it.
    Warning,
    /// It is as it should be.
    Right,
}

/// What came of one check, as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub weight: Weight,
    /// The line.
    pub text: String,
}

impl Finding {
    fn error(cause: Cause, text: impl Into<String>) -> Self {
        Self { weight: Weight::Error(cause), text: text.into() }
    }

    fn warning(text: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, text: text.into() }
    }

    fn right(text: impl Into<String>) -> Self {
        Self { weight: Weight::Right, text: text.into() }
    }
}

/// What came of all checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order in which a machine starts.
    pub findings: Vec<Finding>,
    /// What will start: `Debian GNU/Linux 12 (bookworm)`, `kernel 6.1.0-28-amd64`.
    pub starts: Vec<String>,
}

impl Report {
    /// Whether the system will surely not start.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Whether its partition table is broken, so that nothing more can be found on the disk.
    pub fn hides_the_rest(&self) -> bool {
        self.errors().any(|(cause, _)| cause == Cause::PartitionTable)
    }

    fn errors(&self) -> impl Iterator<Item = (Cause, &str)> {
        self.findings.iter().filter_map(|finding| match finding.weight {
            Weight::Error(cause) => Some((cause, finding.text.as_str())),
            _ => None,
        })
    }

    /// Adds what another look gave.
    pub fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.starts.extend(other.starts);
    }

    /// Logs what is right and what is unusual, a line each.
    pub fn log(&self) {
        for finding in &self.findings {
            match finding.weight {
                Weight::Error(_) => {}
                Weight::Warning => warn!("{}", finding.text),
                Weight::Right => info!("{}", finding.text),
            }
        }
    }

    /// Logs what will boot.
    ///
    /// # Errors
    /// All errors in one line, with the cause of the first.
    pub fn conclude(&self, disk: &Disk, firmware: Firmware) -> Result<(), Failure> {
        self.verdict(disk, firmware).map(|line| info!("{line}"))
    }

    fn verdict(&self, disk: &Disk, firmware: Firmware) -> Result<String, Failure> {
        if let Some((cause, _)) = self.errors().next() {
            let all: Vec<&str> = self.errors().map(|(_, text)| text).collect();
            let text = format!("the system on {} will not start: {}", disk.describe(), all.join("; also: "));
            return Err(Failure::new(cause, text));
        }
        let by = match firmware {
            Firmware::Bios => "BIOS",
            Firmware::Uefi { .. } => "UEFI",
        };
        let words: Vec<&str> = std::iter::once(by).chain(self.starts.iter().map(String::as_str)).collect();
        let warnings = self.findings.iter().filter(|finding| finding.weight == Weight::Warning).count();
        let but = match warnings {
            0 => String::new(),
            1 => ", with 1 warning".to_owned(),
            more => format!(", with {more} warnings"),
        };
        Ok(format!("will boot: {}{but}", words.join(", ")))
    }
}

/// Looks at what the firmware sees of a disk: its partition table, and what there is to start. The disk is only read, and not
/// claimed.
///
/// # Errors
/// [`Cause::DiskIo`] when it cannot be read.
pub fn of_disk(disk: &Disk, start: &Start) -> Result<Report, Failure> {
    let file = Device::find(&disk.node, disk.number)?.open()?;
    let seen = table::look(&file, disk.size_bytes, disk.logical_block_size)?;
    let mut findings = table::judge(&seen);
    let broken = |finding: &Finding| matches!(finding.weight, Weight::Error(_));
    // A table that is broken hides what it leads to.
    if !findings.iter().any(broken) {
        let seen = firmware::look(&file, disk.size_bytes, seen.table(), start.firmware)?;
        findings.extend(firmware::judge(&seen, start.by_firmware));
    }
    Ok(Report { findings, starts: Vec::new() })
}

/// Looks at what the boot loader and the installed system will see. The system is mounted for that where no other process sees it,
/// and unmounted on return. `boot_files` is that of [`with_volumes`].
///
/// # Errors
/// Those of [`with_volumes`], when it cannot be looked at.
pub fn of_system(
    system: &System,
    root: &FoundRoot,
    boot_files: Option<u32>,
    start: &Start,
) -> Result<Report, Failure> {
    with_volumes(system, root, boot_files, |installed| {
        stop::check()?;
        of_installed(system, installed, start)
    })
}

/// As [`of_system`], of a system that is mounted.
///
/// # Errors
/// [`Cause::File`] when its root cannot be opened.
pub fn of_installed(system: &System, installed: &Installed<'_>, start: &Start) -> Result<Report, Failure> {
    // A disk with several paths is there once more for each.
    let devices: Vec<BlockDevice> =
        installed.devices.iter().filter(|device| !system.is_path(&device.disk)).cloned().collect();
    let volumes = installed.volumes;
    let volume = volumes.get(volumes.root());
    let root = volume.dir.subfolder(if volume.subvolume.is_empty() { "." } else { &volume.subvolume })?;
    let entry = entry::look(volumes, &start.wanted);
    let mut findings = entry::judge(&entry, start.wanted.machine, start.by_firmware);
    let options = entry.options();
    if let (Some(options), Some(device)) = (options, installed.root_device()) {
        findings.extend(filesystems::judge_root(options, entry.has_initrd(), device, &devices));
    }
    findings.extend(filesystems::judge_fstab(installed.fstab, installed.root_device(), &devices));
    let unread = |what: &str, failure: Failure| {
        vec![Finding::warning(format!("{what} could not be looked at: {failure}"))]
    };
    findings.extend(match cloud_init::look(&root, installed.fstab, &devices, options) {
        Ok(seen) => cloud_init::judge(&seen),
        Err(failure) => unread("cloud-init", failure),
    });
    findings.extend(match netplan::look(&root) {
        Ok(files) => netplan::judge(&files),
        Err(failure) => unread("netplan's files", failure),
    });
    let mut starts = vec![installed.root.os.clone()];
    starts.extend(entry.kernel_version().map(|version| format!("kernel {version}")));
    Ok(Report { findings, starts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installed::devices::tests::device;

    fn report(findings: &[Finding]) -> Result<String, Failure> {
        let starts = vec!["Debian GNU/Linux 12 (bookworm)".to_owned(), "kernel 6.1.0-28".to_owned()];
        let report = Report { findings: findings.to_vec(), starts };
        report.verdict(&device("sda", 1, "ext4").disk, Firmware::Uefi { word_bits: 64 })
    }

    #[test]
    fn what_will_boot_is_said_in_a_line() {
        let right = Finding::right("the table is right");
        let line = report(std::slice::from_ref(&right)).unwrap();
        assert_eq!(line, "will boot: UEFI, Debian GNU/Linux 12 (bookworm), kernel 6.1.0-28");
        let one = report(&[Finding::warning("odd"), right.clone()]).unwrap();
        assert!(one.ends_with("kernel 6.1.0-28, with 1 warning"), "{one}");
        let two = report(&[Finding::warning("odd"), right, Finding::warning("odder")]).unwrap();
        assert!(two.ends_with(", with 2 warnings"), "{two}");
    }

    #[test]
    fn all_errors_are_in_the_failure() {
        let failure = report(&[
            Finding::warning("odd"),
            Finding::error(Cause::BootKernel, "/boot/vmlinuz is not there"),
            Finding::error(Cause::BootRoot, "root=UUID=1 is nowhere"),
        ])
        .unwrap_err();
        assert_eq!((failure.cause, failure.cause.exit_code()), (Cause::BootKernel, 1));
        assert_eq!(
            failure.to_string(),
            "the system on /dev/sda (no serial, 1.1 GB) will not start: /boot/vmlinuz is not there; also: root=UUID=1 is nowhere"
        );
    }
}
