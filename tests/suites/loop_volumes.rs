//! All filesystems of an installed system that its boot files can be on, mounted from real loop devices.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use common::disk::System;
use common::failure::Failure;
use common::installed::{Installed, find_system, find_system_by_boot_files, with_volumes};
use nibs_tests::installed_image::{
    InstalledImage, Layout, RootFs, forget_partitions, show_partition, with_mounted, write_system,
};
use nibs_tests::loop_device::{LoopDevice, run};

const BOOT_UUID: &str = "5ac1d5b6-50b0-4b0e-9cbb-7b1ffd8d1c55";

/// Finds the system of a disk, mounts it, and unmounts it.
fn look<T>(disk: &LoopDevice, work: impl FnOnce(&Installed<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
    let system = System::default();
    let root = find_system(&system, disk.node().to_str())?;
    with_volumes(&system, &root, None, work)
}

/// What is mounted where, with the volume's place and folder.
fn summary(installed: &Installed<'_>) -> Vec<(String, String, String)> {
    let volumes = installed.volumes.iter();
    volumes.map(|(_, it)| (it.mount_point.clone(), it.at.clone(), it.subvolume.clone())).collect()
}

fn read(installed: &Installed<'_>, path: &str) -> String {
    let file = installed.volumes.of_system(path);
    let content = installed.volumes.get(file.volume).dir.read(&file.path, 100).unwrap();
    String::from_utf8(content.unwrap_or_else(|| panic!("no {path}"))).unwrap()
}

#[test]
fn loop_boot_is_found_by_fstab_and_what_cannot_be_mounted_is_left_out() {
    for root in RootFs::ALL {
        let disk = InstalledImage { follower_mib: 64, ..InstalledImage::of(root) }.make_with(|root| {
            fs::write(
                root.join("etc/fstab"),
                format!("UUID={BOOT_UUID} /boot ext4 rw 0 2\nUUID=gone /boot/efi vfat rw 0 1\n"),
            )
            .unwrap();
            fs::write(root.join("boot/of"), "the root").unwrap();
            fs::write(root.join("etc/of"), "the root").unwrap();
        });
        show_partition(&disk, 4);
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-U", BOOT_UUID]).arg(disk.partition(4)));
        with_mounted(&disk.partition(4), |boot| fs::write(boot.join("of"), "boot").unwrap());
        forget_partitions(&disk);
        look(&disk, |installed| {
            let mounts: Vec<String> = summary(installed).into_iter().map(|each| each.0).collect();
            // The EFI system partition of this disk is empty.
            assert_eq!(mounts, ["/", "/boot"]);
            assert_eq!(
                (read(installed, "/boot/of").as_str(), read(installed, "/etc/of").as_str()),
                ("boot", "the root")
            );
            let (_, boot) = installed.volumes.iter().nth(1).unwrap();
            assert_eq!((boot.uuid.as_deref(), boot.partition), (Some(BOOT_UUID), Some(4)));
            let root = installed.root_device().unwrap();
            assert_eq!((root.partition, root.label.as_deref()), (Some(3), Some("root")));
            assert_eq!(root.partition_label.as_deref(), Some("root"));
            Ok(())
        })
        .unwrap();
        is_unmounted(&disk);
        // The partition that the boot files are on leads to the root as well.
        let part = format!("{}p4", disk.node().display());
        let (found, boot) = find_system_by_boot_files(&System::default(), &part).unwrap();
        assert_eq!((found.partition, boot), (Some(3), Some(4)));
    }
}

/// Nothing of it is claimed. The kernel shows its partitions since they were looked for.
#[track_caller]
fn is_unmounted(disk: &LoopDevice) {
    let root = disk.partition(3);
    let claim =
        fs::OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::EXCL.bits() as i32).open(&root);
    claim.unwrap_or_else(|error| panic!("{}: {error}", root.display()));
}

#[test]
fn loop_a_default_subvolume_is_told_from_the_filesystems_top() {
    let disk = InstalledImage { layout: Layout::Bare, disk_mib: 320, ..InstalledImage::of(RootFs::Btrfs) }
        .make_with(|top| {
            let subvolume = |path: &Path| {
                run(Command::new("btrfs").args(["--quiet", "subvolume", "create"]).arg(path));
            };
            subvolume(&top.join("@"));
            fs::create_dir_all(top.join("@/.snapshots/1")).unwrap();
            let root = top.join("@/.snapshots/1/snapshot");
            subvolume(&root);
            subvolume(&root.join("kernels"));
            fs::write(root.join("kernels/of"), "kernels").unwrap();
            write_system(&root);
            fs::write(
                root.join("etc/fstab"),
                "LABEL=root /boot btrfs subvol=/@/.snapshots/1/snapshot/kernels 0 0\nLABEL=root /efi btrfs subvol=@ 0 0\n",
            )
            .unwrap();
            run(Command::new("btrfs").args(["subvolume", "set-default"]).arg(&root));
        });
    look(&disk, |installed| {
        let expected =
            [("/", "@/.snapshots/1/snapshot", ""), ("/boot", "@/.snapshots/1/snapshot", "kernels")]
                .map(|(mount_point, at, inside)| (mount_point.to_owned(), at.to_owned(), inside.to_owned()));
        assert_eq!(summary(installed), expected);
        assert_eq!(read(installed, "/boot/of"), "kernels");
        Ok(())
    })
    .unwrap();
}

#[test]
fn loop_a_failure_inside_unmounts_too() {
    let disk = InstalledImage::of(RootFs::Ext4).make();
    let failure = look(&disk, |installed| {
        installed.volumes.get(installed.volumes.root()).dir.file("/etc/gone").map(drop)
    })
    .unwrap_err();
    assert!(failure.to_string().starts_with("opening /etc/gone of the installed system"), "{failure}");
    is_unmounted(&disk);
}
