//! Virtual machines by QEMU.
//!
//! - [`Vm`] says what a machine has, and starts it; [`Machine`] is one that runs. It ends when it is dropped, and with
//!   the process that started it, however that ends.
//! - [`Snapshot`] is a machine as it was at a moment, from where it goes on as often as is wanted.
//! - [`Guest`] boots the in-memory OS with the host's disk tools and runs commands in it, without a network.
//! - [`Target`] is an installed system that booted from its own disk, looked at over ssh.
//!
//! Every wait is bounded. An error about a machine ends with the last lines of its console.
//!
//! ```no_run
//! use nibs_tests::vm::{Bus, Disk, Guest, Vm};
//!
//! # fn main() -> anyhow::Result<()> {
//! let vm = Vm::new("example").disk(Disk::raw("/tmp/disk.raw").bus(Bus::Nvme).serial("NIBS0001"));
//! let guest = Guest::boot(vm)?;
//! let listing = guest.run("cat /sys/block/nvme0n1/device/serial")?.succeeded()?;
//! assert_eq!(listing.stdout.trim(), "NIBS0001");
//! # Ok(())
//! # }
//! ```

mod accel;
mod console;
mod disk;
mod guest;
mod machine;
mod network;
mod output;
pub(crate) mod process;
mod qmp;
mod snapshot;
mod ssh;
mod turn;
mod write_log;

pub use accel::Accel;
pub use disk::{Bus, Disk, Fault};
pub use guest::Guest;
pub use machine::{Exit, Machine, Vm};
pub use network::Nic;
pub use output::Output;
pub use snapshot::Snapshot;
pub use ssh::{SshKey, Target};
pub use turn::turn;
pub use write_log::{Entry, WriteLog};
