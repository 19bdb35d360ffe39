//! A machine as it was at a moment, to go on from there again and again.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::process::POLL;
use super::{Machine, Vm};

/// How long saving and restoring may take: a second or two was seen, for a guest of 2 GiB.
const LIMIT: Duration = Duration::from_secs(120);

/// The memory and the devices of a machine, in a file of its folder. The file goes with this.
///
/// Connections through QEMU's made-up networks are no part of it: a guest that goes on finds those that it had reset. Disks
/// are not either, so whoever restores a machine with disks sees to it that they are as they were.
#[derive(Debug)]
pub struct Snapshot {
    vm: Vm,
    file: PathBuf,
}

impl Snapshot {
    /// Stops a machine and saves it; it does not go on. `vm` is what it was started from. A folder that guest and host
    /// share cannot be saved.
    ///
    /// # Errors
    /// When QEMU cannot save it, or has not in time.
    pub fn take(machine: Machine, vm: &Vm) -> Result<Self> {
        let snapshot = Self { vm: vm.clone(), file: vm.own_folder().join("snapshot") };
        let saved = snapshot.save(&machine);
        saved.map_err(|error| machine.fault(error.context("saving it")))?;
        Ok(snapshot)
    }

    fn save(&self, machine: &Machine) -> Result<()> {
        machine.execute("stop", Value::Null)?;
        // Without it, 128 MiB a second.
        machine.execute("migrate-set-parameters", json!({"max-bandwidth": 1_u64 << 40}))?;
        machine.execute("migrate", json!({"uri": format!("exec:cat >{}", self.quoted()?)}))?;
        let deadline = Instant::now() + LIMIT;
        loop {
            let state = machine.execute("query-migrate", Value::Null)?;
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => bail!("QEMU says: {state}"),
                _ => ensure!(Instant::now() < deadline, "not done after {} s: {state}", LIMIT.as_secs()),
            }
            thread::sleep(POLL);
        }
    }

    /// Starts a machine that goes on from there. Its console begins anew.
    ///
    /// # Errors
    /// When it does not start, or has not gone on in time.
    pub fn restore(&self) -> Result<Machine> {
        let incoming = format!("exec:cat {}", self.quoted()?);
        let machine = self.vm.start_with(&["-incoming".to_owned(), incoming])?;
        let gone_on = Self::go_on(&machine);
        gone_on.map_err(|error| machine.fault(error.context("restoring it")))?;
        Ok(machine)
    }

    fn go_on(machine: &Machine) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let state = machine.execute("query-status", Value::Null)?;
            match state["status"].as_str() {
                Some("running") => return Ok(()),
                // As it was when it was saved.
                Some("paused") => {
                    machine.execute("cont", Value::Null)?;
                }
                _ => ensure!(Instant::now() < deadline, "not done after {} s: {state}", LIMIT.as_secs()),
            }
            thread::sleep(POLL);
        }
    }

    /// QEMU gives the words to a shell.
    fn quoted(&self) -> Result<String> {
        let path = self.file.to_str().context("a path in UTF-8")?;
        ensure!(!path.contains('\''), "{path} has a quotation mark, which a shell would take for its own");
        Ok(format!("'{path}'"))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
