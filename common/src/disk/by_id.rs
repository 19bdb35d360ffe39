//! The names that udev gives a disk below `/dev/disk/by-id`, worked out from sysfs: the in-memory OS has no udev.
//!
//! The rules are those of `60-persistent-storage.rules` and `scsi_id` of systemd, and `55-scsi-sg3_id.rules` of sg3-utils.

use super::attributes::{Disk, System, attribute, vital_page};

impl System {
    /// The names of a disk below `/dev/disk/by-id`. No partition's: those end with `-partN`.
    pub(super) fn by_id_names(&self, disk: &Disk) -> Vec<String> {
        let folder = self.sys.join("block").join(&disk.name);
        let text = |path: &str| attribute(&folder.join(path));
        if let (Some(name), Some(uuid)) = (text("dm/name"), text("dm/uuid")) {
            return vec![format!("dm-name-{name}"), format!("dm-uuid-{uuid}")];
        }
        let serial = disk.serial.as_deref().map(plain);
        let model = disk.model.as_deref().map(plain);
        let named = model.zip(serial.clone()).map(|(model, serial)| format!("{model}_{serial}"));
        if disk.name.starts_with("nvme") {
            let wwid = disk.wwid.as_deref().map(plain);
            let with_space = named.clone().zip(text("nsid")).map(|(named, nsid)| format!("{named}_{nsid}"));
            return [wwid, named, with_space]
                .into_iter()
                .flatten()
                .map(|name| format!("nvme-{name}"))
                .collect();
        }
        if disk.name.starts_with("vd") {
            return serial.map(|serial| format!("virtio-{serial}")).into_iter().collect();
        }
        if disk.name.starts_with("mmcblk") {
            return named.map(|named| format!("mmc-{named}")).into_iter().collect();
        }
        let mut names: Vec<String> = named.iter().map(|named| format!("usb-{named}-0:0")).collect();
        let vendor = text("device/vendor").as_deref().map(plain);
        if let Some((vendor, named)) = vendor.zip(named) {
            // The vital product data's serial number, behind what SCSI's INQUIRY gives.
            names.push(format!("scsi-S{vendor}_{named}"));
            names.push(format!("scsi-0{vendor}_{named}"));
        }
        for designator in vital_page(&folder, 0x83).map(|page| designators(&page)).unwrap_or_default() {
            match designator {
                Designator::Vendor(id) => {
                    // Libata gives the full name here, of which INQUIRY has 16 characters alone.
                    if let Some(name) = id.strip_prefix("ATA ") {
                        names.push(format!("ata-{}", plain(name)));
                    }
                    names.push(format!("scsi-1{}", plain(&id)));
                }
                Designator::Eui(hex) => names.push(format!("scsi-2{hex}")),
                Designator::Naa(hex) => {
                    names.push(format!("scsi-3{hex}"));
                    names.push(format!("wwn-0x{hex}"));
                }
            }
        }
        names
    }
}

/// A name of the logical unit in the vital product data page 0x83 (SPC-6, 7.7.6).
#[derive(Debug, PartialEq, Eq)]
enum Designator {
    /// Vendor and an identifier of its own making, padded with spaces.
    Vendor(String),
    /// EUI-64, in hexadecimal digits.
    Eui(String),
    /// NAA, in hexadecimal digits.
    Naa(String),
}

fn designators(mut page: &[u8]) -> Vec<Designator> {
    let mut found = Vec::new();
    while let [_, kind, _, length, rest @ ..] = page {
        let Some((value, next)) = rest.split_at_checked(usize::from(*length)) else { break };
        page = next;
        let hex = || value.iter().map(|byte| format!("{byte:02x}")).collect();
        // Bits 4 and 5: 0 for the logical unit itself, not its port or target.
        match (kind >> 4 & 3, kind & 15) {
            (0, 1) => found.push(Designator::Vendor(String::from_utf8_lossy(value).into_owned())),
            (0, 2) => found.push(Designator::Eui(hex())),
            (0, 3) => found.push(Designator::Naa(hex())),
            _ => {}
        }
    }
    found
}

/// A value as udev puts it into a name: no white space at the ends, one underscore for each run of it inside, and for each
/// character that no name may have (`udev_replace_whitespace`, `udev_replace_chars`).
fn plain(text: &str) -> String {
    let text = text.trim_matches('\0').split_whitespace().collect::<Vec<_>>().join("_");
    let allowed = |c: char| c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii();
    text.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::machine::Machine;

    fn names(machine: &str, disk: &str) -> Vec<String> {
        let machine = Machine::load(machine);
        let disk = machine.system.disk(disk).unwrap();
        machine.system.by_id_names(&disk)
    }

    #[test]
    fn each_bus_has_its_names() {
        assert_eq!(names("buses", "vda"), ["virtio-VIRTIO-1"]);
        assert_eq!(
            names("buses", "nvme0n1"),
            [
                "nvme-nvme.1b36-4e564d452d31-51454d55204e564d65204374726c-00000001",
                "nvme-QEMU_NVMe_Ctrl_NVME-1",
                "nvme-QEMU_NVMe_Ctrl_NVME-1_1"
            ]
        );
        let ahci = names("buses", "sda");
        for name in [
            "ata-QEMU_HARDDISK_S4EVNX0R",
            "scsi-SATA_QEMU_HARDDISK_S4EVNX0R",
            "scsi-1ATA_QEMU_HARDDISK_S4EVNX0R",
        ] {
            assert!(ahci.iter().any(|own| own == name), "{name} is not in {ahci:?}");
        }
        let scsi = names("buses", "sdc");
        assert!(scsi.contains(&"scsi-0QEMU_QEMU_HARDDISK_LUN0001".to_owned()), "{scsi:?}");
        assert_eq!(
            names("multipath", "dm-0"),
            ["dm-name-mpatha", "dm-uuid-mpath-3600140500000000000000000000001"]
        );
    }

    #[test]
    fn a_long_model_is_whole_in_the_name_and_odd_characters_are_not() {
        let names = names("bare-metal", "sda");
        for name in [
            "ata-Samsung_SSD_860_EVO_500GB_S3Z1NB0K123456X",
            "wwn-0x5002538e40a1b2c3",
            "scsi-35002538e40a1b2c3",
        ] {
            assert!(names.iter().any(|own| own == name), "{name} is not in {names:?}");
        }
        assert_eq!(self::names("bare-metal", "mmcblk0"), ["mmc-DG4032_0x1a2b3c4d"]);
        assert_eq!(plain("  INTEL(R) SSD  A/B\0"), "INTEL_R__SSD_A_B");
    }

    #[test]
    fn a_page_that_is_cut_off_gives_what_is_whole() {
        let mut page = vec![1, 0x93, 0, 2, 1, 2, 1, 3, 0, 2, 0xab, 0xcd, 1, 3, 0, 8, 1];
        assert_eq!(designators(&page), [Designator::Naa("abcd".into())]);
        page.truncate(3);
        assert_eq!(designators(&page), []);
    }
}
