//! The binaries under test: those that `make build` made.

use std::path::PathBuf;
use std::process::Command;

/// The top of the checkout.
pub fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").to_owned()
}

/// The path of a binary of this workspace. `NIBS_PROFILE` picks the build, `release` by default.
///
/// # Panics
/// When it was not built: a suite that cannot run fails.
pub fn binary(name: &str) -> PathBuf {
    let profile = std::env::var("NIBS_PROFILE").unwrap_or_else(|_| "release".into());
    let path = top()
        .join("target")
        .join(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .join(profile)
        .join(name);
    assert!(path.exists(), "{} is not there; run `make build`", path.display());
    path
}

/// A command that runs a binary of this workspace with an environment of its own, so that nothing of the caller's gets in.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.env_clear();
    command
}
