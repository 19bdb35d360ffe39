//! What may hold an installed system that is not found by looking for its root.

use super::filesystems::is_container;
use crate::disk::{Disk, System};
use crate::failure::Failure;
use crate::installed::devices::{self, BlockDevice};
use crate::mount::{Access, Device, Filesystem, Mount};
use crate::table::PartitionKind;

/// Partitions of /usr alone: such a system makes its root when it first starts. As a GPT stores them.
const USR_TYPES: [[u8; 16]; 3] = [
    // 8484680c-9521-48c6-9c11-b0720656f69e, x86-64 (UAPI group's Discoverable Partitions Specification, 2)
    [0x0c, 0x68, 0x84, 0x84, 0x21, 0x95, 0xc6, 0x48, 0x9c, 0x11, 0xb0, 0x72, 0x06, 0x56, 0xf6, 0x9e],
    // b0e01050-ee5f-4390-949a-9101b17104e9, arm64
    [0x50, 0x10, 0xe0, 0xb0, 0x5f, 0xee, 0x90, 0x43, 0x94, 0x9a, 0x91, 0x01, 0xb1, 0x71, 0x04, 0xe9],
    // 5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6, Flatcar
    [0xf4, 0xf5, 0xfb, 0x5d, 0x48, 0x28, 0xac, 0x4b, 0xaa, 0x5e, 0x0d, 0x9a, 0x20, 0xb7, 0x45, 0xa6],
];

/// Why a disk may hold a system though no root was found on it, in words; nothing where it surely holds none.
///
/// # Errors
/// [`Cause::DiskIo`](crate::cause::Cause::DiskIo), and
/// [`Cause::PartitionTable`](crate::cause::Cause::PartitionTable) when the table is damaged.
pub fn hides_a_system(system: &System, disk: &Disk) -> Result<Option<String>, Failure> {
    Ok(devices::of_disk(system, disk)?.iter().find_map(|device| may_hide(device, mounts)))
}

fn may_hide(device: &BlockDevice, mounts: impl Fn(&BlockDevice, Filesystem) -> bool) -> Option<String> {
    let place = device.partition.map_or("the disk".to_owned(), |number| format!("partition {number}"));
    let content = device.content.as_deref()?;
    if is_container(device) {
        return Some(format!("{place} is {content}, in which a root is not looked for"));
    }
    if matches!(device.kind, Some(PartitionKind::Gpt(kind)) if USR_TYPES.contains(&kind)) {
        return Some(format!("{place} is a /usr, whose system makes its root when it first starts"));
    }
    match Filesystem::of_type(content) {
        Some(filesystem) if !mounts(device, filesystem) => {
            Some(format!("{place} is {content}, which the running kernel does not mount"))
        }
        Some(_) => None,
        None if ["vfat", "swap"].contains(&content) => None,
        None => Some(format!("{place} is {content}, in which a root is not looked for")),
    }
}

fn mounts(device: &BlockDevice, filesystem: Filesystem) -> bool {
    let Some(number) = device.number else { return false };
    Device::find(&device.node, number)
        .and_then(|node| Mount::new(node, filesystem, Access::Look))
        .and_then(Mount::unmount)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installed::devices::tests::device;

    #[test]
    fn what_is_not_looked_into_may_hide_a_system() {
        let hides = |content: &str, mounts: bool| may_hide(&device("sda", 2, content), |_, _| mounts);
        for (content, mounts, words) in [
            ("LVM2_member", true, "partition 2 is LVM2_member"),
            ("crypto_LUKS", true, "crypto_LUKS"),
            ("erofs", true, "partition 2 is erofs, in which"),
            ("btrfs", false, "which the running kernel does not mount"),
        ] {
            assert!(hides(content, mounts).unwrap().contains(words), "{content}");
        }
        for content in ["vfat", "swap", "ext4", "xfs"] {
            assert_eq!(hides(content, true), None, "{content}");
        }
        assert_eq!(may_hide(&BlockDevice { content: None, ..device("sda", 1, "") }, |_, _| true), None);
        let flatcar =
            BlockDevice { kind: Some(PartitionKind::Gpt(USR_TYPES[2])), ..device("sda", 3, "ext4") };
        assert!(may_hide(&flatcar, |_, _| true).unwrap().contains("is a /usr"));
    }
}
