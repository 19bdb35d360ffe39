//! The filesystems of an installed system that its boot files can be on.

use crate::root_dir::{Kind, RootDir};

/// One filesystem, mounted by the caller.
#[derive(Debug)]
pub struct Volume {
    /// What a mount of it without options shows. Of btrfs that is the default subvolume, mostly the filesystem's top.
    pub dir: RootDir,
    /// Where `dir` is in the filesystem, for a boot loader that begins at its top: `@/.snapshots/1/snapshot` where that is the
    /// default subvolume of btrfs; empty where `dir` is the top.
    pub at: String,
    /// The folder of `dir` that the installed system mounts: `@` or `root` on btrfs; empty where that is `dir` itself.
    pub subvolume: String,
    /// Where the installed system mounts it: `/`, `/boot`, `/boot/efi` or `/efi`.
    pub mount_point: String,
    /// The filesystem's UUID, as libblkid writes it.
    pub uuid: Option<String>,
    /// The filesystem's label.
    pub label: Option<String>,
    /// The filesystem's type, as libblkid names it.
    pub filesystem: Option<String>,
    /// The UUID of its partition.
    pub partition_uuid: Option<String>,
    /// The number of its partition; nothing where the filesystem begins with the disk.
    pub partition: Option<u32>,
}

impl Volume {
    /// A volume of which nothing more is known yet.
    pub fn new(dir: RootDir, mount_point: &str) -> Self {
        Self {
            dir,
            at: String::new(),
            subvolume: String::new(),
            mount_point: mount_point.to_owned(),
            uuid: None,
            label: None,
            filesystem: None,
            partition_uuid: None,
            partition: None,
        }
    }

    /// For a log line: `/boot (partition 2)`.
    pub fn describe(&self) -> String {
        match self.partition {
            Some(number) => format!("{} (partition {number})", self.mount_point),
            None => self.mount_point.clone(),
        }
    }
}

/// Which volume of [`Volumes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeId(usize);

/// A file on a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// The volume.
    pub volume: VolumeId,
    /// The path below the volume's `dir`, from a slash on and without `//`, `.` and `..`.
    pub path: String,
}

/// A partition that a loader of two systems (Flatcar's `gptprio.next`) chooses from, by the attributes in the GPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prioritised {
    /// The partition's UUID.
    pub partition_uuid: String,
    /// Bits 48 to 51 of its attributes; 0 is never chosen.
    pub priority: u8,
    /// Bits 52 to 55: how often it may still be tried.
    pub tries: u8,
    /// Bit 56: it was started successfully before.
    pub successful: bool,
}

/// The filesystems of an installed system that its boot files can be on, the root first.
#[derive(Debug)]
pub struct Volumes {
    list: Vec<Volume>,
    /// The partitions of the disk that [`Prioritised`] is about; mostly none.
    pub prioritised: Vec<Prioritised>,
}

impl Volumes {
    /// The root alone. Its mount point is `/`.
    pub fn new(root: Volume) -> Self {
        Self { list: vec![root], prioritised: Vec::new() }
    }

    /// Adds a volume, as /boot or the EFI system partition.
    pub fn add(&mut self, volume: Volume) -> VolumeId {
        self.list.push(volume);
        VolumeId(self.list.len() - 1)
    }

    /// The root.
    pub fn root(&self) -> VolumeId {
        VolumeId(0)
    }

    /// A volume.
    pub fn get(&self, id: VolumeId) -> &Volume {
        &self.list[id.0]
    }

    /// All volumes, the root first.
    pub fn iter(&self) -> impl Iterator<Item = (VolumeId, &Volume)> {
        self.list.iter().enumerate().map(|(at, volume)| (VolumeId(at), volume))
    }

    /// The volume that the installed system mounts there.
    pub fn mounted_at(&self, mount_point: &str) -> Option<VolumeId> {
        self.iter().find(|(_, volume)| volume.mount_point == mount_point).map(|(id, _)| id)
    }

    /// What can be the EFI system partition, in the order in which it is looked for.
    pub(super) fn esps(&self) -> impl Iterator<Item = VolumeId> {
        ["/boot/efi", "/efi", "/boot"].into_iter().filter_map(|place| self.mounted_at(place))
    }

    /// The file that a path of the installed system means: `/boot/vmlinuz` is on the volume that is mounted at /boot.
    pub fn of_system(&self, path: &str) -> BootFile {
        let path = clean(path);
        let below = |volume: &Volume| match path.strip_prefix(volume.mount_point.trim_end_matches('/')) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Some(rest.to_owned()),
            _ => None,
        };
        let (id, volume, rest) = self
            .iter()
            .filter_map(|(id, volume)| Some((id, volume, below(volume)?)))
            .max_by_key(|(_, volume, _)| volume.mount_point.len())
            .unwrap_or((self.root(), &self.list[0], path.clone()));
        BootFile { volume: id, path: clean(&format!("{}/{rest}", volume.subvolume)) }
    }

    /// The path of a file as the installed system sees it; nothing where it is outside of what that mounts.
    pub fn in_system(&self, file: &BootFile) -> Option<String> {
        let volume = self.get(file.volume);
        let rest = file.path.strip_prefix(clean(&volume.subvolume).trim_end_matches('/'))?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        Some(clean(&format!("{}/{rest}", volume.mount_point)))
    }

    /// For a log line: `/boot/vmlinuz`, or the volume and the path where the installed system does not see it.
    pub fn describe(&self, file: &BootFile) -> String {
        self.in_system(file)
            .unwrap_or_else(|| format!("{} of {}", file.path, self.get(file.volume).describe()))
    }

    /// What the path leads to. What cannot be looked at is not there.
    pub(super) fn kind(&self, file: &BootFile) -> Option<Kind> {
        // A path of the kernel ends at 4,096 bytes.
        if file.path.len() > 4000 || file.path.contains('\0') {
            return None;
        }
        self.get(file.volume).dir.kind(&file.path).ok().flatten()
    }

    /// The file that a boot loader means, which begins at the top of the filesystem.
    pub(super) fn of_loader(&self, volume: VolumeId, path: &str) -> BootFile {
        let path = clean(path);
        let at = clean(&self.get(volume).at);
        let direct = BootFile { volume, path: path.clone() };
        match path.strip_prefix(at.as_str()).filter(|rest| at != "/" && rest.starts_with('/')) {
            // With SUSE's btrfs_relative_path a loader begins at the default subvolume, too.
            Some(rest) if self.kind(&direct).is_none() => BootFile { volume, path: rest.to_owned() },
            _ => direct,
        }
    }

    /// GRUB's name of a volume's device, which [`Self::of_device`] knows again.
    pub(super) fn device(&self, id: VolumeId) -> String {
        match (self.get(id).partition, id.0) {
            (Some(number), _) => format!("hd0,{number}"),
            (None, 0) => "hd0".to_owned(),
            (None, at) => format!("hd0,volume{at}"),
        }
    }

    /// The volume of a device as GRUB names it: `hd0,gpt2`, `hd1,msdos1`, `hd0,3`. The disk is always this one.
    pub(super) fn of_device(&self, name: &str) -> Option<VolumeId> {
        let name = name.trim_start_matches('(').trim_end_matches(')');
        if let Some((id, _)) = self.iter().find(|(id, _)| self.device(*id) == name) {
            return Some(id);
        }
        let rest = name.strip_prefix("hd")?.trim_start_matches(|c: char| c.is_ascii_digit());
        let partition = rest.strip_prefix(',')?.split(',').next()?;
        let number = partition.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()?;
        self.iter().find(|(_, volume)| volume.partition == Some(number)).map(|(id, _)| id)
    }
}

/// A path from a slash on, without `//`, `.` and a slash at its end. `..` does not lead above the top.
pub(super) fn clean(path: &str) -> String {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes() -> (tempfile::TempDir, Volumes) {
        let folder = tempfile::tempdir().unwrap();
        let dir = || RootDir::open(folder.path()).unwrap();
        let mut volumes =
            Volumes::new(Volume { subvolume: "@".into(), partition: Some(3), ..Volume::new(dir(), "/") });
        volumes.add(Volume { partition: Some(2), ..Volume::new(dir(), "/boot") });
        volumes.add(Volume::new(dir(), "/boot/efi"));
        (folder, volumes)
    }

    #[test]
    fn a_path_of_the_system_is_on_the_volume_that_is_mounted_there() {
        let (_folder, volumes) = volumes();
        for (path, volume, inside) in [
            ("/boot/vmlinuz", 1, "/vmlinuz"),
            ("/boot/efi/EFI//BOOT/./x.efi", 2, "/EFI/BOOT/x.efi"),
            ("/bootx/vmlinuz", 0, "/@/bootx/vmlinuz"),
            ("vmlinuz", 0, "/@/vmlinuz"),
            ("/boot", 1, "/"),
            ("/../../etc/../vmlinuz", 0, "/@/vmlinuz"),
        ] {
            let file = volumes.of_system(path);
            assert_eq!((file.volume.0, file.path.as_str()), (volume, inside), "{path}");
            assert_eq!(volumes.of_system(&volumes.in_system(&file).unwrap()), file);
        }
        let outside = BootFile { volume: volumes.root(), path: "/@home/x".into() };
        assert_eq!(volumes.describe(&outside), "/@home/x of / (partition 3)");
    }

    #[test]
    fn devices_are_found_by_the_number_of_their_partition() {
        let (_folder, volumes) = volumes();
        for (name, expected) in [
            ("hd0,gpt2", Some(1)),
            ("(hd3,msdos2)", Some(1)),
            ("hd0,3", Some(0)),
            ("hd0,msdos3,bsd1", Some(0)),
            ("hd0,volume2", Some(2)),
            ("hd0", None),
            ("hd0,gpt9", None),
            ("lvm/vg-root", None),
            ("hd0,gpt99999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(volumes.of_device(name).map(|id| id.0), expected, "{name}");
        }
    }
}
