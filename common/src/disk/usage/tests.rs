use super::*;
use crate::disk::machine::Machine;

/// What speaks against a disk: the cause, and what the failure says after the disk's description.
fn against(machine: &Machine, disk: &str) -> Option<(Cause, String)> {
    let disk = machine.system.disk(disk).unwrap();
    let failure = refuse_if_used(&machine.system, &disk).err()?;
    let text = failure.to_string();
    let (_, uses) = text.split_once("): ").unwrap();
    Some((failure.cause, uses.strip_suffix("; nothing was written to it").unwrap().to_owned()))
}

#[test]
fn a_free_disk_is_not_refused() {
    for (machine, disks) in [
        ("buses", &["vda", "vdb", "vdc", "nvme0n1", "nvme1n1", "sda", "sdb", "sdc", "sdd"][..]),
        ("bare-metal", &["cciss!c0d0", "mmcblk0", "nvme0n1", "sda"]),
        ("md-root", &["vda", "nvme0n1"]),
        ("btrfs-root", &["vda", "sda"]),
    ] {
        let machine = Machine::load(machine);
        for disk in disks {
            assert_eq!(against(&machine, disk), None, "{disk}");
        }
    }
}

#[test]
fn the_running_system_is_found_below_md() {
    let machine = Machine::load("md-root");
    let uses = "the running system lives on sda2, sda1 is swap space in use, sda2 is held by md array md127";
    assert_eq!(against(&machine, "sda"), Some((Cause::DiskRunsSystem, uses.to_owned())));
    let uses = "the running system lives on sdb2, sdb2 is held by md array md127";
    assert_eq!(against(&machine, "sdb"), Some((Cause::DiskRunsSystem, uses.to_owned())));
    let uses = "the running system lives on md127, md127 is mounted at /mnt/r, md127 is mounted at /";
    assert_eq!(against(&machine, "md127"), Some((Cause::DiskRunsSystem, uses.to_owned())));
}

#[test]
fn the_running_system_is_found_below_lvm_on_md() {
    let machine = Machine::load("lvm-on-md-root");
    let (cause, uses) = against(&machine, "sdb").unwrap();
    assert_eq!(cause, Cause::DiskRunsSystem);
    assert!(
        uses.starts_with("the running system lives on sdb2, sdb2 is held by md array md127 below "),
        "{uses}"
    );
    assert!(uses.contains("LVM volume vg0-root (dm-") && uses.contains("LVM volume vg0-swap (dm-"), "{uses}");
    assert_eq!(against(&machine, "sdc"), None);
}

#[test]
fn the_running_system_is_found_on_all_disks_of_a_btrfs() {
    let machine = Machine::load("btrfs-root");
    // By its source: mapped, and encrypted.
    let (cause, uses) = against(&machine, "nvme1n1").unwrap();
    assert_eq!(cause, Cause::DiskRunsSystem);
    assert_eq!(
        uses,
        "the running system lives on nvme1n1p2, nvme1n1p2 is held by encrypted device secret (dm-0)"
    );
    // By what the filesystem says of its members alone.
    let (cause, uses) = against(&machine, "nvme0n1").unwrap();
    assert_eq!(cause, Cause::DiskRunsSystem);
    assert!(uses.starts_with("the running system lives on nvme0n1, nvme0n1 is mounted at /mnt/r"), "{uses}");
}

#[test]
fn what_is_mounted_elsewhere_is_seen_in_sysfs() {
    let machine = Machine::load("btrfs-root");
    let blind = "1 0 0:2 / / rw - overlay overlay rw\n";
    machine.write("proc/1/mountinfo", blind);
    machine.write("proc/self/mountinfo", blind);
    let (cause, uses) = against(&machine, "nvme0n1").unwrap();
    assert_eq!(cause, Cause::DiskMounted);
    assert!(
        uses.starts_with("nvme0n1 is mounted at a place that this container does not see (btrfs "),
        "{uses}"
    );
    machine.write("sys/fs/ext4/vda/session_write_kbytes", "0");
    let (cause, uses) = against(&machine, "vda").unwrap();
    assert_eq!(cause, Cause::DiskMounted);
    assert_eq!(uses, "vda is mounted at a place that this container does not see (ext4)");
}

#[test]
fn swap_space_on_lvm_and_the_paths_of_a_multipath_device_are_held() {
    let machine = Machine::load("multipath");
    for path in ["sdc", "sdd"] {
        let (cause, uses) = against(&machine, path).unwrap();
        assert_eq!(cause, Cause::DiskHeld);
        assert_eq!(
            uses,
            format!(
                "{path} is held by multipath device mpatha (dm-0) below mapped device mpatha-part1 (dm-1)"
            )
        );
    }
    let (cause, uses) = against(&machine, "dm-0").unwrap();
    assert_eq!(
        (cause, uses.as_str()),
        (Cause::DiskHeld, "dm-0 is held by mapped device mpatha-part1 (dm-1)")
    );

    let machine = Machine::load("lvm-on-md-root");
    let volume = |name: &str| {
        device_number(&attribute(&machine.system.sys.join("block").join(name).join("dev")).unwrap())
    };
    assert_eq!(swaps(&machine.system), [volume("dm-1").unwrap()]);
}
