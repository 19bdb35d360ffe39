//! Addresses as a Hardware gives them, and why one cannot be right.

pub mod mac;
pub mod subnet;

pub use mac::Mac;
pub use subnet::Subnet;
