//! What the suites stand on: loop devices, servers, container runtimes and virtual machines, each behind a guard.

pub mod binaries;
pub mod loop_device;
pub mod outcome;
