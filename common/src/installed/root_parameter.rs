//! Whether the `root=` of a kernel's command line leads to the root that was found.

use super::devices::{BlockDevice, Source};
use crate::boot::parameter;

/// What comes of looking up `root=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootParameter {
    /// It names the root.
    Right {
        /// Other block devices that it names as well, described: the kernel may take one of those.
        twins: Vec<String>,
    },
    /// It leads elsewhere, or nowhere; in words.
    Wrong(String),
    /// It cannot be looked up here; in words.
    Unknown(String),
}

/// Names below /dev that are of no disk: these come into being later, or are no block devices.
const NO_DISKS: [&str; 7] = ["dm-", "md", "nfs", "ram", "zram", "nbd", "mapper"];

/// Looks up the `root=` of a command line among the block devices of this machine. `root` is the one that was found.
pub fn check_root(
    options: &str,
    has_initrd: bool,
    root: &BlockDevice,
    devices: &[BlockDevice],
) -> RootParameter {
    use RootParameter::{Right, Unknown, Wrong};
    let Some(value) = parameter(options, "root").filter(|value| !value.is_empty()) else {
        return if has_initrd {
            Unknown("the command line names no root, so the initrd has to know it".into())
        } else {
            Wrong("the command line names no root, and there is no initrd that could know it".into())
        };
    };
    // dracut.cmdline(7)
    let source = Source::parse(value.strip_prefix("block:").unwrap_or(value));
    let elsewhere = match &source {
        Source::Other(_) => true,
        Source::Name(name) => NO_DISKS.iter().any(|prefix| name.starts_with(prefix)),
        Source::PartitionUuid(uuid) => uuid.contains('/'),
        _ => false,
    };
    if elsewhere {
        return Unknown(format!("root={value} is not looked up"));
    }
    if !has_initrd && matches!(source, Source::Uuid(_) | Source::Label(_)) {
        return Wrong(format!("root={value} is found by an initrd alone, and there is none"));
    }
    let named = source.among(devices);
    let is_root = |device: &&&BlockDevice| device.number.is_some() && device.number == root.number;
    if named.iter().any(|device| is_root(&device)) {
        let twins = named.iter().filter(|device| !is_root(device)).map(|device| device.describe()).collect();
        return Right { twins };
    }
    Wrong(match named.first() {
        None => format!("root={value} is nowhere on this machine; the root is {}", root.describe()),
        Some(other) => format!("root={value} is {}; the root is {}", other.describe(), root.describe()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::devices::tests::device;
    use super::*;

    #[test]
    fn root_is_looked_up_as_the_system_would() {
        let root = BlockDevice { partition_uuid: Some("aa-03".into()), ..device("sda", 3, "ext4") };
        let twin = BlockDevice { uuid: root.uuid.clone(), number: Some((8, 19)), ..device("sdb", 3, "ext4") };
        let all = [device("sda", 1, "vfat"), root.clone(), twin];
        let check = |options: &str, has_initrd| check_root(options, has_initrd, &root, &all);
        let right = |twins: &[&str]| RootParameter::Right {
            twins: twins.iter().map(|text| (*text).to_owned()).collect(),
        };
        assert_eq!(check("ro root=PARTUUID=AA-03 quiet", false), right(&[]));
        assert_eq!(check("root=/dev/sda3", false), right(&[]));
        assert_eq!(check("root=UUID=sda-3", true), right(&["partition 3 of /dev/sdb (no serial, 1.1 GB)"]));
        assert_eq!(check("root=block:/dev/disk/by-partuuid/aa-03", true), right(&[]));
        for (options, has_initrd, words) in [
            ("quiet", false, "the command line names no root, and there is no initrd"),
            ("root=UUID=sda-3", false, "root=UUID=sda-3 is found by an initrd alone"),
            ("root=UUID=gone", true, "root=UUID=gone is nowhere on this machine; the root is partition 3"),
            ("root=/dev/vda3", true, "root=/dev/vda3 is nowhere"),
            ("root=/dev/sda1", true, "root=/dev/sda1 is partition 1 of /dev/sda"),
            ("root=/dev/sda3 root=/dev/sdb3", true, "root=/dev/sdb3 is partition 3 of /dev/sdb"),
        ] {
            let RootParameter::Wrong(text) = check(options, has_initrd) else { panic!("{options}") };
            assert!(text.starts_with(words), "{text}");
        }
        for options in [
            "quiet",
            "root=",
            "root=/dev/mapper/vg-root",
            "root=/dev/nfs",
            "root=/dev/md0",
            "root=ZFS=x",
            "root=PARTUUID=aa-01/PARTNROFF=1",
        ] {
            assert!(matches!(check(options, true), RootParameter::Unknown(_)), "{options}");
        }
    }
}
