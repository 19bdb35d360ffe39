//! Starts the action.

fn main() -> std::process::ExitCode {
    common::action::main(&common::variables::WRITE_NETPLAN, write_netplan::run)
}
