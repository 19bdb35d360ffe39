//! `make bench`: how fast `stream-image` is, beside the ways that people have without it, and beside its own stages.
//!
//! All of them get the same objects from the same server, and a disk in the same state; they take turns, so that a
//! machine that is slow for a while is slow for all.

pub mod contestants;
pub mod extents;
pub mod goals;
pub mod image_set;
pub mod measure;
pub mod nibs;
pub mod profile;
pub mod report;
pub mod server;
pub mod stages;
pub mod statistics;
pub mod target;
pub mod tool;
pub mod verify;
