//! The server side of Tinkerbell and its agent: made from `tests/tinkerbell/`, kept in `target/tinkerbell/`.
//!
//! The agent is the real one. The server renders a Workflow as Tinkerbell does and speaks the agent's protocol.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use crate::binaries::top;

/// How often a wait looks.
const POLL: Duration = Duration::from_millis(100);
/// How long the server may take to be there, and to end: it renders in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The real tink-agent, v0.25.0; made at the first call, which takes minutes when Go has never built it.
///
/// # Errors
/// When `go build` fails.
pub fn agent() -> Result<PathBuf> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    program(&MADE, "tink-agent", "github.com/tinkerbell/tinkerbell/cmd/agent")
}

/// `tinkerbell-server`; made at the first call, likewise.
///
/// # Errors
/// When `go build` fails.
pub fn server() -> Result<PathBuf> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    program(&MADE, "tinkerbell-server", ".")
}

fn program(made: &OnceLock<Result<PathBuf, String>>, name: &str, package: &str) -> Result<PathBuf> {
    let path = top().join("target/tinkerbell").join(name);
    made.get_or_init(|| go_build(&path, package).map(|()| path).map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!(error))
}

fn go_build(output: &Path, package: &str) -> Result<()> {
    // No version of the checkout inside: the in-memory OS would be made anew with each commit.
    let status = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"])
        .arg(output)
        .arg(package)
        .env("CGO_ENABLED", "0")
        .current_dir(top().join("tests/tinkerbell"))
        .status()
        .context("starting go; Go 1.26 is needed")?;
    ensure!(status.success(), "go build of {package} failed ({status}); its reason is on standard error");
    Ok(())
}

/// What became of a Template: the JSON that `tinkerbell-server render` prints, as Tinkerbell's status has it.
///
/// # Errors
/// When the files cannot be read as objects. A rendering that failed is no error here: its JSON says so.
pub fn render(files: &[&Path]) -> Result<serde_json::Value> {
    let output =
        Command::new(server()?).arg("render").args(files).output().context("starting tinkerbell-server")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("rendering: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Checks objects strictly against Tinkerbell's CRDs, and Templates against its rules.
///
/// # Errors
/// With everything that is wrong, a line each.
pub fn validate(files: &[&Path]) -> Result<()> {
    let output =
        Command::new(server()?).arg("validate").args(files).output().context("starting tinkerbell-server")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A state of an action, or of a whole Workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// The agent has not begun.
    Pending,
    /// The agent pulls the image, or the container runs.
    Running,
    /// The container ended with 0.
    Success,
    /// It ended with something else, or could not be started.
    Failed,
    /// It took longer than it may.
    Timeout,
}

impl State {
    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// A state that the agent reported.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// When the server took it, RFC 3339 in UTC.
    pub time: String,
    /// The same moment, in microseconds since 1970.
    pub unix_micros: u64,
    /// The action's name.
    pub action: String,
    /// The action's new state.
    pub state: State,
    /// The agent's words.
    pub message: String,
    /// How long the action ran; `None` before its end.
    pub execution_secs: Option<f64>,
    /// The whole Workflow's state after it.
    pub workflow: State,
}

impl Report {
    /// When the server took it, by the host's clock.
    pub fn taken_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.unix_micros)
    }
}

/// A server with one Workflow, on a port of 127.0.0.1 that the kernel chose. It ends when it is dropped, and with the
/// process that started it, however that ends.
#[derive(Debug)]
pub struct Server {
    /// Its standard input is what it lives by: it ends when that does.
    child: Child,
    address: SocketAddr,
    states: PathBuf,
}

impl Server {
    /// Renders the Workflow that is in the files, with its Template and Hardware, and serves it.
    ///
    /// `folder` is where `states.jsonl` and the server's own `tinkerbell-server.log` are left; both are begun anew.
    ///
    /// # Errors
    /// When the rendering fails, with Tinkerbell's message, or the server does not come up.
    pub fn start(folder: &Path, files: &[&Path]) -> Result<Self> {
        let (states, ready, log) = (
            folder.join("states.jsonl"),
            folder.join("server.address"),
            folder.join("tinkerbell-server.log"),
        );
        for old in [&states, &ready] {
            if old.exists() {
                fs::remove_file(old).with_context(|| format!("removing {}", old.display()))?;
            }
        }
        let child = Command::new(server()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--states"])
            .arg(&states)
            .arg("--ready")
            .arg(&ready)
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).with_context(|| format!("making {}", log.display()))?)
            .spawn()
            .context("starting tinkerbell-server")?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), states };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(text) = fs::read_to_string(&ready) {
                server.address = text.trim().parse().with_context(|| format!("an address, {text:?}"))?;
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait().context("waiting for tinkerbell-server")? {
                bail!("tinkerbell-server ended ({status}): {}", fs::read_to_string(&log)?.trim());
            }
            ensure!(Instant::now() < deadline, "tinkerbell-server is not up after {} s", PATIENCE.as_secs());
            thread::sleep(POLL);
        }
    }

    /// Where the agent finds it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with a line of JSON for each reported state.
    pub fn states_file(&self) -> &Path {
        &self.states
    }

    /// Every state that was reported so far.
    ///
    /// # Errors
    /// When the states file holds something else.
    pub fn reports(&self) -> Result<Vec<Report>> {
        let text =
            fs::read_to_string(&self.states).with_context(|| format!("reading {}", self.states.display()))?;
        // The last line may be half there.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("a reported state: {line}")))
            .collect()
    }

    /// Waits until `found` gives something for the reports so far, at most `limit`.
    ///
    /// # Errors
    /// When it gives nothing in time, with the reports that came; when `found` fails; when the server has ended.
    pub fn wait<T>(
        &mut self,
        limit: Duration,
        mut found: impl FnMut(&[Report]) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let reports = self.reports()?;
            if let Some(result) = found(&reports)? {
                return Ok(result);
            }
            if let Some(status) = self.child.try_wait().context("waiting for tinkerbell-server")? {
                bail!("tinkerbell-server ended by itself ({status})");
            }
            ensure!(
                Instant::now() < deadline,
                "not after {} s; reported: {}",
                limit.as_secs(),
                listing(&reports)
            );
            thread::sleep(POLL);
        }
    }

    /// Waits until `action` is in `state`, at most `limit`.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); also as soon as the Workflow has ended without it.
    pub fn wait_for(&mut self, action: &str, state: State, limit: Duration) -> Result<Report> {
        self.wait(limit, |reports| {
            if let Some(report) =
                reports.iter().find(|report| report.action == action && report.state == state)
            {
                return Ok(Some(report.clone()));
            }
            let ended = reports.last().is_some_and(|last| last.workflow.is_end());
            ensure!(
                !ended,
                "the Workflow ended before {action} was {state:?}; reported: {}",
                listing(reports)
            );
            Ok(None)
        })
        .with_context(|| format!("waiting for {action} to be {state:?}"))
    }

    /// Waits until the Workflow has ended, at most `limit`, and gives every report.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<Vec<Report>> {
        self.wait(limit, |reports| {
            Ok(reports.last().is_some_and(|last| last.workflow.is_end()).then(|| reports.to_vec()))
        })
        .context("waiting for the Workflow's end")
    }

    /// Ends the server by closing its standard input, and gives its exit status.
    ///
    /// # Errors
    /// When it has not ended in time (then it is killed).
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.child.stdin = None;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context("waiting for tinkerbell-server")? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
        bail!("tinkerbell-server has not ended {} s after its standard input", PATIENCE.as_secs())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listing(reports: &[Report]) -> String {
    let each: Vec<String> =
        reports.iter().map(|report| format!("{} {:?}", report.action, report.state)).collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join(", ") }
}
