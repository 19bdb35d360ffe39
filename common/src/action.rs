//! The frame every action runs in: variables in, log lines and one exit code out.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::cause::Cause;
use crate::failure::Failure;
use crate::values::{Given, Values};
use crate::variables::ActionSpec;
use crate::{log, stop};

/// An agent reads the log of a container that is gone only in part: of 25 runs that ended at once, 18 to 23 delivered
/// their last line, with a pause all did (measured with tink-agent v0.25 on Docker and containerd).
const LAST_LINE_PAUSE: Duration = Duration::from_millis(150);

/// Runs an action: reads its variables from flags and environment, starts the log, runs it, reports how it ended in the
/// last line, and gives the exit code: 0, 2 for a bad configuration, 1 for any other failure. `run` returns what was
/// done, in a sentence.
pub fn main(spec: &'static ActionSpec, run: fn(&Values) -> Result<String, Failure>) -> ExitCode {
    let start = Instant::now();
    let result = Values::read(spec, std::env::args_os().skip(1), std::env::vars_os());
    let result = match result {
        Ok(Given::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Ok(Given::Values(values)) => values.log_settings().map(|settings| (values, settings)),
        Err(failure) => Err(failure),
    };
    let (format, level) =
        result.as_ref().map_or((log::Format::Json, tracing::Level::INFO), |(_, settings)| *settings);
    log::init(spec.name, format, level);
    report_panics();
    let result = result.and_then(|(values, _)| {
        stop::install(report)?;
        run(&values)
    });
    log::last(|| match &result {
        Ok(done) => info!(elapsed_secs = elapsed_secs(start), "{done}"),
        Err(failure) => {
            error!(cause = failure.cause.word(), elapsed_secs = elapsed_secs(start), "{failure}");
        }
    });
    let code = result.as_ref().map_or_else(|failure| failure.cause.exit_code(), |_| 0);
    std::thread::sleep(LAST_LINE_PAUSE);
    // Ends threads that still wait for the network or a disk: whatever they do, the result is said.
    std::process::exit(code.into())
}

fn elapsed_secs(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 10.0).round() / 10.0
}

fn report(failure: &Failure) {
    log::last(|| error!(cause = failure.cause.word(), "{failure}"));
    std::thread::sleep(LAST_LINE_PAUSE);
}

/// A panic is a failure like any other: one line, exit 1. Its text is shown only where it is a literal: a formatted
/// one could carry what must not be logged.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload().downcast_ref::<&str>().copied().unwrap_or("no literal message");
        report(&Failure::new(Cause::Internal, format_args!("panic at {place}: {text}")));
        std::process::exit(1);
    }));
}
