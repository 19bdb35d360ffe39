//! What sysfs says of a disk.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel's picture of the machine is. A test gives folders with what awkward machines showed.
#[derive(Debug, Clone)]
pub struct System {
    /// `/sys`
    pub sys: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
    /// `/dev`
    pub dev: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into() }
    }
}

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name: `sda`, `nvme0n1`.
    pub name: String,
    /// The device's node: `/dev/sda`.
    pub node: PathBuf,
    /// Major and minor number.
    pub number: (u32, u32),
    /// Size in bytes.
    pub size_bytes: u64,
    /// The unit of addressing, in bytes: 512 or 4096.
    pub logical_block_size: u32,
    /// Whether the kernel refuses writes.
    pub read_only: bool,
    /// The largest discard in bytes; 0 when the disk cannot discard.
    pub discard_max_bytes: u64,
    /// The maker's name of the model.
    pub model: Option<String>,
    /// The serial number.
    pub serial: Option<String>,
    /// The world wide name as the kernel prints it: `naa.5000c500a1b2c3d4`, `eui.0025385b71b00a5c`, `t10.ATA …`.
    pub wwid: Option<String>,
}

/// A partition as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionNode {
    /// The kernel's name: `sda1`, `nvme0n1p1`.
    pub name: String,
    /// Its number in the table.
    pub number: u32,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Start in bytes.
    pub start_bytes: u64,
    /// Length in bytes.
    pub length_bytes: u64,
}

impl Disk {
    /// For a log line: `/dev/sda (model QEMU HARDDISK, serial S4EVNX0R, 8.6 GB)`.
    pub fn describe(&self) -> String {
        let model = self.model.as_ref().map(|model| format!("model {model}, ")).unwrap_or_default();
        let serial = self.serial.as_deref().map_or("no serial".into(), |serial| format!("serial {serial}"));
        format!("{} ({model}{serial}, {:.1} GB)", self.node.display(), self.size_bytes as f64 / 1e9)
    }
}

impl System {
    /// All whole disks, by name.
    pub fn disks(&self) -> Vec<Disk> {
        let mut names: Vec<String> = fs::read_dir(self.sys.join("block"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| self.can_hold_a_system(name))
            .collect();
        names.sort();
        names.iter().filter_map(|name| self.disk(name)).filter(|disk| disk.size_bytes > 0).collect()
    }

    /// Whether a block device that is no partition can be meant as a disk. RAM disks, CD-ROMs, floppies and flash chips are
    /// none; nor are the boot partitions of an eMMC, which look like disks; nor the single paths of an NVMe disk with
    /// several, which the kernel hides; nor a mapped device that is not all paths to one disk, but a volume or a partition.
    pub(super) fn can_hold_a_system(&self, name: &str) -> bool {
        const NEVER: &[&str] = &["ram", "zram", "sr", "fd", "mtdblock"];
        let folder = self.sys.join("block").join(name);
        let never = NEVER.iter().any(|prefix| is_numbered(name, prefix))
            || (name.starts_with("mmcblk") && !is_numbered(name, "mmcblk"))
            || attribute(&folder.join("hidden")).as_deref() == Some("1");
        !never
            && attribute(&folder.join("dm/uuid")).is_none_or(|uuid| uuid.starts_with("mpath-"))
            && (!name.starts_with("dm-") || folder.join("dm/uuid").exists())
    }

    /// The disk of this kernel name.
    pub fn disk(&self, name: &str) -> Option<Disk> {
        let folder = self.sys.join("block").join(name);
        let text = |path: &str| attribute(&folder.join(path));
        let number = |path: &str| text(path).and_then(|value| value.parse::<u64>().ok());
        Some(Disk {
            number: device_number(&text("dev")?)?,
            // sysfs counts sizes in sectors of 512 bytes whatever the block size is.
            size_bytes: number("size")? * 512,
            logical_block_size: number("queue/logical_block_size")
                .and_then(|size| size.try_into().ok())
                .unwrap_or(512),
            read_only: text("ro").as_deref() == Some("1"),
            discard_max_bytes: number("queue/discard_max_bytes").unwrap_or(0),
            model: text("device/model").or_else(|| text("device/name")),
            serial: text("serial").or_else(|| text("device/serial")).or_else(|| page_80(&folder)),
            wwid: text("wwid").or_else(|| text("device/wwid")),
            node: self.dev.join(name.replace('!', "/")),
            name: name.to_owned(),
        })
    }

    /// The partitions of a disk that the kernel shows, by number.
    pub fn partitions(&self, disk: &Disk) -> Vec<PartitionNode> {
        let folder = self.sys.join("block").join(&disk.name);
        let mut partitions: Vec<PartitionNode> = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let path = entry.path();
                let number =
                    |name: &str| attribute(&path.join(name)).and_then(|value| value.parse::<u64>().ok());
                Some(PartitionNode {
                    number: number("partition")?.try_into().ok()?,
                    device: device_number(&attribute(&path.join("dev"))?)?,
                    start_bytes: number("start")? * 512,
                    length_bytes: number("size")? * 512,
                    name: entry.file_name().to_string_lossy().into_owned(),
                })
            })
            .collect();
        partitions.sort_by_key(|partition| partition.number);
        partitions
    }
}

/// A sysfs attribute without the white space around it; nothing where it is missing or empty.
pub(super) fn attribute(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// `8:16` as a pair.
pub(super) fn device_number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A device number as the kernel's pair, `makedev(3)`.
pub(super) fn split(device: u64) -> (u32, u32) {
    (libc::major(device), libc::minor(device))
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The serial number of a SCSI or ATA disk (SPC-6, 7.7.18). There is no other place for it without udev.
fn page_80(folder: &Path) -> Option<String> {
    let page = vital_page(folder, 0x80)?;
    let text = String::from_utf8_lossy(&page);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// What a page of a SCSI or ATA disk's vital product data holds, behind its header of four bytes.
pub(super) fn vital_page(folder: &Path, number: u8) -> Option<Vec<u8>> {
    let page = fs::read(folder.join(format!("device/vpd_pg{number:02x}"))).ok()?;
    let length = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
    Some(page.get(4..4 + length)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::machine::Machine;

    #[test]
    fn each_bus_says_what_its_disks_are() {
        let machine = Machine::load("buses");
        let of = |name: &str| machine.system.disk(name).unwrap();
        let nvme = of("nvme1n1");
        assert_eq!((nvme.size_bytes, nvme.logical_block_size), (512 << 20, 4096));
        assert_eq!((nvme.model.as_deref(), nvme.serial.as_deref()), (Some("QEMU NVMe Ctrl"), Some("NVME-2")));
        assert!(nvme.wwid.is_some_and(|wwid| wwid.starts_with("nvme.1b36-")));
        assert!(nvme.discard_max_bytes > 0);
        let ahci = of("sda");
        assert_eq!((ahci.number, ahci.logical_block_size), ((8, 0), 512));
        assert_eq!(
            (ahci.model.as_deref(), ahci.serial.as_deref()),
            (Some("QEMU HARDDISK"), Some("S4EVNX0R"))
        );
        assert_eq!(of("sdc").serial.as_deref(), Some("LUN0001"));
        let virtio = of("vdc");
        assert_eq!(
            (virtio.read_only, virtio.serial.as_deref(), virtio.model),
            (true, Some("VIRTIO-RO"), None)
        );
        assert!(!of("vda").read_only);
        assert_eq!(machine.system.disk("sdz"), None);
        let array = Machine::load("bare-metal").system.disk("cciss!c0d0").unwrap();
        assert!(array.node.ends_with("dev/cciss/c0d0"), "{:?}", array.node);
        assert_eq!((array.discard_max_bytes, array.serial.clone()), (0, None));
        assert!(array.describe().ends_with("/dev/cciss/c0d0 (no serial, 146.8 GB)"), "{}", array.describe());
    }

    #[test]
    fn partitions_are_in_bytes_whatever_the_block_size_is() {
        let machine = Machine::load("multipath");
        let disk = machine.system.disk("nvme1n1").unwrap();
        let partitions: Vec<(String, u32, u64, u64)> = machine
            .system
            .partitions(&disk)
            .into_iter()
            .map(|each| (each.name, each.number, each.start_bytes, each.length_bytes))
            .collect();
        assert_eq!(
            partitions,
            [
                ("nvme1n1p1".to_owned(), 1, 1 << 20, 100 << 20),
                ("nvme1n1p2".to_owned(), 2, 101 << 20, 841_688 * 512)
            ]
        );
    }

    #[test]
    fn a_serial_number_is_cut_out_of_its_page() {
        let machine = Machine::load("buses");
        let folder = machine.system.sys.join("block/sda");
        assert_eq!(page_80(&folder).as_deref(), Some("S4EVNX0R"));
        for page in [&b"\x00\x80\x00\x14S4EVNX0R"[..], b"\x00\x80\x00", b"\x00\x80\x00\x04    ", b""] {
            fs::write(folder.join("device/vpd_pg80"), page).unwrap();
            assert_eq!(page_80(&folder), None, "{page:?}");
        }
    }
}
