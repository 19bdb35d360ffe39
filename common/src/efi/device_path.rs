//! Device paths (chapter 10): where something that firmware starts is. Read from variables that anybody may have written, so
//! every length is looked at before it is believed; what is not known is kept as it is.

use super::{bytes, text, units};

/// A node's header: type, subtype, and its length with the header (10.3.1).
const HEADER_BYTES: usize = 4;
/// The length of a hard drive node (10.3.5.1).
const HARD_DRIVE_BYTES: usize = 42;

const MEDIA: u8 = 0x04;
const END: u8 = 0x7f;
const HARD_DRIVE: u8 = 0x01;
const FILE_PATH: u8 = 0x04;
const END_ENTIRE: u8 = 0xff;

/// One node of a device path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A partition (10.3.5.1).
    HardDrive(HardDrive),
    /// A file, or a part of its path, as `\EFI\BOOT\BOOTX64.EFI` (10.3.5.4). Without the zero at its end.
    FilePath(Vec<u16>),
    /// The end of the whole path (10.3.1).
    End,
    /// Any other, and one of these whose content is not of its form.
    Other {
        /// Its type.
        kind: u8,
        /// Its subtype.
        subtype: u8,
        /// What follows its header.
        data: Vec<u8>,
    },
}

/// A partition of a hard drive (10.3.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardDrive {
    /// Its number in the table, from 1.
    pub number: u32,
    /// Its first block, in logical blocks of the disk.
    pub first_lba: u64,
    /// Its length in logical blocks.
    pub blocks: u64,
    /// By what it is known.
    pub signature: Signature,
}

/// By what a partition is known to firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// The partition's own GUID, as a GPT stores it (mixed endian).
    Gpt([u8; 16]),
    /// The disk's signature, at byte 440 of its MBR.
    Mbr([u8; 4]),
}

/// Why bytes are no device path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Less is left than a header takes.
    #[error("a device path node is cut off at byte {0}")]
    CutOff(usize),
    /// A node cannot have this length.
    #[error("the device path node at byte {at} gives its length as {length}, and {left} bytes are left")]
    Length {
        /// Where the node begins.
        at: usize,
        /// What it says.
        length: usize,
        /// What there is from its beginning on.
        left: usize,
    },
}

impl Node {
    /// All nodes in these bytes, which may be several device paths one behind another (3.1.3).
    ///
    /// # Errors
    /// [`PathError`] where a length cannot be right.
    pub fn parse_all(path: &[u8]) -> Result<Vec<Self>, PathError> {
        let mut nodes = Vec::new();
        let mut at = 0;
        while at < path.len() {
            let rest = &path[at..];
            let (Some(header), left) = (rest.get(..HEADER_BYTES), rest.len()) else {
                return Err(PathError::CutOff(at));
            };
            let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
            let data = rest.get(HEADER_BYTES..length).ok_or(PathError::Length { at, length, left })?;
            nodes.push(Self::parse(header[0], header[1], data));
            at += length;
        }
        Ok(nodes)
    }

    fn parse(kind: u8, subtype: u8, data: &[u8]) -> Self {
        let known = match (kind, subtype) {
            (MEDIA, HARD_DRIVE) => HardDrive::parse(data).map(Self::HardDrive),
            (MEDIA, FILE_PATH) => file_path(data).map(Self::FilePath),
            (END, END_ENTIRE) => data.is_empty().then_some(Self::End),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other { kind, subtype, data: data.to_vec() })
    }

    /// Its bytes. A node that is longer than a length can say is cut; none that was read is.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, subtype, data) = match self {
            Self::HardDrive(drive) => (MEDIA, HARD_DRIVE, drive.to_bytes()),
            Self::FilePath(path) => (MEDIA, FILE_PATH, bytes(path).chain([0, 0]).collect()),
            Self::End => (END, END_ENTIRE, Vec::new()),
            Self::Other { kind, subtype, data } => (*kind, *subtype, data.clone()),
        };
        let data = &data[..data.len().min(usize::from(u16::MAX) - HEADER_BYTES)];
        let length = (HEADER_BYTES + data.len()) as u16;
        let mut node = vec![kind, subtype];
        node.extend(length.to_le_bytes());
        node.extend(data);
        node
    }

    /// The node of a file; the path as `\EFI\BOOT\BOOTX64.EFI`.
    pub fn file(path: &str) -> Self {
        Self::FilePath(path.encode_utf16().collect())
    }

    /// Whether nothing of the same path follows.
    fn ends(&self) -> bool {
        matches!(self, Self::End | Self::Other { kind: END, .. })
    }
}

/// The partition that a path leads to, and the file on it, of the first path in these nodes. Whatever stands before the
/// partition says on which disk it is; firmware takes a path that begins with the partition, too (3.1.2).
pub fn partition_and_file(nodes: &[Node]) -> Option<(HardDrive, String)> {
    let mut nodes = nodes.iter().take_while(|node| !node.ends());
    let drive = nodes.find_map(|node| match node {
        Node::HardDrive(drive) => Some(*drive),
        _ => None,
    })?;
    let mut path = String::new();
    for node in nodes {
        match node {
            Node::FilePath(part) => {
                if !path.is_empty() {
                    path.push('\\');
                }
                path += &text(part);
            }
            // A path that goes on behind a partition with something else leads to no file that is known.
            _ => return None,
        }
    }
    (!path.is_empty()).then_some((drive, path))
}

/// Whether two paths lead to the same file of a FAT filesystem, which does not tell capital letters from small ones.
pub fn same_file(one: &str, other: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        path.split(['\\', '/']).filter(|part| !part.is_empty()).map(str::to_uppercase).collect()
    };
    parts(one) == parts(other)
}

/// A path of whole units that ends with its only zero.
fn file_path(data: &[u8]) -> Option<Vec<u16>> {
    let units = units(data);
    let (last, path) = units.split_last()?;
    (*last == 0 && !path.contains(&0) && data.len().is_multiple_of(2)).then(|| path.to_vec())
}

impl HardDrive {
    fn parse(data: &[u8]) -> Option<Self> {
        let data: &[u8; HARD_DRIVE_BYTES - HEADER_BYTES] = data.try_into().ok()?;
        let number = u32::from_le_bytes(data[0..4].try_into().ok()?);
        let lba = |at: usize| Some(u64::from_le_bytes(data[at..at + 8].try_into().ok()?));
        let guid: [u8; 16] = data[20..36].try_into().ok()?;
        // The format of the table, and the type of the signature.
        let signature = match (data[36], data[37]) {
            (2, 2) => Signature::Gpt(guid),
            (1, 1) if guid[4..] == [0; 12] => Signature::Mbr(guid[..4].try_into().ok()?),
            _ => return None,
        };
        Some(Self { number, first_lba: lba(4)?, blocks: lba(12)?, signature })
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut data = Vec::with_capacity(HARD_DRIVE_BYTES - HEADER_BYTES);
        data.extend(self.number.to_le_bytes());
        data.extend(self.first_lba.to_le_bytes());
        data.extend(self.blocks.to_le_bytes());
        let kind = match self.signature {
            Signature::Gpt(guid) => {
                data.extend(guid);
                2
            }
            Signature::Mbr(signature) => {
                data.extend(signature);
                data.extend([0; 12]);
                1
            }
        };
        data.extend([kind, kind]);
        data
    }

    /// Whether firmware takes both for the same partition: by number and signature (EDK II compares these; the size changes
    /// when a partition grows).
    pub fn is_same_partition(&self, other: &Self) -> bool {
        self.number == other.number && self.signature == other.signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `HD(2,GPT,3f2a...,0x1000,0x20000)/\EFI\BOOT\BOOTX64.EFI`, as OVMF writes it.
    pub(in crate::efi) fn sample() -> Vec<u8> {
        let mut path = vec![4, 1, 42, 0, 2, 0, 0, 0];
        path.extend(0x1000u64.to_le_bytes());
        path.extend(0x20000u64.to_le_bytes());
        path.extend([0x3f; 16]);
        path.extend([2, 2]);
        let file: Vec<u8> = "\\EFI\\BOOT\\BOOTX64.EFI\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        path.extend([4, 4, (4 + file.len()) as u8, 0]);
        path.extend(file);
        path.extend([0x7f, 0xff, 4, 0]);
        path
    }

    #[test]
    fn a_path_is_read_and_written_as_it_was() {
        let nodes = Node::parse_all(&sample()).unwrap();
        assert_eq!(nodes.len(), 3);
        let (drive, file) = partition_and_file(&nodes).unwrap();
        let expected = HardDrive {
            number: 2,
            first_lba: 0x1000,
            blocks: 0x20000,
            signature: Signature::Gpt([0x3f; 16]),
        };
        assert_eq!((drive, file.as_str()), (expected, "\\EFI\\BOOT\\BOOTX64.EFI"));
        assert_eq!(nodes.iter().flat_map(Node::to_bytes).collect::<Vec<u8>>(), sample());
    }

    #[test]
    fn what_is_not_known_is_stepped_over_and_kept() {
        // PciRoot(0)/Pci(4,0), then the partition.
        let mut path = vec![2, 1, 12, 0, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0, 1, 1, 6, 0, 0, 4];
        path.extend(sample());
        let nodes = Node::parse_all(&path).unwrap();
        assert_eq!(nodes[1], Node::Other { kind: 1, subtype: 1, data: vec![0, 4] });
        assert!(partition_and_file(&nodes).is_some());
        assert_eq!(nodes.iter().flat_map(Node::to_bytes).collect::<Vec<u8>>(), path);
        // Behind the end there may be other paths, which say nothing of the first.
        let mut second = vec![0x7f, 0xff, 4, 0];
        second.extend(sample());
        assert_eq!(partition_and_file(&Node::parse_all(&second).unwrap()), None);
    }

    #[test]
    fn a_partition_of_an_mbr_is_known_by_the_disks_signature() {
        let drive =
            HardDrive { number: 1, first_lba: 2048, blocks: 4096, signature: Signature::Mbr([1, 2, 3, 4]) };
        let node = Node::HardDrive(drive);
        assert_eq!(Node::parse_all(&node.to_bytes()).unwrap(), [node]);
        assert!(drive.is_same_partition(&HardDrive { blocks: 9999, ..drive }));
        assert!(!drive.is_same_partition(&HardDrive { number: 2, ..drive }));
        assert!(!drive.is_same_partition(&HardDrive { signature: Signature::Gpt([0; 16]), ..drive }));
    }

    #[test]
    fn lengths_that_cannot_be_right_are_told() {
        let wrong: [(&[u8], PathError); 5] = [
            (&[4], PathError::CutOff(0)),
            (&[4, 1, 0, 0], PathError::Length { at: 0, length: 0, left: 4 }),
            (&[4, 1, 3, 0], PathError::Length { at: 0, length: 3, left: 4 }),
            (&[4, 1, 42, 0, 1], PathError::Length { at: 0, length: 42, left: 5 }),
            (&[0x7f, 0xff, 4, 0, 4, 4, 0xff], PathError::CutOff(4)),
        ];
        for (bytes, error) in wrong {
            assert_eq!(Node::parse_all(bytes), Err(error), "{bytes:?}");
        }
        assert_eq!(Node::parse_all(&[]), Ok(Vec::new()));
    }

    #[test]
    fn a_node_of_another_form_is_kept_as_it_is() {
        // A partition with a longer body, a file without an end, one with two, and an odd one.
        for node in [
            [vec![4, 1, 44, 0], vec![0; 40]].concat(),
            vec![4, 4, 6, 0, 65, 0],
            vec![4, 4, 10, 0, 65, 0, 0, 0, 0, 0],
            vec![4, 4, 7, 0, 65, 0, 0],
            vec![4, 4, 4, 0],
        ] {
            let nodes = Node::parse_all(&node).unwrap();
            assert!(matches!(nodes[..], [Node::Other { kind: 4, .. }]), "{nodes:?}");
            assert_eq!(nodes[0].to_bytes(), node);
        }
    }

    #[test]
    fn one_file_has_many_spellings() {
        for same in ["\\efi\\boot\\bootx64.efi", "EFI\\BOOT\\BOOTX64.EFI", "\\\\EFI/BOOT\\BootX64.efi"] {
            assert!(same_file(same, "\\EFI\\BOOT\\BOOTX64.EFI"), "{same}");
        }
        for other in ["\\EFI\\BOOT\\BOOTX64.EF", "\\EFI\\BOOT", "\\EFIBOOT\\BOOTX64.EFI"] {
            assert!(!same_file(other, "\\EFI\\BOOT\\BOOTX64.EFI"), "{other}");
        }
        // In two nodes, as the specification allows.
        let nodes = [
            Node::HardDrive(HardDrive {
                number: 1,
                first_lba: 1,
                blocks: 1,
                signature: Signature::Gpt([0; 16]),
            }),
            Node::file("\\EFI\\debian"),
            Node::file("shimx64.efi"),
        ];
        assert!(same_file(&partition_and_file(&nodes).unwrap().1, "\\EFI\\debian\\shimx64.efi"));
    }
}
