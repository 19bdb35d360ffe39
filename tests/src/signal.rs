//! Signals to the processes that a suite started.

use std::io;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// Sends a signal.
///
/// # Errors
/// ESRCH when there is no such process.
pub fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    Ok(kill_process(pid.ok_or(io::ErrorKind::InvalidInput)?, signal)?)
}
