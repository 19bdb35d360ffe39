//! Making the kernel forget a disk's partitions.

use std::io;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::attributes::{PartitionNode, System};
use super::open::OpenDisk;
use crate::cause::Cause;
use crate::failure::Failure;
use crate::stop;
use crate::sys::{self, PartitionChange};

/// Somebody who only looks at a partition, as udev does, is done within that time.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

impl OpenDisk {
    /// Makes the kernel forget all partitions of the disk, whatever its table says. Their page caches go with them: nothing
    /// that was once written to a partition can reach the disk later. Gives what was forgotten.
    ///
    /// # Errors
    /// [`Cause::DiskBusy`] when another program has a partition open, [`Cause::DiskIo`], [`Cause::Stopped`]. Then the
    /// kernel shows all of them again.
    pub fn forget_partitions(&self, system: &System) -> Result<Vec<PartitionNode>, Failure> {
        let start = Instant::now();
        let mut forgotten = Vec::new();
        for partition in system.partitions(&self.disk) {
            while let Err(error) = self.change(PartitionChange::Delete, &partition) {
                let gone = error.raw_os_error() == Some(libc::ENXIO);
                if gone {
                    break;
                }
                let busy = error.raw_os_error() == Some(libc::EBUSY);
                let stopped = stop::check();
                if busy && stopped.is_ok() && start.elapsed() < PATIENCE {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                self.show_again(&forgotten);
                stopped?;
                let cause = if busy { Cause::DiskBusy } else { Cause::DiskIo };
                let why = if busy { "another program has it open".to_owned() } else { error.to_string() };
                return Err(Failure::new(
                    cause,
                    format_args!("taking {} of {} away: {why}", partition.name, self.disk.describe()),
                ));
            }
            debug!("the kernel forgot {}", partition.name);
            forgotten.push(partition);
        }
        Ok(forgotten)
    }

    /// Makes the kernel show partitions again that [`OpenDisk::forget_partitions`] made it forget.
    pub fn show_again(&self, partitions: &[PartitionNode]) {
        for partition in partitions {
            if let Err(error) = self.change(PartitionChange::Add, partition) {
                warn!("the kernel does not show {} again: {error}", partition.name);
            }
        }
    }

    fn change(&self, change: PartitionChange, partition: &PartitionNode) -> io::Result<()> {
        sys::partition(&self.file, change, partition.number, partition.start_bytes, partition.length_bytes)
    }
}
