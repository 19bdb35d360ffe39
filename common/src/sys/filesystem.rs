//! The calls by which a mounted filesystem says how large it is, and grows. Each takes an open folder of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

mod ioctls {
    //! The numbers come from `fs/ext4/ext4.h`, `fs/xfs/libxfs/xfs_fs.h` and `linux/btrfs.h`.
    nix::ioctl_write_ptr!(ext4_resize_fs, b'f', 16, u64);
    nix::ioctl_read!(xfs_fsgeometry_v1, b'X', 100, super::XfsGeometry);
    nix::ioctl_write_ptr!(xfs_fsgrowfsdata, b'X', 110, super::XfsGrow);
    nix::ioctl_write_ptr!(btrfs_resize, 0x94, 3, super::BtrfsName);
    nix::ioctl_readwrite!(btrfs_dev_info, 0x94, 30, super::BtrfsDevInfo);
    nix::ioctl_read!(btrfs_fs_info, 0x94, 31, super::BtrfsFsInfo);
}

/// `struct xfs_fsop_geom_v1`, which every kernel knows.
#[repr(C)]
#[derive(Default)]
pub(crate) struct XfsGeometry {
    blocksize: u32,
    rtextsize: u32,
    agblocks: u32,
    agcount: u32,
    logblocks: u32,
    sectsize: u32,
    inodesize: u32,
    imaxpct: u32,
    datablocks: u64,
    rtblocks: u64,
    rtextents: u64,
    logstart: u64,
    uuid: [u8; 16],
    sunit: u32,
    swidth: u32,
    version: i32,
    flags: u32,
    logsectsize: u32,
    rtsectsize: u32,
    dirblocksize: u32,
}

/// `struct xfs_growfs_data`.
#[repr(C)]
pub(crate) struct XfsGrow {
    newblocks: u64,
    imaxpct: u32,
}

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
pub(crate) struct BtrfsName {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_dev_info_args`.
#[repr(C)]
pub(crate) struct BtrfsDevInfo {
    devid: u64,
    uuid: [u8; 16],
    bytes_used: u64,
    total_bytes: u64,
    unused: [u64; 379],
    path: [u8; 1024],
}

/// `struct btrfs_ioctl_fs_info_args`, of which only the first two fields are read.
#[repr(C)]
pub(crate) struct BtrfsFsInfo {
    max_id: u64,
    num_devices: u64,
    rest: [u64; 126],
}

// The sizes are part of the calls' numbers: with a wrong one the kernel would not know the call.
const _: () = assert!(size_of::<XfsGeometry>() == 112 && size_of::<XfsGrow>() == 16);
const _: () = assert!(
    size_of::<BtrfsName>() == 4096 && size_of::<BtrfsDevInfo>() == 4096 && size_of::<BtrfsFsInfo>() == 1024
);

/// Grows a mounted ext4 to this number of its blocks.
///
/// # Errors
/// EPERM without CAP_SYS_RESOURCE, and where the filesystem has errors; ENOSPC where its descriptors have no room.
pub fn ext4_grow(folder: impl AsFd, blocks: u64) -> io::Result<()> {
    // SAFETY: the kernel reads one u64 from a live local.
    unsafe { ioctls::ext4_resize_fs(folder.as_fd().as_raw_fd(), &raw const blocks) }?;
    Ok(())
}

/// The size of an XFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XfsSize {
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Blocks for data, which is all but an external log.
    pub blocks: u64,
    /// The most percent of them that inodes may take.
    pub inodes_percent: u32,
}

/// How large a mounted XFS is.
///
/// # Errors
/// ENOTTY on another filesystem.
pub fn xfs_size(folder: impl AsFd) -> io::Result<XfsSize> {
    let mut geometry = XfsGeometry::default();
    // SAFETY: the kernel writes one structure of this layout, whose size is asserted above, to a live local.
    unsafe { ioctls::xfs_fsgeometry_v1(folder.as_fd().as_raw_fd(), &raw mut geometry) }?;
    Ok(XfsSize {
        block_bytes: geometry.blocksize,
        blocks: geometry.datablocks,
        inodes_percent: geometry.imaxpct,
    })
}

/// Grows a mounted XFS to this number of its blocks.
///
/// # Errors
/// EWOULDBLOCK while another growth runs; ENOSPC and EIO.
pub fn xfs_grow(folder: impl AsFd, blocks: u64, inodes_percent: u32) -> io::Result<()> {
    let grow = XfsGrow { newblocks: blocks, imaxpct: inodes_percent };
    // SAFETY: the kernel reads one structure of this layout from a live local.
    unsafe { ioctls::xfs_fsgrowfsdata(folder.as_fd().as_raw_fd(), &raw const grow) }?;
    Ok(())
}

/// The device that a btrfs is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BtrfsDevice {
    /// Its number in the filesystem.
    pub id: u64,
    /// The bytes of it that the filesystem has.
    pub total_bytes: u64,
    /// How many devices the filesystem has. The others are not described.
    pub devices: u64,
}

/// The first device of a mounted btrfs.
///
/// # Errors
/// ENOTTY on another filesystem.
pub fn btrfs_device(folder: impl AsFd) -> io::Result<BtrfsDevice> {
    let folder = folder.as_fd().as_raw_fd();
    let mut filesystem = BtrfsFsInfo { max_id: 0, num_devices: 0, rest: [0; 126] };
    // SAFETY: the kernel writes one structure of this layout, whose size is asserted above, to a live local.
    unsafe { ioctls::btrfs_fs_info(folder, &raw mut filesystem) }?;
    // Numbers of devices that were removed are not used again.
    for id in 1..=filesystem.max_id.min(4096) {
        let mut info = BtrfsDevInfo {
            devid: id,
            uuid: [0; 16],
            bytes_used: 0,
            total_bytes: 0,
            unused: [0; 379],
            path: [0; 1024],
        };
        // SAFETY: the kernel reads and writes one structure of this layout, whose size is asserted above, in a live local.
        match unsafe { ioctls::btrfs_dev_info(folder, &raw mut info) } {
            Ok(_) => {
                return Ok(BtrfsDevice {
                    id,
                    total_bytes: info.total_bytes,
                    devices: filesystem.num_devices,
                });
            }
            Err(nix::Error::ENODEV) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Grows a mounted btrfs to the end of one of its devices.
///
/// # Errors
/// EBUSY while another such operation runs; ENOSPC and EIO.
pub fn btrfs_grow(folder: impl AsFd, device_id: u64) -> io::Result<()> {
    let mut arguments = BtrfsName { fd: 0, name: [0; 4088] };
    let text = format!("{device_id}:max");
    arguments.name[..text.len()].copy_from_slice(text.as_bytes());
    // SAFETY: the kernel reads one structure of this layout, whose text ends with a zero, from a live local.
    match unsafe { ioctls::btrfs_resize(folder.as_fd().as_raw_fd(), &raw const arguments) }? {
        0 => Ok(()),
        // BTRFS_ERROR_DEV_EXCL_RUN_IN_PROGRESS and its like are given as a result, not as an error.
        _ => Err(io::Error::from_raw_os_error(libc::EBUSY)),
    }
}
