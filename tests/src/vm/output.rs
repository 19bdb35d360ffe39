//! What a command left behind.

use anyhow::{Result, bail};

/// The end of a command in a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// Its exit status; 128 and the signal's number when a signal ended it (137 after a timeout).
    pub status: i32,
    /// Standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// The output itself when the status is 0.
    ///
    /// # Errors
    /// With the command, its status and both outputs when it is another.
    pub fn succeeded(self) -> Result<Self> {
        self.ended_with(0)
    }

    /// The output itself when the status is `status`.
    ///
    /// # Errors
    /// As [`succeeded`](Self::succeeded).
    pub fn ended_with(self, status: i32) -> Result<Self> {
        if self.status != status {
            bail!(
                "status {} instead of {status}: {}\n--- standard output\n{}\n--- standard error\n{}",
                self.status,
                self.command,
                self.stdout.trim_end(),
                self.stderr.trim_end()
            );
        }
        Ok(self)
    }
}
