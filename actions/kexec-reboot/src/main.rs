//! Starts the action, or the process that it leaves behind.

fn main() -> std::process::ExitCode {
    kexec_reboot::start()
}
