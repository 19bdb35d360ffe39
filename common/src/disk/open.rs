//! Opening a disk so that nobody else can use it meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

use super::attributes::{Disk, System, split};
use super::usage::refuse_if_used;
use crate::cause::Cause;
use crate::failure::{Because, Failure};
use crate::sys;

/// A whole disk, held exclusively: as long as this lives, nothing on it can be mounted, swapped on or mapped.
#[derive(Debug)]
pub struct OpenDisk {
    /// What sysfs said of it.
    pub disk: Disk,
    /// Open for reading and writing, buffered.
    pub file: File,
}

impl OpenDisk {
    /// Opens a disk for writing, after looking at who uses it.
    ///
    /// # Errors
    /// The causes of [`refuse_if_used`], [`Cause::DiskReadOnly`], [`Cause::DiskBusy`] when someone else holds it, and
    /// [`Cause::DiskIo`].
    pub fn exclusive(system: &System, disk: Disk) -> Result<Self, Failure> {
        refuse_if_used(system, &disk)?;
        if disk.read_only {
            return Err(read_only(&disk));
        }
        // O_EXCL without O_CREAT claims a block device for this open alone (open(2)).
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_EXCL | libc::O_CLOEXEC)
            .open(&disk.node);
        let file = match opened {
            Ok(file) => file,
            Err(error) => return Err(refusal(&disk, error)),
        };
        let metadata = file.metadata().context("looking at the open disk").because(Cause::DiskIo)?;
        let number = split(metadata.rdev());
        if !metadata.file_type().is_block_device() || number != disk.number {
            return Err(Failure::new(
                Cause::NotABlockDevice,
                format_args!(
                    "{} is not the block device {}:{}",
                    disk.node.display(),
                    disk.number.0,
                    disk.number.1
                ),
            ));
        }
        if sys::read_only(&file).context("asking whether the disk is read-only").because(Cause::DiskIo)? {
            return Err(read_only(&disk));
        }
        let size_bytes =
            sys::size_bytes(&file).context("asking for the disk's size").because(Cause::DiskIo)?;
        let logical_block_size = sys::logical_block_size(&file)
            .context("asking for the disk's block size")
            .because(Cause::DiskIo)?;
        Ok(Self { disk: Disk { size_bytes, logical_block_size, ..disk }, file })
    }

    /// Opens the same disk once more past the page cache, for aligned writes. The exclusive claim is that of `self`.
    ///
    /// # Errors
    /// EINVAL where the device does not take O_DIRECT.
    pub fn direct(&self) -> io::Result<File> {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.file));
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
            .open(Path::new(&path))
    }
}

fn read_only(disk: &Disk) -> Failure {
    Failure::new(
        Cause::DiskReadOnly,
        format_args!("{} is read-only; nothing was written to it", disk.describe()),
    )
}

fn refusal(disk: &Disk, error: io::Error) -> Failure {
    let cause = match error.raw_os_error() {
        Some(libc::EBUSY) => Cause::DiskBusy,
        Some(libc::EROFS) => Cause::DiskReadOnly,
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => Cause::DiskMissing,
        _ => Cause::DiskIo,
    };
    let text = match (cause, error.raw_os_error()) {
        (Cause::DiskBusy, _) => {
            "it is in use, by a mount that this container does not see or by a program that claims it for itself; nothing was written to it".to_owned()
        }
        (Cause::DiskMissing, Some(libc::ENOENT)) => {
            "the kernel has the disk, but its node is not here: give the task the volume /dev:/dev".to_owned()
        }
        (_, Some(libc::EPERM | libc::EACCES)) => format!("{error}: the action has to run as root in a privileged container"),
        _ => error.to_string(),
    };
    Failure::new(cause, format_args!("opening {} exclusively: {text}", disk.describe()))
}
