//! Starts the action.
fn main() {}
