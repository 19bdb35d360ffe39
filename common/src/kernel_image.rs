//! What a file that shall be started as a kernel is: told from its first bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::boot::Machine;

/// As much of a file as has to be known.
const HEAD_BYTES: usize = 4096;

/// What a file begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelImage {
    /// A bzImage (Documentation/arch/x86/boot.rst).
    BzImage {
        /// Whether it has an entry for 64-bit mode.
        is_64_bit: bool,
        /// The most bytes of a command line, without the zero at its end.
        command_line_bytes: u32,
    },
    /// An arm64 Image (Documentation/arch/arm64/booting.rst).
    Arm64,
    /// An EFI program that unpacks the kernel in it (`drivers/firmware/efi/libstub/zboot-header.S`).
    Zboot,
    /// Another EFI program, as a unified kernel image, for the processor of this number in its PE header.
    Efi {
        /// `0x8664` for x86-64, `0xaa64` for arm64.
        machine: u16,
    },
    /// Packed by gzip, as some kernels for arm64 are.
    Gzip,
    /// Nothing of these.
    Unknown,
}

impl KernelImage {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(file: &File) -> io::Result<Self> {
        let mut head = vec![0; HEAD_BYTES];
        let mut filled = 0;
        while filled < head.len() {
            match file.read_at(&mut head[filled..], filled as u64)? {
                0 => break,
                length => filled += length,
            }
        }
        Ok(Self::of(&head[..filled]))
    }

    /// Tells it from the first bytes of a file.
    pub fn of(head: &[u8]) -> Self {
        let u16_at = |at: usize| head.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        let u32_at = |at: usize| {
            head.get(at..at + 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        if head.get(0x202..0x206) == Some(b"HdrS") && u16_at(0x1fe) == Some(0xaa55) {
            let version = u16_at(0x206).unwrap_or_default();
            let since = |needed, value: u32| if version >= needed { value } else { 0 };
            return Self::BzImage {
                is_64_bit: since(0x20c, u16_at(0x236).unwrap_or_default().into()) & 1 != 0,
                command_line_bytes: match since(0x206, u32_at(0x238).unwrap_or_default()) {
                    0 => 255,
                    bytes => bytes,
                },
            };
        }
        if head.starts_with(b"MZ") && head.get(4..8) == Some(b"zimg") {
            return Self::Zboot;
        }
        if head.get(56..60) == Some(b"ARM\x64") {
            return Self::Arm64;
        }
        if head.starts_with(&[0x1f, 0x8b]) {
            return Self::Gzip;
        }
        let pe = u32_at(0x3c).and_then(|at| usize::try_from(at).ok()).filter(|_| head.starts_with(b"MZ"));
        match pe.filter(|at| *at < HEAD_BYTES) {
            Some(at) if head.get(at..at + 4) == Some(b"PE\0\0") => {
                Self::Efi { machine: u16_at(at + 4).unwrap_or_default() }
            }
            _ => Self::Unknown,
        }
    }

    /// The processor that it is for; nothing where that cannot be told.
    pub fn machine(self) -> Option<Machine> {
        match self {
            Self::BzImage { is_64_bit: true, .. } | Self::Efi { machine: 0x8664 } => Some(Machine::X86_64),
            Self::Arm64 | Self::Efi { machine: 0xaa64 } => Some(Machine::Aarch64),
            _ => None,
        }
    }

    /// For a log line.
    pub fn words(self) -> String {
        match self {
            Self::BzImage { is_64_bit: true, .. } => "a kernel for x86-64".into(),
            Self::BzImage { is_64_bit: false, .. } => "a kernel for 32-bit x86".into(),
            Self::Arm64 => "a kernel for arm64".into(),
            Self::Zboot => "an EFI program with a packed kernel in it (zboot)".into(),
            Self::Efi { machine: 0x8664 } => "an EFI program for x86-64".into(),
            Self::Efi { machine: 0xaa64 } => "an EFI program for arm64".into(),
            Self::Efi { machine } => format!("an EFI program for machine type {machine:#06x}"),
            Self::Gzip => "packed by gzip".into(),
            Self::Unknown => "no Linux kernel".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn kernels_are_told_apart() {
        let bz = |version: u16, flags: u8, limit: u32| {
            with(&[
                (0, b"MZ"),
                (0x1fe, &[0x55, 0xaa]),
                (0x202, b"HdrS"),
                (0x206, &version.to_le_bytes()),
                (0x236, &[flags]),
                (0x238, &limit.to_le_bytes()),
            ])
        };
        let image = KernelImage::of(&bz(0x20f, 0x7f, 2047));
        assert_eq!(image, KernelImage::BzImage { is_64_bit: true, command_line_bytes: 2047 });
        assert_eq!(image.machine(), Some(Machine::X86_64));
        let image = KernelImage::of(&bz(0x20f, 0, 2047));
        assert_eq!((image.machine(), image.words().as_str()), (None, "a kernel for 32-bit x86"));
        // Before these fields were there.
        let image = KernelImage::of(&bz(0x205, 0xff, 0xffff_ffff));
        assert_eq!(image, KernelImage::BzImage { is_64_bit: false, command_line_bytes: 255 });

        let arm = with(&[(0, b"MZ"), (56, b"ARM\x64")]);
        assert_eq!(KernelImage::of(&arm).machine(), Some(Machine::Aarch64));
        let zboot = with(&[(0, b"MZ\0\0zimg"), (56, b"ARM\x64")]);
        assert_eq!(KernelImage::of(&zboot), KernelImage::Zboot);
        let unified = with(&[(0, b"MZ"), (0x3c, &[0x80]), (0x80, b"PE\0\0\x64\x86")]);
        assert_eq!(KernelImage::of(&unified), KernelImage::Efi { machine: 0x8664 });
        assert_eq!(KernelImage::of(&[0x1f, 0x8b, 8]), KernelImage::Gzip);
    }

    #[test]
    fn what_is_none_is_none() {
        let far = with(&[(0, b"MZ"), (0x3c, &[0xff; 4])]);
        let end = with(&[(0, b"MZ"), (0x3c, &0xffe_u32.to_le_bytes()), (0xffe, b"PE")]);
        for head in [&far[..], &end, b"MZ", b"", b"#!/bin/sh\n", &[0; 0x203]] {
            assert_eq!(KernelImage::of(head), KernelImage::Unknown);
        }
    }
}
