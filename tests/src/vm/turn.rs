//! One machine after another.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test of this process has a machine. Two emulated ones starve each other.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
