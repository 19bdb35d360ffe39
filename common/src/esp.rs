//! EFI system partitions: which partition is one, and what firmware could start from it. They are read without mounting
//! them: the kernel that runs an action need not know vfat, and a mount could write.
//!
//! Section numbers are those of the UEFI Specification, 2.10.

use std::io;

use crate::efi::{Architecture, device_path};
use crate::table::{Partition, PartitionKind, PartitionTable, ReadAt};

mod fat;
mod loaders;

pub use fat::{Esp, Item};
pub use loaders::{Loader, architecture};

/// The type of an EFI system partition in a GPT, as it stores it (5.3.3, table 5.7).
pub const GPT_TYPE: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];

/// Its type in an MBR (5.2.2).
pub const MBR_TYPE: u8 = 0xef;

/// Why an EFI system partition cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EspError {
    /// It begins with no FAT filesystem, or with one that cannot be right.
    #[error("it holds no FAT filesystem: {0}")]
    NoFat(&'static str),
    /// Something in it could not be read, or leads nowhere.
    #[error("reading its FAT filesystem: {0}")]
    Io(#[from] io::Error),
}

/// The EFI system partitions of a table, by number.
pub fn partitions(table: &PartitionTable) -> impl Iterator<Item = &Partition> {
    table.partitions.iter().filter(|partition| {
        matches!(partition.kind, PartitionKind::Gpt(GPT_TYPE) | PartitionKind::Mbr(MBR_TYPE))
    })
}

/// What firmware of this architecture could start from an EFI system partition, the best first: what it starts by itself
/// (`\EFI\BOOT\BOOTX64.EFI`, 3.5.1.1), then the vendors' loaders, which need a boot entry. `architecture` is that of the
/// firmware; what is for another is left out, and given apart.
///
/// # Errors
/// [`EspError`]
pub fn look(
    disk: &dyn ReadAt,
    table: &PartitionTable,
    partition: &Partition,
    firmware: Architecture,
) -> Result<Found, EspError> {
    let esp = Esp::open(disk, partition.start_bytes(table), partition.length_bytes(table))?;
    let (loaders, foreign) =
        loaders::of(&esp, firmware)?.into_iter().partition(|loader| loader.architecture == firmware);
    Ok(Found { loaders, foreign })
}

/// What there is to start on an EFI system partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// What the firmware can start, the best first.
    pub loaders: Vec<Loader>,
    /// What has the right name and was built for another architecture.
    pub foreign: Vec<Loader>,
}

impl Found {
    /// What the firmware starts without a boot entry: the file of the removable media path (3.5.1.1).
    pub fn fallback(&self, firmware: Architecture) -> Option<&Loader> {
        let path = loaders::fallback_path(firmware)?;
        self.loaders.iter().find(|loader| device_path::same_file(&loader.path, &path))
    }
}
