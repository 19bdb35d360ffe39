//! Finding and mounting an installed system on real loop devices.

use std::path::Path;
use std::process::Command;

use common::disk::{System, find_place};
use common::failure::Failure;
use common::installed::{FoundRoot, find_root, with_root};
use common::mount::{Access, Device, Filesystem, Mount};
use common::root_dir::Attributes;
use nibs_tests::installed_image::{
    InstalledImage, Layout, Mounted, RootFs, forget_partitions, make_filesystem, with_mounted, write_system,
};
use nibs_tests::loop_device::{LoopDevice, run};

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
            let mount = Mount::new(device(&disk, usual), kind(filesystem), Access::Write).unwrap();
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
            let second = Mount::new(device(&disk, usual), kind(filesystem), Access::Write).unwrap_err();
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
fn what_is_written_has_the_label_of_what_it_replaces_or_of_its_folder() {
    use rustix::fs::{XattrFlags, fsetxattr, getxattr, setxattr};
    const NAME: &str = "security.selinux";
    let (folder, file) = (b"system_u:object_r:etc_t:s0\0", b"system_u:object_r:hostname_etc_t:s0\0");
    for filesystem in RootFs::ALL {
        let disk = bare(filesystem);
        with_mounted(disk.node(), |root| {
            setxattr(root.join("etc"), NAME, folder, XattrFlags::empty()).unwrap();
            let hostname = std::fs::File::open(root.join("etc/hostname")).unwrap();
            fsetxattr(hostname, NAME, file, XattrFlags::empty()).unwrap();
        });
        with_root(&System::default(), disk.node().to_str().unwrap(), |root, _| {
            root.create_dir_all("etc/cloud/cloud.cfg.d", Attributes::of_root(0o755))?;
            root.write_atomic("etc/cloud/cloud.cfg.d/90.cfg", b"", Attributes::of_root(0o644))?;
            root.write_atomic("etc/hostname", b"node", Attributes::of_root(0o644))
        })
        .unwrap();
        with_mounted(disk.node(), |root| {
            let label = |path: &str| {
                let mut label = [0; 64];
                let length = getxattr(root.join(path), NAME, &mut label[..]).unwrap();
                label[..length].to_vec()
            };
            assert_eq!(label("etc/cloud/cloud.cfg.d"), folder, "{filesystem:?}");
            assert_eq!(label("etc/cloud/cloud.cfg.d/90.cfg"), folder, "{filesystem:?}");
            assert_eq!(label("etc/hostname"), file, "{filesystem:?}");
        });
    }
}

#[test]
fn looking_writes_nothing() {
    for filesystem in RootFs::ALL {
        let disk = bare(filesystem);
        let before = disk.content();
        let mount = Mount::new(device(&disk, true), kind(filesystem), Access::Look).unwrap();
        assert!(mount.root().exists("/etc/os-release").unwrap());
        assert!(mount.root().write_atomic("/etc/x", b"", Attributes::of_root(0o600)).is_err());
        mount.unmount().unwrap();
        assert!(before == disk.content(), "{filesystem:?} was written to");
    }
}

fn find(disk: &LoopDevice) -> Result<FoundRoot, Failure> {
    find_in(disk.node().to_str().unwrap())
}

fn find_in(selector: &str) -> Result<FoundRoot, Failure> {
    let system = System::default();
    find_root(&system, &find_place(&system, selector)?)
}

#[test]
fn the_root_is_found_on_every_kind_of_disk() {
    for layout in [Layout::Gpt, Layout::Mbr, Layout::MbrLogical, Layout::Bare] {
        for logical_block_size in [512, 4096] {
            for filesystem in RootFs::ALL {
                let disk =
                    InstalledImage { layout, logical_block_size, ..InstalledImage::of(filesystem) }.make();
                let found =
                    find(&disk).unwrap_or_else(|failure| panic!("{layout:?} {filesystem:?}: {failure}"));
                assert_eq!(found.partition, layout.root());
                assert_eq!(found.filesystem.name(), filesystem.name());
                assert_eq!((found.os.as_str(), found.subvolume), ("Debian GNU/Linux 12 (bookworm)", None));
                if let Some(number) = layout.root() {
                    let selector = format!("{}p{number}", disk.node().display());
                    assert_eq!(find_in(&selector).unwrap(), found);
                }
            }
        }
    }
}

#[test]
fn finding_writes_nothing() {
    for filesystem in RootFs::ALL {
        let disk = InstalledImage { disk_mib: 340, ..InstalledImage::of(filesystem) }.make();
        let before = disk.content();
        find(&disk).unwrap();
        assert!(before == disk.content(), "{filesystem:?} was written to");
    }
}

#[test]
fn an_interrupted_write_is_replayed_and_a_look_leaves_it() {
    for filesystem in RootFs::ALL {
        let disk = InstalledImage { disk_mib: 340, ..InstalledImage::of(filesystem) }.make();
        // A copy of the disk while it is mounted is what a loss of power leaves.
        disk.show_partitions();
        let mounted = Mounted::new(&disk.partition(3), &[]);
        std::fs::write(mounted.at().join("etc/dirty"), "log").unwrap();
        run(Command::new("sync").arg("--file-system").arg(mounted.at()));
        let copy = disk.content();
        drop(mounted);
        forget_partitions(&disk);
        std::fs::write(disk.node(), &copy).unwrap();
        run(Command::new("blockdev").arg("--flushbufs").arg(disk.node()));
        find(&disk).unwrap();
        assert!(copy == disk.content(), "{filesystem:?} was written to by a look");
        with_root(&System::default(), disk.node().to_str().unwrap(), |root, _| {
            assert_eq!(root.read("etc/dirty", 10).unwrap().as_deref(), Some(&b"log"[..]), "{filesystem:?}");
            root.write_atomic("etc/after", b"replay", Attributes::of_root(0o600))
        })
        .unwrap();
        disk.show_partitions();
        with_mounted(&disk.partition(3), |root| assert!(root.join("etc/after").exists()));
    }
}

#[test]
fn a_root_in_a_subvolume_is_found() {
    let disk = InstalledImage { layout: Layout::Bare, disk_mib: 320, ..InstalledImage::of(RootFs::Btrfs) }
        .make_with(|root| {
            run(Command::new("btrfs").args(["subvolume", "create"]).arg(root.join("@")));
            for name in ["etc", "usr", "lib", "sbin"] {
                run(Command::new("cp").arg("-a").arg(root.join(name)).arg(root.join("@")));
                run(Command::new("rm").arg("-r").arg(root.join(name)));
            }
        });
    assert_eq!(find(&disk).unwrap().subvolume, Some("@"));
    with_root(&System::default(), disk.node().to_str().unwrap(), |root, found| {
        assert!(
            found.describe().ends_with("Debian GNU/Linux 12 (bookworm), btrfs, subvolume @"),
            "{}",
            found.describe()
        );
        assert!(!root.exists("@").unwrap());
        root.write_atomic("etc/hostname", b"node", Attributes::of_root(0o644))
    })
    .unwrap();
    with_mounted(disk.node(), |top| assert_eq!(std::fs::read(top.join("@/etc/hostname")).unwrap(), b"node"));
    // The default subvolume is the filesystem's root for whoever mounts it.
    with_mounted(disk.node(), |top| {
        run(Command::new("btrfs").args(["subvolume", "set-default"]).arg(top.join("@")));
    });
    assert_eq!(find(&disk).unwrap().subvolume, None);
}

#[test]
fn the_same_image_on_two_disks_does_not_confuse() {
    for filesystem in RootFs::ALL {
        let first = InstalledImage { disk_mib: 340, ..InstalledImage::of(filesystem) }.make();
        let second = LoopDevice::new(340 << 20);
        std::fs::write(second.node(), first.content()).unwrap();
        run(Command::new("blockdev").arg("--flushbufs").arg(second.node()));
        // The first is in use, so a mix-up would be refused or seen.
        first.show_partitions();
        let mounted = Mounted::new(
            &first.partition(3),
            &["-o", if filesystem == RootFs::Xfs { "nouuid" } else { "rw" }],
        );
        let written = with_root(&System::default(), second.node().to_str().unwrap(), |root, _| {
            root.write_atomic("etc/second", b"", Attributes::of_root(0o600))
        });
        match written {
            Ok(()) => assert!(!mounted.at().join("etc/second").exists(), "{filesystem:?}"),
            Err(failure) => {
                // Kernels before 6.7 do not mount two btrfs of one UUID.
                assert_eq!(
                    (filesystem, failure.cause.word()),
                    (RootFs::Btrfs, "root-not-found"),
                    "{failure}"
                );
            }
        }
    }
}

#[test]
fn what_is_found_where_is_said_when_there_is_no_root() {
    let disk =
        InstalledImage::default().make_with(|root| std::fs::remove_file(root.join("usr/sbin/init")).unwrap());
    disk.show_partitions();
    run(Command::new("mkfs.vfat").arg(disk.partition(2)));
    forget_partitions(&disk);
    let name = disk.node().file_name().unwrap().to_str().unwrap().to_owned();
    // systemd alone is an init, too.
    assert!(find(&disk).is_ok());
    with_root(&System::default(), disk.node().to_str().unwrap(), |root, _| {
        root.remove("usr/lib/systemd/systemd")
    })
    .unwrap();
    let failure = find(&disk).unwrap_err();
    assert_eq!(failure.cause.word(), "root-not-found");
    let found = format!(
        ": {name}p1: nothing known, {name}p2: vfat, {name}p3: ext4 with Debian GNU/Linux 12 (bookworm), but no init"
    );
    assert!(failure.to_string().ends_with(&found), "{failure}");
    let failure = find_in(&format!("{}p4", disk.node().display())).unwrap_err();
    assert_eq!(failure.cause.word(), "root-not-found");
    assert!(failure.to_string().ends_with("its partitions: 1, 2, 3"), "{failure}");
}

#[test]
fn two_systems_are_ambiguous_until_one_is_named() {
    let disk = InstalledImage { follower_mib: 320, ..InstalledImage::default() }.make();
    disk.show_partitions();
    make_filesystem(&disk.partition(4), RootFs::Xfs);
    with_mounted(&disk.partition(4), write_system);
    // The type of partition 3 says that it is the root; the other is a Linux filesystem of no kind.
    assert_eq!(find(&disk).unwrap().partition, Some(3));
    assert_eq!(find_in(&format!("{}p4", disk.node().display())).unwrap().partition, Some(4));
    forget_partitions(&disk);
    run(Command::new("sgdisk").args(["-t", "3:8300"]).arg(disk.node()));
    let failure = find(&disk).unwrap_err();
    assert_eq!(failure.cause.word(), "root-ambiguous");
    assert!(
        failure.to_string().contains("set DEST_DISK to the one that is meant, as /dev/loop"),
        "{failure}"
    );
}

#[test]
fn a_hostile_image_is_no_system() {
    let not_a_root = |layout, spoil: &dyn Fn(&Path), expected: &str| {
        let disk = InstalledImage { layout, disk_mib: 340, ..InstalledImage::default() }.make_with(spoil);
        let failure = find(&disk).unwrap_err();
        assert_eq!(failure.cause.word(), "root-not-found");
        assert!(failure.to_string().contains(expected), "{failure}");
    };
    not_a_root(
        Layout::Gpt,
        &|root| {
            std::fs::remove_file(root.join("etc/os-release")).unwrap();
            std::fs::remove_file(root.join("usr/lib/os-release")).unwrap();
            run(Command::new("mkfifo").arg(root.join("etc/os-release")));
        },
        "it is no regular file",
    );
    not_a_root(
        Layout::Bare,
        &|root| {
            std::fs::remove_file(root.join("usr/lib/os-release")).unwrap();
            std::fs::File::create(root.join("usr/lib/os-release")).unwrap().set_len(1 << 38).unwrap();
        },
        "longer than 65536 bytes",
    );
    // A device node for the whole machine's memory, and a link out.
    not_a_root(
        Layout::Bare,
        &|root| {
            std::fs::remove_file(root.join("usr/lib/os-release")).unwrap();
            run(Command::new("mknod").arg(root.join("usr/lib/os-release")).args(["c", "1", "5"]));
        },
        "os-release",
    );
    not_a_root(
        Layout::Bare,
        &|root| {
            std::fs::remove_file(root.join("etc/os-release")).unwrap();
            std::fs::remove_file(root.join("usr/lib/os-release")).unwrap();
            std::os::unix::fs::symlink("/proc/1/root/etc/os-release", root.join("etc/os-release")).unwrap();
        },
        "no os-release",
    );
}

#[test]
fn a_broken_superblock_is_said() {
    for filesystem in RootFs::ALL {
        let disk = bare(filesystem);
        // Past the magic number and the fields that libblkid checks: ext4's first group descriptor, XFS's and btrfs's roots.
        let (at, length) = match filesystem {
            RootFs::Ext4 => (4096, 4096),
            RootFs::Xfs => (512, 16 << 20),
            RootFs::Btrfs => (1 << 20, 160 << 20),
        };
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options().write(true).open(disk.node()).unwrap();
        file.write_all_at(&vec![0xa5; length], at).unwrap();
        if filesystem == RootFs::Btrfs {
            // Both copies of the trees.
            file.write_all_at(&vec![0xa5; (320 << 20) - (170 << 20)], 165 << 20).unwrap();
        }
        file.sync_all().unwrap();
        drop(file);
        let failure = find(&disk).unwrap_err();
        assert_eq!(failure.cause.word(), "root-not-found", "{filesystem:?}");
        println!("{failure}");
        assert!(failure.to_string().contains(&format!(": {} ", filesystem.name())), "{failure}");
        // Nothing is left that would keep the disk.
        assert!(disk.content().len() == 320 << 20);
        run(Command::new("wipefs").args(["--all", "--quiet"]).arg(disk.node()));
    }
}

#[test]
fn a_disk_in_use_is_refused() {
    let disk = InstalledImage::of(RootFs::Xfs).make();
    disk.show_partitions();
    let mounted = Mounted::new(&disk.partition(3), &[]);
    for selector in [disk.node().to_owned(), disk.partition(3), disk.partition(1)] {
        let failure = find_in(selector.to_str().unwrap()).unwrap_err();
        assert_eq!(failure.cause.word(), "disk-mounted");
        assert!(failure.to_string().contains(mounted.at().to_str().unwrap()), "{failure}");
    }
    drop(mounted);
    find(&disk).unwrap();
}

#[test]
fn a_failing_work_unmounts() {
    let disk = InstalledImage::of(RootFs::Xfs).make();
    let failure = with_root(&System::default(), disk.node().to_str().unwrap(), |root, _| {
        root.write_atomic("etc/before", b"", Attributes::of_root(0o600))?;
        root.read("etc", 1).map(|_| ())
    })
    .unwrap_err();
    assert_eq!(failure.cause.word(), "file");
    // The disk is free at once.
    find(&disk).unwrap();
}

#[test]
fn a_disk_without_a_system_says_so() {
    let empty = LoopDevice::new(64 << 20);
    let failure = find(&empty).unwrap_err();
    assert!(failure.to_string().ends_with("nothing known"), "{failure}");
    run(Command::new("sgdisk").arg("--clear").arg(empty.node()));
    let failure = find(&empty).unwrap_err();
    assert!(failure.to_string().ends_with("a partition table without partitions"), "{failure}");
    let read_only = LoopDevice::read_only(64 << 20);
    assert_eq!(find(&read_only).unwrap_err().cause.word(), "disk-read-only");
}
