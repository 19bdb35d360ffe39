//! Finding the installed system on a disk by looking: no partition number and no type of filesystem has to be told.

use std::path::PathBuf;

use tracing::{debug, info};

use crate::blkid::{self, Signature};
use crate::cause::Cause;
use crate::disk::{Disk, OpenDisk, Place, System, find_place, settle};
use crate::failure::Failure;
use crate::mount::{Access, Device, Filesystem, Mount};
use crate::root_dir::RootDir;
use crate::stop;
use crate::table::{self, PartitionKind, PartitionTable, TableError};

mod choose;
pub mod devices;
pub mod fstab;
mod look;
mod root_parameter;
mod volumes;

pub use root_parameter::{RootParameter, check_root};
pub use volumes::{Installed, find_system, find_system_by_boot_files, with_volumes};

pub(crate) use choose::ROOT_TYPE;
use choose::{Candidate, Finding, choose};

/// Where the root is when the filesystem's own root is none: Ubuntu and Arch use `@`, Fedora `root`, others `@root`.
const SUBVOLUMES: [&str; 4] = ["@", "root", "@root", "@rootfs"];

/// The root of an installed system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRoot {
    /// The disk that it is on.
    pub disk: Disk,
    /// The disk's partition table; nothing where the filesystem begins with the disk.
    pub table: Option<PartitionTable>,
    /// The number of its partition; nothing where the filesystem begins with the disk.
    pub partition: Option<u32>,
    /// Where its node is, or would be: `/dev/sda3`.
    pub node: PathBuf,
    /// Major and minor number of the partition or disk.
    pub number: (u32, u32),
    /// Its filesystem.
    pub filesystem: Filesystem,
    /// The folder of the filesystem that is the root, where it is not the filesystem's own: a subvolume of btrfs.
    pub subvolume: Option<&'static str>,
    /// The operating system, as its os-release names it.
    pub os: String,
}

impl FoundRoot {
    /// For a log line: `partition 3 of /dev/sda (serial S4EVNX0R, 8.6 GB): Debian GNU/Linux 12 (bookworm), ext4`.
    pub fn describe(&self) -> String {
        let subvolume = self.subvolume.map(|name| format!(", subvolume {name}")).unwrap_or_default();
        format!(
            "{} of {}: {}, {}{subvolume}",
            self.place(),
            self.disk.describe(),
            self.os,
            self.filesystem.name()
        )
    }

    /// `partition 3`, or `the whole`.
    pub fn place(&self) -> String {
        self.partition.map_or("the whole".to_owned(), |number| format!("partition {number}"))
    }

    /// The block device that it is on.
    ///
    /// # Errors
    /// [`Cause::Mount`].
    pub fn device(&self) -> Result<Device, Failure> {
        Device::find(&self.node, self.number)
    }

    /// Mounts it for as long as `work` takes. With [`Access::Write`], everything written is durable on return.
    ///
    /// # Errors
    /// Those of [`Mount`], and those of `work`, which go first.
    pub fn with_mounted<T>(
        &self,
        access: Access,
        work: impl FnOnce(&RootDir) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mount = Mount::new(self.device()?, self.filesystem, access)?;
        let result = match self.subvolume {
            None => work(mount.root()),
            Some(name) => mount.root().subfolder(name).and_then(|root| work(&root)),
        };
        match result {
            Ok(done) => mount.unmount().map(|()| done),
            // The drop reports what goes wrong with it as well.
            Err(failure) => Err(failure),
        }
    }
}

/// Finds the installed system that `selector` (a value of `DEST_DISK`) leads to, mounts its root for writing, gives it to
/// `work`, and unmounts it. Everything written is durable on return; a process that is killed leaves no mount behind.
///
/// # Errors
/// Those of [`find_place`], [`find_root`], [`FoundRoot::with_mounted`] and `work`.
pub fn with_root<T>(
    system: &System,
    selector: &str,
    work: impl FnOnce(&RootDir, &FoundRoot) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let found = find_root(system, &find_place(system, selector)?)?;
    info!("root is {}", found.describe());
    found.with_mounted(Access::Write, |root| work(root, &found))
}

/// Finds the root of the installed system on a disk, or in the one partition that is given. Nothing is written to it; the
/// kernel's picture of the partitions is brought up to date.
///
/// # Errors
/// The causes of [`OpenDisk::exclusive`]; [`Cause::PartitionTable`] when the table is damaged; [`Cause::PartitionsMissing`];
/// [`Cause::RootNotFound`] and [`Cause::RootAmbiguous`] with what was found where; [`Cause::DiskBusy`] when a filesystem is
/// mounted where this process cannot see it.
pub fn find_root(system: &System, place: &Place) -> Result<FoundRoot, Failure> {
    let (table, spots) = spots(system, place)?;
    let mut candidates = Vec::new();
    for spot in &spots {
        stop::check()?;
        let finding = spot.look()?;
        debug!("{}: {finding}", spot.name);
        candidates.push(Candidate { device: spot.name.clone(), kind: spot.kind, finding });
    }
    let disk = place.disk();
    let chosen = choose(&candidates, &disk.describe())?;
    let Finding::System { filesystem, os, subvolume } = candidates.swap_remove(chosen).finding else {
        return Err(Failure::new(Cause::Internal, "what was chosen holds no system"));
    };
    let Spot { partition, node, number, .. } = spots[chosen].clone();
    Ok(FoundRoot { disk: disk.clone(), table, partition, node, number, filesystem, subvolume, os })
}

/// A place on a disk where a root could be.
#[derive(Debug, Clone)]
struct Spot {
    name: String,
    partition: Option<u32>,
    kind: Option<PartitionKind>,
    node: PathBuf,
    number: (u32, u32),
    signature: Result<Option<Signature>, String>,
}

/// All places where a root could be, and the table that they are from. The disk is held while it is read.
fn spots(system: &System, place: &Place) -> Result<(Option<PartitionTable>, Vec<Spot>), Failure> {
    let disk = OpenDisk::exclusive(system, place.disk().clone())?;
    let OpenDisk { disk: about, file } = &disk;
    let probe = |start_bytes, length_bytes| {
        blkid::probe(file, start_bytes, length_bytes).map_err(|error| format!("cannot be read ({error})"))
    };
    let table = read_table(&disk)?;
    let Some(table) = table else {
        if let Place::Partition(_, number) = place {
            let text = format_args!(
                "there is no partition {number} on {}: it has no partition table",
                about.describe()
            );
            return Err(Failure::new(Cause::RootNotFound, text));
        }
        let whole = Spot {
            name: about.name.clone(),
            partition: None,
            kind: None,
            node: about.node.clone(),
            number: about.number,
            signature: probe(0, about.size_bytes),
        };
        return Ok((None, vec![whole]));
    };
    settle(&disk, system, &table)?;
    let mut spots = Vec::new();
    for partition in &table.partitions {
        if matches!(place, Place::Partition(_, number) if *number != partition.number) {
            continue;
        }
        let shown = system.partition(about, partition.number).ok_or_else(|| {
            let text =
                format_args!("the kernel shows no partition {} of {}", partition.number, about.describe());
            Failure::new(Cause::PartitionsMissing, text)
        })?;
        spots.push(Spot {
            node: system.dev.join(shown.name.replace('!', "/")),
            name: shown.name,
            partition: Some(partition.number),
            kind: Some(partition.kind),
            number: shown.device,
            signature: probe(partition.start_bytes(&table), partition.length_bytes(&table)),
        });
    }
    if let (true, Place::Partition(_, number)) = (spots.is_empty(), place) {
        let there: Vec<String> = table.partitions.iter().map(|each| each.number.to_string()).collect();
        let text = format_args!(
            "there is no partition {number} on {}; its partitions: {}",
            about.describe(),
            if there.is_empty() { "none".to_owned() } else { there.join(", ") },
        );
        return Err(Failure::new(Cause::RootNotFound, text));
    }
    Ok((Some(table), spots))
}

/// The partition table of an open disk.
///
/// # Errors
/// [`Cause::PartitionTable`] when it is damaged, [`Cause::DiskIo`].
pub fn read_table(disk: &OpenDisk) -> Result<Option<PartitionTable>, Failure> {
    table::read(&disk.file, disk.disk.size_bytes, disk.disk.logical_block_size).map_err(|error| {
        let cause = if matches!(error, TableError::Io(_)) { Cause::DiskIo } else { Cause::PartitionTable };
        Failure { cause, error: error.into() }.context(format!("looking at {}", disk.disk.describe()))
    })
}

impl Spot {
    /// Says what is there, by mounting it where a root could be in it.
    fn look(&self) -> Result<Finding, Failure> {
        let signature = match &self.signature {
            Ok(Some(signature)) => signature,
            Ok(None) => return Ok(Finding::Nothing),
            Err(why) => return Ok(Finding::Unreadable(why.clone())),
        };
        // The leftover of an older format can stand before a filesystem.
        let formats = || signature.kind.iter().chain(&signature.others);
        let Some(filesystem) = formats().find_map(|name| Filesystem::of_type(name)) else {
            return Ok(formats().next().map_or(Finding::Nothing, |name| Finding::Other(name.clone())));
        };
        let mount = match Mount::new(Device::find(&self.node, self.number)?, filesystem, Access::Look) {
            Ok(mount) => mount,
            Err(failure) if failure.cause == Cause::Mount => {
                let why: Vec<String> = failure.error.chain().skip(1).map(ToString::to_string).collect();
                return Ok(Finding::Broken(filesystem, why.join(": ")));
            }
            Err(failure) => return Err(failure),
        };
        let finding = look_in(mount.root(), filesystem);
        mount.unmount()?;
        Ok(finding)
    }
}

/// Says whether a system is in a filesystem.
fn look_in(root: &RootDir, filesystem: Filesystem) -> Finding {
    let lack = match look::operating_system(root) {
        Ok(os) => return Finding::System { filesystem, os, subvolume: None },
        Err(lack) => lack,
    };
    if filesystem == Filesystem::Btrfs {
        for name in SUBVOLUMES {
            if let Ok(os) =
                root.subfolder(name).map_err(|_| String::new()).and_then(|root| look::operating_system(&root))
            {
                return Finding::System { filesystem, os, subvolume: Some(name) };
            }
        }
    }
    Finding::Lacks(filesystem, lack)
}
