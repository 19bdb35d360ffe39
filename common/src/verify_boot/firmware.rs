//! Whether the firmware has something to start.

use std::io;

use super::Finding;
use crate::cause::Cause;
use crate::efi::{Architecture, Firmware};
use crate::esp::{self, EspError, Found, Loader};
use crate::failure::{Because, Failure};
use crate::table::{PartitionKind, PartitionTable, ReadAt};

/// The type of a BIOS boot partition in a GPT, as it stores it: 21686148-6449-6e6f-744e-656564454649.
const BIOS_BOOT: [u8; 16] = *b"Hah!IdontNeedEFI";

/// Where boot code ends in block 0, and the signature of the disk begins.
const CODE_BYTES: usize = 440;

/// What GRUB's boot code says when it starts (`grub-core/boot/i386/pc/boot.S`).
const GRUB: &[u8] = b"GRUB ";

/// Where it has the number of the sector that it loads (`GRUB_BOOT_MACHINE_KERNEL_SECTOR`, include/grub/i386/pc/boot.h).
const GRUB_CORE_AT: usize = 0x5c;

/// What there is for the firmware to start.
#[derive(Debug)]
pub(super) enum Seen {
    /// For a BIOS.
    Bios {
        /// Whether block 0 has boot code.
        has_code: bool,
        /// Whether it ends as a boot sector does.
        has_signature: bool,
        /// What GRUB's boot code loads; nothing where it is another one's.
        core: Option<Core>,
    },
    /// For UEFI.
    Uefi {
        /// What it starts programs for.
        architecture: Architecture,
        /// The EFI system partitions, by number.
        partitions: Vec<(u32, Result<Found, EspError>)>,
        /// Loaders on partitions that have another type.
        elsewhere: Vec<(u32, Loader)>,
    },
}

/// The sector that GRUB's boot code loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Core {
    /// It is in this partition, or in none.
    At {
        /// Its number.
        sector: u64,
        /// The partition.
        partition: Option<u32>,
        /// Whether that is a BIOS boot partition.
        is_bios_boot: bool,
        /// Whether it is all zeros.
        is_empty: bool,
    },
    /// The disk has no such sector, or blocks of another size than a BIOS counts in.
    Unknown(u64),
}

/// Reads what the firmware would.
///
/// # Errors
/// [`Cause::DiskIo`].
pub(super) fn look(
    disk: &dyn ReadAt,
    size_bytes: u64,
    table: Option<&PartitionTable>,
    firmware: Firmware,
) -> Result<Seen, Failure> {
    match firmware.architecture() {
        None => bios(disk, size_bytes, table).because(Cause::DiskIo),
        Some(architecture) => Ok(uefi(disk, table, architecture)),
    }
}

fn bios(disk: &dyn ReadAt, size_bytes: u64, table: Option<&PartitionTable>) -> io::Result<Seen> {
    let mut sector = [0; 512];
    disk.read_exact_at(&mut sector, 0)?;
    let code = &sector[..CODE_BYTES];
    let core = match code.windows(GRUB.len()).any(|window| window == GRUB) {
        false => None,
        true => {
            let number = code[GRUB_CORE_AT..GRUB_CORE_AT + 8].iter().rev();
            let number = number.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            Some(core(disk, size_bytes, table, number)?)
        }
    };
    Ok(Seen::Bios {
        has_code: code.iter().any(|byte| *byte != 0),
        has_signature: sector[510..] == [0x55, 0xaa],
        core,
    })
}

fn core(disk: &dyn ReadAt, size_bytes: u64, table: Option<&PartitionTable>, sector: u64) -> io::Result<Core> {
    let counts_in_sectors = table.is_none_or(|table| table.logical_block_size == 512);
    if sector == 0 || sector >= size_bytes / 512 || !counts_in_sectors {
        return Ok(Core::Unknown(sector));
    }
    let mut content = [0; 512];
    disk.read_exact_at(&mut content, sector * 512)?;
    let partition = table.and_then(|table| {
        table.partitions.iter().find(|each| (each.first_lba..=each.last_lba).contains(&sector))
    });
    Ok(Core::At {
        sector,
        partition: partition.map(|partition| partition.number),
        is_bios_boot: partition.is_some_and(|each| each.kind == PartitionKind::Gpt(BIOS_BOOT)),
        is_empty: content.iter().all(|byte| *byte == 0),
    })
}

fn uefi(disk: &dyn ReadAt, table: Option<&PartitionTable>, architecture: Architecture) -> Seen {
    let Some(table) = table else {
        return Seen::Uefi { architecture, partitions: Vec::new(), elsewhere: Vec::new() };
    };
    let mut partitions = Vec::new();
    for partition in esp::partitions(table) {
        partitions.push((partition.number, esp::look(disk, table, partition, architecture)));
    }
    let mut elsewhere = Vec::new();
    for partition in &table.partitions {
        if partitions.iter().any(|(number, _)| *number == partition.number) {
            continue;
        }
        let found = esp::look(disk, table, partition, architecture);
        if let Some(loader) = found.ok().and_then(|found| found.loaders.into_iter().next()) {
            elsewhere.push((partition.number, loader));
        }
    }
    Seen::Uefi { architecture, partitions, elsewhere }
}

/// Says whether there is something to start. Where the firmware is not what starts the system, what is missing warns.
pub(super) fn judge(seen: &Seen, by_firmware: bool) -> Vec<Finding> {
    let lacks = |text: String| {
        if by_firmware {
            Finding::error(Cause::BootLoader, text)
        } else {
            Finding::warning(format!(
                "{text}; the running kernel starts the system now, the firmware could not"
            ))
        }
    };
    vec![match seen {
        Seen::Bios { has_code, has_signature, core } => judge_bios(*has_code, *has_signature, *core, lacks),
        Seen::Uefi { architecture, partitions, elsewhere } => {
            judge_uefi(*architecture, partitions, elsewhere, lacks)
        }
    }]
}

fn judge_bios(
    has_code: bool,
    has_signature: bool,
    core: Option<Core>,
    lacks: impl Fn(String) -> Finding,
) -> Finding {
    if !has_code || !has_signature {
        let what = if has_code { "no boot signature (55 aa)" } else { "no boot code" };
        return lacks(format!(
            "this machine was started by a BIOS, and block 0 has {what}: the image may be for UEFI alone, or GRUB was not installed"
        ));
    }
    match core {
        None => Finding::right("BIOS: block 0 has boot code"),
        Some(Core::Unknown(sector)) => Finding::warning(format!(
            "BIOS: GRUB's boot code goes on at sector {sector}, which cannot be looked at on this disk"
        )),
        Some(Core::At { sector, partition, is_empty: true, .. }) => {
            let place = match partition {
                Some(number) => format!("sector {sector}, in partition {number},"),
                None => format!("sector {sector}"),
            };
            lacks(format!(
                "GRUB's boot code goes on at {place} which is empty: grub-install was not run to its end"
            ))
        }
        Some(Core::At { sector, partition, is_bios_boot, .. }) => Finding::right(match partition {
            Some(number) if is_bios_boot => {
                format!("BIOS: block 0 has GRUB's boot code, and BIOS boot partition {number} the rest")
            }
            Some(number) => format!("BIOS: block 0 has GRUB's boot code, and partition {number} the rest"),
            None => format!("BIOS: block 0 has GRUB's boot code, and sector {sector} the rest"),
        }),
    }
}

fn judge_uefi(
    architecture: Architecture,
    partitions: &[(u32, Result<Found, EspError>)],
    elsewhere: &[(u32, Loader)],
    lacks: impl Fn(String) -> Finding,
) -> Finding {
    let loaders = |(number, found): &(u32, Result<Found, EspError>)| match found {
        Ok(found) => found.loaders.first().map(|loader| (*number, loader.clone())),
        Err(_) => None,
    };
    if let Some((number, loader)) = partitions.iter().find_map(loaders) {
        return Finding::right(format!("UEFI: there is {} on partition {number}", loader.path));
    }
    if let Some((number, loader)) = elsewhere.first() {
        return Finding::warning(format!(
            "UEFI: {} is on partition {number}, whose type is not that of an EFI system partition: some firmware does not look there",
            loader.path
        ));
    }
    let mut unread = None;
    let mut why = Vec::new();
    for (number, found) in partitions {
        match found {
            Err(error @ EspError::Io(_)) => unread = Some(format!("partition {number}: {error}")),
            Err(error) => why.push(format!("partition {number}: {error}")),
            Ok(found) => why.push(match found.foreign.first() {
                Some(Loader { path, architecture: other }) => {
                    format!(
                        "{path} on partition {number} is for {other}, and the firmware for {architecture}"
                    )
                }
                None => format!("EFI system partition {number} has no loader for {architecture}"),
            }),
        }
    }
    if let Some(unread) = unread {
        return Finding::warning(format!("UEFI: whether there is a loader is not known: {unread}"));
    }
    if why.is_empty() {
        why.push("there is no EFI system partition".to_owned());
    }
    lacks(format!("this machine was started by UEFI, which finds nothing to start: {}", why.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;
    use crate::table::{Partition, TableKind};

    const LOADER: Weight = Weight::Error(Cause::BootLoader);

    fn only(seen: &Seen, by_firmware: bool) -> Finding {
        let findings = judge(seen, by_firmware);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.into_iter().next().unwrap()
    }

    /// A disk of 1 MiB with GRUB's boot code, which goes on at this sector, where this byte is.
    fn grub(sector: u64, byte: u8) -> Vec<u8> {
        let mut disk = vec![0; 1 << 20];
        disk[0] = 0xeb;
        disk[GRUB_CORE_AT..GRUB_CORE_AT + 8].copy_from_slice(&sector.to_le_bytes());
        disk[0x180..0x185].copy_from_slice(GRUB);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        if let Some(place) = disk.get_mut(sector as usize * 512 + 100) {
            *place = byte;
        }
        disk
    }

    fn table() -> PartitionTable {
        let partition = |number, first_lba, kind| Partition {
            number,
            first_lba,
            last_lba: first_lba + 99,
            kind: PartitionKind::Gpt(kind),
            guid: None,
            name: None,
        };
        PartitionTable {
            kind: TableKind::Gpt,
            logical_block_size: 512,
            partitions: vec![partition(1, 100, BIOS_BOOT), partition(2, 200, [7; 16])],
        }
    }

    #[test]
    fn a_bios_needs_boot_code_and_what_it_loads() {
        let judged = |disk: &[u8]| {
            let slice: &[u8] = disk;
            struct Disk<'a>(&'a [u8]);
            impl ReadAt for Disk<'_> {
                fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
                    self.0.read_exact_at(buffer, offset_bytes)
                }
            }
            only(&bios(&Disk(slice), slice.len() as u64, Some(&table())).unwrap(), true)
        };
        for (disk, weight, words) in [
            (grub(100, 1), Weight::Right, "and BIOS boot partition 1 the rest"),
            (grub(200, 1), Weight::Right, "and partition 2 the rest"),
            (grub(1, 1), Weight::Right, "and sector 1 the rest"),
            (grub(100, 0), LOADER, "goes on at sector 100, in partition 1, which is empty"),
            (grub(3, 0), LOADER, "goes on at sector 3 which is empty"),
            (grub(1 << 40, 1), Weight::Warning, "cannot be looked at"),
            (vec![0; 1 << 20], LOADER, "block 0 has no boot code"),
        ] {
            let finding = judged(&disk);
            assert_eq!(finding.weight, weight, "{finding:?}");
            assert!(finding.text.contains(words), "{finding:?}");
        }
        let mut another = vec![0x90; 1 << 20];
        assert!(judged(&another).text.contains("no boot signature"));
        another[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(judged(&another), Finding::right("BIOS: block 0 has boot code"));
    }

    #[test]
    fn uefi_needs_a_loader_of_its_own_architecture() {
        let architecture = Architecture::X64;
        let loader = |architecture| Loader { path: "\\EFI\\BOOT\\BOOTX64.EFI".into(), architecture };
        let x64 = || Found { loaders: vec![loader(Architecture::X64)], foreign: Vec::new() };
        let arm = || Found { loaders: Vec::new(), foreign: vec![loader(Architecture::Aarch64)] };
        let judged = |partitions, elsewhere| only(&Seen::Uefi { architecture, partitions, elsewhere }, true);
        let none = Vec::new;
        for (finding, weight, words) in [
            (
                judged(vec![(1, Ok(x64()))], none()),
                Weight::Right,
                "there is \\EFI\\BOOT\\BOOTX64.EFI on partition 1",
            ),
            (judged(vec![(1, Ok(arm())), (2, Ok(x64()))], none()), Weight::Right, "on partition 2"),
            (
                judged(vec![(1, Ok(arm()))], none()),
                LOADER,
                "on partition 1 is for arm64, and the firmware for x86-64",
            ),
            (judged(vec![(1, Ok(Found::default()))], none()), LOADER, "partition 1 has no loader for x86-64"),
            (
                judged(vec![(1, Err(EspError::NoFat("no signature")))], none()),
                LOADER,
                "it holds no FAT filesystem",
            ),
            (judged(Vec::new(), none()), LOADER, "there is no EFI system partition"),
            (
                judged(Vec::new(), vec![(4, loader(architecture))]),
                Weight::Warning,
                "on partition 4, whose type is not",
            ),
            (
                judged(vec![(1, Err(EspError::Io(io::Error::other("odd"))))], none()),
                Weight::Warning,
                "whether there is a loader is not known: partition 1",
            ),
        ] {
            assert_eq!(finding.weight, weight, "{finding:?}");
            assert!(finding.text.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn what_the_firmware_lacks_only_warns_before_a_kexec() {
        let seen =
            Seen::Uefi { architecture: Architecture::X64, partitions: Vec::new(), elsewhere: Vec::new() };
        let finding = only(&seen, false);
        assert_eq!(finding.weight, Weight::Warning);
        assert!(finding.text.ends_with("the running kernel starts the system now, the firmware could not"));
    }
}
