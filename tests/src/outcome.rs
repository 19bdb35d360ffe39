//! How an action ended: exit code and log lines.

use std::process::{Command, Output};

use serde_json::Value;

use crate::vm;

/// What an action left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// The log, a JSON object a line.
    pub lines: Vec<Value>,
    /// Everything that it printed, on both streams.
    pub text: String,
}

/// Reads what an action printed in a guest; panics as [`Outcome::read`] does.
impl From<vm::Output> for Outcome {
    fn from(output: vm::Output) -> Self {
        Self::of_text(output.status, output.stdout, &output.stderr)
    }
}

impl Outcome {
    /// Runs an action to its end.
    ///
    /// # Panics
    /// When it cannot be started, or a line of its log is no JSON object of at most 1 KiB.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self::read(&output)
    }

    /// Reads what a finished action printed.
    ///
    /// # Panics
    /// When a line of its log is no JSON object of at most 1 KiB.
    pub fn read(output: &Output) -> Self {
        Self::of_text(
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            &String::from_utf8_lossy(&output.stderr),
        )
    }

    fn of_text(code: i32, stdout: String, stderr: &str) -> Self {
        let lines = stdout
            .lines()
            .map(|line| {
                assert!(line.len() < 1024, "a line of {} bytes: {line}", line.len());
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect();
        Self { code, lines, text: stdout + stderr }
    }

    /// Asserts success, and gives the last line's message.
    ///
    /// # Panics
    /// When the action failed.
    #[track_caller]
    pub fn succeeded(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.text);
        self.last("msg")
    }

    /// Asserts a failure of this cause with the exit code that goes with it, and gives the last line's message.
    ///
    /// # Panics
    /// When it ended in any other way.
    #[track_caller]
    pub fn failed(&self, cause: &str) -> &str {
        assert_eq!(self.last("cause"), cause, "{}", self.text);
        assert_eq!(self.last("level"), "error", "{}", self.text);
        assert_eq!(self.code, if cause == "configuration" { 2 } else { 1 }, "{}", self.text);
        self.last("msg")
    }

    /// A field of the last line; empty where it is missing.
    pub fn last(&self, field: &str) -> &str {
        self.lines.last().and_then(|line| line[field].as_str()).unwrap_or_default()
    }
}
