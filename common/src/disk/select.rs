//! Which disk is meant by a value of `DEST_DISK`. There is no udev in the in-memory OS, so names below
//! `/dev/disk/by-id` are worked out from sysfs.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::attributes::{Disk, PartitionNode, System, attribute};
use super::open::split;
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
    if let Some(serial) = selector.strip_prefix("serial:") {
        return only(system, selector, |disk| disk.serial.as_deref().is_some_and(|own| own.trim() == serial.trim()));
    }
    if let Some(wwn) = selector.strip_prefix("wwn:") {
        let wwn = bare_wwn(wwn);
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
        Ok(metadata) if metadata.file_type().is_block_device() => by_number(system, selector, split(metadata.rdev())),
        Ok(_) => Err(Failure::new(Cause::NotABlockDevice, format_args!("{selector} is there, but is no block device"))),
        Err(_) => without_node(system, selector),
    }
}

/// A path that is not in this /dev: a by-id name that udev would have made, or a node that a bare /dev lacks.
fn without_node(system: &System, selector: &str) -> Result<Place, Failure> {
    let name = selector.trim_start_matches("/dev/");
    if let Some(id) = name.strip_prefix("disk/by-id/") {
        let (id, number) = split_part(id);
        let place = only(system, selector, |disk| by_id_names(disk).iter().any(|own| own == id))?;
        return Ok(match number {
            Some(number) => Place::Partition(place.disk().clone(), number),
            None => place,
        });
    }
    if let Some(disk) = system.disk(name).filter(|disk| disk.size_bytes > 0) {
        return Ok(Place::Disk(disk));
    }
    for disk in system.disks() {
        if let Some(partition) = system.partitions(&disk).into_iter().find(|partition| partition.name == name) {
            return Ok(Place::Partition(disk, partition.number));
        }
    }
    // `/dev/sda3` of a table that the kernel has not read, as on a loop device.
    if let Some((disk, number)) = partition_name(name).and_then(|(disk, number)| Some((system.disk(disk)?, number))) {
        return Ok(Place::Partition(disk, number));
    }
    Err(missing(system, selector))
}

fn by_number(system: &System, selector: &str, number: (u32, u32)) -> Result<Place, Failure> {
    let folder = system.sys.join(format!("dev/block/{}:{}", number.0, number.1));
    let folder = fs::canonicalize(&folder).map_err(|_| missing(system, selector))?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(partition) = attribute(&folder.join("partition")).and_then(|text| text.parse().ok()) {
        let parent = folder.parent().map(name).unwrap_or_default();
        return system.disk(&parent).map(|disk| Place::Partition(disk, partition)).ok_or_else(|| missing(system, selector));
    }
    let name = name(&folder);
    if let Some(disk) = system.disks().into_iter().find(|disk| disk.name == name) {
        return Ok(Place::Disk(disk));
    }
    let size_bytes = attribute(&folder.join("size")).unwrap_or_default();
    Err(if size_bytes == "0" {
        Failure::new(Cause::DiskMissing, format_args!("{selector} has no medium: its size is 0"))
    } else {
        Failure::new(Cause::NotAWholeDisk, format_args!("{selector} ({name}) is no disk that can hold a system"))
    })
}

fn only(system: &System, selector: &str, matches: impl Fn(&Disk) -> bool) -> Result<Place, Failure> {
    let mut found: Vec<Disk> = system.disks().into_iter().filter(matches).collect();
    match found.len() {
        0 => Err(missing(system, selector)),
        1 => Ok(Place::Disk(found.remove(0))),
        _ => {
            let all: Vec<String> = found.iter().map(Disk::describe).collect();
            Err(Failure::new(Cause::DiskAmbiguous, format_args!("{selector} fits several disks: {}", all.join(", "))))
        }
    }
}

fn missing(system: &System, selector: &str) -> Failure {
    let all: Vec<String> = system.disks().iter().map(Disk::describe).collect();
    let there = if all.is_empty() { "no disk at all".to_owned() } else { all.join(", ") };
    Failure::new(Cause::DiskMissing, format_args!("there is no {selector}; this machine has {there}"))
}

/// The names that udev's `60-persistent-storage.rules` would give a disk below `/dev/disk/by-id`.
fn by_id_names(disk: &Disk) -> Vec<String> {
    let mut names = Vec::new();
    let nvme = disk.name.starts_with("nvme");
    if let Some(wwid) = &disk.wwid {
        let hex = wwid.split_once('.').map_or(wwid.as_str(), |(_, hex)| hex);
        if nvme {
            names.push(format!("nvme-{}", underscores(wwid)));
        } else if wwid.starts_with("naa.") {
            names.push(format!("wwn-0x{hex}"));
            names.push(format!("scsi-3{hex}"));
        }
    }
    if let Some(serial) = &disk.serial {
        let serial = underscores(serial);
        let model = disk.model.as_deref().map(underscores);
        if disk.name.starts_with("vd") {
            // udev cuts nothing, virtio itself cuts a serial number to 20 bytes.
            names.push(format!("virtio-{serial}"));
        }
        if let Some(model) = model {
            let buses: &[&str] = if nvme { &["nvme"] } else if disk.name.starts_with("mmcblk") { &["mmc"] } else { &["ata", "scsi", "usb"] };
            for bus in buses {
                names.push(format!("{bus}-{model}_{serial}"));
                if nvme {
                    names.push(format!("{bus}-{model}_{serial}_1"));
                }
            }
        }
    }
    names
}

/// udev's replacement of white space (`util_replace_whitespace`): runs become one underscore.
fn underscores(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join("_")
}

/// `wwn-0x5000c500a1b2c3d4-part3` as its name and number.
fn split_part(id: &str) -> (&str, Option<u32>) {
    match id.rsplit_once("-part") {
        Some((name, number)) if number.parse::<u32>().is_ok_and(|number| number > 0) => (name, number.parse().ok()),
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
    let text = ["naa.", "eui.", "uuid.", "t10.", "wwn-"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    text.strip_prefix("0x").unwrap_or(text).to_owned()
}

impl System {
    /// The partition of this number, if the kernel shows it.
    pub fn partition(&self, disk: &Disk, number: u32) -> Option<PartitionNode> {
        self.partitions(disk).into_iter().find(|partition| partition.number == number)
    }
}
