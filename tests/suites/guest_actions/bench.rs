//! The guest that all tests share, and its disks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nibs_tests::binaries;
use nibs_tests::installed_image::{InstalledImage, RootFs};
use nibs_tests::loop_device::run;
use nibs_tests::outcome::Outcome;
use nibs_tests::vm::{Bus, Disk, Fault, Guest, Vm};

/// Far more than any action here takes, emulated.
const LIMIT: Duration = Duration::from_secs(180);

/// Functions for the scripts of the tests.
const LIBRARY: &str = r#"
export MDADM_NO_UDEV=1
mkdir -p /run/lock/lvm /run/cryptsetup
# The serial is where the bus' driver puts it; SCSI's is page 0x80, behind four bytes of header.
node_of() {
    for disk in /sys/block/vd* /sys/block/nvme* /sys/block/sd*; do
        serial=$(cat $disk/serial 2>/dev/null || cat $disk/device/serial 2>/dev/null || tail -c +5 $disk/device/vpd_pg80)
        if [ "$(echo $serial)" = "$1" ]; then
            echo /dev/${disk##*/}
            return
        fi
    done
    return 1
}
# two_partitions NODE: a small one for its own sake, and the rest of the disk but the last MiB.
two_partitions() {
    sgdisk --clear --new=1:1M:+8M --typecode=1:ef00 --new=2:9M:-1M --typecode=2:8300 "$1" >/dev/null
}
"#;

/// The booted guest, and what the host knows of its disks.
pub struct Bench {
    guest: Guest,
    disks: BTreeMap<String, (String, File)>,
    /// What takes the room that the disk STREAM-THIN needs.
    ballast: File,
}

/// The guest: booted for the first test that asks, kept for all, ended with the process.
pub fn bench() -> &'static Bench {
    static BENCH: OnceLock<Result<Bench, String>> = OnceLock::new();
    match BENCH.get_or_init(|| Bench::boot().map_err(|error| format!("{error:#}"))) {
        Ok(bench) => bench,
        Err(error) => panic!("the guest: {error}"),
    }
}

impl Bench {
    fn boot() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let thin = Thin::mount(folder.path());
        let mut files = Vec::new();
        let mut vm = Vm::new("guest-actions").memory_mib(1536);
        for (serial, disk) in disks(folder.path()) {
            let file = folder.path().join(serial);
            let file = if file.exists() { file } else { folder.path().join("thin").join(serial) };
            files.push((serial, File::open(file)?));
            vm = vm.disk(disk.serial(serial));
        }
        let guest = Guest::boot(vm)?;
        guest.run(&format!("cat >/etc/bench.sh <<'END'\n{LIBRARY}\nEND"))?.succeeded()?;
        for action in ["wipe-disk", "stream-image", "grow-partition"] {
            guest.put(binaries::binary(action), &format!("/usr/local/bin/{action}"))?;
        }
        let mut disks = BTreeMap::new();
        for (serial, file) in files {
            let node = guest
                .run(&format!(". /etc/bench.sh; node_of {serial}"))?
                .succeeded()?
                .stdout
                .trim()
                .to_owned();
            disks.insert(serial.to_owned(), (node, file));
        }
        // QEMU and this process have the files open, so that nothing of them outlives both.
        Ok(Self { guest, disks, ballast: thin.ballast.try_clone()? })
    }

    /// The guest's node of the disk with this serial.
    pub fn node(&self, serial: &str) -> &str {
        &self.disks[serial].0
    }

    /// How much of the disk's file is allocated on the host: what was discarded is not.
    pub fn allocated_bytes(&self, serial: &str) -> u64 {
        self.disks[serial].1.metadata().expect("a file's metadata").blocks() * 512
    }

    /// Gives the disk STREAM-THIN the room that it lacks.
    pub fn make_room(&self) {
        self.ballast.set_len(0).expect("a shorter file");
    }

    /// Runs a script that must succeed, and gives what it printed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.guest.run_within(&format!(". /etc/bench.sh\nset -e\n{script}"), LIMIT);
        match output.and_then(|output| output.succeeded()) {
            Ok(output) => output.stdout,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Runs an action of the guest with this environment.
    #[track_caller]
    pub fn action(&self, name: &str, environment: &[(&str, &str)]) -> Outcome {
        self.started_action(name, environment, "")
    }

    /// As [`action`](Self::action); `meanwhile` is a script that runs beside it.
    #[track_caller]
    pub fn started_action(&self, name: &str, environment: &[(&str, &str)], meanwhile: &str) -> Outcome {
        let environment: Vec<String> =
            environment.iter().map(|(name, value)| format!("{name}='{value}'")).collect();
        let beside = match meanwhile {
            "" => String::new(),
            script => format!("(\nset -e\n{script}\n) >/dev/null 2>/tmp/{name}.beside &\n"),
        };
        match self.guest.run_within(&format!("{beside}{} {name}", environment.join(" ")), LIMIT) {
            Ok(output) => output.into(),
            Err(error) => panic!("{error:#}"),
        }
    }

    /// The digest of everything on a block device.
    #[track_caller]
    pub fn digest(&self, node: &str) -> String {
        self.sh(&format!("sync; blockdev --flushbufs {node}; sha256sum <{node}"))
    }
}

/// A filesystem with less room than the disk in it seems to have, as a pool of thin disks that is nearly full.
struct Thin {
    folder: PathBuf,
    ballast: File,
}

impl Thin {
    fn mount(folder: &Path) -> Self {
        let folder = folder.join("thin");
        fs::create_dir(&folder).expect("a folder");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=72m", "nibs-thin"]).arg(&folder));
        let mut ballast = File::create(folder.join("ballast")).expect("a file");
        ballast.write_all(&vec![1; 52 << 20]).expect("room for the ballast");
        Self { folder, ballast }
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        // It stays for those who have its files open.
        run(Command::new("umount").arg("--lazy").arg(&self.folder));
    }
}

/// Puts an older system on a disk before the guest sees it: boot code, and a GPT at both ends.
fn older_system((serial, disk): (&'static str, Disk), file: &Path) -> (&'static str, Disk) {
    let mut image = File::options().write(true).open(file).expect("a disk's file");
    image.write_all(&[0xeb; 440]).expect("boot code");
    run(Command::new("sgdisk").args(["--clear", "--new=1:1M:-1M"]).arg(file));
    (serial, disk)
}

/// Every disk of the suite, with its serial, made in `folder`.
fn disks(folder: &Path) -> Vec<(&'static str, Disk)> {
    let blank = |serial, mib: u64| {
        let file: PathBuf = folder.join(serial);
        File::create(&file).and_then(|file| file.set_len(mib << 20)).expect("a sparse file");
        (serial, Disk::raw(file))
    };
    let on = |(serial, disk): (&'static str, Disk), bus| (serial, disk.bus(bus));
    let blocks = |(serial, disk): (&'static str, Disk), bytes| (serial, disk.logical_block_bytes(bytes));
    // These take a discard and do nothing, so that what is not erased can still be read.
    let ignoring = |(serial, disk): (&'static str, Disk)| (serial, disk.discard(false));
    let fault = |event: &str, sector| Fault { event: event.into(), errno: 5, sector, after: 0, once: false };
    let failing = |(serial, disk): (&'static str, Disk), fault| (serial, disk.fault(fault));
    let mut disks = vec![
        ignoring(blank("WIPE-LVM", 128)),
        ignoring(blank("WIPE-MD-A", 96)),
        ignoring(on(blank("WIPE-MD-B", 96), Bus::VirtioScsi)),
        ignoring(blank("WIPE-LUKS", 128)),
        ignoring(blocks(on(blank("WIPE-4K", 96), Bus::Nvme), 4096)),
        ignoring(blank("WIPE-VFAT", 96)),
        blank("HELD-LVM", 64),
        blank("HELD-MD-A", 64),
        blank("HELD-MD-B", 64),
        blank("HELD-CRYPT", 64),
        blank("HELD-VFAT", 64),
        blank("DISCARD-VIRTIO", 128),
        blocks(blank("DISCARD-VIRTIO4K", 128), 4096),
        on(blank("DISCARD-NVME", 128), Bus::Nvme),
        on(blank("DISCARD-AHCI", 128), Bus::Ahci),
        on(blank("DISCARD-SCSI", 128), Bus::VirtioScsi),
        failing(blank("FAULT-WRITE", 64), fault("write_aio", None)),
        failing(blank("FAULT-FLUSH", 64), fault("flush_to_disk", None)),
        failing(blank("FAULT-READ", 64), fault("read_aio", Some(0))),
        blocks(blank("STREAM-4K", 128), 4096),
        blocks(on(blank("STREAM-4K-OK", 128), Bus::Nvme), 4096),
        blank("STREAM-512", 128),
        {
            let sector = Some((20 << 20) / 512);
            let fault = Fault { event: "write_aio".into(), errno: 5, sector, after: 0, once: true };
            older_system(failing(blank("STREAM-MIDDLE", 48), fault), &folder.join("STREAM-MIDDLE"))
        },
        {
            // The flushes of six runs: each of the first five fails one step later, and the disk takes all of the last.
            let disk = [0, 3, 6, 11, 17].into_iter().fold(blank("STREAM-FLUSH", 48), |disk, after| {
                let event = "flush_to_disk".into();
                failing(disk, Fault { event, errno: 5, sector: None, after, once: true })
            });
            older_system(disk, &folder.join("STREAM-FLUSH"))
        },
        {
            // On SCSI a disk can say that it has no space.
            let file = folder.join("thin/STREAM-THIN");
            File::create(&file).and_then(|file| file.set_len(48 << 20)).expect("a sparse file");
            older_system(("STREAM-THIN", Disk::raw(&file).bus(Bus::VirtioScsi)), &file)
        },
    ];
    for (serial, logical_block_size) in [("GROW-512", 512), ("GROW-4K", 4096)] {
        let image = InstalledImage { logical_block_size, ..InstalledImage::of(RootFs::Ext4) }.make();
        let file = folder.join(serial);
        run(Command::new("blockdev").arg("--flushbufs").arg(image.node()));
        run(Command::new("cp").arg("--sparse=always").arg(image.backing()).arg(&file));
        assert!(
            fs::metadata(&file).is_ok_and(|file| file.len() == 1 << 30),
            "the default size of an InstalledImage"
        );
        disks.push(blocks((serial, Disk::raw(file)), logical_block_size));
    }
    disks
}
