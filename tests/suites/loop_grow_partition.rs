//! grow-partition on real loop devices. The growth of ext4 needs CAP_SYS_RESOURCE, which a container of developers often
//! lacks: without it the suite shows that the failure says so, and the guest's suite shows the growth.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::disk::System;
use nibs_tests::binaries::{binary, command};
use nibs_tests::installed_image::{
    InstalledImage, Layout, Mounted, RootFs, forget_partitions, make_filesystem, show_partition,
    with_mounted, write_system,
};
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;

const MIB: u64 = 1 << 20;

fn grow(disk: &Path) -> Outcome {
    Outcome::of(command("grow-partition").env("DEST_DISK", disk))
}

/// The length of a partition in bytes, as the kernel shows it.
fn shown_bytes(disk: &LoopDevice, number: u32) -> u64 {
    let system = System::default();
    let name = disk.node().file_name().unwrap().to_str().unwrap().to_owned();
    system.partition(&system.disk(&name).unwrap(), number).expect("the kernel shows it").length_bytes
}

/// The size of the filesystem on a device, by its own tools.
fn filesystem_bytes(device: &Path, filesystem: RootFs) -> u64 {
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    match filesystem {
        RootFs::Ext4 => {
            let text = run(Command::new("dumpe2fs").arg("-h").arg(device));
            let field = |name: &str| number(text.lines().find_map(|line| line.strip_prefix(name)).unwrap());
            field("Block count:") * field("Block size:")
        }
        RootFs::Xfs => {
            let field = |name| {
                let text = run(Command::new("xfs_db").args(["-r", "-c", "sb 0", "-c", name]).arg(device));
                number(text.split('=').nth(1).unwrap())
            };
            field("p dblocks") * field("p blocksize")
        }
        RootFs::Btrfs => {
            let text = run(Command::new("btrfs").args(["inspect-internal", "dump-super"]).arg(device));
            number(text.lines().find_map(|line| line.strip_prefix("total_bytes")).unwrap())
        }
    }
}

fn assert_sound(disk: &LoopDevice, device: &Path, filesystem: RootFs) {
    let mut check = match filesystem {
        RootFs::Ext4 => Command::new("e2fsck"),
        RootFs::Xfs => Command::new("xfs_repair"),
        RootFs::Btrfs => Command::new("btrfs"),
    };
    match filesystem {
        RootFs::Ext4 => check.args(["-f", "-n"]),
        RootFs::Xfs => check.arg("-n"),
        RootFs::Btrfs => check.arg("check"),
    };
    run(check.arg(device));
    let text = with_mounted(device, |root| fs::read_to_string(root.join("etc/hostname")).unwrap());
    assert_eq!(text, "image\n", "{}", disk.node().display());
}

/// sgdisk finds nothing wrong with either copy of the GPT, and the last one at the disk's end.
fn assert_gpt_is_right(disk: &LoopDevice) {
    let text = run(Command::new("sgdisk").arg("--verify").arg(disk.node()));
    assert!(text.contains("No problems found"), "{text}");
}

#[test]
fn partition_and_filesystem_grow_to_the_end() {
    for (layout, expected) in [
        (Layout::Gpt, "root is partition 3, 0.3 → 1.0 GiB"),
        (Layout::Mbr, "root is partition 2, 0.3 → 1.0 GiB"),
        (Layout::MbrLogical, "root is partition 5, 0.3 → 1.0 GiB"),
        (Layout::Bare, "root is the whole disk, 0.3 → 1.0 GiB"),
    ] {
        for logical_block_size in [512, 4096] {
            for filesystem in [RootFs::Xfs, RootFs::Btrfs] {
                let image = InstalledImage { layout, logical_block_size, ..InstalledImage::of(filesystem) };
                let disk = image.make();
                let outcome = grow(disk.node());
                assert_eq!(outcome.succeeded(), format!("{expected} ({})", filesystem.name()));
                let root = match layout.root() {
                    Some(number) => {
                        // 1 MiB at most is left at the end of a GPT, nothing of an MBR.
                        let shown = shown_bytes(&disk, number);
                        assert!(shown >= 1024 * MIB - 16 * MIB && shown.is_multiple_of(MIB), "{shown}");
                        disk.partition(number)
                    }
                    None => disk.node().to_owned(),
                };
                let device_bytes = layout.root().map_or(1024 * MIB, |number| shown_bytes(&disk, number));
                assert_eq!(filesystem_bytes(&root, filesystem), device_bytes, "{layout:?} {filesystem:?}");
                assert_sound(&disk, &root, filesystem);
                if layout == Layout::Gpt {
                    assert_gpt_is_right(&disk);
                }
                let again = grow(disk.node());
                assert!(again.succeeded().ends_with(", and already fills the disk"), "{}", again.text);
            }
        }
    }
}

#[test]
fn ext4_grows_or_says_what_it_lacks() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let may = u64::from_str_radix(effective.trim(), 16).unwrap() & 1 << 24 != 0;
    for layout in [Layout::Gpt, Layout::Bare] {
        let disk = InstalledImage { layout, ..InstalledImage::of(RootFs::Ext4) }.make();
        let outcome = grow(disk.node());
        let root = layout.root().map_or(disk.node().to_owned(), |number| disk.partition(number));
        if may {
            assert!(outcome.succeeded().ends_with("0.3 → 1.0 GiB (ext4)"), "{}", outcome.text);
        } else {
            let text = outcome.failed("filesystem");
            assert!(text.starts_with("growing the ext4 of "), "{text}");
            assert!(
                text.contains("lacks CAP_SYS_RESOURCE") && text.contains("run the action privileged"),
                "{text}"
            );
            // The same failure again: the filesystem is still to be grown.
            grow(disk.node()).failed("filesystem");
        }
        if let Some(number) = layout.root() {
            assert!(shown_bytes(&disk, number) > 1000 * MIB);
            assert_gpt_is_right(&disk);
        }
        assert_sound(&disk, &root, RootFs::Ext4);
    }
}

#[test]
fn a_table_with_room_before_it_keeps_it() {
    for filesystem in [RootFs::Xfs, RootFs::Btrfs] {
        for logical_block_size in [512, 4096] {
            let sgdisk = if logical_block_size == 512 { &["-j", "1024"] } else { &["-j", "128"] };
            let disk = InstalledImage { sgdisk, logical_block_size, ..InstalledImage::of(filesystem) }.make();
            grow(disk.node()).succeeded();
            assert_gpt_is_right(&disk);
            let text = run(Command::new("sgdisk").arg("--print").arg(disk.node()));
            let place = format!("Main partition table begins at sector {}", sgdisk[1]);
            assert!(text.contains(&place), "{text}");
            assert_sound(&disk, &disk.partition(3), filesystem);
        }
    }
}

#[test]
fn a_partition_that_grew_by_other_hands_gets_its_filesystem_grown() {
    for filesystem in [RootFs::Xfs, RootFs::Btrfs] {
        let disk = InstalledImage::of(filesystem).make();
        run(Command::new("sgdisk").args(["-e", "-d", "3", "-n", "3:0:0", "-t", "3:8304"]).arg(disk.node()));
        let text = grow(disk.node()).succeeded().to_owned();
        assert_eq!(text, format!("root is partition 3, 0.3 → 1.0 GiB ({})", filesystem.name()));
    }
}

#[test]
fn what_follows_is_left_and_named() {
    for layout in [Layout::Gpt, Layout::Mbr, Layout::MbrLogical] {
        let image = InstalledImage { layout, follower_mib: 8, ..InstalledImage::of(RootFs::Xfs) };
        let disk = image.make();
        let before = run(Command::new("sfdisk").arg("--dump").arg(disk.node()));
        let outcome = grow(disk.node());
        let root = layout.root().unwrap();
        let text = outcome.succeeded();
        assert!(text.starts_with(&format!(
            "root is partition {root}, 0.3 GiB (xfs); the partition was not grown: partition "
        )));
        assert!(text.ends_with("8 MiB) follows it"), "{text}");
        assert!(outcome.lines.iter().any(|line| line["level"] == "warn"), "{}", outcome.text);
        let after = run(Command::new("sfdisk").arg("--dump").arg(disk.node()));
        let partitions = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with("/dev/")).map(str::to_owned).collect()
        };
        assert_eq!(partitions(&before), partitions(&after));
        if layout == Layout::Gpt {
            assert_gpt_is_right(&disk);
        }
    }
}

#[test]
fn a_filesystem_smaller_than_its_partition_grows_although_something_follows() {
    let disk = InstalledImage { root_mib: 640, follower_mib: 8, ..InstalledImage::of(RootFs::Btrfs) }.make();
    show_partition(&disk, 3);
    run(Command::new("mkfs.btrfs").args(["-q", "-f", "--byte-count", "320M"]).arg(disk.partition(3)));
    with_mounted(&disk.partition(3), write_system);
    let text = grow(disk.node()).succeeded().to_owned();
    assert!(
        text.starts_with("root is partition 3, 0.3 → 0.6 GiB (btrfs); the partition was not grown"),
        "{text}"
    );
}

#[test]
fn a_partition_can_be_named() {
    let disk = InstalledImage { follower_mib: 320, ..InstalledImage::of(RootFs::Xfs) }.make();
    show_partition(&disk, 4);
    make_filesystem(&disk.partition(4), RootFs::Btrfs);
    with_mounted(&disk.partition(4), write_system);
    let text = grow(&disk.partition(4)).succeeded().to_owned();
    assert_eq!(text, "root is partition 4, 0.3 → 0.7 GiB (btrfs)");
    assert_gpt_is_right(&disk);
}

#[test]
fn a_run_that_was_killed_is_taken_up_and_leaves_no_mount() {
    for filesystem in [RootFs::Xfs, RootFs::Btrfs] {
        let disk = InstalledImage { disk_mib: 512, ..InstalledImage::of(filesystem) }.make();
        let image = disk.content();
        // Every debug line comes before what it speaks of: the action is killed around each of its steps.
        let mut lines = 1;
        while !killed_after(lines, &disk) {
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!mounts.contains(disk.node().to_str().unwrap()), "{mounts}");
            grow(disk.node()).succeeded();
            assert_gpt_is_right(&disk);
            assert_eq!(
                filesystem_bytes(&disk.partition(3), filesystem),
                shown_bytes(&disk, 3),
                "after {lines} lines"
            );
            assert_sound(&disk, &disk.partition(3), filesystem);
            forget_partitions(&disk);
            fs::write(disk.node(), &image).unwrap();
            lines += 1;
        }
        assert!(lines > 10, "only {lines} lines");
    }
}

/// Kills the action when it has said so many lines, and says whether it came to its end before that.
fn killed_after(lines: usize, disk: &LoopDevice) -> bool {
    let mut action = command("grow-partition");
    action.env("DEST_DISK", disk.node()).env("LOG_LEVEL", "debug").stdout(Stdio::piped());
    let mut child = action.spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().take(lines).count();
    let ended = said < lines;
    child.kill().unwrap();
    child.wait().unwrap();
    ended
}

#[test]
fn an_image_with_one_file_and_a_bare_dev_is_enough() {
    let disk = InstalledImage::of(RootFs::Xfs).make();
    let root = tempfile::tempdir().unwrap();
    for folder in ["proc", "sys", "dev"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    fs::copy(binary("grow-partition"), root.path().join("grow-partition")).unwrap();
    // Neither /tmp nor /run, and of the devices only the disk, as where /dev is no devtmpfs. The root is read-only.
    let script = r#"
        set -e
        mount --bind "$1" "$1"
        mount -t proc proc "$1/proc"
        mount --rbind /sys "$1/sys"
        mount -t tmpfs tmpfs "$1/dev"
        cp -a "$DEST_DISK" "$1/dev/"
        mount -o remount,bind,ro "$1"
        exec chroot "$1" /grow-partition
    "#;
    let mut container = Command::new("unshare");
    container.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(root.path());
    let outcome = Outcome::of(container.env("DEST_DISK", disk.node()));
    assert_eq!(outcome.succeeded(), "root is partition 3, 0.3 → 1.0 GiB (xfs)");
}

/// What is refused leaves the disk as it was, to the byte.
fn refused(disk: &LoopDevice, cause: &str) -> String {
    let before = disk.content();
    let outcome = grow(disk.node());
    let text = outcome.failed(cause).to_owned();
    assert!(before == disk.content(), "{text}");
    text
}

#[test]
fn a_disk_in_use_is_refused() {
    let disk = InstalledImage { follower_mib: 64, ..InstalledImage::of(RootFs::Xfs) }.make();
    show_partition(&disk, 3);
    let mounted = Mounted::new(&disk.partition(3), &["-o", "ro"]);
    let text = refused(&disk, "disk-mounted");
    assert!(text.contains(mounted.at().to_str().unwrap()), "{text}");
    drop(mounted);
    show_partition(&disk, 4);
    run(Command::new("mkswap").arg(disk.partition(4)));
    run(Command::new("swapon").arg(disk.partition(4)));
    let outcome = std::panic::catch_unwind(|| refused(&disk, "disk-swap"));
    run(Command::new("swapoff").arg(disk.partition(4)));
    outcome.unwrap();
    // Held by a program that is no mount, as by another action.
    let held = common::disk::OpenDisk::exclusive(
        &System::default(),
        System::default().disk(disk.node().file_name().unwrap().to_str().unwrap()).unwrap(),
    )
    .unwrap();
    let outcome = grow(disk.node());
    outcome.failed("disk-busy");
    drop(held);
    grow(disk.node()).succeeded();
}

#[test]
fn a_disk_that_cannot_be_meant_is_refused() {
    for (value, cause) in [
        ("", "configuration"),
        ("sda", "configuration"),
        ("/etc/passwd", "configuration"),
        ("/dev/null", "not-a-block-device"),
        ("/dev/nibs-not-there", "disk-missing"),
        ("serial:nibs-not-there", "disk-missing"),
    ] {
        Outcome::of(command("grow-partition").env("DEST_DISK", value)).failed(cause);
    }
    let outcome = Outcome::of(&mut command("grow-partition"));
    assert!(
        outcome.failed("configuration").starts_with("DEST_DISK is not set; it takes: "),
        "{}",
        outcome.text
    );
    let disk = LoopDevice::read_only(64 * MIB);
    grow(disk.node()).failed("disk-read-only");
}

#[test]
fn a_disk_without_a_root_says_what_is_on_it() {
    let disk = LoopDevice::new(64 * MIB);
    assert!(refused(&disk, "root-not-found").ends_with(": nothing known"));
    run(Command::new("sgdisk").args(["--clear", "-n", "1:0:+8M", "-n", "2:0:+8M"]).arg(disk.node()));
    // The header of LUKS 1: its magic number and version.
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(disk.node()).unwrap();
    file.write_all_at(b"LUKS\xba\xbe\x00\x01", 9 * MIB).unwrap();
    file.sync_all().unwrap();
    drop(file);
    let text = refused(&disk, "root-not-found");
    assert!(text.ends_with("p2: crypto_LUKS; an encrypted root (LUKS) is not supported"), "{text}");
    let text =
        Outcome::of(command("grow-partition").env("DEST_DISK", format!("{}p9", disk.node().display())))
            .failed("root-not-found")
            .to_owned();
    assert!(text.ends_with("its partitions: 1, 2"), "{text}");
}

#[test]
fn a_damaged_table_is_refused() {
    use std::os::unix::fs::FileExt;
    let disk = InstalledImage { disk_mib: 340, ..InstalledImage::of(RootFs::Xfs) }.make();
    let end = 340 * MIB;
    let file = fs::File::options().write(true).open(disk.node()).unwrap();
    // The image is smaller than the disk, so its last copy lies before the disk's end.
    file.write_all_at(&[0xa5; 4096], 512).unwrap();
    file.write_all_at(&vec![0xa5; (4 * MIB) as usize], end - 4 * MIB).unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert!(refused(&disk, "partition-table").contains("both copies of the GPT are damaged"));
}
