//! The filesystems of an installed system, mounted for looking: its root, and what its boot files can be on besides.

use tracing::debug;

use super::devices::{BlockDevice, of_machine};
use super::fstab::{self, Line};
use super::{FoundRoot, find_root};
use crate::boot::{Volume, Volumes};
use crate::cause::Cause;
use crate::disk::{Place, System, find_place};
use crate::esp;
use crate::failure::Failure;
use crate::mount::{Access, Device, Filesystem, Mount};
use crate::root_dir::{Kind, RootDir};
use crate::stop;
use crate::sys;
use crate::table::PartitionKind;

/// The type of an extended boot loader partition (Boot Loader Specification) in a GPT, as it stores it:
/// bc13c2ff-59e6-4262-a352-b275fd6f7172.
const XBOOTLDR_GPT: [u8; 16] =
    [0xff, 0xc2, 0x13, 0xbc, 0xe6, 0x59, 0x62, 0x42, 0xa3, 0x52, 0xb2, 0x75, 0xfd, 0x6f, 0x71, 0x72];

/// Its type in an MBR.
const XBOOTLDR_MBR: u8 = 0xea;

/// Where boot files can be besides the root.
const MOUNT_POINTS: [&str; 3] = ["/boot", "/boot/efi", "/efi"];

/// An installed system that is mounted.
#[derive(Debug)]
pub struct Installed<'a> {
    /// Its root.
    pub root: &'a FoundRoot,
    /// What its boot files can be on; the root is the first.
    pub volumes: &'a Volumes,
    /// What it mounts.
    pub fstab: &'a [Line],
    /// All partitions and unpartitioned disks of this machine.
    pub devices: &'a [BlockDevice],
}

impl Installed<'_> {
    /// The block device of the root.
    pub fn root_device(&self) -> Option<&BlockDevice> {
        device_of(self.root, self.devices)
    }
}

/// Finds the installed system that `selector` (a value of `DEST_DISK`) leads to. Without one it is the only one of the machine.
///
/// # Errors
/// Those of [`find_place`] and [`find_root`]. Without a selector [`Cause::RootNotFound`] with what each disk lacks, and
/// [`Cause::RootAmbiguous`] where several disks have one.
pub fn find_system(system: &System, selector: Option<&str>) -> Result<FoundRoot, Failure> {
    match selector {
        Some(selector) => find_root(system, &find_place(system, selector)?),
        None => find_only(system),
    }
}

/// As [`find_system`], for a `selector` that can also be the partition that the boot files are on, as `BLOCK_DEVICE`. Then the
/// root is on the same disk, and the partition's number comes with it.
///
/// # Errors
/// As [`find_system`].
pub fn find_system_by_boot_files(
    system: &System,
    selector: &str,
) -> Result<(FoundRoot, Option<u32>), Failure> {
    let place = find_place(system, selector)?;
    let here = match find_root(system, &place) {
        Err(failure) if failure.cause == Cause::RootNotFound => failure,
        result => return result.map(|root| (root, None)),
    };
    match place {
        Place::Partition(disk, number) => {
            debug!("{here}; looking on all of the disk");
            find_root(system, &Place::Disk(disk)).map(|root| (root, Some(number)))
        }
        Place::Disk(_) => Err(here),
    }
}

fn find_only(system: &System) -> Result<FoundRoot, Failure> {
    let mut found = Vec::new();
    let mut why = Vec::new();
    for disk in system.disks() {
        stop::check()?;
        match find_root(system, &Place::Disk(disk.clone())) {
            Ok(root) => found.push(root),
            Err(failure)
                if matches!(failure.cause, Cause::Stopped | Cause::Internal | Cause::RootAmbiguous) =>
            {
                return Err(failure);
            }
            Err(failure) => {
                debug!("{}: {failure}", disk.describe());
                why.push(format!("{}: {}", disk.name, failure.cause.word()));
            }
        }
    }
    if found.len() > 1 {
        let all: Vec<String> = found.iter().map(FoundRoot::describe).collect();
        let text =
            format_args!("several disks hold an installed system: {}; set DEST_DISK to one", all.join("; "));
        return Err(Failure::new(Cause::RootAmbiguous, text));
    }
    found.pop().ok_or_else(|| {
        let disks = if why.is_empty() { "there is none".to_owned() } else { why.join(", ") };
        let text = format_args!("no disk of this machine holds an installed system ({disks})");
        Failure::new(Cause::RootNotFound, text)
    })
}

/// Mounts an installed system where no other process sees it, gives it to `work`, and unmounts it. Nothing is written, and no log
/// is replayed. `also` is the number of a partition that has boot files, wherever the system mounts it. What cannot be mounted
/// besides the root is left out with a debug line. `work` must not keep an open file.
///
/// # Errors
/// [`Cause::DiskBusy`] and [`Cause::Mount`] for the root, [`Cause::File`] for its fstab, and those of `work`, which go first.
pub fn with_volumes<T>(
    system: &System,
    root: &FoundRoot,
    also: Option<u32>,
    work: impl FnOnce(&Installed<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let devices = of_machine(system);
    let mount = Mount::new(root.device()?, root.filesystem, Access::Look)?;
    let mut mounts = vec![mount];
    let result = look(root, also, &devices, &mut mounts, work);
    // In the reverse order; a drop reports what goes wrong with it as well.
    let done = result?;
    while let Some(mount) = mounts.pop() {
        mount.unmount()?;
    }
    Ok(done)
}

fn look<T>(
    root: &FoundRoot,
    also: Option<u32>,
    devices: &[BlockDevice],
    mounts: &mut Vec<Mount>,
    work: impl FnOnce(&Installed<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let top = mounts[0].root();
    let folder = top.subfolder(root.subvolume.unwrap_or("."))?;
    let fstab = fstab::read(&folder)?;
    let folders = Folders::of(&folder)?;
    let device = device_of(root, devices);
    let mut volumes =
        Volumes::new(volume(device, top.subfolder(".")?, root.subvolume.unwrap_or_default(), "/"));
    for each in plan(device, &fstab, devices, folders, also) {
        let volume = match each.device {
            None => mounts[0].root().subfolder(".").and_then(|dir| from_top(device, dir, &each)),
            Some(index) => mounted(&devices[index]).and_then(|mount| {
                let dir = mount.root().subfolder(".")?;
                mounts.push(mount);
                from_top(Some(&devices[index]), dir, &each)
            }),
        };
        let volume = match volume {
            Ok(volume) => volume,
            Err(failure) => {
                debug!("{} is left out: {failure}", each.mount_point);
                continue;
            }
        };
        debug!("{}: {}", volume.describe(), volume.filesystem.as_deref().unwrap_or("unknown"));
        volumes.add(volume);
    }
    work(&Installed { root, volumes: &volumes, fstab: &fstab, devices })
}

fn device_of<'a>(root: &FoundRoot, devices: &'a [BlockDevice]) -> Option<&'a BlockDevice> {
    devices.iter().find(|device| device.number == Some(root.number))
}

fn volume(device: Option<&BlockDevice>, dir: RootDir, subvolume: &str, mount_point: &str) -> Volume {
    let mut volume = Volume { subvolume: subvolume.to_owned(), ..Volume::new(dir, mount_point) };
    if let Some(device) = device {
        volume.uuid.clone_from(&device.uuid);
        volume.label.clone_from(&device.label);
        volume.filesystem.clone_from(&device.content);
        volume.partition_uuid.clone_from(&device.partition_uuid);
        volume.partition = device.partition;
    }
    if volume.filesystem.as_deref() == Some("btrfs") {
        match sys::filesystem::btrfs_path(&volume.dir) {
            Ok(path) => volume.at = path.trim_end_matches('/').to_owned(),
            Err(error) => debug!("which subvolume {mount_point} is in by default: {error}"),
        }
    }
    volume
}

/// What fstab calls a subvolume begins at the filesystem's top, and `dir` perhaps below it.
///
/// # Errors
/// [`Cause::Filesystem`] where it is beside `dir`.
fn from_top(device: Option<&BlockDevice>, dir: RootDir, further: &Further) -> Result<Volume, Failure> {
    let mut volume = volume(device, dir, "", &further.mount_point);
    let inside = match (volume.at.as_str(), further.subvolume.as_str()) {
        ("", subvolume) => Some(subvolume),
        (_, "") => Some(""),
        (at, subvolume) => subvolume.strip_prefix(at).filter(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    let inside = inside.ok_or_else(|| {
        let text = format_args!("its subvolume {} is not in {}", further.subvolume, volume.at);
        Failure::new(Cause::Filesystem, text)
    })?;
    volume.subvolume = inside.trim_matches('/').to_owned();
    Ok(volume)
}

fn mounted(device: &BlockDevice) -> Result<Mount, Failure> {
    let number = device.number.ok_or_else(|| {
        Failure::new(Cause::PartitionsMissing, format_args!("the kernel does not show {}", device.describe()))
    })?;
    let node = Device::find(&device.node, number)?;
    let content = device.content.as_deref().unwrap_or("nothing known");
    match (Filesystem::of_type(content), content) {
        (Some(filesystem), _) => Mount::new(node, filesystem, Access::Look),
        (None, "vfat") => Mount::vfat(node),
        _ => Err(Failure::new(
            Cause::Filesystem,
            format_args!("{} is no filesystem that boot files are on: {content}", device.describe()),
        )),
    }
}

/// What is mounted besides the root.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Further {
    /// The index of the block device; nothing where it is the root's own filesystem.
    device: Option<usize>,
    mount_point: String,
    subvolume: String,
}

/// What the root has where an EFI system partition is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Folders {
    efi: bool,
    boot_efi: bool,
    boot_is_empty: bool,
}

impl Folders {
    fn of(root: &RootDir) -> Result<Self, Failure> {
        let is_folder = |path: &str| root.kind(path).map(|kind| kind == Some(Kind::Folder));
        Ok(Self {
            efi: is_folder("/efi")?,
            boot_efi: is_folder("/boot/efi")?,
            boot_is_empty: is_folder("/boot")? && root.list("/boot")?.is_empty(),
        })
    }
}

/// What is to be mounted where: what fstab says, then by the types of the partitions on the root's disk, as systemd would.
fn plan(
    root: Option<&BlockDevice>,
    fstab: &[Line],
    devices: &[BlockDevice],
    folders: Folders,
    also: Option<u32>,
) -> Vec<Further> {
    let mut all: Vec<Further> = Vec::new();
    let same_disk = |device: &BlockDevice| root.is_some_and(|root| root.disk.number == device.disk.number);
    for mount_point in MOUNT_POINTS {
        let Some(line) = fstab.iter().rev().find(|line| line.mount_point == mount_point) else { continue };
        let named: Vec<usize> = (0..devices.len()).filter(|&at| line.source.names(&devices[at])).collect();
        // A disk that was made from the same image has the same names on it.
        let near: Vec<usize> = named.iter().copied().filter(|&at| same_disk(&devices[at])).collect();
        let index = match (&near[..], &named[..]) {
            (&[index, ..], _) | ([], &[index]) => index,
            _ => {
                debug!(
                    "{mount_point} is left out: line {} of /etc/fstab names {} block devices",
                    line.number,
                    named.len()
                );
                continue;
            }
        };
        let subvolume = line.option("subvol").unwrap_or_default().trim_matches('/').to_owned();
        let device = (Some(&devices[index]) != root).then_some(index);
        all.push(Further { device, mount_point: mount_point.to_owned(), subvolume });
    }
    let mut add = |index: usize, mount_point: &str| {
        let taken = |each: &Further| each.device == Some(index) || each.mount_point == mount_point;
        if Some(&devices[index]) != root && !all.iter().any(taken) {
            all.push(Further {
                device: Some(index),
                mount_point: mount_point.into(),
                subvolume: String::new(),
            });
        }
    };
    let of_kind = |gpt: [u8; 16], mbr: u8| {
        let kinds = [Some(PartitionKind::Gpt(gpt)), Some(PartitionKind::Mbr(mbr))];
        (0..devices.len()).find(|&at| same_disk(&devices[at]) && kinds.contains(&devices[at].kind))
    };
    if let Some(index) = of_kind(XBOOTLDR_GPT, XBOOTLDR_MBR) {
        add(index, "/boot");
    }
    if let Some(number) = also {
        let at =
            (0..devices.len()).find(|&at| same_disk(&devices[at]) && devices[at].partition == Some(number));
        if let Some(index) = at {
            add(index, "/boot");
        }
    }
    if let Some(index) = of_kind(esp::GPT_TYPE, esp::MBR_TYPE) {
        let place = match folders {
            Folders { efi: true, .. } => "/efi",
            Folders { boot_efi: true, .. } => "/boot/efi",
            Folders { boot_is_empty: true, .. } => "/boot",
            _ => "/boot/efi",
        };
        add(index, place);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::devices::Source;
    use super::super::devices::tests::device;
    use super::*;

    const ESP: Option<PartitionKind> = Some(PartitionKind::Gpt(esp::GPT_TYPE));
    const XBOOTLDR: Option<PartitionKind> = Some(PartitionKind::Gpt(XBOOTLDR_GPT));

    fn line(source: &str, mount_point: &str, options: &str) -> Line {
        Line {
            source: Source::parse(source),
            mount_point: mount_point.into(),
            kind: "auto".into(),
            options: options.split(',').map(str::to_owned).collect(),
            number: 1,
        }
    }

    /// sda: 1 ESP, 2 for /boot, 3 root; sdb: the same.
    fn machine() -> Vec<BlockDevice> {
        let disk = |name: &str| {
            [
                BlockDevice { kind: ESP, label: Some("ESP".into()), ..device(name, 1, "vfat") },
                BlockDevice { label: Some("boot".into()), ..device(name, 2, "ext4") },
                device(name, 3, "btrfs"),
            ]
        };
        ["sda", "sdb"].into_iter().flat_map(disk).collect()
    }

    fn planned(
        fstab: &[Line],
        devices: &[BlockDevice],
        folders: Folders,
    ) -> Vec<(Option<usize>, String, String)> {
        plan(Some(&devices[5]), fstab, devices, folders, None)
            .into_iter()
            .map(|each| (each.device, each.mount_point, each.subvolume))
            .collect()
    }

    #[test]
    fn fstab_goes_first_and_the_roots_own_disk_before_its_twin() {
        let devices = machine();
        let fstab = [line("LABEL=boot", "/boot", "rw"), line("LABEL=ESP", "/boot/efi", "umask=077")];
        let expected =
            [(Some(4), "/boot".to_owned(), String::new()), (Some(3), "/boot/efi".to_owned(), String::new())];
        assert_eq!(planned(&fstab, &devices, Folders::default()), expected);
        // On another disk, where only one fits.
        let fstab = [line("/dev/sda2", "/boot", "rw")];
        assert_eq!(planned(&fstab, &devices, Folders::default())[0].0, Some(1));
        // Not there at all: the type counts.
        let fstab = [line("UUID=gone", "/boot/efi", "rw")];
        assert_eq!(
            planned(&fstab, &devices, Folders::default()),
            [(Some(3), "/boot/efi".to_owned(), String::new())]
        );
    }

    #[test]
    fn a_subvolume_of_the_roots_own_filesystem_needs_no_mount() {
        let devices = machine();
        let fstab = [line("UUID=sdb-3", "/boot", "subvol=/@boot"), line("UUID=sdb-3", "/", "subvol=@")];
        assert_eq!(planned(&fstab, &devices, Folders::default())[0], (None, "/boot".into(), "@boot".into()));
    }

    #[test]
    fn without_fstab_the_types_count() {
        let mut devices = machine();
        for (folders, place) in [
            (Folders { efi: true, boot_efi: true, boot_is_empty: true }, "/efi"),
            (Folders { boot_efi: true, ..Folders::default() }, "/boot/efi"),
            (Folders { boot_is_empty: true, ..Folders::default() }, "/boot"),
            (Folders::default(), "/boot/efi"),
        ] {
            assert_eq!(planned(&[], &devices, folders), [(Some(3), place.to_owned(), String::new())]);
        }
        devices[4].kind = XBOOTLDR;
        let both = planned(&[], &devices, Folders { boot_efi: true, ..Folders::default() });
        assert_eq!(both.iter().map(|each| each.0).collect::<Vec<_>>(), [Some(4), Some(3)]);
        let only = plan(None, &[], &devices, Folders::default(), None);
        assert_eq!(only, []);
    }

    #[test]
    fn the_partition_of_the_boot_files_is_among_them() {
        let devices = machine();
        let all = plan(
            Some(&devices[5]),
            &[],
            &devices,
            Folders { boot_is_empty: true, ..Folders::default() },
            Some(1),
        );
        let expected = Further { device: Some(3), mount_point: "/boot".into(), subvolume: String::new() };
        assert_eq!(all, [expected]);
    }
}
