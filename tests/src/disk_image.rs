//! Small disk images with a partition table, made and packed by the tools that people use.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::loop_device::{LoopDevice, run};

/// A MiB.
pub const MIB: u64 = 1 << 20;

/// What divides an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// A GPT with partitions 1, 14 and 15, the last two before the first, as cloud images have them.
    Gpt,
    /// The same, its entries behind this block (`sgdisk --move-main-table`).
    GptWithEntriesAt(u64),
    /// An MBR: 1 primary, 2 extended, 5 and 6 in it.
    Mbr,
}

/// The making of an image.
#[derive(Debug, Clone, Copy)]
pub struct DiskImage {
    /// What divides it.
    pub table: Table,
    /// Its size in MiB; at least 12.
    pub size_mib: u64,
    /// The block size that its table counts in.
    pub logical_block_size: u32,
}

impl Default for DiskImage {
    fn default() -> Self {
        Self { table: Table::Gpt, size_mib: 12, logical_block_size: 512 }
    }
}

impl DiskImage {
    /// Makes the image: boot code, the table, partitions full of what packs half, and some zeros.
    ///
    /// # Panics
    /// When a tool is missing or fails.
    pub fn make(&self) -> Vec<u8> {
        let size_bytes = self.size_mib * MIB;
        let mut image = vec![0; size_bytes as usize];
        // Boards keep a boot loader before the first partition; behind the last one is room for the last copy of a GPT.
        fill(&mut image[64 * 1024..(size_bytes - 2 * MIB) as usize]);
        image[..440].copy_from_slice(&[0xfa; 440]);
        let disk = LoopDevice::with_block_size(size_bytes, self.logical_block_size);
        write(disk.node(), &image);
        let blocks = |mib: u64| mib * MIB / u64::from(self.logical_block_size);
        match self.table {
            Table::Gpt => self.divide(disk.node(), &[]),
            Table::GptWithEntriesAt(block) => {
                self.divide(disk.node(), &[&format!("--move-main-table={block}")])
            }
            Table::Mbr => {
                let (start, end) = (blocks(3), blocks(self.size_mib - 1));
                let script = format!(
                    "label: dos\n{start},{one},c\n{extended},{rest},5\n\n\n{five},{one},83\n{six},,82\n",
                    one = blocks(1),
                    extended = blocks(5),
                    rest = end - blocks(5),
                    five = blocks(6),
                    six = blocks(8),
                );
                pipe(
                    Command::new("sfdisk")
                        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
                        .arg(disk.node()),
                    script.as_bytes(),
                );
            }
        }
        disk.content()
    }

    fn divide(&self, node: &Path, options: &[&str]) {
        let at = |mib: u64| (mib * MIB / u64::from(self.logical_block_size)).to_string();
        let end = |mib: u64| (mib * MIB / u64::from(self.logical_block_size) - 1).to_string();
        let mut sgdisk = Command::new("sgdisk");
        sgdisk.arg("--set-alignment=1").args(options).args([
            format!("--new=1:{}:{}", at(5), end(self.size_mib - 1)),
            format!("--new=14:{}:{}", at(3), end(4)),
            format!("--new=15:{}:{}", at(4), end(5)),
        ]);
        run(sgdisk
            .args(["--typecode=1:8304", "--typecode=14:ef02", "--typecode=15:ef00", "--change-name=1:root"])
            .arg(node));
    }
}

/// Fills with what is reproducible, and random, repeated or zero by turns.
fn fill(bytes: &mut [u8]) {
    let mut state = 0x2545_f491u32;
    for (index, page) in bytes.chunks_mut(4096).enumerate() {
        for byte in page.iter_mut() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = match index % 4 {
                0 | 1 => (state >> 24) as u8,
                2 => index as u8,
                _ => 0,
            };
        }
    }
}

/// How an image is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Raw,
    /// `gzip`
    Gzip,
    /// `zstd`, with a checksum
    Zstd,
    /// `xz`
    Xz,
    /// `bzip2`
    Bzip2,
}

impl Packing {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Gzip, Self::Zstd, Self::Xz, Self::Bzip2];

    /// Packs.
    ///
    /// # Panics
    /// When a tool is missing or fails.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        let (tool, options): (&str, &[&str]) = match self {
            Self::Raw => return bytes.to_vec(),
            Self::Gzip => ("gzip", &["-1"]),
            Self::Zstd => ("zstd", &["-1", "--quiet"]),
            Self::Xz => ("xz", &["-0"]),
            Self::Bzip2 => ("bzip2", &["-1"]),
        };
        pipe(Command::new(tool).args(options).arg("-c"), bytes)
    }
}

/// Sends bytes through a tool, and gives what comes out.
///
/// # Panics
/// When it is missing or fails.
pub fn pipe(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Writes bytes to the beginning of a device, and flushes them.
///
/// # Panics
/// When that fails.
pub fn write(node: &Path, bytes: &[u8]) {
    let mut device = File::options().write(true).open(node).unwrap();
    device.write_all(bytes).unwrap();
    device.sync_all().unwrap();
}
