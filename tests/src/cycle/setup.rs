//! What can differ from one cycle to the next.

use std::fmt;

use crate::os::{DebianKind, Engine};
use crate::vm::Bus;

/// What a machine starts its system by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

impl fmt::Display for Firmware {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Bios => "BIOS",
            Self::Uefi => "UEFI",
        })
    }
}

/// How the machine gets into its installed system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// As `REBOOT_MODE=reboot` has it.
    Reboot,
    /// As `REBOOT_MODE=kexec` has it.
    Kexec,
}

impl Going {
    /// The value of `REBOOT_MODE`.
    pub fn mode(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Kexec => "kexec",
        }
    }
}

/// A machine, what is installed on it, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The machine's.
    pub firmware: Firmware,
    /// What its disk is on. The disk has blocks of the image's size.
    pub bus: Bus,
    /// What the in-memory OS runs the actions by.
    pub engine: Engine,
    /// The system to install.
    pub image: DebianKind,
    /// How the last action goes.
    pub going: Going,
    /// Whether there is a second disk, with an older system on it, which must stay as it is.
    pub older_system: bool,
}

impl Default for Setup {
    /// What `make demo` shows.
    fn default() -> Self {
        Self {
            firmware: Firmware::Uefi,
            bus: Bus::Nvme,
            engine: Engine::Containerd,
            image: DebianKind::default(),
            going: Going::Reboot,
            older_system: false,
        }
    }
}

impl Setup {
    /// The disk's node, in the in-memory OS and on the node.
    pub fn disk_node(&self) -> &'static str {
        match self.bus {
            Bus::VirtioBlk => "/dev/vda",
            Bus::Nvme => "/dev/nvme0n1",
            Bus::Ahci | Bus::VirtioScsi => "/dev/sda",
        }
    }
}
