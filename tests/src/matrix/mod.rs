//! Whole cycles on many kinds of machines, and with what can go wrong on the way: `make test-matrix`.

mod disturbance;
mod result;
mod rows;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::binaries::top;
use crate::cycle::{self, Tell};

pub use disturbance::Disturbance;
pub use result::{Outcome, table};
pub use rows::{Row, disturbed, machines};

/// Where the results and the logs are.
fn folder() -> PathBuf {
    top().join("target/matrix")
}

/// Goes the way of a row, and gives what came of it. A cycle that fails is an outcome, too; `tell` gets to know each step.
///
/// # Errors
/// When the outcome cannot be kept.
pub fn play(row: &Row, tell: Tell<'_>) -> Result<Outcome> {
    let began = Instant::now();
    let mut notes = Vec::new();
    let ended = cycle_of(row, &mut notes, tell);
    let outcome = Outcome::new(began.elapsed(), notes, ended);
    outcome.keep(&folder(), row.name)?;
    Ok(outcome)
}

/// Gives how long the boot into the installed system took.
fn cycle_of(row: &Row, notes: &mut Vec<String>, tell: Tell<'_>) -> Result<std::time::Duration> {
    let logs = folder().join(row.name);
    let index = cycle::image_index();
    let finished = match row.disturbance {
        None => cycle::run(&logs, &index, row.setup, tell)?,
        Some(disturbance) => cycle::run_with(&logs, &index, row.setup, tell, |bench, tell| {
            disturbance.provision(bench, notes, tell)
        })?,
    };
    let wrong = finished.shortcomings();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(finished.boot_took)
}
