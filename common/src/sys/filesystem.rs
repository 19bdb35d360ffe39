//! The calls by which a mounted filesystem says how large it is, and grows. Each takes an open folder of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

mod ioctls {
    //! The numbers come from `fs/ext4/ext4.h`, `fs/xfs/libxfs/xfs_fs.h` and `linux/btrfs.h`.
    nix::ioctl_write_ptr!(ext4_resize_fs, b'f', 16, u64);
    nix::ioctl_read!(xfs_fsgeometry_v1, b'X', 100, super::XfsGeometry);
    nix::ioctl_write_ptr!(xfs_fsgrowfsdata, b'X', 110, super::XfsGrow);
    nix::ioctl_write_ptr!(btrfs_resize, 0x94, 3, super::BtrfsName);
    nix::ioctl_readwrite!(btrfs_tree_search, 0x94, 17, super::BtrfsSearch);
    nix::ioctl_readwrite!(btrfs_ino_lookup, 0x94, 18, super::BtrfsLookup);
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

/// `struct btrfs_ioctl_search_args`.
#[repr(C)]
pub(crate) struct BtrfsSearch {
    tree: u64,
    objects: [u64; 2],
    offsets: [u64; 2],
    transactions: [u64; 2],
    kinds: [u32; 2],
    items: u32,
    unused: [u32; 9],
    found: [u8; 3992],
}

/// `struct btrfs_ioctl_ino_lookup_args`.
#[repr(C)]
pub(crate) struct BtrfsLookup {
    tree: u64,
    object: u64,
    name: [u8; 4080],
}

// The sizes are part of the calls' numbers: with a wrong one the kernel would not know the call.
const _: () = assert!(size_of::<XfsGeometry>() == 112 && size_of::<XfsGrow>() == 16);
const _: () = assert!(
    size_of::<BtrfsSearch>() == 4096
        && size_of::<BtrfsLookup>() == 4096
        && size_of::<BtrfsName>() == 4096
        && size_of::<BtrfsDevInfo>() == 4096
        && size_of::<BtrfsFsInfo>() == 1024
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

/// The tree of a btrfs that its subvolumes are listed in, its top volume, the folder of each volume that is its root, and the
/// kind of the items that say where a subvolume is (`linux/btrfs_tree.h`).
const BTRFS_ROOT_TREE: u64 = 1;
const BTRFS_TOP: u64 = 5;
const BTRFS_ROOT_FOLDER: u64 = 256;
const BTRFS_ROOT_BACKREF: u32 = 144;

/// Subvolumes are not nested deeper than this.
const MOST_NESTED: usize = 64;

/// Where the subvolume that a folder is the root of is in its btrfs, from the filesystem's top: `@/.snapshots/1/snapshot`. Empty
/// for the top itself.
///
/// # Errors
/// ENOTTY on another filesystem, EPERM without CAP_SYS_ADMIN.
pub fn btrfs_path(folder: impl AsFd) -> io::Result<String> {
    let folder = folder.as_fd();
    let mut path = String::new();
    let (mut volume, _) = btrfs_folder(folder, 0, BTRFS_ROOT_FOLDER)?;
    for _ in 0..MOST_NESTED {
        if volume == BTRFS_TOP {
            return Ok(path);
        }
        let mut search = BtrfsSearch {
            tree: BTRFS_ROOT_TREE,
            objects: [volume; 2],
            offsets: [0, u64::MAX],
            transactions: [0, u64::MAX],
            kinds: [BTRFS_ROOT_BACKREF; 2],
            items: 1,
            unused: [0; 9],
            found: [0; 3992],
        };
        // SAFETY: the kernel reads and writes one structure of this layout, whose size is asserted above, in a live local.
        unsafe { ioctls::btrfs_tree_search(folder.as_raw_fd(), &raw mut search) }?;
        let place = if search.items == 0 { None } else { btrfs_backref(&search.found) };
        let (parent, inside, name) =
            place.ok_or_else(|| io::Error::other(format!("the subvolume {volume} is nowhere")))?;
        let (_, above) = btrfs_folder(folder, parent, inside)?;
        path = format!("{above}{name}/{path}");
        volume = parent;
    }
    Err(io::Error::other("its subvolumes are nested too deeply"))
}

/// The number of a volume (of the folder's own for 0), and the path of a folder in it, with a slash at its end.
fn btrfs_folder(folder: impl AsFd, volume: u64, object: u64) -> io::Result<(u64, String)> {
    let mut lookup = BtrfsLookup { tree: volume, object, name: [0; 4080] };
    // SAFETY: the kernel reads and writes one structure of this layout, whose size is asserted above, in a live local.
    unsafe { ioctls::btrfs_ino_lookup(folder.as_fd().as_raw_fd(), &raw mut lookup) }?;
    let end = lookup.name.iter().position(|byte| *byte == 0).unwrap_or(lookup.name.len());
    Ok((lookup.tree, String::from_utf8_lossy(&lookup.name[..end]).into_owned()))
}

/// Where a subvolume is, of what a search found: the volume and the folder in it, and the name there. `struct
/// btrfs_ioctl_search_header` with `struct btrfs_root_ref` behind it.
fn btrfs_backref(found: &[u8]) -> Option<(u64, u64, String)> {
    let u64_at = |at: usize| Some(u64::from_le_bytes(found.get(at..at + 8)?.try_into().ok()?));
    let parent = u64::from_ne_bytes(found.get(16..24)?.try_into().ok()?);
    let length = usize::from(u16::from_le_bytes(found.get(48..50)?.try_into().ok()?));
    let name = found.get(50..50 + length)?;
    Some((parent, u64_at(32)?, String::from_utf8_lossy(name).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_subvolume_is_is_read() {
        let mut found = vec![0; 64];
        found[16] = 5;
        found[32..34].copy_from_slice(&[1, 1]);
        found[48] = 2;
        found[50..52].copy_from_slice(b"@x");
        assert_eq!(btrfs_backref(&found), Some((5, 257, "@x".into())));
        found[49] = 1;
        assert_eq!(btrfs_backref(&found), None);
        assert_eq!(btrfs_backref(&[]), None);
    }

    #[test]
    fn another_filesystem_has_no_subvolumes() {
        let folder = std::fs::File::open("/proc").unwrap();
        assert!(btrfs_path(&folder).is_err());
    }
}
