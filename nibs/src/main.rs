//! Starts the command `nibs`.
fn main() -> std::process::ExitCode {
    nibs::main()
}
