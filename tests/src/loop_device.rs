//! Loop devices that go away with their guard, also on a panic.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What mkswap writes: the kernel leaves it as it is.
const SWAP_HEADER_BYTES: usize = 4096;

/// A loop device over a sparse file of its own. `NIBS_KEEP=1` leaves it behind for a look, and says where.
#[derive(Debug)]
pub struct LoopDevice {
    node: PathBuf,
    folder: Option<TempDir>,
}

impl LoopDevice {
    /// A disk of zeros with logical blocks of 512 bytes.
    ///
    /// # Panics
    /// When there is no root, or losetup fails.
    pub fn new(size_bytes: u64) -> Self {
        Self::with_block_size(size_bytes, 512)
    }

    /// A disk of zeros with logical blocks of 512 or 4096 bytes.
    ///
    /// # Panics
    /// When there is no root, or losetup fails.
    pub fn with_block_size(size_bytes: u64, logical_block_size: u32) -> Self {
        Self::attach(size_bytes, &["--sector-size", &logical_block_size.to_string()])
    }

    /// A read-only disk of zeros.
    ///
    /// # Panics
    /// When there is no root, or losetup fails.
    pub fn read_only(size_bytes: u64) -> Self {
        Self::attach(size_bytes, &["--read-only"])
    }

    /// A second device over a range of the same file, as if it were a disk.
    ///
    /// # Panics
    /// When losetup fails.
    pub fn part(&self, start_bytes: u64, length_bytes: u64) -> Self {
        run(Command::new("blockdev").arg("--flushbufs").arg(&self.node));
        let (offset, limit) = (start_bytes.to_string(), length_bytes.to_string());
        Self::over(&self.backing(), &["--offset", &offset, "--sizelimit", &limit])
    }

    /// A device over a file that is there already, and stays. `options` are those of losetup.
    ///
    /// # Panics
    /// When losetup fails.
    pub fn over(backing: &Path, options: &[&str]) -> Self {
        let node = run(Command::new("losetup").args(["--show", "--find"]).args(options).arg(backing));
        Self { node: without_partitions(node.trim()), folder: None }
    }

    fn attach(size_bytes: u64, options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("nibs-loop-").tempdir().expect("a folder for the disk");
        let backing = folder.path().join("disk");
        File::create(&backing).and_then(|file| file.set_len(size_bytes)).expect("a sparse file");
        let node = run(Command::new("losetup")
            .args(["--show", "--find", "--direct-io=on"])
            .args(options)
            .arg(&backing));
        Self { node: without_partitions(node.trim()), folder: Some(folder) }
    }

    /// `/dev/loop7`.
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// The file below it. Read it only after a flush of the device.
    pub fn backing(&self) -> PathBuf {
        self.folder.as_ref().expect("there until drop").path().join("disk")
    }

    /// The node of a partition, which the kernel shows once somebody told it (`partx --add`, or an action).
    pub fn partition(&self, number: u32) -> PathBuf {
        PathBuf::from(format!("{}p{number}", self.node.display()))
    }

    /// Tells the kernel of the partitions that are in the table now: on its own it looks at no loop device.
    ///
    /// # Panics
    /// When partx fails.
    pub fn show_partitions(&self) {
        run(Command::new("partx").arg("--update").arg(&self.node));
    }

    /// The whole content, read past the cache. Swap space in use reads as zeros behind its first page, since the kernel
    /// writes there whenever it likes.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn content(&self) -> Vec<u8> {
        run(Command::new("blockdev").arg("--flushbufs").arg(&self.node));
        let mut content = std::fs::read(&self.node).expect("reading the loop device");
        for Range { start, end } in self.swapped() {
            content[start + SWAP_HEADER_BYTES..end].fill(0);
        }
        content
    }

    /// Where the kernel swaps to on this device.
    fn swapped(&self) -> Vec<Range<usize>> {
        let areas = std::fs::read_to_string("/proc/swaps").expect("reading /proc/swaps");
        let nodes = areas.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(Path::new);
        let name = self.node.file_name().expect("a loop device has a name");
        let ours = nodes.filter_map(|node| {
            let folder = Path::new("/sys/class/block").join(node.file_name()?);
            let sectors = |figure: &str| -> Option<usize> {
                std::fs::read_to_string(folder.join(figure)).ok()?.trim().parse().ok()
            };
            let start = match node == self.node {
                true => 0,
                // A partition's folder lies in its disk's.
                false => {
                    folder.canonicalize().ok()?.parent()?.ends_with(name).then(|| sectors("start"))??
                }
            };
            Some(start * 512..(start + sectors("size")?) * 512)
        });
        ours.collect()
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if std::env::var_os("NIBS_KEEP").is_some() {
            let folder = self.folder.take().map(TempDir::keep);
            eprintln!("kept {} over {folder:?}", self.node.display());
            return;
        }
        let _ = Command::new("partx").arg("--delete").arg(&self.node).output();
        if let Err(error) = Command::new("losetup").arg("--detach").arg(&self.node).status() {
            eprintln!("detaching {}: {error}", self.node.display());
        }
    }
}

/// A device that was detached keeps the partitions that somebody told the kernel of, as an action that was killed, and
/// has them still when it is used again.
fn without_partitions(node: &str) -> PathBuf {
    // It fails where there are none, which is the rule.
    let _ = Command::new("partx").arg("--delete").arg(node).output();
    node.into()
}

/// Runs a tool of the host and gives its output.
///
/// # Panics
/// When it is missing or fails, with what it said.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
