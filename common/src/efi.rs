//! UEFI, as seen by the system that it started: what firmware this is, its boot entries, and which of them it starts next.
//! Section numbers are those of the UEFI Specification, 2.10.

use std::fs;

use crate::disk::System;

pub mod boot_next;
pub mod device_path;
pub mod load_option;
pub mod variables;

pub use boot_next::{Choice, Entry, Seen, Wanted, plan};
pub use device_path::{HardDrive, Node, Signature};
pub use load_option::LoadOption;
pub use variables::Variables;

/// What firmware started this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS, or something else that leaves no trace in `/sys/firmware/efi`.
    Bios,
    /// UEFI. It starts programs of its own word size alone.
    Uefi {
        /// 64 or 32.
        word_bits: u32,
    },
}

impl Firmware {
    /// Looks. A kernel that does not say its firmware's word size (before 3.18) has its own.
    pub fn of(system: &System) -> Self {
        let folder = system.sys.join("firmware/efi");
        if !folder.is_dir() {
            return Self::Bios;
        }
        let told = fs::read_to_string(folder.join("fw_platform_size")).unwrap_or_default();
        Self::Uefi { word_bits: told.trim().parse().unwrap_or(usize::BITS) }
    }

    /// What this firmware's programs are for. `None` on a BIOS.
    pub fn architecture(self) -> Option<Architecture> {
        let Self::Uefi { word_bits } = self else { return None };
        Some(match (cfg!(target_arch = "aarch64"), word_bits) {
            (true, _) => Architecture::Aarch64,
            (false, 32) => Architecture::Ia32,
            (false, _) => Architecture::X64,
        })
    }
}

/// What a program of UEFI was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    X64,
    /// 32-bit x86.
    Ia32,
    /// 64-bit ARM.
    Aarch64,
    /// Another one, by the number that a PE header has for it.
    Other(u16),
}

impl Architecture {
    /// The one that a PE header means (Microsoft's "PE Format", machine types).
    pub fn of_machine(machine: u16) -> Self {
        match machine {
            0x8664 => Self::X64,
            0x014c => Self::Ia32,
            0xaa64 => Self::Aarch64,
            other => Self::Other(other),
        }
    }

    /// The suffix of its file names: `x64`, as in `BOOTX64.EFI` (3.5.1.1) and `shimx64.efi`. `None` where none is known.
    pub fn suffix(self) -> Option<&'static str> {
        match self {
            Self::X64 => Some("x64"),
            Self::Ia32 => Some("ia32"),
            Self::Aarch64 => Some("aa64"),
            Self::Other(_) => None,
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::X64 => f.write_str("x86-64"),
            Self::Ia32 => f.write_str("32-bit x86"),
            Self::Aarch64 => f.write_str("arm64"),
            Self::Other(machine) => write!(f, "machine type {machine:#06x}"),
        }
    }
}

/// Text as UEFI stores it, without its end. UCS-2 has no surrogates; what could be a pair of them becomes one character.
pub(crate) fn text(units: &[u16]) -> String {
    String::from_utf16_lossy(units)
}

/// Little-endian units of two bytes; a last odd byte is left out.
pub(crate) fn units(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The reverse of [`units`].
pub(crate) fn bytes(units: &[u16]) -> impl Iterator<Item = u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_firmware_is_told_from_sysfs() {
        let folder = tempfile::tempdir().unwrap();
        let system = System { sys: folder.path().into(), ..System::default() };
        assert_eq!((Firmware::of(&system), Firmware::Bios.architecture()), (Firmware::Bios, None));
        fs::create_dir_all(folder.path().join("firmware/efi")).unwrap();
        assert_eq!(Firmware::of(&system), Firmware::Uefi { word_bits: usize::BITS });
        fs::write(folder.path().join("firmware/efi/fw_platform_size"), "32\n").unwrap();
        assert_eq!(Firmware::of(&system), Firmware::Uefi { word_bits: 32 });
    }

    #[test]
    fn a_machine_type_has_its_names() {
        let all = [(0x8664, Some("x64"), "x86-64"), (0xaa64, Some("aa64"), "arm64")];
        for (machine, suffix, name) in all {
            let architecture = Architecture::of_machine(machine);
            assert_eq!((architecture.suffix(), architecture.to_string().as_str()), (suffix, name));
        }
        assert_eq!(Architecture::of_machine(0x5064).to_string(), "machine type 0x5064");
    }
}
