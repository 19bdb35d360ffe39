//! Which disk is meant by a value of `DEST_DISK`. There is no udev in the in-memory OS, so names below
//! `/dev/disk/by-id` are worked out from sysfs.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::attributes::{Disk, PartitionNode, System, attribute, split};
use super::mounts::device_of;
use super::usage::{describe_mapped, holders};
use crate::cause::Cause;
use crate::failure::Failure;

/// Where an installed system is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a whole disk.
    Disk(Disk),
    /// In the partition of this number alone.
    Partition(Disk, u32),
}

impl Place {
    /// The whole disk.
    pub fn disk(&self) -> &Disk {
        match self {
            Self::Disk(disk) | Self::Partition(disk, _) => disk,
        }
    }
}

/// The whole disk that `selector` names.
///
/// # Errors
/// [`Cause::DiskMissing`], [`Cause::DiskAmbiguous`], [`Cause::NotABlockDevice`], [`Cause::NotAWholeDisk`], and
/// [`Cause::Configuration`] where the selector has none of the accepted forms.
pub fn find_disk(system: &System, selector: &str) -> Result<Disk, Failure> {
    match find_place(system, selector)? {
        Place::Disk(disk) => Ok(disk),
        Place::Partition(disk, number) => Err(Failure::new(
            Cause::NotAWholeDisk,
            format_args!(
                "{selector} is partition {number} of {}; give the whole disk, {}",
                disk.describe(),
                disk.node.display()
            ),
        )),
    }
}

/// The disk or partition that `selector` names.
///
/// # Errors
/// As [`find_disk`], but for [`Cause::NotAWholeDisk`], which here means something that is neither.
pub fn find_place(system: &System, selector: &str) -> Result<Place, Failure> {
    if let Some(serial) = selector.strip_prefix("serial:").map(str::trim).filter(|serial| !serial.is_empty())
    {
        return only(system, selector, |disk| disk.serial.as_deref().is_some_and(|own| own.trim() == serial));
    }
    if let Some(wwn) = selector.strip_prefix("wwn:").map(bare_wwn).filter(|wwn| !wwn.is_empty()) {
        return only(system, selector, |disk| disk.wwid.as_deref().is_some_and(|own| bare_wwn(own) == wwn));
    }
    if !selector.starts_with("/dev/") || selector.contains("/../") {
        return Err(Failure::new(
            Cause::Configuration,
            format_args!(
                "{selector:?} is no disk; accepted: /dev/NAME, /dev/disk/by-id/NAME, serial:NUMBER or wwn:NUMBER"
            ),
        ));
    }
    let path = system.dev.join(selector.trim_start_matches("/dev/"));
    match fs::metadata(&path) {
        Ok(metadata) if metadata.file_type().is_block_device() => {
            by_number(system, selector, split(metadata.rdev()))
        }
        Ok(_) => Err(Failure::new(
            Cause::NotABlockDevice,
            format_args!("{selector} is there, but is no block device"),
        )),
        Err(_) => without_node(system, selector),
    }
}

/// A path that is not in this /dev: a by-id name that udev would have made, or a node that a bare /dev lacks.
fn without_node(system: &System, selector: &str) -> Result<Place, Failure> {
    let name = selector.trim_start_matches("/dev/");
    if let Some(id) = name.strip_prefix("disk/by-id/") {
        let (id, number) = split_part(id);
        let place = only(system, selector, |disk| system.by_id_names(disk).iter().any(|own| own == id))?;
        return Ok(match number {
            Some(number) => Place::Partition(place.disk().clone(), number),
            None => place,
        });
    }
    if let Some(number) = device_of(system, &format!("/dev/{name}")) {
        return by_number(system, selector, number);
    }
    // `/dev/sda3` of a table that the kernel has not read, as on a loop device.
    let disks = system.disks();
    let of = |disk_name: &str| disks.iter().find(|disk| disk.name == disk_name.replace('/', "!"));
    if let Some((disk, number)) = partition_name(name).and_then(|(disk, number)| Some((of(disk)?, number))) {
        return Ok(Place::Partition(disk.clone(), number));
    }
    Err(missing(system, selector))
}

fn by_number(system: &System, selector: &str, number: (u32, u32)) -> Result<Place, Failure> {
    let folder = system.sys.join(format!("dev/block/{}:{}", number.0, number.1));
    let folder = fs::canonicalize(&folder).map_err(|_| missing(system, selector))?;
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(partition) = attribute(&folder.join("partition")).and_then(|text| text.parse().ok()) {
        let parent = folder.parent().map(name).unwrap_or_default();
        return system
            .disk(&parent)
            .map(|disk| Place::Partition(disk, partition))
            .ok_or_else(|| missing(system, selector));
    }
    let name = name(&folder);
    if let Some(disk) = system.disks().into_iter().find(|disk| disk.name == name) {
        return Ok(Place::Disk(disk));
    }
    if attribute(&folder.join("size")).as_deref() == Some("0") {
        return Err(Failure::new(
            Cause::DiskMissing,
            format_args!("{selector} has no medium: its size is 0"),
        ));
    }
    let what = describe_mapped(system, &name, 0);
    Err(Failure::new(Cause::NotAWholeDisk, format_args!("{selector} is no whole disk: {what}")))
}

fn only(system: &System, selector: &str, matches: impl Fn(&Disk) -> bool) -> Result<Place, Failure> {
    let mut found: Vec<Disk> = system.disks().into_iter().filter(matches).collect();
    if let Some(all_paths) = multipath(system, &found) {
        return Ok(Place::Disk(all_paths));
    }
    match found.len() {
        0 => Err(missing(system, selector)),
        1 => Ok(Place::Disk(found.remove(0))),
        _ => {
            let all: Vec<String> = found.iter().map(Disk::describe).collect();
            Err(Failure::new(
                Cause::DiskAmbiguous,
                format_args!("{selector} fits several disks: {}", all.join(", ")),
            ))
        }
    }
}

/// The multipath device of which these disks are the paths.
fn multipath(system: &System, paths: &[Disk]) -> Option<Disk> {
    let mut above = paths.iter().map(|disk| holders(system, &disk.name));
    let first = above.next()?;
    let [name] = first.as_slice() else { return None };
    let is_mpath = attribute(&system.sys.join("block").join(name).join("dm/uuid"))?.starts_with("mpath-");
    if is_mpath && above.all(|each| each == first) { system.disk(name) } else { None }
}

fn missing(system: &System, selector: &str) -> Failure {
    let all: Vec<String> = system.disks().iter().map(Disk::describe).collect();
    let there = if all.is_empty() { "no disk at all".to_owned() } else { all.join(", ") };
    Failure::new(Cause::DiskMissing, format_args!("there is no {selector}; this machine has {there}"))
}

/// `wwn-0x5000c500a1b2c3d4-part3` as its name and number.
fn split_part(id: &str) -> (&str, Option<u32>) {
    match id.rsplit_once("-part") {
        Some((name, number)) if number.parse::<u32>().is_ok_and(|number| number > 0) => {
            (name, number.parse().ok())
        }
        _ => (id, None),
    }
}

/// `sda3` as `sda` and 3, `nvme0n1p3` as `nvme0n1` and 3.
fn partition_name(name: &str) -> Option<(&str, u32)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[stem.len()..].parse().ok().filter(|number| *number > 0)?;
    let disk = match stem.strip_suffix('p') {
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => disk,
        _ => stem,
    };
    Some((disk, number))
}

/// A world wide name without what tools put before it, in lower case.
fn bare_wwn(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let text = ["naa.", "eui.", "uuid.", "t10.", "wwn-"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(&text);
    text.strip_prefix("0x").unwrap_or(text).to_owned()
}

impl System {
    /// Whether a disk is only one of several paths to a disk that is mapped (multipath), and shows what that shows.
    pub fn is_path(&self, disk: &Disk) -> bool {
        holders(self, &disk.name).iter().any(|name| {
            attribute(&self.sys.join("block").join(name).join("dm/uuid"))
                .is_some_and(|uuid| uuid.starts_with("mpath-"))
        })
    }

    /// The partition of this number, if the kernel shows it.
    pub fn partition(&self, disk: &Disk, number: u32) -> Option<PartitionNode> {
        self.partitions(disk).into_iter().find(|partition| partition.number == number)
    }
}

#[cfg(test)]
mod tests;
