//! Load options (3.1.3): what a variable `Boot0003` holds.

use super::device_path::{HardDrive, Node, PathError, partition_and_file};
use super::{bytes, text, units};

/// The firmware's boot manager may start it (LOAD_OPTION_ACTIVE).
pub const ACTIVE: u32 = 0x0000_0001;
/// It is not shown in a menu (LOAD_OPTION_HIDDEN).
pub const HIDDEN: u32 = 0x0000_0008;
/// Which category it is of (LOAD_OPTION_CATEGORY); 0 is one to boot.
pub const CATEGORY: u32 = 0x0000_1f00;

/// No load option is near to this: the firmware of most machines has 64 KiB or less for all of them.
pub const MOST_BYTES: usize = 64 * 1024;

/// A load option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOption {
    /// [`ACTIVE`], [`HIDDEN`], [`CATEGORY`] and others.
    pub attributes: u32,
    /// What a menu shows, without the zero at its end.
    pub description: Vec<u16>,
    /// The nodes of its device paths, with their ends. The first path leads to what is started.
    pub paths: Vec<Node>,
    /// What is handed to the program that is started.
    pub optional_data: Vec<u8>,
}

/// Why bytes are no load option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// It is shorter than its first two fields.
    #[error("a load option of {0} bytes is cut off")]
    CutOff(usize),
    /// It is longer than any can be.
    #[error("a load option of {0} bytes is longer than {MOST_BYTES}")]
    TooLong(usize),
    /// Its description does not end.
    #[error("the description of a load option has no end")]
    Description,
    /// Its device paths are said to be longer than what is there.
    #[error("a load option gives the length of its device paths as {length}, and {left} bytes are left")]
    PathLength {
        /// What it says.
        length: usize,
        /// What there is.
        left: usize,
    },
    /// A device path is none.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl LoadOption {
    /// Reads one.
    ///
    /// # Errors
    /// [`OptionError`] where it is cut off, or a length in it cannot be right.
    pub fn parse(option: &[u8]) -> Result<Self, OptionError> {
        if option.len() > MOST_BYTES {
            return Err(OptionError::TooLong(option.len()));
        }
        let &[a, b, c, d, low, high, ref rest @ ..] = option else {
            return Err(OptionError::CutOff(option.len()));
        };
        let mut description = units(rest);
        let end = description.iter().position(|unit| *unit == 0).ok_or(OptionError::Description)?;
        description.truncate(end);
        let rest = &rest[2 * (end + 1)..];
        let (length, left) = (usize::from(u16::from_le_bytes([low, high])), rest.len());
        let paths = rest.get(..length).ok_or(OptionError::PathLength { length, left })?;
        Ok(Self {
            attributes: u32::from_le_bytes([a, b, c, d]),
            description,
            paths: Node::parse_all(paths)?,
            optional_data: rest[length..].to_vec(),
        })
    }

    /// One that starts a file on a partition, by a path that begins with the partition: the firmware looks for it on all
    /// disks (3.1.2), so that it is found whatever bus the disk is on.
    pub fn to_start(description: &str, partition: HardDrive, file: &str) -> Self {
        Self {
            attributes: ACTIVE,
            description: description.encode_utf16().collect(),
            paths: vec![Node::HardDrive(partition), Node::file(file), Node::End],
            optional_data: Vec::new(),
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let paths: Vec<u8> = self.paths.iter().flat_map(Node::to_bytes).collect();
        let paths = &paths[..paths.len().min(usize::from(u16::MAX))];
        let mut option = self.attributes.to_le_bytes().to_vec();
        option.extend((paths.len() as u16).to_le_bytes());
        option.extend(bytes(&self.description));
        option.extend([0, 0]);
        option.extend(paths);
        option.extend(&self.optional_data);
        option
    }

    /// What a menu shows, fit for a line of a log.
    pub fn name(&self) -> String {
        text(&self.description).chars().filter(|c| !c.is_control()).take(80).collect()
    }

    /// Whether the firmware's boot manager starts it as it starts an operating system.
    pub fn is_for_booting(&self) -> bool {
        self.attributes & (ACTIVE | HIDDEN | CATEGORY) == ACTIVE
    }

    /// The partition and the file that it starts; `None` where it starts something else: a disk, a network card, a shell.
    pub fn starts(&self) -> Option<(HardDrive, String)> {
        partition_and_file(&self.paths)
    }
}

#[cfg(test)]
mod tests {
    use super::super::device_path::Signature;
    use super::*;

    fn partition() -> HardDrive {
        HardDrive { number: 2, first_lba: 4096, blocks: 131_072, signature: Signature::Gpt([7; 16]) }
    }

    #[test]
    fn an_option_is_read_and_written_as_it_was() {
        let option = LoadOption::to_start("Nibs: installed system", partition(), "\\EFI\\BOOT\\BOOTX64.EFI");
        let bytes = option.to_bytes();
        // Attributes, the paths' length, the description in two bytes a character.
        assert_eq!(bytes[..10], [1, 0, 0, 0, 42 + 4 + 44 + 4, 0, b'N', 0, b'i', 0]);
        assert_eq!(LoadOption::parse(&bytes).unwrap(), option);
        assert!(option.is_for_booting());
        assert_eq!(option.name(), "Nibs: installed system");
        assert_eq!(option.starts(), Some((partition(), "\\EFI\\BOOT\\BOOTX64.EFI".to_owned())));
        let mut more = bytes;
        more.extend(b"root=/dev/sda");
        let more = LoadOption::parse(&more).unwrap();
        assert_eq!(more.optional_data, b"root=/dev/sda");
        for attributes in [0, ACTIVE | HIDDEN, ACTIVE | 0x100] {
            assert!(!LoadOption { attributes, ..more.clone() }.is_for_booting());
        }
    }

    #[test]
    fn one_from_a_machine_is_understood() {
        // `UEFI QEMU QEMU HARDDISK`: PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0,0xFFFF,0), and OVMF's mark as optional data.
        let mut option = vec![1, 0, 0, 0, 0x20, 0];
        option.extend("UEFI QEMU\0".encode_utf16().flat_map(u16::to_le_bytes));
        option.extend([2, 1, 12, 0, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0, 1, 1, 6, 0, 2, 0x1f]);
        option.extend([3, 18, 10, 0, 0, 0, 0xff, 0xff, 0, 0, 0x7f, 0xff, 4, 0]);
        option.extend([0x4e, 0xac, 0x08, 0x81]);
        let parsed = LoadOption::parse(&option).unwrap();
        assert_eq!((parsed.name().as_str(), parsed.paths.len()), ("UEFI QEMU", 4));
        assert_eq!(parsed.starts(), None);
        assert_eq!(parsed.to_bytes(), option);
    }

    #[test]
    fn what_is_none_is_told() {
        let whole = LoadOption::to_start("x", partition(), "\\a").to_bytes();
        for length in 0..whole.len() {
            assert!(LoadOption::parse(&whole[..length]).is_err(), "{length}");
        }
        assert_eq!(LoadOption::parse(&[1, 0, 0, 0, 0]), Err(OptionError::CutOff(5)));
        assert_eq!(LoadOption::parse(&[1, 0, 0, 0, 0, 0, 65, 0, 66]), Err(OptionError::Description));
        assert_eq!(
            LoadOption::parse(&[1, 0, 0, 0, 9, 0, 0, 0, 1]),
            Err(OptionError::PathLength { length: 9, left: 1 })
        );
        assert_eq!(LoadOption::parse(&vec![0; MOST_BYTES + 1]), Err(OptionError::TooLong(MOST_BYTES + 1)));
        // A description of control characters does not break a log's line.
        let option = LoadOption::to_start("a\n\u{1b}[2Jb", partition(), "\\a");
        assert_eq!(option.name(), "a[2Jb");
    }
}
