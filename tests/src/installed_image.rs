//! Disks with a small installed system on them: a table, a root filesystem, and in it what a system is known by.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::loop_device::{LoopDevice, run};

/// The filesystem of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootFs {
    /// ext4
    Ext4,
    /// XFS, of at least 300 MiB
    Xfs,
    /// Btrfs, of at least 128 MiB
    Btrfs,
}

impl RootFs {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// As `mount -t` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// How a disk is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// GPT as the Debian image has it: 1 BIOS boot, 2 ESP (empty), 3 root.
    Gpt,
    /// MBR: 1 a small /boot (empty), 2 root.
    Mbr,
    /// MBR: 1 a small /boot (empty), 2 extended, 5 root.
    MbrLogical,
    /// No table: the filesystem begins with the disk.
    Bare,
}

impl Layout {
    /// The number of the root's partition.
    pub fn root(self) -> Option<u32> {
        match self {
            Self::Gpt => Some(3),
            Self::Mbr => Some(2),
            Self::MbrLogical => Some(5),
            Self::Bare => None,
        }
    }
}

/// The making of a disk with an installed system.
#[derive(Debug, Clone, Copy)]
pub struct InstalledImage {
    /// The root's filesystem.
    pub filesystem: RootFs,
    /// How the disk is divided.
    pub layout: Layout,
    /// The disk's logical block size.
    pub logical_block_size: u32,
    /// The root's size in MiB.
    pub root_mib: u64,
    /// The size of a partition after the root in MiB; 0 for none.
    pub follower_mib: u64,
    /// The disk's size in MiB when all is there. The image itself is as large as it must be, so that its backup GPT
    /// lies in the middle of the disk, as after an image was written to a larger disk.
    pub disk_mib: u64,
    /// More options for sgdisk, before the partitions are made, as `-j 1024`.
    pub sgdisk: &'static [&'static str],
}

impl Default for InstalledImage {
    fn default() -> Self {
        Self {
            filesystem: RootFs::Ext4,
            layout: Layout::Gpt,
            logical_block_size: 512,
            root_mib: 320,
            follower_mib: 0,
            disk_mib: 1024,
            sgdisk: &[],
        }
    }
}

impl InstalledImage {
    /// One with this filesystem, else as by default.
    pub fn of(filesystem: RootFs) -> Self {
        Self { filesystem, ..Self::default() }
    }

    /// Makes the disk, with the usual files in its root.
    ///
    /// # Panics
    /// When a tool of the host fails.
    pub fn make(self) -> LoopDevice {
        self.make_with(|_| {})
    }

    /// Makes the disk; `more` gets the mounted root after the usual files were written. The kernel shows none of its
    /// partitions afterwards.
    ///
    /// # Panics
    /// When a tool of the host fails.
    pub fn make_with(self, more: impl FnOnce(&Path)) -> LoopDevice {
        // 1 MiB before the first partition and 1 MiB for the backup GPT.
        let image_mib = if self.layout == Layout::Bare {
            self.root_mib
        } else {
            16 + 2 + self.root_mib + self.follower_mib
        };
        let disk = LoopDevice::with_block_size(image_mib << 20, self.logical_block_size);
        self.divide(&disk);
        let root = match self.layout.root() {
            None => disk.node().to_owned(),
            Some(number) => {
                show_partition(&disk, number);
                disk.partition(number)
            }
        };
        make_filesystem(&root, self.filesystem);
        with_mounted(&root, |root| {
            write_system(root);
            more(root);
        });
        forget_partitions(&disk);
        resize(&disk, self.disk_mib << 20);
        disk
    }

    fn divide(&self, disk: &LoopDevice) {
        let follower = self.follower_mib;
        match self.layout {
            Layout::Gpt => {
                let root = format!("3:0:+{}M", self.root_mib);
                let mut sgdisk = Command::new("sgdisk");
                sgdisk.arg("--clear").args(self.sgdisk);
                sgdisk.args(["-n", "1:0:+1M", "-t", "1:ef02", "-n", "2:0:+8M", "-t", "2:ef00"]);
                sgdisk.args(["-n", &root, "-t", &format!("3:{}", root_type()), "-c", "3:root"]);
                if follower > 0 {
                    sgdisk.args(["-n", &format!("4:0:+{follower}M"), "-t", "4:8300", "-c", "4:data"]);
                }
                run(sgdisk.arg(disk.node()));
            }
            Layout::Mbr => {
                let root = self.root_mib;
                let mut script =
                    format!("label: dos\n1 : size=8MiB, type=83, bootable\n2 : size={root}MiB, type=83\n");
                if follower > 0 {
                    script += &format!("3 : size={follower}MiB, type=83\n");
                }
                sfdisk(disk, &script);
            }
            Layout::MbrLogical => {
                let root = self.root_mib;
                let mut script = format!(
                    "label: dos\n1 : size=8MiB, type=83, bootable\n2 : type=5\n5 : size={root}MiB, type=83\n"
                );
                if follower > 0 {
                    script += &format!("6 : size={follower}MiB, type=83\n");
                }
                sfdisk(disk, &script);
            }
            Layout::Bare => {}
        }
    }
}

/// sgdisk's code for the root of this architecture.
pub fn root_type() -> &'static str {
    if cfg!(target_arch = "aarch64") { "8305" } else { "8304" }
}

/// Writes what makes a folder an installed system: os-release, an init and /etc, as Debian has them.
///
/// # Panics
/// When a file cannot be written.
pub fn write_system(root: &Path) {
    for folder in ["etc", "usr/lib/systemd", "usr/sbin", "var/lib", "boot"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (link, target) in [("lib", "usr/lib"), ("sbin", "usr/sbin")] {
        if !root.join(link).exists() {
            symlink(target, root.join(link)).unwrap();
        }
    }
    let os_release = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\n";
    fs::write(root.join("usr/lib/os-release"), os_release).unwrap();
    symlink("../usr/lib/os-release", root.join("etc/os-release")).unwrap();
    fs::write(root.join("usr/lib/systemd/systemd"), "#!/bin/false\n").unwrap();
    fs::set_permissions(root.join("usr/lib/systemd/systemd"), fs::Permissions::from_mode(0o755)).unwrap();
    // Absolute, as it is in Debian: it leads out of a mount that is not a root.
    symlink("/lib/systemd/systemd", root.join("usr/sbin/init")).unwrap();
    fs::write(root.join("etc/hostname"), "image\n").unwrap();
}

/// Makes a filesystem on a block device.
///
/// # Panics
/// When mkfs fails.
pub fn make_filesystem(device: &Path, filesystem: RootFs) {
    let mut mkfs = Command::new(format!("mkfs.{}", filesystem.name()));
    match filesystem {
        RootFs::Ext4 => mkfs.args(["-q", "-F", "-L", "root"]),
        RootFs::Xfs => mkfs.args(["-q", "-f", "-L", "root"]),
        RootFs::Btrfs => mkfs.args(["-q", "-f", "-L", "root"]),
    };
    run(mkfs.arg(device));
}

/// Mounts a filesystem with the host's own tools, for as long as `work` takes.
///
/// # Panics
/// When it cannot be mounted.
pub fn with_mounted<T>(device: &Path, work: impl FnOnce(&Path) -> T) -> T {
    let mounted = Mounted::new(device, &[]);
    work(mounted.at())
}

/// A mount of the host, unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    folder: TempDir,
}

impl Mounted {
    /// Mounts a block device with these options of mount(8).
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn new(device: &Path, options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("nibs-mount-").tempdir().expect("a folder to mount on");
        run(Command::new("mount").args(options).arg(device).arg(folder.path()));
        Self { folder }
    }

    /// Where.
    pub fn at(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A process that another test has just begun to start can hold a file of it open for a moment.
        let unmounts =
            || Command::new("umount").arg(self.folder.path()).output().is_ok_and(|it| it.status.success());
        for _ in 0..100 {
            if unmounts() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{} cannot be unmounted", self.folder.path().display());
    }
}

/// Gives a disk another size, as if its image had been copied to a larger disk.
///
/// # Panics
/// When losetup fails.
pub fn resize(disk: &LoopDevice, size_bytes: u64) {
    File::options()
        .write(true)
        .open(disk.backing())
        .and_then(|file| file.set_len(size_bytes))
        .expect("resizing the disk");
    run(Command::new("losetup").arg("--set-capacity").arg(disk.node()));
}

/// Makes the kernel show one partition of a disk. Of a table with an extended partition it may take no other.
///
/// # Panics
/// When partx fails.
pub fn show_partition(disk: &LoopDevice, number: u32) {
    run(Command::new("partx").args(["--add", "--nr", &number.to_string()]).arg(disk.node()));
}

/// Makes the kernel forget the partitions of a disk, as it is after a disk was written.
pub fn forget_partitions(disk: &LoopDevice) {
    // It fails where there are none.
    let _ = Command::new("partx").arg("--delete").arg(disk.node()).output();
}

fn sfdisk(disk: &LoopDevice, script: &str) {
    use std::io::Write;
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(script.as_bytes()).expect("writing a temporary file");
    let input = file.reopen().expect("opening a temporary file");
    run(Command::new("sfdisk")
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .arg(disk.node())
        .stdin(input));
}
