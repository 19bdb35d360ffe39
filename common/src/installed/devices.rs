//! What an installed system can mean by `UUID=…` and its like: the partitions and unpartitioned disks of the machine, with
//! everything that each can be named by.

use std::path::PathBuf;

use tracing::debug;

use crate::blkid;
use crate::cause::Cause;
use crate::disk::{Disk, System};
use crate::failure::{Because, Failure};
use crate::mount::Device;
use crate::table::{self, Partition, PartitionKind, ReadAt};

/// Where the signature of a disk is in its MBR, which the names of its partitions begin with (`block/partitions/msdos.c`).
const MBR_SIGNATURE_AT: u64 = 440;

/// A partition, or a disk without a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockDevice {
    /// The disk that it is on.
    pub disk: Disk,
    /// Its number; nothing for a disk without a table.
    pub partition: Option<u32>,
    /// The kernel's name, which it has or would have: `sda3`.
    pub name: String,
    /// Major and minor number; nothing where the kernel does not show it.
    pub number: Option<(u32, u32)>,
    /// Where its node is, or would be.
    pub node: PathBuf,
    /// What the table says is in it.
    pub kind: Option<PartitionKind>,
    /// The UUID of the partition as Linux writes it: lower case, or `1a2b3c4d-03` where the table is an MBR.
    pub partition_uuid: Option<String>,
    /// The partition's name in a GPT.
    pub partition_label: Option<String>,
    /// What is in it, by libblkid's name: `ext4`, `vfat`, `LVM2_member`.
    pub content: Option<String>,
    /// The filesystem's UUID, as libblkid writes it.
    pub uuid: Option<String>,
    /// The filesystem's label.
    pub label: Option<String>,
}

impl BlockDevice {
    /// For a log line: `partition 3 of /dev/sda (…)`.
    pub fn describe(&self) -> String {
        match self.partition {
            Some(number) => format!("partition {number} of {}", self.disk.describe()),
            None => self.disk.describe(),
        }
    }
}

/// All partitions and unpartitioned disks of the machine, by disk and number. A disk that cannot be read is left out.
pub fn of_machine(system: &System) -> Vec<BlockDevice> {
    let each = |disk: Disk| {
        of_disk(system, &disk).unwrap_or_else(|failure| {
            debug!("{}: {failure}", disk.describe());
            Vec::new()
        })
    };
    system.disks().into_iter().flat_map(each).collect()
}

/// The partitions of a disk, or the disk itself where it has no table. It is only read, and not claimed.
///
/// # Errors
/// [`Cause::DiskIo`], and [`Cause::PartitionTable`] when the table is damaged.
pub fn of_disk(system: &System, disk: &Disk) -> Result<Vec<BlockDevice>, Failure> {
    let file = Device::find(&disk.node, disk.number)?.open()?;
    let table =
        table::read(&file, disk.size_bytes, disk.logical_block_size).because(Cause::PartitionTable)?;
    let content = |start_bytes, length_bytes| match blkid::probe(&file, start_bytes, length_bytes) {
        Ok(signature) => signature.unwrap_or_default(),
        Err(error) => {
            debug!("{}, {length_bytes} bytes from byte {start_bytes}: {error}", disk.name);
            blkid::Signature::default()
        }
    };
    let Some(table) = table else {
        let found = content(0, disk.size_bytes);
        return Ok(vec![BlockDevice {
            partition: None,
            name: disk.name.clone(),
            number: Some(disk.number),
            node: disk.node.clone(),
            kind: None,
            partition_uuid: None,
            partition_label: None,
            content: found.kind,
            uuid: found.uuid,
            label: found.label,
            disk: disk.clone(),
        }]);
    };
    let mut signature = [0; 4];
    file.read_exact_at(&mut signature, MBR_SIGNATURE_AT).because(Cause::DiskIo)?;
    let signature = u32::from_le_bytes(signature);
    let shown = system.partitions(disk);
    let each = |partition: &Partition| {
        let found = content(partition.start_bytes(&table), partition.length_bytes(&table));
        let shown = shown.iter().find(|node| {
            node.number == partition.number && node.start_bytes == partition.start_bytes(&table)
        });
        let name = shown.map_or_else(|| name(&disk.name, partition.number), |node| node.name.clone());
        BlockDevice {
            disk: disk.clone(),
            partition: Some(partition.number),
            node: system.dev.join(name.replace('!', "/")),
            name,
            number: shown.map(|node| node.device),
            kind: Some(partition.kind),
            partition_uuid: Some(match partition.guid {
                Some(guid) => guid_text(&guid),
                None => format!("{signature:08x}-{:02x}", partition.number),
            }),
            partition_label: partition.name.clone().filter(|name| !name.is_empty()),
            content: found.kind,
            uuid: found.uuid,
            label: found.label,
        }
    };
    Ok(table.partitions.iter().map(each).collect())
}

/// The kernel's name of a partition.
fn name(disk: &str, number: u32) -> String {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{between}{number}")
}

/// A GUID as Linux writes it; a GPT stores its first three parts with the last byte first (UEFI 2.10, appendix A).
fn guid_text(guid: &[u8; 16]) -> String {
    let hex =
        |bytes: &mut dyn Iterator<Item = &u8>| bytes.map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = [
        hex(&mut guid[..4].iter().rev()),
        hex(&mut guid[4..6].iter().rev()),
        hex(&mut guid[6..8].iter().rev()),
        hex(&mut guid[8..10].iter()),
        hex(&mut guid[10..].iter()),
    ];
    parts.join("-")
}

/// What names a block device in `/etc/fstab` or behind `root=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The UUID of its filesystem.
    Uuid(String),
    /// The label of its filesystem.
    Label(String),
    /// The UUID of the partition.
    PartitionUuid(String),
    /// The name of the partition in its GPT.
    PartitionLabel(String),
    /// The kernel's name: `sda3`.
    Name(String),
    /// Something else, which cannot be looked up here: `/dev/mapper/…`, `tmpfs`, a server.
    Other(String),
}

impl Source {
    /// Reads the first field of a line of fstab(5), or what is behind `root=`.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let tags = ["UUID", "LABEL", "PARTUUID", "PARTLABEL"];
        for (tag, kind) in
            tags.into_iter().zip([Self::Uuid, Self::Label, Self::PartitionUuid, Self::PartitionLabel])
        {
            if let Some(value) = text.strip_prefix(tag).and_then(|rest| rest.strip_prefix('=')) {
                return kind(value.trim_matches(['"', '\'']).to_owned());
            }
            let link = text.strip_prefix("/dev/disk/by-").and_then(|rest| rest.split_once('/'));
            if let Some((_, name)) = link.filter(|(kind, _)| *kind == tag.to_ascii_lowercase()) {
                return kind(unescaped(name));
            }
        }
        match text.strip_prefix("/dev/") {
            Some(name) if !name.contains('/') && !name.is_empty() => Self::Name(name.to_owned()),
            _ => Self::Other(text.to_owned()),
        }
    }

    /// Whether it is this one.
    pub fn names(&self, device: &BlockDevice) -> bool {
        let same = |own: &Option<String>, other: &str| own.as_deref() == Some(other);
        let same_id = |own: &Option<String>, other: &str| {
            own.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(other))
        };
        match self {
            Self::Uuid(uuid) => same_id(&device.uuid, uuid),
            Self::Label(label) => same(&device.label, label),
            Self::PartitionUuid(uuid) => same_id(&device.partition_uuid, uuid),
            Self::PartitionLabel(label) => same(&device.partition_label, label),
            Self::Name(name) => device.name == *name,
            Self::Other(_) => false,
        }
    }

    /// Those that it names, in their order. Several, where disks were made from one image.
    pub fn among<'a>(&self, devices: &'a [BlockDevice]) -> Vec<&'a BlockDevice> {
        devices.iter().filter(|device| self.names(device)).collect()
    }
}

/// udev writes what may not be in the name of a link as `\x20`.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = rest
            .strip_prefix(b"\\x")
            .and_then(|hex| std::str::from_utf8(hex.get(..2)?).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &rest[4..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A partition of a disk of this name.
    pub(crate) fn device(disk: &str, number: u32, content: &str) -> BlockDevice {
        BlockDevice {
            disk: Disk {
                name: disk.into(),
                node: format!("/dev/{disk}").into(),
                number: (8, disk.bytes().last().unwrap_or_default().into()),
                size_bytes: 1 << 30,
                logical_block_size: 512,
                read_only: false,
                discard_max_bytes: 0,
                model: None,
                serial: None,
                wwid: None,
            },
            partition: Some(number),
            name: name(disk, number),
            number: Some((8, number)),
            node: format!("/dev/{}", name(disk, number)).into(),
            kind: None,
            partition_uuid: None,
            partition_label: None,
            content: Some(content.into()),
            uuid: Some(format!("{disk}-{number}")),
            label: None,
        }
    }

    #[test]
    fn what_names_a_device_is_read() {
        use Source::{Label, Name, Other, PartitionLabel, PartitionUuid, Uuid};
        for (text, expected) in [
            ("UUID=0a-1B", Uuid("0a-1B".into())),
            ("UUID=\"0a\"", Uuid("0a".into())),
            ("LABEL=cloudimg-rootfs", Label("cloudimg-rootfs".into())),
            ("PARTUUID=1a2b-03", PartitionUuid("1a2b-03".into())),
            ("PARTLABEL=root", PartitionLabel("root".into())),
            ("/dev/disk/by-uuid/0a", Uuid("0a".into())),
            ("/dev/disk/by-label/a\\x20b\\x2fc", Label("a b/c".into())),
            ("/dev/disk/by-partuuid/0a", PartitionUuid("0a".into())),
            ("/dev/disk/by-partlabel/\\xq", PartitionLabel("\\xq".into())),
            ("/dev/sda3", Name("sda3".into())),
            ("/dev/disk/by-id/ata-X", Other("/dev/disk/by-id/ata-X".into())),
            ("/dev/mapper/vg-root", Other("/dev/mapper/vg-root".into())),
            ("tmpfs", Other("tmpfs".into())),
            ("/dev/", Other("/dev/".into())),
            ("", Other(String::new())),
        ] {
            assert_eq!(Source::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_device_is_found_by_each_of_its_names() {
        let one = BlockDevice {
            partition_uuid: Some("4f68bce3-e8cd-4db1-96e7-fbcaf984b709".into()),
            partition_label: Some("root".into()),
            label: Some("Root".into()),
            ..device("nvme0n1", 3, "ext4")
        };
        let all = [device("nvme0n1", 2, "ext4"), one.clone()];
        for text in [
            "UUID=NVME0N1-3",
            "LABEL=Root",
            "PARTUUID=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
            "PARTLABEL=root",
            "/dev/nvme0n1p3",
        ] {
            assert_eq!(Source::parse(text).among(&all), [&one], "{text}");
        }
        for text in ["LABEL=root", "UUID=", "/dev/nvme0n13", "/dev/mapper/x"] {
            assert!(Source::parse(text).among(&all).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_guid_is_written_as_linux_does() {
        let guid: Vec<u8> = (0..16).collect();
        let text = guid_text(&guid.try_into().unwrap());
        assert_eq!(text, "03020100-0504-0706-0809-0a0b0c0d0e0f");
    }
}
