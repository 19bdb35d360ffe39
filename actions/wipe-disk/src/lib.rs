//! The action `wipe-disk`: erases every signature on whole disks, so that nothing of an older system is found again.
//!
//! Every disk is found, checked and claimed before anything is written to any. Then each is wiped on a thread of its
//! own, in the order that [`plan::steps`] gives.

mod claim;
mod device;
mod layout;
mod options;
mod plan;
mod range;
mod wipe;

use std::panic::resume_unwind;
use std::thread;

use common::disk::{OpenDisk, System};
use common::failure::Failure;
use common::values::Values;
use tracing::error;

use options::Options;

/// Runs the action.
///
/// # Errors
/// Any of the action's causes.
pub fn run(values: &Values) -> Result<String, Failure> {
    let options = Options::read(values)?;
    let system = System::default();
    let disks = claim::claim(&system, &options)?;
    let method = options.method;
    let results: Vec<Result<String, Failure>> = thread::scope(|scope| {
        let system = &system;
        let threads: Vec<_> =
            disks.iter().map(|disk| scope.spawn(move || wipe::wipe(system, disk, method))).collect();
        threads.into_iter().map(|each| each.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    report(&disks, results)
}

/// One sentence of all disks; a failure that names each disk that failed.
fn report(disks: &[OpenDisk], results: Vec<Result<String, Failure>>) -> Result<String, Failure> {
    let several = disks.len() > 1;
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for (disk, result) in disks.iter().zip(results) {
        match result {
            Ok(text) => done.push(format!("{}: {text}", disk.disk.describe())),
            Err(failure) => {
                if several {
                    error!(cause = failure.cause.word(), "{failure}");
                }
                failures.push(failure);
            }
        }
    }
    match claim::together(failures) {
        None => Ok(format!("wiped {}", done.join("; "))),
        Some(failure) if several => {
            let failed = disks.len() - done.len();
            Err(failure.context(format!("{failed} of {} disks failed", disks.len())))
        }
        Some(failure) => Err(failure),
    }
}
