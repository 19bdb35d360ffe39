//! The operating systems that the suites boot: made by the scripts in `tests/os/`, kept in `target/os/`.
//!
//! Each is made at the first call and again only when what it is made from has changed; a call with nothing to do
//! takes a second or two.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// A kernel and its initial RAM filesystem, for QEMU's `-kernel` and `-initrd`.
#[derive(Clone, Debug)]
pub struct MemoryOs {
    /// Debian's kernel for real machines.
    pub kernel: PathBuf,
    /// An uncompressed cpio archive.
    pub initrd: PathBuf,
}

/// What the root of a Debian image is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RootFs {
    /// Debian's own choice.
    #[default]
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs, the root in its top volume.
    Btrfs,
}

impl RootFs {
    /// As the kernel calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// Which Debian image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebianKind {
    /// The root's filesystem.
    pub root_fs: RootFs,
    /// Whether `/boot` is a partition of its own, with ext4.
    pub separate_boot: bool,
    /// The logical blocks of the disks that it is for: 512 or 4096.
    pub logical_block_bytes: u32,
    /// Whether it has the kernel for real machines, without which there is no AHCI, instead of the one for clouds.
    pub for_real_machines: bool,
}

impl Default for DebianKind {
    fn default() -> Self {
        Self {
            root_fs: RootFs::Ext4,
            separate_boot: false,
            logical_block_bytes: 512,
            for_real_machines: false,
        }
    }
}

/// A Debian 12 disk image. Each file has its `.sha256` beside it.
#[derive(Clone, Debug)]
pub struct DebianImage {
    /// The whole disk, 1.5 GiB, sparse.
    pub raw: PathBuf,
    /// The same as one zstd frame.
    pub zst: PathBuf,
}

/// The folder that the operating systems lie in.
pub fn folder() -> PathBuf {
    crate_root().join("../target/os")
}

/// Debian's kernel for real machines, alone.
///
/// # Errors
/// When `tests/os/memory-os.sh` fails; it says why on standard error.
pub fn kernel() -> Result<PathBuf> {
    make("memory-os.sh", &["kernel".as_ref()])?;
    Ok(folder().join("vmlinuz"))
}

/// The in-memory OS for tests: it obeys [`Guest`](crate::vm::Guest), and has the host's disk tools.
///
/// # Errors
/// When `tests/os/memory-os.sh` fails; it says why on standard error.
pub fn guest() -> Result<MemoryOs> {
    static MADE: OnceLock<Result<(), String>> = OnceLock::new();
    once(&MADE, || make("memory-os.sh", &["guest".as_ref()]))?;
    Ok(MemoryOs { kernel: folder().join("vmlinuz"), initrd: folder().join("guest-os.cpio") })
}

/// What runs the containers of an in-memory OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// containerd, as CaptainOS has it.
    Containerd,
    /// Docker, as HookOS has it.
    Docker,
}

impl Engine {
    /// As the agent calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Docker => "docker",
        }
    }
}

/// The in-memory OS that provisions: an engine, runc and the tink-agent in the file `agent`.
///
/// What it does is said on the kernel's command line: see [`AgentOs`](crate::agent_os::AgentOs).
///
/// # Errors
/// When `tests/os/memory-os.sh` fails; it says why on standard error.
pub fn with_agent(agent: &Path, engine: Engine) -> Result<MemoryOs> {
    let (kind, initrd) = match engine {
        Engine::Containerd => ("agent", "memory-os.cpio"),
        Engine::Docker => ("agent-docker", "memory-os-docker.cpio"),
    };
    make("memory-os.sh", &[kind.as_ref(), agent])?;
    Ok(MemoryOs { kernel: folder().join("vmlinuz"), initrd: folder().join(initrd) })
}

/// A Debian 12 as clouds have it, without any identity.
///
/// # Errors
/// When `tests/os/debian.sh` fails; it says why on standard error.
pub fn debian() -> Result<DebianImage> {
    static MADE: OnceLock<Result<(), String>> = OnceLock::new();
    once(&MADE, || make("debian.sh", &[]))?;
    Ok(DebianImage { raw: folder().join("debian-12.raw"), zst: folder().join("debian-12.raw.zst") })
}

/// A Debian 12 of another kind; [`debian`] is the default one.
///
/// # Errors
/// When `tests/os/debian.sh` fails; it says why on standard error.
pub fn debian_of(kind: DebianKind) -> Result<DebianImage> {
    if kind == DebianKind::default() {
        return debian();
    }
    let DebianKind { root_fs, separate_boot, logical_block_bytes, for_real_machines } = kind;
    let mut name = format!("{}-{logical_block_bytes}", root_fs.name());
    let mut arguments = vec!["--root-fs".to_owned(), root_fs.name().to_owned()];
    arguments.extend(["--block-size".to_owned(), logical_block_bytes.to_string()]);
    for (is_so, word) in [(separate_boot, "separate-boot"), (for_real_machines, "real-machines")] {
        if is_so {
            name += &format!("-{word}");
            arguments.push(format!("--{word}"));
        }
    }
    arguments.extend(["--name".to_owned(), name.clone()]);
    make("debian.sh", &arguments.iter().map(Path::new).collect::<Vec<_>>())?;
    let file = |suffix: &str| folder().join(format!("debian-12-{name}.{suffix}"));
    Ok(DebianImage { raw: file("raw"), zst: file("raw.zst") })
}

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn make(script: &str, arguments: &[&Path]) -> Result<()> {
    let path = crate_root().join("os").join(script);
    let status = Command::new(&path)
        .args(arguments)
        .status()
        .with_context(|| format!("starting {}", path.display()))?;
    ensure!(status.success(), "{} failed ({status}); its reason is on standard error", path.display());
    Ok(())
}

/// Runs `work` at the first call in this process; the others get its result.
fn once(made: &OnceLock<Result<(), String>>, work: impl FnOnce() -> Result<()>) -> Result<()> {
    made.get_or_init(|| work().map_err(|error| format!("{error:#}"))).clone().map_err(|error| anyhow!(error))
}
