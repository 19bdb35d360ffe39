//! A disk that something else lived on before.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::loop_device::LoopDevice;

const MIB: u64 = 1 << 20;
/// The size of each old partition: the least that its tools take, and some more.
const OLD_MIB: u64 = 64;

/// Makes a disk image of `size_bytes` in `file`, sparse: a GPT at both ends, and in its partitions an ext4, an LVM
/// physical volume with a volume group, and swap. The GPT is for blocks of 512 bytes also where the disk's are larger:
/// what is found there then is the filesystems. Needs root, for the loop device that LVM wants.
///
/// # Errors
/// When a tool is missing or fails.
pub fn write(file: &Path, size_bytes: u64) -> Result<()> {
    let disk = File::create(file).with_context(|| format!("making {}", file.display()))?;
    disk.set_len(size_bytes)?;
    let mut sgdisk = Command::new("sgdisk");
    sgdisk.arg("--clear");
    for (number, kind) in [(1, "8300"), (2, "8e00"), (3, "8200")] {
        sgdisk.arg(format!("--new={number}:{}M:+{OLD_MIB}M", start_mib(number)));
        sgdisk.arg(format!("--typecode={number}:{kind}"));
    }
    run(sgdisk.arg(file))?;

    let folder = tempfile::tempdir().context("a folder for old filesystems")?;
    for (number, name) in [(1, "ext4"), (3, "swap")] {
        let part = folder.path().join(name);
        File::create(&part)?.set_len(OLD_MIB * MIB)?;
        match name {
            "ext4" => run(Command::new("mkfs.ext4").args(["-q", "-F", "-L", "old-root"]).arg(&part))?,
            _ => run(Command::new("mkswap").arg(&part))?,
        }
        copy(&fs::read(&part)?, &disk, start_mib(number) * MIB)?;
    }
    let volume = LoopDevice::new(OLD_MIB * MIB);
    let node = volume.node();
    run(lvm("pvcreate").args(["-ff", "-y", "--devices"]).arg(node).arg(node))?;
    run(lvm("vgcreate").args(["--autobackup", "n", "--devices"]).arg(node).arg("old").arg(node))?;
    copy(&volume.content(), &disk, start_mib(2) * MIB)
}

fn start_mib(number: u64) -> u64 {
    1 + (number - 1) * OLD_MIB
}

fn lvm(command: &str) -> Command {
    let mut lvm = Command::new("lvm");
    lvm.arg(command).env("LVM_SUPPRESS_FD_WARNINGS", "1");
    lvm
}

/// Writes what is not zero.
fn copy(from: &[u8], to: &File, offset_bytes: u64) -> Result<()> {
    let step = 4096;
    for (at, block) in (0..).step_by(step).zip(from.chunks(step)) {
        if block.iter().any(|&byte| byte != 0) {
            to.write_all_at(block, offset_bytes + at).context("writing to the disk's file")?;
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
