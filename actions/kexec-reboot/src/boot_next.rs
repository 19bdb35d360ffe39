//! Having the firmware start the installed disk next. A machine that was provisioned has the network first in its boot
//! order, and would be provisioned again. Only `BootNext` is set, which counts once; the boot order is the user's.

use common::cause::Cause;
use common::disk::{Disk, System, find_place};
use common::efi::{self, Architecture, Choice, Firmware, HardDrive, Signature, Variables, Wanted};
use common::esp;
use common::failure::{Because, Failure};
use common::mount::Device;
use common::table::{self, Partition, PartitionTable, ReadAt};
use tracing::{debug, info, warn};

use crate::plan::{BootNext, Going};

/// Where the signature of a disk is in its MBR (UEFI 2.10, 5.2.1).
const MBR_SIGNATURE_AT: u64 = 440;

/// What comes of the setting on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// `BootNext` is set, to a program for this architecture.
    Set(Architecture),
    /// It is left alone, and nobody need know.
    Leave,
    /// It was asked for, and cannot be set here.
    Impossible,
}

fn decide(setting: BootNext, going: Going, firmware: Firmware) -> Decision {
    match (setting, firmware.architecture()) {
        (BootNext::Never, _) | (BootNext::Auto, None) => Decision::Leave,
        // Who switches a machine off may want it to start from anything.
        (BootNext::Auto, _) if going != Going::Reboot => Decision::Leave,
        (BootNext::Always, None) => Decision::Impossible,
        (_, Some(architecture)) => Decision::Set(architecture),
    }
}

/// Sets `BootNext` where that is asked for and can be. What fails is said in one line: the machine may start from its disk
/// all the same. `disk` is the value of `DEST_DISK`; without one it is the only disk that has something to start.
///
/// # Errors
/// [`Cause::Configuration`] where `disk` has none of the accepted forms.
pub fn set(system: &System, setting: BootNext, going: Going, disk: Option<&str>) -> Result<(), Failure> {
    let firmware = Firmware::of(system);
    let done = match decide(setting, going, firmware) {
        Decision::Leave => {
            debug!("BootNext is left alone: {setting:?}, {going:?}, {firmware:?}");
            return Ok(());
        }
        Decision::Impossible => {
            warn!(
                "SET_BOOT_NEXT=true: this machine was started by a BIOS, which has no BootNext; the order set in it counts"
            );
            return Ok(());
        }
        Decision::Set(architecture) => target(system, disk, architecture).and_then(|target| {
            warn_of_twins(system, &target);
            let variables = Variables::mount()?;
            start_next(&variables, &target)
        }),
    };
    match done {
        Ok(line) => info!("{line}"),
        Err(failure) if failure.cause == Cause::Configuration => return Err(failure),
        Err(failure) => warn!(
            "BootNext is not set, so the firmware goes by its own order, and may start from the network again: {failure}"
        ),
    }
    Ok(())
}

/// What shall be started.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    disk: Disk,
    wanted: Wanted,
}

impl Target {
    /// For a log line: `partition 2 of /dev/sda (…)`.
    fn place(&self) -> String {
        format!("partition {} of {}", self.wanted.partition.number, self.disk.describe())
    }
}

fn start_next(variables: &Variables, target: &Target) -> Result<String, Failure> {
    let choice = efi::plan(&variables.seen()?, &target.wanted).because(Cause::File)?;
    variables.start_next(&choice)?;
    let entry = efi::variables::entry_name(choice.number());
    let what = match &choice {
        Choice::Existing { name, .. } => format!("{entry} {name:?}, which is there"),
        Choice::Own { again: false, .. } => format!("{entry}, a new entry"),
        Choice::Own { again: true, .. } => format!("{entry}, the entry of an earlier run, written anew"),
    };
    Ok(format!("the firmware starts {} on {} next: BootNext is {what}", choice.loader(), target.place()))
}

/// The disk that is meant, and what is to be started on it.
fn target(system: &System, selector: Option<&str>, architecture: Architecture) -> Result<Target, Failure> {
    if let Some(selector) = selector {
        return on_disk(find_place(system, selector)?.disk(), architecture);
    }
    let mut found = Vec::new();
    for disk in system.disks() {
        match on_disk(&disk, architecture) {
            Ok(target) => found.push(target),
            Err(failure) => debug!("{failure}"),
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::new(
            Cause::RootNotFound,
            format_args!(
                "no disk of this machine has an EFI system partition with a loader for {architecture}"
            ),
        )),
        _ => {
            let all: Vec<String> = found.iter().map(|target| target.disk.describe()).collect();
            let text = format_args!(
                "several disks could be started: {}; set DEST_DISK to one of them",
                all.join(", ")
            );
            Err(Failure::new(Cause::DiskAmbiguous, text))
        }
    }
}

/// What is to be started on a disk, which is only read, and not claimed.
fn on_disk(disk: &Disk, architecture: Architecture) -> Result<Target, Failure> {
    let file = Device::find(&disk.node, disk.number)?.open()?;
    let wanted = wanted(&file, disk.size_bytes, disk.logical_block_size, architecture)
        .map_err(|failure| failure.context(format!("looking at {}", disk.describe())))?;
    Ok(Target { disk: disk.clone(), wanted })
}

fn wanted(
    disk: &dyn ReadAt,
    size_bytes: u64,
    logical_block_size: u32,
    architecture: Architecture,
) -> Result<Wanted, Failure> {
    let lacks = |what: String| Failure::new(Cause::RootNotFound, what);
    let table = table::read(disk, size_bytes, logical_block_size).because(Cause::PartitionTable)?;
    let table = table.ok_or_else(|| lacks("it has no partition table".to_owned()))?;
    let mut why = Vec::new();
    for partition in esp::partitions(&table) {
        let number = partition.number;
        match esp::look(disk, &table, partition, architecture) {
            Ok(found) if !found.loaders.is_empty() => {
                let loaders = found.loaders.into_iter().map(|loader| loader.path).collect();
                return Ok(Wanted { partition: hard_drive(disk, &table, partition)?, loaders });
            }
            Ok(found) => why.push(match found.foreign.first() {
                Some(esp::Loader { path, architecture: other }) => {
                    format!("{path} on partition {number} is for {other}, the firmware for {architecture}")
                }
                None => format!("partition {number} has no loader for {architecture}"),
            }),
            Err(error) => why.push(format!("partition {number}: {error}")),
        }
    }
    Err(lacks(if why.is_empty() { "it has no EFI system partition".to_owned() } else { why.join("; ") }))
}

/// A partition as firmware knows it.
fn hard_drive(
    disk: &dyn ReadAt,
    table: &PartitionTable,
    partition: &Partition,
) -> Result<HardDrive, Failure> {
    let signature = match partition.guid {
        Some(guid) => Signature::Gpt(guid),
        None => {
            let mut signature = [0; 4];
            disk.read_exact_at(&mut signature, MBR_SIGNATURE_AT).because(Cause::DiskIo)?;
            Signature::Mbr(signature)
        }
    };
    let (first_lba, blocks) =
        (partition.first_lba, partition.length_bytes(table) / u64::from(table.logical_block_size));
    Ok(HardDrive { number: partition.number, first_lba, blocks, signature })
}

/// Two disks that were made from one image cannot be told apart by a partition's GUID, which is all that firmware goes by.
fn warn_of_twins(system: &System, target: &Target) {
    for disk in system.disks() {
        let is_same = disk.number == target.disk.number
            || (disk.wwid.is_some() && disk.wwid == target.disk.wwid)
            || (disk.serial.is_some() && disk.serial == target.disk.serial);
        if !is_same && has_partition(&disk, &target.wanted.partition).unwrap_or(false) {
            warn!(
                "{} has a partition that the firmware cannot tell from {}: it may start that one",
                disk.describe(),
                target.place()
            );
        }
    }
}

fn has_partition(disk: &Disk, wanted: &HardDrive) -> Result<bool, Failure> {
    let file = Device::find(&disk.node, disk.number)?.open()?;
    let table =
        table::read(&file, disk.size_bytes, disk.logical_block_size).because(Cause::PartitionTable)?;
    let Some(table) = table else { return Ok(false) };
    Ok(table.partitions.iter().any(|partition| {
        hard_drive(&file, &table, partition).is_ok_and(|drive| drive.is_same_partition(wanted))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UEFI: Firmware = Firmware::Uefi { word_bits: 64 };

    #[test]
    fn auto_is_for_a_reboot_on_uefi_alone() {
        use Decision::{Impossible, Leave, Set};
        let set = Set(UEFI.architecture().unwrap());
        for (setting, going, firmware, decision) in [
            (BootNext::Auto, Going::Reboot, UEFI, set),
            (BootNext::Auto, Going::Poweroff, UEFI, Leave),
            (BootNext::Auto, Going::Stay, UEFI, Leave),
            (BootNext::Auto, Going::Reboot, Firmware::Bios, Leave),
            (BootNext::Always, Going::Poweroff, UEFI, set),
            (BootNext::Always, Going::Reboot, Firmware::Bios, Impossible),
            (BootNext::Never, Going::Reboot, UEFI, Leave),
        ] {
            assert_eq!(decide(setting, going, firmware), decision, "{setting:?} {going:?} {firmware:?}");
        }
    }

    #[test]
    fn a_disk_without_anything_to_start_says_what_it_lacks() {
        struct Zeros;
        impl ReadAt for Zeros {
            fn read_exact_at(&self, buffer: &mut [u8], _: u64) -> std::io::Result<()> {
                buffer.fill(0);
                Ok(())
            }
        }
        let failure = wanted(&Zeros, 1 << 30, 512, Architecture::X64).unwrap_err();
        assert_eq!(failure.to_string(), "it has no partition table");
    }
}
