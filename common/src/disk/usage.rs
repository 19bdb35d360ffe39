//! Who uses a disk. The kernel's exclusive open is what keeps others out; this says who they are.

use std::collections::BTreeSet;
use std::fs;

use super::attributes::{Disk, System, attribute, device_number};
use crate::cause::Cause;
use crate::failure::Failure;

/// A use of a disk that forbids writing to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// The system that runs this program lives on it, perhaps through mapped devices.
    RunsSystem {
        /// The kernel's name of the disk or partition.
        device: String,
    },
    /// Mounted.
    Mounted {
        /// The kernel's name of the disk or partition.
        device: String,
        /// Where.
        at: String,
    },
    /// Swap space in use.
    Swap {
        /// The kernel's name of the disk or partition.
        device: String,
    },
    /// Part of another block device.
    Held {
        /// The kernel's name of the disk or partition.
        device: String,
        /// What holds it, in words: `LVM volume vg-root (dm-0)`, `md array md127`.
        by: String,
    },
}

/// All uses of a disk and its partitions, the worst first.
pub fn uses(system: &System, disk: &Disk) -> Vec<Use> {
    let mut devices = vec![(disk.name.clone(), disk.number)];
    devices.extend(system.partitions(disk).into_iter().map(|partition| (partition.name, partition.device)));
    let mounts = mounts(system);
    let system_devices = root_devices(system, &mounts);
    let swaps = fs::read_to_string(system.proc.join("swaps")).unwrap_or_default();

    let mut found = Vec::new();
    for (device, number) in &devices {
        if system_devices.contains(number) {
            found.push(Use::RunsSystem { device: device.clone() });
        }
    }
    for (device, number) in &devices {
        let node = format!("/dev/{device}");
        for mount in mounts.iter().filter(|mount| mount.number == *number || mount.source == node) {
            let mounted = Use::Mounted { device: device.clone(), at: mount.at.clone() };
            if !found.contains(&mounted) {
                found.push(mounted);
            }
        }
        if swaps.lines().skip(1).any(|line| line.split_whitespace().next() == Some(node.as_str())) {
            found.push(Use::Swap { device: device.clone() });
        }
    }
    for (device, _) in &devices {
        for holder in holders(system, device) {
            found.push(Use::Held { device: device.clone(), by: describe_holder(system, &holder) });
        }
    }
    found
}

/// Refuses a disk that is in use, with everything that was found.
///
/// # Errors
/// The cause of the worst use.
pub fn refuse_if_used(system: &System, disk: &Disk) -> Result<(), Failure> {
    let uses = uses(system, disk);
    let cause = match uses.first() {
        None => return Ok(()),
        Some(Use::RunsSystem { .. }) => Cause::DiskRunsSystem,
        Some(Use::Mounted { .. }) => Cause::DiskMounted,
        Some(Use::Swap { .. }) => Cause::DiskSwap,
        Some(Use::Held { .. }) => Cause::DiskHeld,
    };
    let all: Vec<String> = uses
        .iter()
        .map(|each| match each {
            Use::RunsSystem { device } => format!("the running system lives on {device}"),
            Use::Mounted { device, at } => format!("{device} is mounted at {at}"),
            Use::Swap { device } => format!("{device} is swap space in use"),
            Use::Held { device, by } => format!("{device} is held by {by}"),
        })
        .collect();
    Err(Failure::new(
        cause,
        format_args!("refusing {}: {}; nothing was written to it", disk.describe(), all.join(", ")),
    ))
}

struct Mount {
    number: (u32, u32),
    source: String,
    at: String,
}

/// The mounts of this process and, where it can be seen, of the first process: a container has a mount namespace of its
/// own and does not see what its host has mounted.
fn mounts(system: &System) -> Vec<Mount> {
    ["1", "self"]
        .iter()
        .filter_map(|process| fs::read_to_string(system.proc.join(process).join("mountinfo")).ok())
        .flat_map(|text| text.lines().filter_map(parse_mount).collect::<Vec<_>>())
        .collect()
}

/// A line of mountinfo, proc(5): `36 35 98:0 /mnt1 /mnt2 rw master:1 - ext3 /dev/root rw`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ');
    let number = device_number(before.nth(2)?)?;
    let at = before.nth(1)?.to_owned();
    let source = after.split(' ').nth(1)?.to_owned();
    Some(Mount { number, source, at })
}

/// The block devices below what is mounted at `/`, all the way down through mapped devices.
fn root_devices(system: &System, mounts: &[Mount]) -> BTreeSet<(u32, u32)> {
    let mut below = BTreeSet::new();
    let mut todo: Vec<(u32, u32)> = Vec::new();
    for mount in mounts.iter().filter(|mount| mount.at == "/") {
        todo.push(mount.number);
        // btrfs shows a number of its own; its source is the device.
        if let Some(name) = mount.source.strip_prefix("/dev/") {
            todo.extend(attribute(&system.sys.join("class/block").join(name).join("dev")).and_then(|n| device_number(&n)));
        }
    }
    while let Some((major, minor)) = todo.pop() {
        if !below.insert((major, minor)) {
            continue;
        }
        let slaves = system.sys.join(format!("dev/block/{major}:{minor}/slaves"));
        for slave in fs::read_dir(slaves).into_iter().flatten().flatten() {
            todo.extend(attribute(&slave.path().join("dev")).and_then(|number| device_number(&number)));
        }
    }
    below
}

fn holders(system: &System, device: &str) -> Vec<String> {
    let folder = system.sys.join("class/block").join(device).join("holders");
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn describe_holder(system: &System, holder: &str) -> String {
    let text = |path: &str| attribute(&system.sys.join("class/block").join(holder).join(path));
    let name = text("dm/name").unwrap_or_default();
    // The prefix of a mapped device's UUID says who made it (libdevmapper).
    match text("dm/uuid").unwrap_or_default().split('-').next() {
        Some("LVM") => format!("LVM volume {name} ({holder})"),
        Some("CRYPT") => format!("encrypted device {name} ({holder})"),
        Some("mpath") => format!("multipath device {name} ({holder})"),
        _ if !name.is_empty() => format!("mapped device {name} ({holder})"),
        _ if holder.starts_with("md") => format!("md array {holder}"),
        _ => holder.to_owned(),
    }
}
