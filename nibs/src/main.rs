//! The command `nibs`.
fn main() {}
