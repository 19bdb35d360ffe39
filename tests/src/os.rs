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

/// A Debian 12 disk image for disks of 512-byte logical blocks. Each file has its `.sha256` beside it.
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

/// The in-memory OS that provisions: containerd, runc and the tink-agent in the file `agent`.
///
/// What it does is said on the kernel's command line: `nibs.mode=agent` and what `tests/os/memory-os/init` lists.
///
/// # Errors
/// When `tests/os/memory-os.sh` fails; it says why on standard error.
pub fn with_agent(agent: &Path) -> Result<MemoryOs> {
    make("memory-os.sh", &["agent".as_ref(), agent])?;
    Ok(MemoryOs { kernel: folder().join("vmlinuz"), initrd: folder().join("memory-os.cpio") })
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
