//! Finding and mounting an installed system on real loop devices.

use std::path::Path;

use common::disk::System;
use common::mount::{Access, Device, Filesystem, Mount};
use common::root_dir::Attributes;
use nibs_tests::installed_image::{InstalledImage, Layout, RootFs, with_mounted};
use nibs_tests::loop_device::LoopDevice;

/// The device of a disk without a table, by its usual node or by one that only the test has.
fn device(disk: &LoopDevice, usual: bool) -> Device {
    let name = disk.node().file_name().unwrap().to_str().unwrap().to_owned();
    let number = System::default().disk(&name).unwrap().number;
    let path = if usual { disk.node() } else { Path::new("/dev/not-there") };
    Device::find(path, number).unwrap()
}

fn bare(filesystem: RootFs) -> LoopDevice {
    InstalledImage { layout: Layout::Bare, disk_mib: 320, ..InstalledImage::of(filesystem) }.make()
}

fn kind(filesystem: RootFs) -> Filesystem {
    Filesystem::of_type(filesystem.name()).unwrap()
}

#[test]
fn what_is_written_through_a_mount_is_there_after_it() {
    for filesystem in RootFs::ALL {
        let disk = bare(filesystem);
        for usual in [true, false] {
            let device = device(&disk, usual);
            let mount = Mount::new(&device, kind(filesystem), Access::Write).unwrap();
            mount.root().create_dir_all("etc/netplan", Attributes::of_root(0o755)).unwrap();
            mount
                .root()
                .write_atomic("/etc/netplan/a.yaml", b"network: {}", Attributes::of_root(0o600))
                .unwrap();
            // Nobody else sees it, and nobody else can claim the device meanwhile.
            assert!(
                !std::fs::read_to_string("/proc/self/mountinfo")
                    .unwrap()
                    .contains(disk.node().to_str().unwrap())
            );
            let second = Mount::new(&device, kind(filesystem), Access::Write).unwrap_err();
            assert_eq!(second.cause.word(), "disk-busy");
            mount.unmount().unwrap();
            let text = with_mounted(disk.node(), |root| {
                std::fs::read_to_string(root.join("etc/netplan/a.yaml")).unwrap()
            });
            assert_eq!(text, "network: {}");
        }
    }
}

#[test]
fn looking_writes_nothing() {
    for filesystem in RootFs::ALL {
        let disk = bare(filesystem);
        let before = disk.content();
        let device = device(&disk, true);
        let mount = Mount::new(&device, kind(filesystem), Access::Look).unwrap();
        assert!(mount.root().exists("/etc/os-release").unwrap());
        assert!(mount.root().write_atomic("/etc/x", b"", Attributes::of_root(0o600)).is_err());
        mount.unmount().unwrap();
        assert!(before == disk.content(), "{filesystem:?} was written to");
    }
}
