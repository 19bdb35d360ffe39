//! Starts the action.

fn main() -> std::process::ExitCode {
    common::action::main(&common::variables::WRITE_CLOUD_INIT, write_cloud_init::run)
}
