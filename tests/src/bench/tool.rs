//! Tools of the host, as short commands.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a tool and gives what it printed.
///
/// # Errors
/// When it is missing or fails, with what it said.
pub fn tool(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

/// Runs a script with `bash -euo pipefail -c`.
///
/// # Errors
/// As [`tool`].
pub fn script(text: &str) -> Result<String> {
    tool(Command::new("bash").args(["-euo", "pipefail", "-c", text]))
}

/// Fails when somebody asked this program to stop.
///
/// # Errors
/// Then.
pub fn stopped() -> Result<()> {
    ensure!(!common::stop::requested(), "stopped by a signal");
    Ok(())
}
