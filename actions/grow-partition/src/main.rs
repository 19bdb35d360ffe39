//! Starts the action.

fn main() -> std::process::ExitCode {
    common::action::main(&common::variables::GROW_PARTITION, grow_partition::run)
}
