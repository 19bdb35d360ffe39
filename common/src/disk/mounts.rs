//! What is mounted, and on which block devices it lies.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::attributes::{System, attribute, device_number, split};

/// A mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The block devices that it lies on; none for what is in memory or comes over a network.
    pub(super) devices: BTreeSet<(u32, u32)>,
    /// Where.
    pub(super) at: String,
}

impl Mount {
    /// The mounts of this process and, where it can be seen, of the first process: a container has a mount namespace of
    /// its own and does not see what its host has mounted.
    pub(super) fn all(system: &System) -> Vec<Self> {
        ["1", "self"]
            .iter()
            .filter_map(|process| fs::read_to_string(system.proc.join(process).join("mountinfo")).ok())
            .flat_map(|text| text.lines().filter_map(|line| Self::parse(system, line)).collect::<Vec<_>>())
            .collect()
    }

    /// A line of mountinfo, proc(5): `36 35 98:0 /mnt1 /mnt2 rw master:1 - ext3 /dev/root rw`.
    fn parse(system: &System, line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ');
        let number = device_number(before.nth(2)?)?;
        let at = unescaped(before.nth(1)?);
        let mut after = after.split(' ');
        let (kind, source) = (after.next()?, after.next()?);
        // Major 0 is no block device: memory, a network, or a btrfs, of which the source names one of its devices.
        let mut devices = BTreeSet::new();
        if number.0 != 0 {
            devices.insert(number);
        } else if kind == "btrfs" {
            devices.extend(device_of(system, &unescaped(source)));
            for (_, members) in btrfs(system) {
                if members.iter().any(|member| devices.contains(member)) {
                    devices.extend(members);
                }
            }
        }
        Some(Self { devices, at })
    }
}

/// The filesystem that the kernel has mounted from a device, wherever that is: sysfs shows it in every container. Not all
/// filesystems are shown.
pub(super) fn mounted_kind(system: &System, device: &str, number: (u32, u32)) -> Option<String> {
    for kind in ["ext4", "xfs", "f2fs"] {
        if system.sys.join("fs").join(kind).join(device).is_dir() {
            return Some(kind.to_owned());
        }
    }
    btrfs(system)
        .into_iter()
        .find(|(_, members)| members.contains(&number))
        .map(|(uuid, _)| format!("btrfs {uuid}"))
}

/// Each mounted btrfs, by its UUID, and the devices that it lies on.
fn btrfs(system: &System) -> Vec<(String, Vec<(u32, u32)>)> {
    let folders = fs::read_dir(system.sys.join("fs/btrfs")).into_iter().flatten().flatten();
    let members = |folder: &fs::DirEntry| {
        let links = fs::read_dir(folder.path().join("devices")).into_iter().flatten().flatten();
        links.filter_map(|link| device_number(&attribute(&link.path().join("dev"))?)).collect::<Vec<_>>()
    };
    folders
        .map(|folder| (folder.file_name().to_string_lossy().into_owned(), members(&folder)))
        .filter(|(_, members)| !members.is_empty())
        .collect()
}

/// The block device at a path that the kernel gave: its node may be missing here.
pub(super) fn device_of(system: &System, path: &str) -> Option<(u32, u32)> {
    let name = path.strip_prefix("/dev/")?;
    if let Ok(metadata) = fs::metadata(system.dev.join(name))
        && metadata.file_type().is_block_device()
    {
        return Some(split(metadata.rdev()));
    }
    let class = system.sys.join("class/block");
    if let Some(number) = attribute(&class.join(name.replace('/', "!")).join("dev")) {
        return device_number(&number);
    }
    let mapped = name.strip_prefix("mapper/")?;
    let folders = fs::read_dir(class).ok()?.flatten().map(|entry| entry.path());
    let folder =
        folders.into_iter().find(|folder| attribute(&folder.join("dm/name")).as_deref() == Some(mapped))?;
    device_number(&attribute(&folder.join("dev"))?)
}

/// A path of /proc without its escapes: white space and backslashes are three octal digits there.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &tail[3..];
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::machine::Machine;

    #[test]
    fn paths_of_proc_lose_their_escapes() {
        assert_eq!(unescaped("/mnt/with\\040space\\134"), "/mnt/with space\\");
        assert_eq!(unescaped("/mnt/\\x20\\04"), "/mnt/\\x20\\04");
    }

    #[test]
    fn a_path_of_the_kernel_is_found_without_its_node() {
        let machine = Machine::load("btrfs-root");
        let of = |path| device_of(&machine.system, path);
        assert_eq!(of("/dev/mapper/secret"), of("/dev/dm-0"));
        assert_eq!(of("/dev/nvme0n1").map(|number| number.0), Some(259));
        assert_eq!(of("/dev/mapper/other"), None);
        assert_eq!(of("overlay"), None);
        assert_eq!(device_of(&Machine::load("bare-metal").system, "/dev/cciss/c0d0p1"), Some((104, 1)));
    }
}
