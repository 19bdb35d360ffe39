//! The action `kexec-reboot`: hands the machine over to the installed system, after the Workflow's success was reported.
//!
//! An agent reports a success only after the container has exited 0, so the machine must go down after the action's
//! end. What takes it down is a second process of the same binary that leaves the container while it still runs:
//! [`detached`] says how.

pub mod boot_next;
pub mod cgroup;
pub mod detached;
pub mod plan;
pub mod surroundings;

use std::process::ExitCode;

use common::disk::System;
use common::failure::Failure;
use common::values::Values;
use common::variables::KEXEC_REBOOT;
use tracing::{info, warn};

use plan::{Going, Plan};

/// Runs the action, or, when it was started by the action, the process that is left behind.
pub fn start() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == detached::ARGUMENT => detached::main(rest),
        _ => common::action::main(&KEXEC_REBOOT, run),
    }
}

/// Checks that the machine can be handed over, leaves a process behind that does it, and returns.
///
/// # Errors
/// [`common::cause::Cause::Configuration`], `PidHost`, `Privilege` and `HandOver`. The machine stays up then.
pub fn run(values: &Values) -> Result<String, Failure> {
    let plan = Plan::of(values)?;
    surroundings::check(&surroundings::Seen::look()?)?;
    if let Some(word) = plan.word {
        warn!("{word}");
    }
    boot_next::set(&System::default(), plan.boot_next, plan.going, plan.disk.as_deref())?;
    if plan.going == Going::Stay {
        return Ok("everything needed to hand over is there; REBOOT_MODE=none leaves the machine up".into());
    }
    detached::leave_behind(&plan)?;
    info!(wait_secs = plan.wait.as_secs_f64(), "a process outside the container waits for its end");
    Ok(format!("{} {} s after this container is gone", plan.going.words(), plan.wait.as_secs_f64()))
}
