use super::*;
use crate::disk::machine::Machine;

/// The kernel's name of what a selector finds, with the partition's number.
fn find(machine: &str, selector: &str) -> Result<String, Failure> {
    let machine = Machine::load(machine);
    find_place(&machine.system, selector).map(|place| match place {
        Place::Disk(disk) => disk.name,
        Place::Partition(disk, number) => format!("{} {number}", disk.name),
    })
}

#[track_caller]
fn refused(machine: &str, selector: &str, cause: Cause, words: &[&str]) {
    let failure = find(machine, selector).unwrap_err();
    assert_eq!(failure.cause, cause, "{selector}: {failure}");
    for word in words {
        assert!(failure.to_string().contains(word), "{word:?} is not in {failure}");
    }
}

#[test]
fn a_disk_is_found_by_all_its_names() {
    for (machine, selector, found) in [
        ("buses", "/dev/vda", "vda"),
        ("buses", "serial:VIRTIO-2", "vdb"),
        ("buses", "/dev/disk/by-id/virtio-VIRTIO-2", "vdb"),
        ("buses", "serial:NVME-1", "nvme0n1"),
        ("buses", "wwn:nvme.1b36-4e564d452d31-51454d55204e564d65204374726c-00000001", "nvme0n1"),
        ("buses", "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_NVME-2_1", "nvme1n1"),
        ("buses", "serial:S4EVNX0S", "sdb"),
        ("buses", "/dev/disk/by-id/ata-QEMU_HARDDISK_S4EVNX0S", "sdb"),
        ("bare-metal", "/dev/disk/by-id/ata-Samsung_SSD_860_EVO_500GB_S3Z1NB0K123456X", "sda"),
        ("bare-metal", "/dev/disk/by-id/wwn-0x5002538e40a1b2c3", "sda"),
        ("bare-metal", "wwn:0x5002538E40A1B2C3", "sda"),
        ("bare-metal", "wwn:naa.5002538e40a1b2c3", "sda"),
        ("bare-metal", "/dev/cciss/c0d0", "cciss!c0d0"),
        ("bare-metal", "serial:0x1a2b3c4d", "mmcblk0"),
        ("bare-metal", "serial:S64FNE0R802972", "nvme0n1"),
        ("bare-metal", "/dev/disk/by-id/nvme-eui.36344630528029720025384500000001", "nvme0n1"),
        ("bare-metal", "/dev/disk/by-id/nvme-SAMSUNG_MZQL2960HCJR-00A07_S64FNE0R802972_1", "nvme0n1"),
    ] {
        assert_eq!(find(machine, selector).unwrap(), found, "{machine}: {selector}");
    }
}

#[test]
fn a_partition_is_told_from_its_disk_whether_or_not_the_kernel_shows_it() {
    for (machine, selector, found) in [
        ("md-root", "/dev/sda2", "sda 2"),
        ("md-root", "/dev/sda7", "sda 7"),
        ("md-root", "/dev/nvme0n1p3", "nvme0n1 3"),
        ("md-root", "/dev/disk/by-id/ata-QEMU_HARDDISK_S4EVNX0R-part3", "sda 3"),
        ("bare-metal", "/dev/disk/by-id/wwn-0x5002538e40a1b2c3-part1", "sda 1"),
        ("bare-metal", "/dev/cciss/c0d0p1", "cciss!c0d0 1"),
        ("bare-metal", "/dev/cciss/c0d0p2", "cciss!c0d0 2"),
        ("bare-metal", "/dev/mmcblk0p1", "mmcblk0 1"),
    ] {
        assert_eq!(find(machine, selector).unwrap(), found, "{machine}: {selector}");
    }
    let machine = Machine::load("md-root");
    let failure = find_disk(&machine.system, "/dev/sda2").unwrap_err();
    assert_eq!(failure.cause, Cause::NotAWholeDisk);
    assert!(
        failure.to_string().contains(" is partition 2 of ") && failure.to_string().ends_with("dev/sda"),
        "{failure}"
    );
}

#[test]
fn what_is_not_there_is_refused_with_what_is() {
    refused(
        "buses",
        "/dev/sdz",
        Cause::DiskMissing,
        &["there is no /dev/sdz", "serial S4EVNX0R", "model QEMU NVMe Ctrl"],
    );
    refused("buses", "serial:s4evnx0r", Cause::DiskMissing, &["there is no serial:s4evnx0r"]);
    refused("buses", "/dev/disk/by-id/ata-QEMU_HARDDISK", Cause::DiskMissing, &["there is no"]);
    refused("buses", "/dev/nvme0n10", Cause::DiskMissing, &["there is no"]);
    refused("buses", "/dev/vdap", Cause::DiskMissing, &["there is no"]);
    refused("bare-metal", "/dev/sdb", Cause::DiskMissing, &["has no medium"]);
    for selector in ["sda", "", "/tmp/disk.img", "/dev/../tmp/disk.img", "wwn", "SERIAL:1"] {
        refused("buses", selector, Cause::Configuration, &["accepted: /dev/NAME"]);
    }
    for selector in ["serial:", "wwn:", "serial: ", "wwn:0x"] {
        refused("buses", selector, Cause::Configuration, &["accepted: /dev/NAME"]);
    }
}

#[test]
fn what_only_looks_like_a_disk_is_none() {
    let names = |machine: &str| -> Vec<String> {
        Machine::load(machine).system.disks().into_iter().map(|disk| disk.name).collect()
    };
    assert_eq!(names("bare-metal"), ["cciss!c0d0", "mmcblk0", "nvme0n1", "sda"]);
    assert_eq!(
        names("lvm-on-md-root"),
        ["md127", "nvme0n1", "nvme1n1", "sda", "sdb", "sdc", "sdd", "vda", "vdb", "vdc"]
    );
    refused("bare-metal", "/dev/mmcblk0boot0", Cause::NotAWholeDisk, &["is no whole disk"]);
    refused("lvm-on-md-root", "/dev/dm-0", Cause::NotAWholeDisk, &["is no whole disk: LVM volume vg0-"]);
    refused("lvm-on-md-root", "/dev/mapper/vg0-root", Cause::NotAWholeDisk, &["LVM volume vg0-root"]);
    refused("multipath", "/dev/mapper/mpatha-part1", Cause::NotAWholeDisk, &["mapped device mpatha-part1"]);
    assert_eq!(find("md-root", "/dev/md127").unwrap(), "md127");
}

#[test]
fn several_disks_of_one_serial_number_are_ambiguous_unless_they_are_paths_to_one() {
    refused("buses", "serial:LUN0001", Cause::DiskAmbiguous, &["fits several disks", "/sdc (", "/sdd ("]);
    refused("buses", "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_LUN0001", Cause::DiskAmbiguous, &[]);
    for selector in ["serial:LUN0001", "/dev/mapper/mpatha", "/dev/dm-0", "/dev/disk/by-id/dm-name-mpatha"] {
        assert_eq!(find("multipath", selector).unwrap(), "dm-0", "{selector}");
    }
    assert_eq!(find("multipath", "/dev/sdc").unwrap(), "sdc");
}
