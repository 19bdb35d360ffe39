//! Loading what the installed system's boot loader would start, so that the running kernel can hand over to it without the
//! firmware.
//!
//! All that can fail is done before the action's success: the installed system is found and mounted, its default entry is found,
//! the kernel and its `root=` are looked at, and the kernel takes it (kexec_file_load(2)). Nothing is written to a disk.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use anyhow::Context;
use common::boot::{self, BootFile, Entry, Machine, Volumes};
use common::cause::Cause;
use common::disk::System;
use common::efi::Firmware;
use common::failure::{Because, Failure};
use common::installed::{self, FoundRoot, Installed, RootParameter, check_root};
use common::kernel_image::KernelImage;
use common::{stop, sys};
use tracing::{debug, info, warn};

use crate::plan::Plan;
use ability::Seen;

pub mod ability;

/// The most bytes of a command line that arm64 takes, with the zero at its end (`COMMAND_LINE_SIZE`).
const ARM64_COMMAND_LINE_BYTES: usize = 2048;

/// A kernel takes no longer file (`kernel_read_file`), and no initrd is near to it.
const MOST_INITRD_BYTES: u64 = i32::MAX as u64;

/// A kernel that is loaded. It is forgotten again when this is dropped, unless it was kept.
#[derive(Debug)]
#[must_use]
pub struct Loaded {
    kept: bool,
}

impl Loaded {
    /// Leaves it loaded: the process that was left behind starts it.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        match sys::kexec::unload() {
            Ok(()) => debug!("the kernel that was loaded is forgotten again"),
            Err(error) => warn!("forgetting the kernel that was loaded: {error}"),
        }
    }
}

/// Finds what the installed system would start, and loads it. The installed system is unmounted on return.
///
/// # Errors
/// [`Cause::Kexec`] where the running kernel cannot start another one, or not this one; the causes of
/// [`installed::find_system`], [`installed::with_volumes`] and [`boot::default_entry`]; [`Cause::BootRoot`] and
/// [`Cause::BootArchitecture`].
pub fn load(system: &System, plan: &Plan) -> Result<Loaded, Failure> {
    let seen = Seen::look(system);
    debug!("{seen:?}");
    if let Some(why) = seen.refusal() {
        return Err(Failure::new(Cause::Kexec, why));
    }
    let (root, boot_files) = find(system, plan)?;
    info!("root is {}", root.describe());
    installed::with_volumes(system, &root, boot_files, |installed| {
        stop::check()?;
        load_default(system, plan, &seen, installed)
    })
}

/// The root of the installed system, and the number of the partition with its boot files where that was given.
///
/// # Errors
/// Those of [`installed::find_system`].
pub fn find(system: &System, plan: &Plan) -> Result<(FoundRoot, Option<u32>), Failure> {
    match &plan.disk {
        Some(disk) if plan.disk_by_boot_files => installed::find_system_by_boot_files(system, disk),
        disk => Ok((installed::find_system(system, disk.as_deref())?, None)),
    }
}

fn load_default(
    system: &System,
    plan: &Plan,
    seen: &Seen,
    installed: &Installed<'_>,
) -> Result<Loaded, Failure> {
    let volumes = installed.volumes;
    let firmware = match Firmware::of(system) {
        Firmware::Bios => boot::Firmware::Bios,
        Firmware::Uefi { .. } => boot::Firmware::Uefi,
    };
    let entry = boot::default_entry(volumes, &plan.given.wanted(firmware))?;
    let names =
        |files: &[BootFile]| files.iter().map(|file| volumes.describe(file)).collect::<Vec<_>>().join(", ");
    info!(
        "what starts is {}: kernel {}, initrd {}",
        entry.describe(volumes),
        volumes.describe(&entry.kernel),
        if entry.initrds.is_empty() { "none".to_owned() } else { names(&entry.initrds) }
    );
    info!("its command line: {}", entry.options);

    let kernel_name = volumes.describe(&entry.kernel);
    let kernel = open(volumes, &entry.kernel)?;
    let image =
        KernelImage::read(&kernel).with_context(|| format!("reading {kernel_name}")).because(Cause::File)?;
    check_image(&kernel_name, image, seen.machine)?;
    check_command_line(image, &entry.options)?;
    look_up_root(&entry, installed)?;

    let initrds = entry.initrds.iter().map(|file| open(volumes, file)).collect::<Result<Vec<_>, _>>()?;
    let needed_bytes = needed_bytes(&kernel, &initrds).because(Cause::File)?;
    if let Some(why) = seen.lacks_memory(needed_bytes) {
        return Err(Failure::new(Cause::Kexec, why));
    }
    let initrd =
        joined(initrds).with_context(|| format!("reading {}", names(&entry.initrds))).because(Cause::File)?;
    let command_line = CString::new(entry.options)
        .context("the command line has a zero byte in it")
        .because(Cause::BootEntry)?;
    sys::kexec::load(&kernel, initrd.as_ref(), &command_line).map_err(|error| {
        Failure::new(Cause::Kexec, format_args!("{kernel_name}: {}", seen.why_not_loaded(&error)))
    })?;
    Ok(Loaded { kept: false })
}

fn open(volumes: &Volumes, file: &BootFile) -> Result<File, Failure> {
    volumes.get(file.volume).dir.file(&file.path)
}

/// Whether this machine's kernel can start such a file.
fn check_image(name: &str, image: KernelImage, machine: Machine) -> Result<(), Failure> {
    let own = match machine {
        Machine::X86_64 => "x86-64",
        Machine::Aarch64 => "arm64",
    };
    let fail = |cause, why: &str| Err(Failure::new(cause, format_args!("{name} is {}{why}", image.words())));
    match (image, image.machine()) {
        (KernelImage::BzImage { .. } | KernelImage::Arm64, Some(its)) if its == machine => Ok(()),
        (KernelImage::Unknown, _) => fail(Cause::BootEntry, ""),
        (_, Some(its)) if its != machine => {
            fail(Cause::BootArchitecture, &format!(", and this machine is {own}"))
        }
        (KernelImage::BzImage { .. }, None) if machine != Machine::X86_64 => {
            fail(Cause::BootArchitecture, &format!(", and this machine is {own}"))
        }
        _ => fail(Cause::Kexec, ", which firmware starts and kexec_file_load does not"),
    }
}

/// Whether the kernel takes a command line of this length.
fn check_command_line(image: KernelImage, options: &str) -> Result<(), Failure> {
    let most_bytes = match image {
        // The zero at the end is counted here (`arch/x86/kernel/kexec-bzimage64.c`), unlike what the header means.
        KernelImage::BzImage { command_line_bytes, .. } => {
            usize::try_from(command_line_bytes).unwrap_or(usize::MAX).saturating_sub(1)
        }
        _ => ARM64_COMMAND_LINE_BYTES - 1,
    };
    if options.len() <= most_bytes {
        return Ok(());
    }
    Err(Failure::new(
        Cause::Kexec,
        format_args!("the command line has {} bytes, and the kernel takes {most_bytes}", options.len()),
    ))
}

fn look_up_root(entry: &Entry, installed: &Installed<'_>) -> Result<(), Failure> {
    let Some(root) = installed.root_device() else {
        debug!("root= is not looked up: the root is not among the block devices");
        return Ok(());
    };
    match check_root(&entry.options, !entry.initrds.is_empty(), root, installed.devices) {
        RootParameter::Right { twins } if twins.is_empty() => Ok(()),
        RootParameter::Right { twins } => {
            warn!("the command line's root= is {}, and also {}", root.describe(), twins.join(", "));
            Ok(())
        }
        RootParameter::Unknown(why) => {
            debug!("{why}");
            Ok(())
        }
        RootParameter::Wrong(why) => Err(Failure::new(Cause::BootRoot, why)),
    }
}

/// The memory that loading takes: the running kernel reads the files, and copies them to where the next one expects them.
fn needed_bytes(kernel: &File, initrds: &[File]) -> io::Result<u64> {
    let initrd_bytes = sizes(initrds)?;
    let joined_bytes = if initrds.len() > 1 { initrd_bytes } else { 0 };
    Ok((kernel.metadata()?.len().saturating_add(initrd_bytes)).saturating_mul(2).saturating_add(joined_bytes))
}

fn sizes(files: &[File]) -> io::Result<u64> {
    files.iter().try_fold(0_u64, |sum, file| Ok(sum.saturating_add(file.metadata()?.len())))
}

/// Several initrds as one, each padded to four bytes, as boot loaders do (Documentation/driver-api/early-userspace).
fn joined(mut files: Vec<File>) -> io::Result<Option<File>> {
    let bytes = sizes(&files)?;
    if bytes > MOST_INITRD_BYTES {
        return Err(io::Error::other(format!("{bytes} bytes are more than any initrd has")));
    }
    if files.len() < 2 {
        return Ok(files.pop());
    }
    let name = c"initrd";
    let mut all = File::from(nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?);
    for file in files {
        let length = file.metadata()?.len();
        let copied = io::copy(&mut file.take(length), &mut all)?;
        if copied != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let padding = length.next_multiple_of(4) - length;
        all.write_all(&[0; 3][..padding as usize])?;
    }
    all.rewind()?;
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BZ: KernelImage = KernelImage::BzImage { is_64_bit: true, command_line_bytes: 2047 };

    #[test]
    fn a_kernel_has_to_be_this_machines() {
        use Machine::{Aarch64, X86_64};
        let check = |image, machine| check_image("/vmlinuz", image, machine);
        check(BZ, X86_64).unwrap();
        check(KernelImage::Arm64, Aarch64).unwrap();
        let old = KernelImage::BzImage { is_64_bit: false, command_line_bytes: 2047 };
        for (image, machine, cause, words) in [
            (
                KernelImage::Arm64,
                X86_64,
                Cause::BootArchitecture,
                "/vmlinuz is a kernel for arm64, and this machine is x86-64",
            ),
            (
                BZ,
                Aarch64,
                Cause::BootArchitecture,
                "/vmlinuz is a kernel for x86-64, and this machine is arm64",
            ),
            (old, Aarch64, Cause::BootArchitecture, "32-bit x86, and this machine is arm64"),
            (old, X86_64, Cause::Kexec, "/vmlinuz is a kernel for 32-bit x86, which"),
            (KernelImage::Efi { machine: 0x8664 }, X86_64, Cause::Kexec, "an EFI program for x86-64, which"),
            (
                KernelImage::Efi { machine: 0xaa64 },
                X86_64,
                Cause::BootArchitecture,
                "an EFI program for arm64",
            ),
            (KernelImage::Zboot, Aarch64, Cause::Kexec, "(zboot), which firmware starts"),
            (KernelImage::Gzip, Aarch64, Cause::Kexec, "packed by gzip, which"),
            (KernelImage::Unknown, X86_64, Cause::BootEntry, "/vmlinuz is no Linux kernel"),
        ] {
            let failure = check(image, machine).unwrap_err();
            assert_eq!(failure.cause, cause, "{failure}");
            assert!(failure.to_string().contains(words), "{failure}");
        }
    }

    #[test]
    fn a_command_line_has_a_limit() {
        for (image, most) in [(BZ, 2046), (KernelImage::Arm64, 2047)] {
            check_command_line(image, &"x".repeat(most)).unwrap();
            let failure = check_command_line(image, &"x".repeat(most + 1)).unwrap_err();
            assert_eq!(failure.cause, Cause::Kexec);
            assert!(failure.to_string().ends_with(&format!("the kernel takes {most}")), "{failure}");
        }
    }

    #[test]
    fn several_initrds_become_one() {
        let file = |content: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(content).unwrap();
            file.rewind().unwrap();
            file
        };
        let content = |file: Option<File>| {
            let mut content = Vec::new();
            file.unwrap().read_to_end(&mut content).unwrap();
            content
        };
        assert!(joined(Vec::new()).unwrap().is_none());
        assert_eq!(content(joined(vec![file(b"12345")]).unwrap()), b"12345");
        let several = vec![file(b"12345"), file(b""), file(b"1234"), file(b"7")];
        assert_eq!(content(joined(several).unwrap()), b"12345\0\0\x001234\x37\0\0\0");
        let long = file(b"");
        long.set_len(MOST_INITRD_BYTES).unwrap();
        assert!(joined(vec![long, file(b"1")]).is_err());
        assert_eq!(needed_bytes(&file(b"kernel"), &[file(b"12"), file(b"345")]).unwrap(), 27);
        assert_eq!(needed_bytes(&file(b"kernel"), &[file(b"12")]).unwrap(), 16);
    }
}
