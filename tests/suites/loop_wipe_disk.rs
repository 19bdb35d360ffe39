//! `wipe-disk` on real loop devices: what is there before, and that wipefs and blkid find nothing of it afterwards.

#[path = "loop_wipe_disk/formats.rs"]
mod formats;
#[path = "loop_wipe_disk/interrupted.rs"]
mod interrupted;
#[path = "loop_wipe_disk/methods.rs"]
mod methods;
#[path = "loop_wipe_disk/refusals.rs"]
mod refusals;
#[path = "loop_wipe_disk/tables.rs"]
mod tables;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use nibs_tests::binaries::command;
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// The action, told to wipe these disks.
fn wipe_command(disks: &[&Path]) -> Command {
    let mut command = command("wipe-disk");
    let disks: Vec<String> = disks.iter().map(|disk| disk.display().to_string()).collect();
    command.env("DISKS", disks.join(",")).env("LOG_LEVEL", "debug");
    command
}

/// Wipes disks, and reads how that ended.
fn wipe(disks: &[&Path]) -> Outcome {
    Outcome::of(&mut wipe_command(disks))
}

/// A disk that is full of what is no zero anywhere.
fn full(size_bytes: u64) -> LoopDevice {
    let disk = LoopDevice::new(size_bytes);
    std::fs::write(disk.node(), vec![0xa5; size_bytes as usize]).unwrap();
    disk
}

/// A filesystem in memory that goes away with its guard.
struct Memory(TempDir);

impl Memory {
    /// `kind` is the filesystem's type, and its options after a comma.
    fn new(kind: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (kind, options) = kind.split_once(',').unwrap_or((kind, "rw"));
        run(Command::new("mount").args(["-t", kind, "-o", options, kind]).arg(folder.path()));
        Self(folder)
    }

    /// A sparse file.
    fn file(&self, size_bytes: u64) -> PathBuf {
        let path = self.0.path().join("disk");
        File::create(&path).and_then(|file| file.set_len(size_bytes)).unwrap();
        path
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// The partitions that a table has, as start and length in bytes, by sfdisk.
fn partitions(disk: &LoopDevice) -> Vec<(u64, u64)> {
    let block_bytes: u64 =
        run(Command::new("blockdev").arg("--getss").arg(disk.node())).trim().parse().unwrap();
    let json = run(Command::new("sfdisk").arg("--json").arg(disk.node()));
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    let field = |partition: &serde_json::Value, name: &str| partition[name].as_u64().unwrap() * block_bytes;
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    partitions.iter().map(|each| (field(each, "start"), field(each, "size"))).collect()
}
