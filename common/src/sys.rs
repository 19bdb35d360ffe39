//! The kernel calls that no library wraps. All `unsafe` of the block layer lives here.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

pub mod filesystem;
pub mod kexec;

mod ioctls {
    //! The numbers come from `linux/fs.h` and `linux/blkpg.h`.
    nix::ioctl_none!(blkrrpart, 0x12, 95);
    nix::ioctl_read_bad!(blkroget, 0x125e, libc::c_int);
    nix::ioctl_read_bad!(blksszget, 0x1268, libc::c_int);
    nix::ioctl_read_bad!(blkpbszget, 0x127b, libc::c_uint);
    nix::ioctl_read!(blkgetsize64, 0x12, 114, libc::size_t);
    nix::ioctl_none!(blkflsbuf, 0x12, 97);
    nix::ioctl_write_ptr_bad!(blkdiscard, 0x1277, [u64; 2]);
    nix::ioctl_write_ptr_bad!(blkzeroout, 0x127f, [u64; 2]);
    nix::ioctl_write_ptr_bad!(blkpg, 0x1269, super::BlkpgArgument);
}

/// `struct blkpg_ioctl_arg` of `linux/blkpg.h`.
#[repr(C)]
pub(crate) struct BlkpgArgument {
    op: libc::c_int,
    flags: libc::c_int,
    datalen: libc::c_int,
    data: *const BlkpgPartition,
}

/// `struct blkpg_partition` of `linux/blkpg.h`.
#[repr(C)]
struct BlkpgPartition {
    start_bytes: libc::c_longlong,
    length_bytes: libc::c_longlong,
    number: libc::c_int,
    devname: [u8; 64],
    volname: [u8; 64],
}

/// What [`partition`] does to the kernel's picture of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionChange {
    /// Shows a partition.
    Add,
    /// Forgets one that nobody has open.
    Delete,
    /// Gives one another length, also while it is mounted.
    Resize,
}

/// The size of a block device in bytes.
///
/// # Errors
/// ENOTTY when the file is no block device.
pub fn size_bytes(device: &File) -> io::Result<u64> {
    let mut size = 0;
    // SAFETY: the kernel writes one u64 (BLKGETSIZE64, size_t in its declaration) to a live local of eight bytes.
    unsafe { ioctls::blkgetsize64(device.as_raw_fd(), &raw mut size) }?;
    Ok(size as u64)
}

/// The logical block size in bytes.
///
/// # Errors
/// ENOTTY when the file is no block device.
pub fn logical_block_size(device: &File) -> io::Result<u32> {
    let mut size = 0;
    // SAFETY: the kernel writes one int to a live local.
    unsafe { ioctls::blksszget(device.as_raw_fd(), &raw mut size) }?;
    u32::try_from(size).map_err(|_| io::Error::other(format!("the kernel gave a block size of {size}")))
}

/// Whether the device refuses writes.
///
/// # Errors
/// ENOTTY when the file is no block device.
pub fn read_only(device: &File) -> io::Result<bool> {
    let mut flag = 0;
    // SAFETY: the kernel writes one int to a live local.
    unsafe { ioctls::blkroget(device.as_raw_fd(), &raw mut flag) }?;
    Ok(flag != 0)
}

/// Makes the kernel read the partition table again.
///
/// # Errors
/// EBUSY when a partition is in use; EINVAL when the device takes no partitions this way, as a loop device without `-P`.
pub fn reread_partition_table(device: &File) -> io::Result<()> {
    // SAFETY: takes no argument.
    unsafe { ioctls::blkrrpart(device.as_raw_fd()) }?;
    Ok(())
}

/// Discards a range. What it reads as afterwards is not known.
///
/// # Errors
/// EOPNOTSUPP when the device cannot discard; EINVAL on a range that is not a multiple of the logical block size.
pub fn discard(device: &File, start_bytes: u64, length_bytes: u64) -> io::Result<()> {
    let range = [start_bytes, length_bytes];
    // SAFETY: the kernel reads two u64 from a live local.
    unsafe { ioctls::blkdiscard(device.as_raw_fd(), &raw const range) }?;
    Ok(())
}

/// Zeros a range: the device does it by itself where it can, else the kernel writes zeros. Past the page cache, and not
/// durable before a flush.
///
/// # Errors
/// EINVAL on a range that is not a multiple of the logical block size, EOPNOTSUPP on kernels before 3.7.
pub fn zero(device: &File, start_bytes: u64, length_bytes: u64) -> io::Result<()> {
    let range = [start_bytes, length_bytes];
    // SAFETY: the kernel reads two u64 from a live local.
    unsafe { ioctls::blkzeroout(device.as_raw_fd(), &raw const range) }?;
    Ok(())
}

/// Writes what the page cache has for the device, and forgets it: what is read next comes from the device.
///
/// # Errors
/// EACCES without CAP_SYS_ADMIN. What failed to be written is not told: flush before.
pub fn drop_cache(device: &File) -> io::Result<()> {
    // SAFETY: takes no argument.
    unsafe { ioctls::blkflsbuf(device.as_raw_fd()) }?;
    Ok(())
}

/// Starts writing a range of what the page cache has for a file, and does not wait for it.
///
/// # Errors
/// EIO when an earlier write failed; EINVAL on a range that is none.
pub fn start_writeback(file: &File, start_bytes: u64, length_bytes: u64) -> io::Result<()> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let start = start_bytes.try_into().map_err(invalid)?;
    let length = length_bytes.try_into().map_err(invalid)?;
    // SAFETY: takes no pointer.
    let result =
        unsafe { libc::sync_file_range(file.as_raw_fd(), start, length, libc::SYNC_FILE_RANGE_WRITE) };
    nix::errno::Errno::result(result)?;
    Ok(())
}

/// Changes one partition in the kernel's picture of the disk, without its table (BLKPG).
///
/// # Errors
/// EBUSY when the range overlaps another partition or the partition is in use, ENXIO when there is none of that number.
pub fn partition(
    disk: &File,
    change: PartitionChange,
    number: u32,
    start_bytes: u64,
    length_bytes: u64,
) -> io::Result<()> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let data = BlkpgPartition {
        start_bytes: start_bytes.try_into().map_err(invalid)?,
        length_bytes: length_bytes.try_into().map_err(invalid)?,
        number: number.try_into().map_err(invalid)?,
        devname: [0; 64],
        volname: [0; 64],
    };
    let op = match change {
        PartitionChange::Add => 1,
        PartitionChange::Delete => 2,
        PartitionChange::Resize => 3,
    };
    let datalen = size_of::<BlkpgPartition>() as libc::c_int;
    let argument = BlkpgArgument { op, flags: 0, datalen, data: &raw const data };
    // SAFETY: the argument and the partition it points to are live locals with the layout of linux/blkpg.h, and the
    // kernel only reads them.
    unsafe { ioctls::blkpg(disk.as_raw_fd(), &raw const argument) }?;
    Ok(())
}
