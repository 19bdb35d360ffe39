//! QEMU's machine protocol, over its standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

/// How long QEMU may take for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// The event that says that a machine was shut down or reset.
#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    /// Why, in QEMU's words.
    pub(super) reason: String,
    /// When, by the host's clock.
    pub(super) at: SystemTime,
}

pub(super) struct Qmp {
    input: ChildStdin,
    answers: Receiver<Value>,
    shutdown: Arc<Mutex<Option<Shutdown>>>,
}

impl Qmp {
    /// Takes over the pipes of a QEMU that was started with `-qmp stdio`.
    pub(super) fn connect(child: &mut Child) -> Result<Self> {
        let input = child.stdin.take().ok_or_else(|| anyhow!("QEMU has no standard input"))?;
        let output = child.stdout.take().ok_or_else(|| anyhow!("QEMU has no standard output"))?;
        let (sender, answers) = channel();
        let shutdown = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&shutdown);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
                if message["event"] == "SHUTDOWN" {
                    let reason = message["data"]["reason"].as_str().unwrap_or("unknown").to_owned();
                    let shutdown = Shutdown { reason, at: time(&message["timestamp"]) };
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shutdown);
                } else if message.get("event").is_none() && sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut qmp = Self { input, answers, shutdown };
        // The greeting, which comes unasked.
        qmp.answer("the greeting")?;
        qmp.execute("qmp_capabilities", Value::Null)?;
        Ok(qmp)
    }

    /// Gives a command and waits for its answer.
    pub(super) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut message = json!({"execute": command});
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        writeln!(self.input, "{message}").with_context(|| format!("giving QEMU the command {command}"))?;
        let answer = self.answer(command)?;
        if let Some(error) = answer.get("error") {
            bail!("QEMU refuses {command}: {error}");
        }
        Ok(answer["return"].clone())
    }

    /// A command of the human monitor, for which there is no other.
    pub(super) fn monitor(&mut self, line: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({"command-line": line}))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    pub(super) fn shutdown(&self) -> Option<Shutdown> {
        self.shutdown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn answer(&self, to: &str) -> Result<Value> {
        self.answers.recv_timeout(ANSWER).map_err(|error| match error {
            RecvTimeoutError::Timeout => anyhow!("QEMU did not answer {to} in {} s", ANSWER.as_secs()),
            RecvTimeoutError::Disconnected => anyhow!("QEMU ended before it answered {to}"),
        })
    }
}

/// The `timestamp` of an event.
fn time(value: &Value) -> SystemTime {
    let part = |name: &str| value[name].as_u64().unwrap_or_default();
    SystemTime::UNIX_EPOCH
        + Duration::from_secs(part("seconds"))
        + Duration::from_micros(part("microseconds"))
}
