//! What a disk's installed system has in its files, before and after an action.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::installed_image::{forget_partitions, show_partition, with_mounted};
use crate::loop_device::{LoopDevice, run};

/// The number of the root's partition on the disks that [`InstalledImage`](crate::installed_image::InstalledImage)
/// makes by default, and on the Debian image.
pub const ROOT: u32 = 3;

/// A cloud-init's configuration for Debian, shortened.
pub const CLOUD_CFG: &str = "users: [default]\ndisable_root: true\nsystem_info: {distro: debian}\n";

/// A netplan file as Debian's cloud images have it: any Ethernet card asks for an address.
pub const DEFAULT_NETPLAN: &str =
    "network:\n  version: 2\n  ethernets:\n    all-en:\n      match: {name: en*}\n      dhcp4: true\n";

/// Puts into a root what shows that netplan and cloud-init are installed, with the configuration of a cloud image.
///
/// # Panics
/// When a file cannot be written.
pub fn add_netplan_and_cloud_init(root: &Path) {
    for folder in ["usr/bin", "usr/sbin", "etc/netplan", "etc/cloud/cloud.cfg.d", "var/lib/cloud"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for program in ["usr/sbin/netplan", "usr/bin/cloud-init"] {
        fs::write(root.join(program), "#!/bin/false\n").unwrap();
        fs::set_permissions(root.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(root.join("etc/cloud/cloud.cfg"), CLOUD_CFG).unwrap();
    fs::write(root.join("etc/netplan/90-default.yaml"), DEFAULT_NETPLAN).unwrap();
}

/// Mounts the root of a disk as the host would, for as long as `work` takes.
///
/// # Panics
/// When it cannot be mounted.
pub fn in_root<T>(disk: &LoopDevice, work: impl FnOnce(&Path) -> T) -> T {
    forget_partitions(disk);
    show_partition(disk, ROOT);
    let result = with_mounted(&disk.partition(ROOT), work);
    forget_partitions(disk);
    result
}

/// A file, link or folder, as far as an action can change it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type and permission bits, as 0o100600.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// The content of a file, the target of a link.
    pub content: Vec<u8>,
}

impl Entry {
    /// The content as text.
    ///
    /// # Panics
    /// When it is no UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap()
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:o} {:?} {:?}", self.mode, self.owner, String::from_utf8_lossy(&self.content))
    }
}

/// Everything below a folder, by its path in it.
///
/// # Panics
/// When something cannot be read.
pub fn tree(folder: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(above) = todo.pop() {
        for entry in fs::read_dir(&above).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if metadata.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if metadata.is_dir() {
                todo.push(path.clone());
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let entry = Entry { mode: metadata.mode(), owner: (metadata.uid(), metadata.gid()), content };
            found.insert(name, entry);
        }
    }
    found
}

/// Everything in the root of a disk, after a check that its filesystem is whole.
///
/// # Panics
/// When it cannot be mounted or read, or an ext4 is not clean.
pub fn root_tree(disk: &LoopDevice) -> BTreeMap<String, Entry> {
    let tree = in_root(disk, tree);
    show_partition(disk, ROOT);
    let root = disk.partition(ROOT);
    if run(Command::new("blkid").args(["-p", "-s", "TYPE", "-o", "value"]).arg(&root)).trim() == "ext4" {
        run(Command::new("e2fsck").args(["-f", "-n"]).arg(&root));
    }
    forget_partitions(disk);
    tree
}

/// What differs between two states, by path: `+` is new, `-` is gone, `~` is another.
pub fn changes(before: &BTreeMap<String, Entry>, after: &BTreeMap<String, Entry>) -> Vec<String> {
    let mut found: Vec<String> = before
        .iter()
        .filter_map(|(path, entry)| match after.get(path) {
            None => Some(format!("-{path}")),
            Some(now) if now != entry => Some(format!("~{path}")),
            Some(_) => None,
        })
        .chain(after.keys().filter(|path| !before.contains_key(*path)).map(|path| format!("+{path}")))
        .collect();
    found.sort_by(|a, b| a[1..].cmp(&b[1..]).then(a.cmp(b)));
    found
}

/// Writes to a file in a folder until the filesystem is full to its last block.
///
/// # Panics
/// When it ends in any other way.
pub fn fill(folder: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(folder.join("filler")).unwrap();
    for size in [1 << 20, 4096, 1] {
        loop {
            match file.write_all(&vec![b'x'; size]).and_then(|()| file.sync_data()) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => panic!("filling {}: {error}", folder.display()),
            }
        }
    }
}
