//! The disk of a case, made and taken apart.

use std::any::Any;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nibs_tests::binaries::binary;
use nibs_tests::disk_image::{MIB, write};
use nibs_tests::landed::fill_with_older_system;
use nibs_tests::loop_device::{LoopDevice, run};
use tempfile::TempDir;

use crate::case::Disk;

/// The size of the disk that most cases have.
pub const DISK_BYTES: u64 = 12 << 20;

/// A disk, ready for the action. What is made last goes first.
pub struct Target {
    guards: Vec<Box<dyn Any + Send>>,
    /// Where it can be looked at.
    device: Option<LoopDevice>,
    _beneath: Option<Mounted>,
    /// What DEST_DISK says.
    pub named: String,
    /// A file in the place of a disk.
    file: Option<PathBuf>,
    pub before: Arc<Vec<u8>>,
    pub logical_block_size: u32,
    /// What the action is run by, so that it sees this disk.
    pub run_by: Vec<String>,
    /// The action, where it lies elsewhere.
    pub action: PathBuf,
}

/// Something mounted, or swapped on.
struct Mounted {
    undo: Vec<String>,
    _folder: Option<TempDir>,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let undone = Command::new(&self.undo[0]).args(&self.undo[1..]).status();
        if !undone.is_ok_and(|status| status.success()) {
            eprintln!("{:?} did not work", self.undo);
        }
    }
}

fn mount(options: &[&str], what: &Path) -> (PathBuf, Mounted) {
    let folder = tempfile::Builder::new().prefix("nibs-mount-").tempdir().unwrap();
    run(Command::new("mount").args(options).arg(what).arg(folder.path()));
    let at = folder.path().to_owned();
    let undo = ["umount", "--lazy", at.to_str().unwrap()].map(ToOwned::to_owned).to_vec();
    (at, Mounted { undo, _folder: Some(folder) })
}

impl Target {
    fn over(device: LoopDevice) -> Self {
        Self {
            named: device.node().to_str().unwrap().to_owned(),
            before: Arc::new(device.content()),
            device: Some(device),
            file: None,
            logical_block_size: 512,
            run_by: Vec::new(),
            action: binary("stream-image"),
            guards: Vec::new(),
            _beneath: None,
        }
    }

    fn without_device(named: &str) -> Self {
        Self {
            named: named.to_owned(),
            device: None,
            file: None,
            before: Arc::default(),
            logical_block_size: 512,
            run_by: Vec::new(),
            action: binary("stream-image"),
            guards: Vec::new(),
            _beneath: None,
        }
    }

    /// Makes the disk.
    ///
    /// # Panics
    /// When a tool is missing or fails.
    pub fn new(disk: Disk) -> Self {
        match disk {
            Disk::Usual => Self::older(DISK_BYTES, 512),
            Disk::Bytes(bytes) => Self::older(bytes, 512),
            Disk::Blocks4096 => Self::older(DISK_BYTES, 4096),
            Disk::Full(mib) => {
                let device = LoopDevice::new(mib * MIB);
                write(device.node(), &vec![0xa5; (mib * MIB) as usize]);
                Self::over(device)
            }
            Disk::FullWithoutZeroing(mib) => {
                // ramfs punches no holes, so that a loop device over it cannot.
                let (folder, beneath) = mount(&["-t", "ramfs"], Path::new("none"));
                std::fs::write(folder.join("disk"), vec![0xa5; (mib * MIB) as usize]).unwrap();
                let device = LoopDevice::over(&folder.join("disk"), &[]);
                Self { _beneath: Some(beneath), ..Self::over(device) }
            }
            Disk::ReadOnly => Self::over(LoopDevice::read_only(DISK_BYTES)),
            Disk::Named(name) => Self::without_device(name),
            Disk::File => {
                // Below /dev, where a typo makes one.
                let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
                std::fs::write(file.path(), vec![0xa5; MIB as usize]).unwrap();
                let mut target = Self::without_device(file.path().to_str().unwrap());
                target.before = Arc::new(vec![0xa5; MIB as usize]);
                target.file = Some(file.path().to_owned());
                target.guards.push(Box::new(file));
                target
            }
            Disk::Partition => {
                let mut target = Self::older(DISK_BYTES, 512);
                let device = target.device();
                device.show_partitions();
                target.named = device.partition(1).to_str().unwrap().to_owned();
                target
            }
            Disk::Mounted => {
                let device = LoopDevice::new(DISK_BYTES);
                run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(device.node()));
                let (_, mounted) = mount(&["-o", "ro"], device.node());
                let mut target = Self::over(device);
                target.guards.push(Box::new(mounted));
                target
            }
            Disk::PartitionMounted => {
                let mut target = Self::older(DISK_BYTES, 512);
                target.device().show_partitions();
                run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(target.device().partition(1)));
                let (_, mounted) = mount(&["-o", "ro"], &target.device().partition(1));
                target.before = Arc::new(target.device().content());
                target.guards.push(Box::new(mounted));
                target
            }
            Disk::Swap => {
                let device = LoopDevice::new(DISK_BYTES);
                run(Command::new("mkswap").arg(device.node()));
                run(Command::new("swapon").arg(device.node()));
                let undo = vec!["swapoff".to_owned(), device.node().to_str().unwrap().to_owned()];
                let mut target = Self::over(device);
                target.guards.push(Box::new(Mounted { undo, _folder: None }));
                target
            }
            Disk::Busy => {
                let mut target = Self::older(DISK_BYTES, 512);
                let exclusive = rustix::fs::OFlags::EXCL.bits() as i32;
                let other = File::options().read(true).custom_flags(exclusive).open(target.device().node());
                target.guards.push(Box::new(other.unwrap()));
                target
            }
            Disk::PartitionOpen => {
                let mut target = Self::older(DISK_BYTES, 512);
                target.device().show_partitions();
                let open = File::open(target.device().partition(1)).unwrap();
                target.guards.push(Box::new(open));
                target
            }
            Disk::Thin(room_mib) => {
                let options = format!("size={room_mib}m");
                let (folder, beneath) = mount(&["-t", "tmpfs", "-o", &options], Path::new("none"));
                let file = folder.join("disk");
                File::create(&file).unwrap().set_len(DISK_BYTES).unwrap();
                Self { _beneath: Some(beneath), ..Self::over(LoopDevice::over(&file, &[])) }
            }
            Disk::RunsSystem => runs_system(),
            Disk::Twins => {
                let script = "/bin/mount -t tmpfs none /sys/block
                    for name in a b; do
                        /bin/mkdir -p /sys/block/twin$name
                        echo 7:77 > /sys/block/twin$name/dev
                        echo 4096 > /sys/block/twin$name/size
                        echo TWIN > /sys/block/twin$name/serial
                    done
                    exec \"$0\"";
                let mut target = Self::without_device("serial:TWIN");
                target.run_by = in_own_mounts(script);
                target
            }
        }
    }

    fn older(bytes: u64, logical_block_size: u32) -> Self {
        let device = LoopDevice::with_block_size(bytes, logical_block_size);
        let before = Arc::new(fill_with_older_system(&device, bytes));
        Self { before, logical_block_size, ..Self::over(device) }
    }

    /// # Panics
    /// Where there is none.
    pub fn device(&self) -> &LoopDevice {
        self.device.as_ref().expect("this disk has a device")
    }

    /// Makes it once more what it was.
    pub fn restore(&self) {
        write(self.device().node(), &self.before);
    }

    /// What is there now.
    pub fn content(&self) -> Vec<u8> {
        match (&self.device, &self.file) {
            (Some(device), _) => device.content(),
            (None, Some(file)) => std::fs::read(file).unwrap(),
            (None, None) => Vec::new(),
        }
    }
}

/// A command that runs this script in mounts of its own; `$0` is the action.
pub fn in_own_mounts(script: &str) -> Vec<String> {
    ["/usr/bin/unshare", "--mount", "/bin/sh", "-euc", script].map(ToOwned::to_owned).to_vec()
}

/// The action lies on the disk, and has it as its root.
fn runs_system() -> Target {
    let device = LoopDevice::new(48 * MIB);
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal"]).arg(device.node()));
    {
        let (folder, _mounted) = mount(&["-o", "rw"], device.node());
        for name in ["dev", "proc", "sys"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        std::fs::copy(binary("stream-image"), folder.join("stream-image")).unwrap();
    }
    let (folder, mounted) = mount(&["-o", "ro"], device.node());
    let at = folder.to_str().unwrap();
    let script = format!(
        "for name in dev proc sys; do /bin/mount --rbind /$name {at}/$name; done
        exec /usr/sbin/chroot {at} \"$0\""
    );
    let mut target = Target::over(device);
    target.run_by = in_own_mounts(&script);
    target.action = "/stream-image".into();
    target.guards.push(Box::new(mounted));
    target
}
