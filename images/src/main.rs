//! Starts the command `images`.
fn main() -> std::process::ExitCode {
    images::main()
}
