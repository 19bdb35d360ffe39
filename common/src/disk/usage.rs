//! Who uses a disk. The kernel's exclusive open is what keeps others out; this says who they are.

use std::collections::BTreeSet;
use std::fs;

use super::attributes::{Disk, System, attribute, device_number};
use super::mounts::{self, Mount, mounted_kind};
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
    let mounts = Mount::all(system);
    let below_root = below(system, mounts.iter().filter(|mount| mount.at == "/"));
    let swaps = swaps(system);

    let mut found = Vec::new();
    let mut add = |each: Use| {
        if !found.contains(&each) {
            found.push(each);
        }
    };
    for (device, number) in &devices {
        if below_root.contains(number) {
            add(Use::RunsSystem { device: device.clone() });
        }
    }
    for (device, number) in &devices {
        let at: Vec<&Mount> = mounts.iter().filter(|mount| mount.devices.contains(number)).collect();
        for mount in &at {
            add(Use::Mounted { device: device.clone(), at: mount.at.clone() });
        }
        if let Some(kind) = mounted_kind(system, device, *number).filter(|_| at.is_empty()) {
            let at = format!("a place that this container does not see ({kind})");
            add(Use::Mounted { device: device.clone(), at });
        }
    }
    for (device, number) in &devices {
        if swaps.contains(number) {
            add(Use::Swap { device: device.clone() });
        }
    }
    for (device, _) in &devices {
        for holder in holders(system, device) {
            add(Use::Held { device: device.clone(), by: describe_mapped(system, &holder, 0) });
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

/// All block devices below mounts, all the way down through mapped devices.
fn below<'a>(system: &System, mounts: impl Iterator<Item = &'a Mount>) -> BTreeSet<(u32, u32)> {
    let mut below = BTreeSet::new();
    let mut todo: Vec<(u32, u32)> = mounts.flat_map(|mount| mount.devices.iter().copied()).collect();
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

/// The block devices that are swap space in use, proc(5).
fn swaps(system: &System) -> Vec<(u32, u32)> {
    let text = fs::read_to_string(system.proc.join("swaps")).unwrap_or_default();
    let paths = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    paths.filter_map(|path| mounts::device_of(system, &mounts::unescaped(path))).collect()
}

/// The devices that stand on this one.
pub(super) fn holders(system: &System, device: &str) -> Vec<String> {
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

/// What a mapped device or an md array is, in words, and what it holds up itself.
pub(super) fn describe_mapped(system: &System, device: &str, depth: usize) -> String {
    let text = |path: &str| attribute(&system.sys.join("class/block").join(device).join(path));
    let name = text("dm/name").unwrap_or_default();
    // The prefix of a mapped device's UUID says who made it (libdevmapper).
    let own = match text("dm/uuid").unwrap_or_default().split('-').next() {
        Some("LVM") => format!("LVM volume {name} ({device})"),
        Some("CRYPT") => format!("encrypted device {name} ({device})"),
        Some("mpath") => format!("multipath device {name} ({device})"),
        _ if !name.is_empty() => format!("mapped device {name} ({device})"),
        _ if device.starts_with("md") => format!("md array {device}"),
        _ => device.to_owned(),
    };
    // Stacks are a few devices high; the bound is for a sysfs that makes no sense.
    let above: Vec<String> = match depth {
        0..8 => {
            holders(system, device).iter().map(|holder| describe_mapped(system, holder, depth + 1)).collect()
        }
        _ => Vec::new(),
    };
    if above.is_empty() { own } else { format!("{own} below {}", above.join(" and ")) }
}

#[cfg(test)]
mod tests;
