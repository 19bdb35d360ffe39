//! Whether the processor's virtualisation can be used.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::machine::QEMU;
use super::process::{spawn_bound, wait_within};
use crate::os;

/// How long the probe's kernel may take until it gives up for want of a root. With KVM that is about a second.
const PROBE: Duration = Duration::from_secs(10);

/// How QEMU runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// On the processor itself.
    Kvm,
    /// Translated: about ten times slower, and everywhere.
    Tcg,
}

impl Accel {
    /// KVM where a kernel was seen to run under it, else TCG. `NIBS_ACCEL` (`kvm` or `tcg`) decides without looking.
    ///
    /// There are machines with a `/dev/kvm` that is of no use: QEMU aborts, or the kernel hangs. So one is started, for 10 s at
    /// most. What was found is kept in `target/os/accel` until the host boots again.
    ///
    /// # Errors
    /// When `NIBS_ACCEL` is something else, or the kernel for the probe cannot be made.
    pub fn detect() -> Result<Self> {
        static FOUND: OnceLock<Accel> = OnceLock::new();
        match std::env::var("NIBS_ACCEL").as_deref() {
            Ok("kvm") => return Ok(Accel::Kvm),
            Ok("tcg") => return Ok(Accel::Tcg),
            Ok("") | Err(_) => {}
            Ok(other) => bail!("NIBS_ACCEL is {other:?}; it can be kvm or tcg"),
        }
        if let Some(found) = FOUND.get() {
            return Ok(*found);
        }
        let found = Self::probe()?;
        Ok(*FOUND.get_or_init(|| found))
    }

    fn probe() -> Result<Self> {
        if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(Accel::Tcg);
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let note = os::folder().join("accel");
        match fs::read_to_string(&note).unwrap_or_default().split_once(' ') {
            Some(("kvm", seen)) if seen == boot => return Ok(Accel::Kvm),
            Some(("tcg", seen)) if seen == boot => return Ok(Accel::Tcg),
            _ => {}
        }
        let (found, word) = if kernel_runs(&os::kernel()?)? {
            (Accel::Kvm, "kvm")
        } else {
            eprintln!("vm: no kernel runs under /dev/kvm here; machines are emulated");
            (Accel::Tcg, "tcg")
        };
        fs::write(&note, format!("{word} {boot}")).with_context(|| format!("writing {}", note.display()))?;
        Ok(found)
    }

    pub(super) fn arguments(self) -> [String; 4] {
        match self {
            Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accel::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
        .map(String::from)
    }
}

/// A kernel without a root panics and, with `panic=-1`, resets the machine: then QEMU ends by itself.
fn kernel_runs(kernel: &Path) -> Result<bool> {
    let mut arguments: Vec<String> = Accel::Kvm.arguments().into();
    arguments.extend(
        [
            "-machine",
            "q35",
            "-m",
            "256",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-append",
            "panic=-1",
            "-kernel",
        ]
        .map(String::from),
    );
    arguments.push(kernel.display().to_string());
    let mut child = spawn_bound(QEMU, &arguments, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    })?;
    let ended = wait_within(&mut child, PROBE)?;
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    Ok(ended.is_some_and(|status| status.success()))
}
