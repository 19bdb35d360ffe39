//! Whether what the boot loader starts by default is there, and for this machine.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Finding;
use crate::boot::{BootFile, Entry, Machine, Volumes, Wanted, Way, default_entry};
use crate::cause::Cause;
use crate::failure::{Because, Failure};
use crate::kernel_image::KernelImage;

/// As much is read of the beginning of a file.
const HEAD_BYTES: usize = 64 * 1024;

/// What the default entry leads to.
#[derive(Debug)]
pub(super) struct Seen {
    entry: Result<Found, Failure>,
}

/// An entry, and its files.
#[derive(Debug)]
struct Found {
    entry: Entry,
    /// For a log line.
    described: String,
    kernel: Result<FileSeen, Failure>,
    initrds: Vec<Result<FileSeen, Failure>>,
}

/// A file as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileSeen {
    name: String,
    length_bytes: u64,
    begins_with_zeros: bool,
    image: KernelImage,
    version: Option<String>,
}

impl Seen {
    /// The kernel's command line.
    pub(super) fn options(&self) -> Option<&str> {
        self.entry.as_ref().ok().map(|found| found.entry.options.as_str())
    }

    /// Whether there is an initrd. One that is not known is taken for there.
    pub(super) fn has_initrd(&self) -> bool {
        self.entry.as_ref().map_or(true, |found| !found.initrds.is_empty())
    }

    /// The version of the kernel: `6.1.0-28-amd64`.
    pub(super) fn kernel_version(&self) -> Option<String> {
        let kernel = self.entry.as_ref().ok()?.kernel.as_ref().ok()?;
        kernel.version.clone().or_else(|| {
            let (_, name) = kernel.name.rsplit_once('/')?;
            let at = name.find(|c: char| c.is_ascii_digit())?;
            Some(name[at..].trim_end_matches(".efi").to_owned())
        })
    }
}

/// Finds the entry, and reads the beginnings of its files.
pub(super) fn look(volumes: &Volumes, wanted: &Wanted) -> Seen {
    let entry = default_entry(volumes, wanted).map(|entry| Found {
        described: entry.describe(volumes),
        kernel: read(volumes, &entry.kernel),
        initrds: entry.initrds.iter().map(|file| read(volumes, file)).collect(),
        entry,
    });
    Seen { entry }
}

fn read(volumes: &Volumes, file: &BootFile) -> Result<FileSeen, Failure> {
    let name = volumes.describe(file);
    let open = volumes.get(file.volume).dir.file(&file.path)?;
    let length_bytes = open.metadata().because(Cause::File)?.len();
    let head = head(&open).because(Cause::File)?;
    Ok(FileSeen {
        name,
        length_bytes,
        begins_with_zeros: !head.is_empty() && head.iter().all(|byte| *byte == 0),
        image: KernelImage::of(&head[..head.len().min(4096)]),
        version: version(&head),
    })
}

fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let mut filled = 0;
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            length => filled += length,
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// What a bzImage says of its version (Documentation/arch/x86/boot.rst, `kernel_version`), up to the first blank.
fn version(head: &[u8]) -> Option<String> {
    if head.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at = usize::from(u16::from_le_bytes([*head.get(0x20e)?, *head.get(0x20f)?]));
    let text = head.get(0x200 + at..).filter(|_| at != 0)?;
    let end = text.iter().take(128).position(|byte| !byte.is_ascii_graphic())?;
    let version = std::str::from_utf8(&text[..end]).ok()?;
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

/// Says whether it can be started on a machine of this kind.
pub(super) fn judge(seen: &Seen, machine: Machine, by_firmware: bool) -> Vec<Finding> {
    let found = match &seen.entry {
        Ok(found) => found,
        Err(failure) if failure.cause == Cause::BootKernel => {
            return vec![Finding::error(Cause::BootKernel, failure.to_string())];
        }
        Err(failure) => {
            return vec![Finding::warning(format!(
                "what the boot loader starts by default is not known, so kernel, initrd and root= were not looked at: {failure}"
            ))];
        }
    };
    let mut findings = vec![];
    if found.entry.way == Way::Newest && by_firmware {
        findings.push(Finding::warning(
            "no boot loader's configuration was found that leads to a kernel; the newest one in /boot was looked at",
        ));
    }
    findings.extend(judge_kernel(&found.kernel, machine));
    findings.extend(found.initrds.iter().flat_map(judge_initrd));
    if findings.is_empty() {
        let names: Vec<&str> = found.initrds.iter().flatten().map(|initrd| initrd.name.as_str()).collect();
        let initrd =
            if names.is_empty() { "no initrd".to_owned() } else { format!("initrd {}", names.join(", ")) };
        let kernel = found.kernel.as_ref().map_or("", |kernel| &kernel.name);
        findings
            .push(Finding::right(format!("what starts is {}: kernel {kernel}, {initrd}", found.described)));
    }
    findings
}

fn judge_kernel(kernel: &Result<FileSeen, Failure>, machine: Machine) -> Option<Finding> {
    let kernel = match kernel {
        Ok(kernel) => kernel,
        Err(failure) => return Some(Finding::warning(format!("the kernel could not be read: {failure}"))),
    };
    let name = &kernel.name;
    if kernel.length_bytes == 0 {
        return Some(Finding::error(Cause::BootKernel, format!("the kernel {name} is empty")));
    }
    if kernel.begins_with_zeros {
        let text =
            format!("the kernel {name} begins with {} zeros", kernel.length_bytes.min(HEAD_BYTES as u64));
        return Some(Finding::error(Cause::BootKernel, text));
    }
    let own = match machine {
        Machine::X86_64 => "x86-64",
        Machine::Aarch64 => "arm64",
    };
    let is_foreign = match (kernel.image, kernel.image.machine()) {
        (_, Some(its)) => its != machine,
        (KernelImage::BzImage { .. }, None) => machine != Machine::X86_64,
        _ => false,
    };
    if is_foreign {
        let text = format!("{name} is {}, and this machine is {own}", kernel.image.words());
        return Some(Finding::error(Cause::BootArchitecture, text));
    }
    (kernel.image == KernelImage::Unknown)
        .then(|| Finding::warning(format!("{name} does not begin as a Linux kernel does")))
}

fn judge_initrd(initrd: &Result<FileSeen, Failure>) -> Option<Finding> {
    match initrd {
        Err(failure) => Some(Finding::warning(format!("the initrd could not be read: {failure}"))),
        Ok(initrd) if initrd.length_bytes == 0 => {
            Some(Finding::error(Cause::BootKernel, format!("the initrd {} is empty", initrd.name)))
        }
        Ok(initrd) if initrd.begins_with_zeros => Some(Finding::warning(format!(
            "the initrd {} begins with {} zeros",
            initrd.name,
            initrd.length_bytes.min(HEAD_BYTES as u64)
        ))),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    const BZ: KernelImage = KernelImage::BzImage { is_64_bit: true, command_line_bytes: 2047 };

    fn file(name: &str) -> FileSeen {
        FileSeen {
            name: name.into(),
            length_bytes: 1 << 20,
            begins_with_zeros: false,
            image: BZ,
            version: None,
        }
    }

    #[test]
    fn a_kernel_has_to_be_there_and_for_this_machine() {
        let kernel = |change: &dyn Fn(&mut FileSeen), machine| {
            let mut kernel = file("/boot/vmlinuz-6.1.0-28-amd64");
            change(&mut kernel);
            judge_kernel(&Ok(kernel), machine)
        };
        let (x86, arm) = (Machine::X86_64, Machine::Aarch64);
        assert_eq!(kernel(&|_| {}, x86), None);
        for image in
            [KernelImage::Zboot, KernelImage::Gzip, KernelImage::Efi { machine: 0xaa64 }, KernelImage::Arm64]
        {
            assert_eq!(kernel(&|kernel| kernel.image = image, arm), None);
        }
        let old = KernelImage::BzImage { is_64_bit: false, command_line_bytes: 255 };
        assert_eq!(kernel(&|kernel| kernel.image = old, x86), None);
        for (finding, weight, words) in [
            (kernel(&|kernel| kernel.length_bytes = 0, x86), Weight::Error(Cause::BootKernel), "is empty"),
            (
                kernel(&|kernel| kernel.begins_with_zeros = true, x86),
                Weight::Error(Cause::BootKernel),
                "begins with 65536 zeros",
            ),
            (
                kernel(&|kernel| kernel.image = KernelImage::Arm64, x86),
                Weight::Error(Cause::BootArchitecture),
                "is a kernel for arm64, and this machine is x86-64",
            ),
            (kernel(&|_| {}, arm), Weight::Error(Cause::BootArchitecture), "and this machine is arm64"),
            (
                kernel(&|kernel| kernel.image = old, arm),
                Weight::Error(Cause::BootArchitecture),
                "a kernel for 32-bit x86",
            ),
            (kernel(&|kernel| kernel.image = KernelImage::Unknown, x86), Weight::Warning, "does not begin"),
        ] {
            let finding = finding.unwrap();
            assert_eq!(finding.weight, weight, "{finding:?}");
            assert!(finding.text.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn an_initrd_has_to_hold_something() {
        let initrd = |length_bytes, begins_with_zeros| {
            judge_initrd(&Ok(FileSeen { length_bytes, begins_with_zeros, ..file("/boot/initrd") }))
        };
        assert_eq!(initrd(100, false), None);
        assert_eq!(initrd(0, false).unwrap().weight, Weight::Error(Cause::BootKernel));
        assert_eq!(initrd(100, true).unwrap().weight, Weight::Warning);
    }

    #[test]
    fn only_what_is_surely_missing_is_an_error() {
        let judged = |cause| {
            let seen = Seen { entry: Err(Failure::new(cause, "because")) };
            assert_eq!((seen.options(), seen.has_initrd(), seen.kernel_version()), (None, true, None));
            judge(&seen, Machine::X86_64, true).remove(0)
        };
        assert_eq!(judged(Cause::BootKernel), Finding::error(Cause::BootKernel, "because"));
        let finding = judged(Cause::BootEntry);
        assert_eq!(finding.weight, Weight::Warning);
        assert!(finding.text.ends_with("were not looked at: because"), "{finding:?}");
    }

    #[test]
    fn a_kernel_says_its_version() {
        let mut head = vec![0; 0x400];
        head[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(version(&head), None);
        head[0x20e] = 0x80;
        head[0x280..0x2a0].copy_from_slice(b"6.1.0-28-amd64 (debian) #1 SMP x");
        assert_eq!(version(&head).as_deref(), Some("6.1.0-28-amd64"));
        head[0x20f] = 0xff;
        assert_eq!(version(&head), None);
        head[0x20f] = 0;
        head[0x280] = b'x';
        assert_eq!(version(&head), None);
        assert_eq!(version(b"MZ"), None);
    }
}
