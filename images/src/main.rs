//! Packs images.
fn main() {}
