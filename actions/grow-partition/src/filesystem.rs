//! Growing a mounted filesystem to the end of its device, by the kernel alone.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use anyhow::{Context, anyhow};
use common::cause::Cause;
use common::failure::{Because, Failure};
use common::installed::FoundRoot;
use common::mount::Filesystem;
use common::root_dir::RootDir;
use common::sys::filesystem as sys;

/// The sizes of a filesystem in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Growth {
    /// Before.
    pub(crate) before_bytes: u64,
    /// After.
    pub(crate) after_bytes: u64,
}

/// Grows the filesystem of `root`, which is that of `found`, to `device_bytes`.
///
/// # Errors
/// [`Cause::Filesystem`] with what the kernel says.
pub(crate) fn grow(root: &RootDir, found: &FoundRoot, device_bytes: u64) -> Result<Growth, Failure> {
    let name = found.filesystem.name();
    let (before_bytes, grow): (u64, Box<dyn Fn() -> io::Result<()>>) = match found.filesystem {
        Filesystem::Ext4 => {
            let size = ext4_size(&found.device()?.open()?).because(Cause::Filesystem)?;
            let blocks = device_bytes / size.block_bytes;
            (size.bytes(), Box::new(move || sys::ext4_grow(root, blocks)))
        }
        Filesystem::Xfs => {
            let size =
                sys::xfs_size(root).context("asking for the size of xfs").because(Cause::Filesystem)?;
            let block_bytes = u64::from(size.block_bytes);
            let blocks = device_bytes / block_bytes;
            (size.blocks * block_bytes, Box::new(move || sys::xfs_grow(root, blocks, size.inodes_percent)))
        }
        Filesystem::Btrfs => {
            let device =
                sys::btrfs_device(root).context("asking for the size of btrfs").because(Cause::Filesystem)?;
            if device.devices != 1 {
                let text = format_args!(
                    "a btrfs on {} devices is not supported as a root that grows",
                    device.devices
                );
                return Err(Failure::new(Cause::Filesystem, text));
            }
            (device.total_bytes, Box::new(move || sys::btrfs_grow(root, device.id)))
        }
    };
    if before_bytes < device_bytes {
        grow().map_err(|error| explain(error, found.filesystem)).because(Cause::Filesystem).map_err(
            |failure| {
                failure.context(format!("growing the {name} of {} to {device_bytes} bytes", found.describe()))
            },
        )?;
    }
    let after_bytes = match found.filesystem {
        Filesystem::Ext4 => {
            found.device()?.open().and_then(|device| ext4_size(&device).because(Cause::Filesystem))?.bytes()
        }
        Filesystem::Xfs => sys::xfs_size(root)
            .map(|size| size.blocks * u64::from(size.block_bytes))
            .context("asking for the size of xfs")
            .because(Cause::Filesystem)?,
        Filesystem::Btrfs => {
            sys::btrfs_device(root)
                .context("asking for the size of btrfs")
                .because(Cause::Filesystem)?
                .total_bytes
        }
    };
    Ok(Growth { before_bytes, after_bytes })
}

/// What a person has to know besides the kernel's word.
fn explain(error: io::Error, filesystem: Filesystem) -> anyhow::Error {
    let word = match (filesystem, error.raw_os_error()) {
        (Filesystem::Ext4, Some(libc::EPERM)) if !may_use_resources() => {
            "the container lacks CAP_SYS_RESOURCE, without which ext4 does not grow; run the action privileged"
        }
        (Filesystem::Ext4, Some(libc::EPERM)) => "the filesystem has errors; the image has to be made anew",
        (Filesystem::Ext4, Some(libc::EOPNOTSUPP)) => {
            "the image's ext4 has a feature with which it cannot grow"
        }
        (_, Some(libc::EBUSY | libc::EWOULDBLOCK)) => "another growth is under way",
        _ => return error.into(),
    };
    anyhow!(error).context(word)
}

/// Whether this process has CAP_SYS_RESOURCE (24 in `linux/capability.h`); true where that cannot be told.
fn may_use_resources() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_none_or(|all| all & (1 << 24) != 0)
}

/// The size of an ext4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ext4Size {
    block_bytes: u64,
    blocks: u64,
}

impl Ext4Size {
    fn bytes(self) -> u64 {
        self.block_bytes.saturating_mul(self.blocks)
    }
}

/// Reads it from the superblock, which the kernel changes at once when the filesystem grows. There is no call for it, and
/// statfs leaves out what the filesystem needs for itself.
fn ext4_size(device: &File) -> anyhow::Result<Ext4Size> {
    let mut superblock = [0; 1024];
    device.read_exact_at(&mut superblock, 1024).context("reading the superblock of ext4")?;
    ext4_size_of(&superblock).ok_or_else(|| anyhow!("the superblock of ext4 cannot be right"))
}

/// `struct ext4_super_block`: the magic number at 0x38, the block size at 0x18 as a power of two above 1024, the number
/// of blocks at 0x04 and, with the feature 64bit (0x80 at 0x60), its upper half at 0x150.
fn ext4_size_of(superblock: &[u8; 1024]) -> Option<Ext4Size> {
    let u32_at = |at: usize| superblock[at..at + 4].try_into().map(u32::from_le_bytes).ok();
    let is_ext4 = superblock[0x38..0x3a] == [0x53, 0xef];
    let shift = u32_at(0x18).filter(|shift| is_ext4 && *shift <= 6)?;
    let upper = if u32_at(0x60)? & 0x80 == 0 { 0 } else { u32_at(0x150)? };
    Some(Ext4Size { block_bytes: 1024 << shift, blocks: u64::from(upper) << 32 | u64::from(u32_at(0x04)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_ext4_is_read() {
        let mut superblock = [0; 1024];
        assert_eq!(ext4_size_of(&superblock), None);
        superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        superblock[0x18] = 2;
        superblock[0x04..0x08].copy_from_slice(&77u32.to_le_bytes());
        superblock[0x150..0x154].copy_from_slice(&3u32.to_le_bytes());
        assert_eq!(ext4_size_of(&superblock), Some(Ext4Size { block_bytes: 4096, blocks: 77 }));
        superblock[0x60] = 0x80;
        assert_eq!(ext4_size_of(&superblock).unwrap().blocks, (3 << 32) + 77);
        superblock[0x18] = 200;
        assert_eq!(ext4_size_of(&superblock), None);
    }
}
