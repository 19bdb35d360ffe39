//! Starts the action.

fn main() -> std::process::ExitCode {
    common::action::main(&common::variables::WIPE_DISK, wipe_disk::run)
}
