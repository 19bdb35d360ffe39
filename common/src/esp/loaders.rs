//! The programs on an EFI system partition that start an operating system.

use tracing::debug;

use super::{Esp, EspError};
use crate::efi::Architecture;

/// More vendors' folders than this are not looked into.
const MOST_VENDORS: usize = 64;

/// Nor is a longer name looked at, in characters: a path has to fit into a log's line.
const LONGEST_NAME: usize = 64;

/// The header of a program lies in its first bytes, behind the one of MS-DOS.
const HEADER_BYTES: u64 = 4096;

/// A program that starts an operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// Where it is: `\EFI\BOOT\BOOTX64.EFI`, spelled as on the partition.
    pub path: String,
    /// What it was built for.
    pub architecture: Architecture,
}

/// The removable media path of an architecture (3.5.1.1).
pub(super) fn fallback_path(firmware: Architecture) -> Option<String> {
    Some(format!("\\EFI\\BOOT\\BOOT{}.EFI", firmware.suffix()?.to_uppercase()))
}

/// All loaders whose names are for the firmware, the best first: what it starts by itself, then in each vendor's folder shim
/// before GRUB, since the one is what Secure Boot starts and leads to the other, then systemd-boot, then what else there is.
///
/// # Errors
/// Where a folder cannot be read, or nothing but loaders that cannot.
pub(super) fn of(esp: &Esp<'_>, firmware: Architecture) -> Result<Vec<Loader>, EspError> {
    let mut found = Vec::new();
    let Some(vendors) = esp.list("\\EFI")? else { return Ok(found) };
    let is_short = |name: &str| name.chars().count() <= LONGEST_NAME;
    let vendors = vendors.into_iter().filter(|item| item.is_folder && is_short(&item.name));
    let vendors: Vec<String> = vendors.map(|item| item.name).take(MOST_VENDORS).collect();
    let is_fallback = |name: &&String| name.eq_ignore_ascii_case("BOOT");
    let mut ranked = Vec::new();
    for vendor in vendors.iter().filter(is_fallback).chain(vendors.iter().filter(|name| !is_fallback(name))) {
        for item in esp.list(&format!("\\EFI\\{vendor}"))?.unwrap_or_default() {
            let rank = rank(&item.name, firmware, is_fallback(&vendor));
            if let (false, true, Some(rank)) = (item.is_folder, is_short(&item.name), rank) {
                ranked.push((rank, format!("\\EFI\\{vendor}\\{}", item.name)));
            }
        }
    }
    // A sort that keeps the order of equals: that of the folder.
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut broken = None;
    for (_, path) in ranked {
        match esp.read(&path, HEADER_BYTES) {
            // What is no program cannot be started, whatever its name is.
            Ok(program) => found.extend(
                program.as_deref().and_then(architecture).map(|architecture| Loader { path, architecture }),
            ),
            // One that is damaged does not stand in the way of the others.
            Err(error) => {
                debug!("{path}: {error}");
                broken.get_or_insert(error);
            }
        }
    }
    match broken {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// The place of a file among others, by its name; `None` for one that starts no operating system, or is for another
/// architecture by its name.
fn rank(name: &str, firmware: Architecture, in_fallback_folder: bool) -> Option<u8> {
    let name = name.to_lowercase();
    let stem = name.strip_suffix(".efi")?;
    let suffix = firmware.suffix()?;
    if in_fallback_folder {
        // What else lies there is for other machines, or a helper of this one.
        return (stem == format!("boot{suffix}")).then_some(0);
    }
    // Helpers of shim, and what updates firmware or tests memory.
    const HELPERS: [&str; 6] = ["mm", "fb", "fwup", "memtest", "shell", "mokmanager"];
    if HELPERS.iter().any(|helper| stem.starts_with(helper)) {
        return None;
    }
    for (rank, loader) in (1..).zip(["shim", "grub", "systemd-boot"]) {
        if let Some(rest) = stem.strip_prefix(loader) {
            // `shim.efi` says nothing of an architecture; its header does.
            return (rest.is_empty() || rest == suffix).then_some(rank);
        }
    }
    let others = ["x64", "ia32", "aa64", "arm", "riscv64"];
    let is_foreign = others.iter().any(|other| *other != suffix && stem.ends_with(other));
    (!is_foreign).then_some(4)
}

/// What a program was built for, by its PE header (Microsoft's "PE Format"); `None` where it has none.
pub fn architecture(program: &[u8]) -> Option<Architecture> {
    if program.get(..2)? != b"MZ" {
        return None;
    }
    let at = u32::from_le_bytes(program.get(0x3c..0x40)?.try_into().ok()?) as usize;
    let header = program.get(at..at.checked_add(6)?)?;
    let machine = header.strip_prefix(b"PE\0\0")?;
    Some(Architecture::of_machine(u16::from_le_bytes([machine[0], machine[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ranked_as_they_are_started() {
        let x64 = |name| rank(name, Architecture::X64, false);
        let all = ["shimx64.efi", "GRUBX64.EFI", "systemd-bootx64.efi", "vmlinuz.efi"];
        assert_eq!(all.map(x64), [Some(1), Some(2), Some(3), Some(4)]);
        for none in [
            "mmx64.efi",
            "fbx64.efi",
            "fwupdx64.efi",
            "shimaa64.efi",
            "refind_ia32.efi",
            "grub.cfg",
            "BOOTX64.CSV",
            ".efi.bak",
        ] {
            assert_eq!(x64(none), None, "{none}");
        }
        assert_eq!(rank("BOOTAA64.EFI", Architecture::Aarch64, true), Some(0));
        for none in ["BOOTX64.EFI", "fbaa64.efi", "grubaa64.efi"] {
            assert_eq!(rank(none, Architecture::Aarch64, true), None, "{none}");
        }
        assert_eq!(rank("shimx64.efi", Architecture::Other(0x5064), false), None);
    }

    #[test]
    fn a_programs_header_says_what_it_is_for() {
        let program = |at: u32, machine: u16| {
            let mut program = vec![0; 0x40];
            program[..2].copy_from_slice(b"MZ");
            program[0x3c..].copy_from_slice(&at.to_le_bytes());
            program.resize(at.min(200) as usize, 0);
            program.extend(b"PE\0\0");
            program.extend(machine.to_le_bytes());
            program
        };
        assert_eq!(architecture(&program(0x80, 0x8664)), Some(Architecture::X64));
        assert_eq!(architecture(&program(0x40, 0xaa64)), Some(Architecture::Aarch64));
        assert_eq!(architecture(&program(0x40, 0x5064)), Some(Architecture::Other(0x5064)));
        assert_eq!(architecture(&program(0xffff_ffff, 0x8664)), None);
        let whole = program(0x80, 0x8664);
        for length in 0..whole.len() {
            assert_eq!(architecture(&whole[..length]), None, "{length}");
        }
    }
}
