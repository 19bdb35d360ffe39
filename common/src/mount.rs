//! Mounting an installed system, so that a killed action leaves no mount behind.
//!
//! The mount is never attached to a folder (`fsmount` without `move_mount`, Linux 5.2): it is a file descriptor, and goes
//! away with the process that has it. So no mount point is needed, which an image with a single file does not have, no
//! other process sees it, and no mount namespace has to be made for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::fs::{FileType, Mode};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};
use tracing::{debug, warn};

use crate::cause::Cause;
use crate::failure::{Because, Failure};
use crate::root_dir::RootDir;

/// How long a device may stay claimed after its filesystem was unmounted.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may be claimed before it is mounted: others look at a disk for a moment, too.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(2);

/// A filesystem that an installed system can have as its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// ext4, and ext2 and ext3, which its driver reads and writes as well.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
}

impl Filesystem {
    /// The filesystem of a type as libblkid names it; nothing for one that cannot be the root.
    pub fn of_type(name: &str) -> Option<Self> {
        match name {
            "ext2" | "ext3" | "ext4" => Some(Self::Ext4),
            "xfs" => Some(Self::Xfs),
            "btrfs" => Some(Self::Btrfs),
            _ => None,
        }
    }

    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The mount options, besides those that go for every filesystem.
    fn options(self, access: Access) -> &'static [(&'static str, Option<&'static str>)] {
        match (self, access) {
            // A superblock may ask for a panic on an error; that would take down the machine that is being installed.
            (Self::Ext4, Access::Write) => &[("errors", Some("remount-ro"))],
            (Self::Ext4, Access::Look) => &[("errors", Some("remount-ro")), ("noload", None)],
            // Two disks streamed from one image have the same UUID.
            (Self::Xfs, Access::Write) => &[("nouuid", None)],
            (Self::Xfs, Access::Look) => &[("nouuid", None), ("norecovery", None)],
            (Self::Btrfs, Access::Write) => &[],
            (Self::Btrfs, Access::Look) => &[("rescue", Some("nologreplay"))],
        }
    }
}

/// What a mount is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Looking, which writes nothing: read-only, and no log is replayed.
    Look,
    /// Writing, which begins with replaying what an interrupted run left in the log.
    Write,
}

/// A block device, by a path that leads to it for as long as this lives.
#[derive(Debug)]
pub struct Device {
    path: PathBuf,
    number: (u32, u32),
    name: String,
    // Holds the filesystem that a node of our own is in.
    _own_dev: Option<OwnedFd>,
}

impl Device {
    /// The device of this number. `usual` is where its node should be; where it is not, as in a container with a /dev of
    /// its own, a node is made where nobody else sees it.
    ///
    /// # Errors
    /// [`Cause::Mount`].
    pub fn find(usual: &Path, number: (u32, u32)) -> Result<Self, Failure> {
        let name = usual.display().to_string();
        if usual.metadata().is_ok_and(|node| is_device(&node, number)) {
            return Ok(Self { path: usual.to_owned(), number, name, _own_dev: None });
        }
        debug!("{name} is not in this /dev; making a node of its own for {}:{}", number.0, number.1);
        let own_dev = || -> io::Result<OwnedFd> {
            let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_create(&context)?;
            let folder = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NOSUID)?;
            let device = rustix::fs::makedev(number.0, number.1);
            rustix::fs::mknodat(&folder, "device", FileType::BlockDevice, Mode::RUSR | Mode::WUSR, device)?;
            Ok(folder)
        };
        let folder = own_dev().with_context(|| format!("making a node for {name}")).because(Cause::Mount)?;
        let path = format!("/proc/self/fd/{}/device", folder.as_raw_fd()).into();
        Ok(Self { path, number, name, _own_dev: Some(folder) })
    }

    /// Opens it for reading, without a claim.
    ///
    /// # Errors
    /// [`Cause::DiskIo`].
    pub fn open(&self) -> Result<File, Failure> {
        self.open_with(0).with_context(|| format!("opening {}", self.name)).because(Cause::DiskIo)
    }

    /// Its usual name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn open_with(&self, flags: i32) -> io::Result<File> {
        let file = OpenOptions::new().read(true).custom_flags(flags | libc::O_CLOEXEC).open(&self.path)?;
        if is_device(&file.metadata()?, self.number) {
            Ok(file)
        } else {
            Err(io::Error::other(format!("it is not the block device {}:{}", self.number.0, self.number.1)))
        }
    }

    /// Waits until nobody has mounted it or claimed it otherwise, in any namespace; false when somebody still does.
    fn becomes_free(&self, within: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + within;
        loop {
            match self.open_with(libc::O_EXCL) {
                Ok(_) => return Ok(true),
                Err(error) if error.raw_os_error() != Some(libc::EBUSY) => return Err(error),
                Err(_) if Instant::now() > deadline => return Ok(false),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

fn is_device(metadata: &std::fs::Metadata, number: (u32, u32)) -> bool {
    let rdev = metadata.rdev();
    metadata.file_type().is_block_device() && (libc::major(rdev), libc::minor(rdev)) == number
}

/// A mounted filesystem. Call [`Mount::unmount`]: a drop unmounts as well, but nobody learns of an error.
#[derive(Debug)]
pub struct Mount {
    device: Device,
    access: Access,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    root: RootDir,
    /// Open from before the first write, so that it sees every error of writing back.
    block_device: File,
    _mount: OwnedFd,
}

impl Mount {
    /// Mounts a filesystem, with `nosuid,nodev,noexec`.
    ///
    /// # Errors
    /// [`Cause::DiskBusy`] when somebody else has mounted it, [`Cause::Mount`] with what the filesystem's driver says.
    pub fn new(device: Device, filesystem: Filesystem, access: Access) -> Result<Self, Failure> {
        Self::with(device, filesystem.name(), filesystem.options(access), access)
    }

    /// Mounts a FAT filesystem, as of an EFI system partition, for looking.
    ///
    /// # Errors
    /// As [`Mount::new`]; [`Cause::Mount`] also where the kernel knows no vfat.
    pub fn vfat(device: Device) -> Result<Self, Failure> {
        Self::with(device, "vfat", &[], Access::Look)
    }

    fn with(
        device: Device,
        kind: &str,
        options: &[(&str, Option<&str>)],
        access: Access,
    ) -> Result<Self, Failure> {
        let name = device.name().to_owned();
        let doing = || format!("mounting {name} ({kind})");
        if !device.becomes_free(CLAIM_TIMEOUT).with_context(doing).because(Cause::Mount)? {
            let text = "is in use: it is mounted outside this container, or another program holds it";
            return Err(Failure::new(Cause::DiskBusy, format_args!("{name} {text}")));
        }
        let block_device = device.open()?;
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .with_context(|| format!("{}: the kernel that runs this action knows no {kind}", doing()))
            .because(Cause::Mount)?;
        let mount = attach(&context, &device, options, access)
            .map_err(|error| anyhow::Error::from(error).context(told(&context)))
            .with_context(doing)
            .because(Cause::Mount)?;
        let root = RootDir::at(&mount).with_context(doing).because(Cause::Mount)?;
        debug!("mounted {name} ({kind}) for {access:?}");
        Ok(Self { device, access, open: Some(Open { root, block_device, _mount: mount }) })
    }

    /// The filesystem's root.
    pub fn root(&self) -> &RootDir {
        &self.open.as_ref().expect("open until it is unmounted or dropped").root
    }

    /// Writes everything back, unmounts, and waits until the device is free. Everything written is durable on return.
    ///
    /// # Errors
    /// [`Cause::DiskIo`] when something could not be written back, [`Cause::Mount`] when the device does not become free.
    pub fn unmount(mut self) -> Result<(), Failure> {
        self.close()
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let name = self.device.name();
        let write_back = || format!("writing back {name}");
        let written = match self.access {
            Access::Look => Ok(()),
            Access::Write => rustix::fs::syncfs(&open.root).with_context(write_back).because(Cause::DiskIo),
        };
        let Open { root, block_device, _mount: mount } = open;
        drop(root);
        drop(mount);
        let free = self.device.becomes_free(RELEASE_TIMEOUT);
        if !free.with_context(|| format!("unmounting {name}")).because(Cause::Mount)? {
            let text = format_args!("{name} is still in use after it was unmounted");
            return written.and(Err(Failure::new(Cause::Mount, text)));
        }
        // The superblock and the log are written last, by the unmount itself; it reports no error, the device does.
        written.and_then(|()| match self.access {
            Access::Look => Ok(()),
            Access::Write => block_device.sync_all().with_context(write_back).because(Cause::DiskIo),
        })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(failure) = self.close() {
            warn!("{failure}");
        }
    }
}

fn attach(
    context: &OwnedFd,
    device: &Device,
    options: &[(&str, Option<&str>)],
    access: Access,
) -> io::Result<OwnedFd> {
    fsconfig_set_string(context, "source", device.path.as_path())?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    if access == Access::Look {
        fsconfig_set_flag(context, "ro")?;
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    for (key, value) in options {
        match value {
            Some(value) => fsconfig_set_string(context, *key, *value)?,
            None => fsconfig_set_flag(context, *key)?,
        }
    }
    fsconfig_create(context)?;
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// What the driver said, which the kernel keeps as lines like `e ext4: …` (`e`, `w` or `i` for the level).
fn told(context: &OwnedFd) -> String {
    let mut lines = Vec::new();
    let mut line = [0; 512];
    while let Ok(file) = context.try_clone() {
        match File::from(file).read(&mut line) {
            Ok(length) if length > 0 && lines.len() < 8 => {
                let text = String::from_utf8_lossy(&line[..length]);
                lines.push(text.trim().trim_start_matches(['e', 'w', 'i']).trim().to_owned());
            }
            _ => break,
        }
    }
    if lines.is_empty() { "the kernel refuses it".to_owned() } else { lines.join("; ") }
}
