//! Stopping on SIGTERM. Docker sends it five seconds before SIGKILL, and the first process of a container ignores it
//! unless it handles it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use crate::cause::Cause;
use crate::failure::Failure;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// How long work in progress has to notice the request before the process ends under it.
const GRACE: Duration = Duration::from_secs(3);

/// Blocks SIGTERM and SIGINT in this thread and all that it starts, and waits for them on a thread of its own. Call it
/// before any other thread is there. `last_words` is called when the work did not stop within its grace; the process
/// then exits with 1.
///
/// # Errors
/// When the signal mask cannot be set or the thread cannot be started.
pub fn install(last_words: fn(&Failure)) -> Result<(), Failure> {
    use crate::failure::Because;
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().because(Cause::Internal)?;
    std::thread::Builder::new()
        .name("stop".into())
        .spawn(move || {
            if signals.wait().is_err() {
                return;
            }
            REQUESTED.store(true, Ordering::SeqCst);
            std::thread::sleep(GRACE);
            last_words(&failure());
            std::process::exit(1);
        })
        .because(Cause::Internal)?;
    Ok(())
}

/// Whether a stop was requested.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Fails when a stop was requested. Call it between steps, and in every loop over a disk.
///
/// # Errors
/// [`Cause::Stopped`].
pub fn check() -> Result<(), Failure> {
    if requested() { Err(failure()) } else { Ok(()) }
}

fn failure() -> Failure {
    Failure::new(
        Cause::Stopped,
        "a signal asked the action to stop before it was done; run the workflow again",
    )
}
