//! The action `kexec-reboot`: hands the machine over to the installed system, after the Workflow's success was reported.
//!
//! An agent reports a success only after the container has exited 0, so the machine must go down after the action's
//! end. What takes it down is a second process of the same binary that leaves the container while it still runs:
//! [`detached`] says how.

pub mod boot_next;
pub mod cgroup;
pub mod detached;
pub mod kexec;
pub mod plan;
pub mod surroundings;
pub mod verify;
pub mod worker;

use std::process::ExitCode;

use common::cause::Cause;
use common::disk::System;
use common::failure::Failure;
use common::stop;
use common::values::Values;
use common::variables::KEXEC_REBOOT;
use tracing::{info, warn};

use plan::{Going, Mode, Plan};

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
/// [`Cause::Configuration`], `PidHost`, `Privilege`, `HandOver`, those of [`verify::verify`] and, where kexec was asked for, those
/// of [`kexec::load`]. The machine stays up then.
pub fn run(values: &Values) -> Result<String, Failure> {
    let plan = Plan::of(values)?;
    surroundings::check(&surroundings::Seen::look()?)?;
    let system = System::default();
    let (going, loaded) = match plan.mode {
        Mode::Plainly(going) => (going, None),
        Mode::Kexec => (Going::Kexec, Some(kexec::load(&system, &plan)?)),
        Mode::Auto => match kexec::load(&system, &plan) {
            Ok(loaded) => (Going::Kexec, Some(loaded)),
            Err(failure) if fails_auto(failure.cause) => return Err(failure),
            Err(failure) => {
                warn!("REBOOT_MODE=auto: no kexec, so the machine reboots: {failure}");
                (Going::Reboot, None)
            }
        },
    };
    if plan.verify_boot {
        verify::verify(&system, &plan, going)?;
    }
    boot_next::set(&system, plan.boot_next, going, plan.disk.as_deref())?;
    if going == Going::Stay {
        return Ok("everything needed to hand over is there; REBOOT_MODE=none leaves the machine up".into());
    }
    stop::check()?;
    detached::leave_behind(going, plan.wait)?;
    if let Some(loaded) = loaded {
        loaded.keep();
    }
    info!(wait_secs = plan.wait.as_secs_f64(), "a process outside the container waits for its end");
    Ok(format!("{} {} s after this container is gone", going.words(), plan.wait.as_secs_f64()))
}

/// What a reboot would not make right, or nobody asked to go on with.
fn fails_auto(cause: Cause) -> bool {
    matches!(cause, Cause::Configuration | Cause::Stopped | Cause::Internal)
}
