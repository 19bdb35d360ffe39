//! The in-memory OS with the agent in it: what its machine boots, and what it is told.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use crate::os::{self, Engine};
use crate::tinkerbell;
use crate::vm::Vm;

/// Where a guest finds what listens on the host's 127.0.0.1, on the network of [`Nic::new`](crate::vm::Nic::new).
pub const HOST: &str = "10.0.2.2";
/// The registry's address in the guest, from where it is forwarded to the host's.
pub const REGISTRY: &str = "127.0.0.1:5000";

/// The in-memory OS for one agent.
#[derive(Clone, Copy, Debug)]
pub struct AgentOs<'a> {
    /// What the agent has the containers run by.
    pub engine: Engine,
    /// The agent's identity: a MAC, and the card with it is the one that is used.
    pub id: &'a str,
    /// The server on the host's 127.0.0.1.
    pub server: SocketAddr,
    /// The registry on the host's 127.0.0.1; in the guest it is [`REGISTRY`].
    pub registry: SocketAddr,
}

impl AgentOs<'_> {
    /// Has the machine boot it. The agent's log and the guest's processes land in the two files.
    ///
    /// # Errors
    /// When the OS or the agent cannot be made.
    pub fn on(&self, vm: Vm, log: &Path, processes: &Path) -> Result<Vm> {
        let os = os::with_agent(&tinkerbell::agent()?, self.engine)?;
        let command_line = format!(
            "nibs.mode=agent nibs.runtime={} nibs.id={} nibs.server={} nibs.registry={}",
            self.engine.name(),
            self.id,
            seen_by_guest(self.server),
            seen_by_guest(self.registry),
        );
        Ok(vm
            .kernel(&os.kernel, &os.initrd, &command_line)
            .log_port("nibs.log", log)
            .log_port("nibs.processes", processes))
    }
}

/// Where the guest finds what listens on the host's 127.0.0.1.
pub fn seen_by_guest(address: SocketAddr) -> String {
    format!("{HOST}:{}", address.port())
}
