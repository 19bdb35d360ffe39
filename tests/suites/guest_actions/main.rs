//! The actions on what the kernel of a development machine may not have: LVM, md and encrypted disks, vfat, the growth of
//! ext4, 4096-byte logical blocks, and disks on NVMe, AHCI and SCSI that can discard or fail.
//!
//! One guest is booted for all of it. Each test has disks of its own, which it finds by their serials.

mod bench;
mod discard;
mod faults;
mod grow;
mod refusals;
mod stream;
mod stream_faults;
mod wipe;
