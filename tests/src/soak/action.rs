//! stream-image as it runs: its log as it comes, a signal at a moment, and an end that is waited for with a limit.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::binaries::command;
use crate::signal::{self, Signal};

/// Far more than a run takes, on a machine with other work.
const LIMIT: Duration = Duration::from_secs(120);

/// One that runs. Dropped, it is killed.
pub(super) struct Run {
    child: Child,
    started: Instant,
    lines: Receiver<(Duration, String)>,
    seen: Vec<(Duration, String)>,
    errors: Option<JoinHandle<String>>,
}

/// How it ended.
pub(super) struct Ended {
    /// `None` when a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) lines: Vec<String>,
    pub(super) errors: String,
    /// From the start.
    pub(super) last_line_after: Duration,
    /// From the start.
    pub(super) ended_after: Duration,
}

impl Ended {
    /// A field of the last line; empty where there is none.
    pub(super) fn last(&self, field: &str) -> String {
        let line = self.lines.last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        line.and_then(|line| line[field].as_str().map(ToOwned::to_owned)).unwrap_or_default()
    }

    /// All that it said.
    pub(super) fn text(&self) -> String {
        let code = self.code.map_or("a signal".into(), |code| format!("exit code {code}"));
        format!("ended by {code}:\n{}\n{}", self.lines.join("\n"), self.errors)
    }
}

impl Run {
    /// Starts it.
    pub(super) fn start(disk: &Path, url: &str, environment: &[(&str, &str)]) -> Self {
        let mut action = command("stream-image");
        action.env("IMG_URL", url).env("DEST_DISK", disk).envs(environment.iter().copied());
        action.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = action.spawn().expect("stream-image starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut error = child.stderr.take().expect("a pipe");
        let (to, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if to.send((started.elapsed(), line)).is_err() {
                    return;
                }
            }
        });
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = error.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, started, lines, seen: Vec::new(), errors: Some(errors) }
    }

    /// Waits until so long after the start.
    pub(super) fn wait_until(&self, after: Duration) {
        thread::sleep(after.saturating_sub(self.started.elapsed()));
    }

    /// Waits until a line says this, and then some more; less where the log ends before.
    pub(super) fn wait_after_line(&mut self, text: &str, more: Duration) {
        while let Ok((at, line)) = self.lines.recv_timeout(LIMIT) {
            let there = line.contains(text);
            self.seen.push((at, line));
            if there {
                return thread::sleep(more);
            }
        }
    }

    /// Since its start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends a signal; nothing happens where it has ended.
    pub(super) fn signal(&mut self, signal: Signal) {
        // Not waited for yet, its number is still its own.
        if let Ok(None) = self.child.try_wait() {
            let _ = signal::send(self.child.id(), signal);
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended after two minutes: then it is killed.
    pub(super) fn end(mut self) -> Result<Ended> {
        let deadline = Instant::now() + LIMIT;
        // The log ends with the process.
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let said: Vec<_> = self.seen.iter().map(|(_, line)| line.as_str()).collect();
                    bail!("it had not ended after {} s:\n{}", LIMIT.as_secs(), said.join("\n"));
                }
            }
        }
        let status = self.child.wait().context("waiting for stream-image")?;
        let ended_after = self.started.elapsed();
        let errors = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        let last_line_after = self.seen.last().map_or(ended_after, |(at, _)| *at);
        let lines = std::mem::take(&mut self.seen).into_iter().map(|(_, line)| line).collect();
        Ok(Ended { code: status.code(), lines, errors, last_line_after, ended_after })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
