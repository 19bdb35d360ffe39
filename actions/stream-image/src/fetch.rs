//! Fetching: the only part that waits for the network, asynchronous on one thread. Everything else works on threads.

mod client;
mod fault;
mod part;
mod request;
mod retry;
mod stage;
mod text;

pub(crate) use client::client;
pub(crate) use fault::Fault;
#[cfg(feature = "fuzzing")]
pub(crate) use part::fuzzing;
pub(crate) use request::Source;
pub(crate) use retry::Backoff;
pub(crate) use stage::{Fetch, Opened};
pub(crate) use text::text;

use common::cause::Cause;
use common::failure::{Because, Failure};

/// A runtime for this thread alone.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().because(Cause::Internal)
}
