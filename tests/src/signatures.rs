//! What old disks are full of: each format that a disk must be freed of, made on a real block device, and the proof by
//! other programs that it is gone.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::loop_device::{LoopDevice, run};

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Format {
    Ext4,
    Xfs,
    Btrfs,
    Vfat,
    Swap,
    Lvm,
    Luks1,
    Luks2,
    Md090,
    Md10,
    Md12,
    Zfs,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Ext4,
        Self::Xfs,
        Self::Btrfs,
        Self::Vfat,
        Self::Swap,
        Self::Lvm,
        Self::Luks1,
        Self::Luks2,
        Self::Md090,
        Self::Md10,
        Self::Md12,
        Self::Zfs,
    ];

    /// libblkid's name.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Swap => "swap",
            Self::Lvm => "LVM2_member",
            Self::Luks1 | Self::Luks2 => "crypto_LUKS",
            Self::Md090 | Self::Md10 | Self::Md12 => "linux_raid_member",
            Self::Zfs => "zfs_member",
        }
    }

    /// Makes it on a block device of at least 320 MiB, and makes sure that blkid sees it there and nothing else.
    ///
    /// # Panics
    /// When a tool is missing or fails.
    pub fn make(self, node: &Path) {
        self.put(node);
        let seen = run(Command::new("blkid")
            .args(["--probe", "--output", "value", "--match-tag", "TYPE"])
            .arg(node));
        assert_eq!(seen.trim(), self.kind(), "{self:?} on {}", node.display());
    }

    /// Makes it on a block device, over what is there.
    ///
    /// By the format's own tools, but for md and ZFS, whose tools want their drivers: their labels are written as
    /// libblkid recognises them.
    ///
    /// # Panics
    /// When a tool is missing or fails.
    pub fn put(self, node: &Path) {
        let luks = |version: &str| {
            let options = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-size", "256"];
            let mut command = Command::new("cryptsetup");
            command.args(["luksFormat", "--batch-mode", "--type", version]).args(options);
            // The key is a file that is always there; what it holds does not matter.
            run(command.args(["--key-file", "/etc/os-release"]).arg(node));
        };
        match self {
            Self::Ext4 => drop(run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(node))),
            Self::Xfs => drop(run(Command::new("mkfs.xfs").args(["-q", "-f"]).arg(node))),
            Self::Btrfs => drop(run(Command::new("mkfs.btrfs").args(["-q", "-f"]).arg(node))),
            Self::Vfat => drop(run(Command::new("mkfs.vfat").args(["-I", "-F", "32"]).arg(node))),
            Self::Swap => drop(run(Command::new("mkswap").args(["-f", "-L", "old"]).arg(node))),
            Self::Lvm => drop(run(Command::new("pvcreate").args(["-q", "-ff", "--yes"]).arg(node))),
            Self::Luks1 => luks("luks1"),
            Self::Luks2 => luks("luks2"),
            Self::Md090 => md_0(node),
            Self::Md10 => md_1(node, |size| (size & !0xfff) - 0x2000),
            Self::Md12 => md_1(node, |_| 0x1000),
            Self::Zfs => zfs(node),
        }
        File::open(node).and_then(|file| file.sync_all()).expect("flushing the device");
    }
}

fn open(node: &Path) -> (File, u64) {
    let mut file = File::options().read(true).write(true).open(node).expect("opening the device");
    let size = file.seek(SeekFrom::End(0)).expect("its size");
    (file, size)
}

fn put(file: &File, words: &[u32], offset_bytes: u64) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    file.write_all_at(&bytes, offset_bytes).expect("writing a superblock");
}

const MD_MAGIC: u32 = 0xa92b_4efc;

/// A superblock of md version 0.90, 64 KiB before the end (`mdp_superblock_s` in linux/raid/md_p.h).
fn md_0(node: &Path) {
    let (file, size) = open(node);
    let offset = (size & !0xffff) - 0x1_0000;
    let kib = (offset / 1024) as u32;
    put(
        &file,
        &[MD_MAGIC, 0, 90, 3, 0, 0x1111_1111, 1, 1, kib, 2, 2, 0, 0, 0x2222_2222, 0x3333_3333, 0x4444_4444],
        offset,
    );
}

/// A superblock of md version 1 (`mdp_superblock_1`): at byte 144 it says in which sector it lies itself.
fn md_1(node: &Path, place: impl Fn(u64) -> u64) {
    let (file, size) = open(node);
    let offset = place(size);
    put(&file, &[MD_MAGIC, 1, 0, 0, 0x1111_1111, 0x2222_2222, 0x3333_3333, 0x4444_4444], offset);
    let sector = offset / 512;
    put(&file, &[sector as u32, (sector >> 32) as u32], offset + 144);
}

/// The four labels of a ZFS disk, two at each end, with the magic number of each of their 128 uberblocks.
fn zfs(node: &Path) {
    const LABEL: u64 = 256 << 10;
    let (file, size) = open(node);
    let end = size / LABEL * LABEL;
    for label in [0, LABEL, end - 2 * LABEL, end - LABEL] {
        for uberblock in 0..128 {
            put(&file, &[0x00ba_b10c, 0, 5000, 0], label + (128 << 10) + uberblock * 1024);
        }
    }
}

/// Asserts that neither wipefs nor blkid finds anything on a block device.
///
/// # Panics
/// When they do, with what.
#[track_caller]
pub fn assert_blank(node: &Path) {
    let wipefs = run(Command::new("wipefs").args(["--no-act", "--noheadings"]).arg(node));
    assert_eq!(wipefs, "", "wipefs finds something on {}", node.display());
    let blkid = Command::new("blkid").arg("--probe").arg(node).output().expect("blkid");
    let text = String::from_utf8_lossy(&blkid.stdout).into_owned();
    // blkid(8): 2 when nothing was recognised.
    assert_eq!(
        (blkid.status.code(), text.as_str()),
        (Some(2), ""),
        "blkid finds something on {}",
        node.display()
    );
}

/// Asserts that neither finds anything in a range of a disk, looked at as a device of its own.
///
/// # Panics
/// When they do, with what.
#[track_caller]
pub fn assert_blank_range(disk: &LoopDevice, start_bytes: u64, length_bytes: u64) {
    let part = disk.part(start_bytes, length_bytes);
    assert_blank(part.node());
}
