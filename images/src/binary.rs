//! Looking at a binary before it is packed: an image holds nothing that it could load.

use anyhow::{Context, Result, bail};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Architecture, Object, ObjectKind};

use crate::platform::Platform;

/// Checks that `bytes` are an executable for `platform` which needs no dynamic loader.
///
/// # Errors
/// It is no ELF executable, is for another architecture, or asks for an interpreter.
pub fn check(bytes: &[u8], platform: Platform) -> Result<()> {
    let elf: ElfFile64<'_> = ElfFile64::parse(bytes).context("reading it as a 64-bit ELF file")?;
    let wanted = match platform {
        Platform::Amd64 => Architecture::X86_64,
        Platform::Arm64 => Architecture::Aarch64,
    };
    if elf.architecture() != wanted {
        bail!("it is for {:?}, not for {platform}", elf.architecture());
    }
    if !matches!(elf.kind(), ObjectKind::Executable | ObjectKind::Dynamic) {
        bail!("it is a {:?}, not an executable", elf.kind());
    }
    let endian = elf.endian();
    let headers = elf.elf_header().program_headers(endian, bytes).context("reading its program headers")?;
    for header in headers {
        if let Some(path) = header.interpreter(endian, bytes).context("reading its interpreter's path")? {
            bail!("it is linked dynamically: it asks for {}", String::from_utf8_lossy(path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_is_static_and_for_this_machine() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let (right, wrong) = if cfg!(target_arch = "x86_64") {
            (Platform::Amd64, Platform::Arm64)
        } else {
            (Platform::Arm64, Platform::Amd64)
        };
        check(&own, right).unwrap();
        assert!(check(&own, wrong).unwrap_err().to_string().contains("not for linux/"));
    }

    #[test]
    fn what_needs_a_loader_is_refused() {
        let shell = std::fs::read("/bin/sh").unwrap();
        let said =
            check(&shell, if cfg!(target_arch = "x86_64") { Platform::Amd64 } else { Platform::Arm64 });
        assert!(said.unwrap_err().to_string().contains("it asks for /lib"));
        assert!(check(b"#!/bin/sh\n", Platform::Amd64).is_err());
        assert!(check(b"", Platform::Amd64).is_err());
    }
}
