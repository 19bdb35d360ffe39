//! Starts the action.

fn main() -> std::process::ExitCode {
    common::action::main(&common::variables::KEXEC_REBOOT, kexec_reboot::run)
}
