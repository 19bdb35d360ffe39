//! How the actions' binaries become OCI images, once for all of them.
//!
//! An image is one static binary, the few folders that a runtime or the action expects, and the trusted
//! certificates where the action speaks TLS. The builder reads nothing of the machine it runs on but the binaries:
//! times, owners and orders are fixed, so the same binaries give the same digests.

pub mod actions;
pub mod binary;
pub mod cli;
pub mod image;
pub mod layer;
pub mod layout;
pub mod platform;
pub mod rootfs;

pub use cli::main;
