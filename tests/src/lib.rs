//! What the suites stand on: loop devices, servers, container runtimes and virtual machines, each behind a guard.

pub mod agent_os;
pub mod bench;
pub mod binaries;
pub mod certificates;
pub mod cycle;
pub mod disk_image;
pub mod fleet;
pub mod http;
pub mod installed_files;
pub mod installed_image;
pub mod kexec_reboot;
pub mod landed;
pub mod loop_device;
pub mod matrix;
pub mod os;
pub mod outcome;
pub mod registry;
pub mod relay;
pub mod runtime;
pub mod signal;
pub mod signatures;
pub mod soak;
pub mod tinkerbell;
pub mod vm;
