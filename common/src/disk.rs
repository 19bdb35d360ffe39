//! Disks: which one is meant, what it is, whether it is free, and opening it so that nobody else can.

mod attributes;
mod by_id;
mod forget;
#[cfg(test)]
mod machine;
mod mounts;
mod open;
mod select;
mod settle;
mod usage;

pub use attributes::{Disk, PartitionNode, System};
pub use open::OpenDisk;
pub use select::{Place, find_disk, find_place};
pub use settle::settle;
pub use usage::{Use, refuse_if_used, uses};
