//! What goes wrong in the middle of a cycle, and what must come of it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::agent_os::REGISTRY;
use crate::cycle::{Attempt, Bench, Change, Tell};
use crate::tinkerbell::{Report, State};
use crate::vm::Fault;

/// How long the image server is gone.
const GONE: Duration = Duration::from_secs(20);
/// Where the disk does not write: in the middle of the image's files.
const BAD_SECTOR: u64 = (300 << 20) / 512;
/// The error of it.
const EIO: i32 = 5;
/// For an action that needs longer.
const TIMEOUT_SECS: u32 = 8;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The power is cut when the server has given out half of the image. The Workflow is started again.
    PowerCutInTheMiddle,
    /// The power is cut when the server has given out the last byte of the image. The Workflow is started again.
    PowerCutAtTheEnd,
    /// The image server is gone for 20 seconds, in the middle of the image. Nothing is started again.
    ImageServerGone,
    /// The registry is gone before the third image is pulled: the Workflow fails, and is started again.
    RegistryGone,
    /// The disk does not write a sector: the Workflow fails. It is started again on a disk that does.
    WriteErrors,
    /// stream-image may take only seconds, so the agent ends it: Docker by SIGTERM, containerd by SIGKILL. The Workflow is
    /// started again, with more time.
    Timeout,
}

impl Disturbance {
    /// For the table.
    pub fn words(self) -> &'static str {
        match self {
            Self::PowerCutInTheMiddle => "power cut in the middle of the image",
            Self::PowerCutAtTheEnd => "power cut at the last byte of the image",
            Self::ImageServerGone => "image server gone for 20 s",
            Self::RegistryGone => "registry gone before the third image",
            Self::WriteErrors => "a sector that cannot be written",
            Self::Timeout => "stream-image's timeout",
        }
    }

    /// Provisions the bench's machine with it. Gives the attempt that ended well, and its reports; what was seen before goes
    /// to `notes`.
    ///
    /// # Errors
    /// When something else comes of it than what must.
    pub(super) fn provision(
        self,
        bench: &Bench,
        notes: &mut Vec<String>,
        tell: Tell<'_>,
    ) -> Result<(Attempt, Vec<Report>)> {
        let begin = |name: &str, changes: &[Change], faults: &[Fault], tell: Tell<'_>| {
            bench.attempt(name, changes, faults, tell).with_context(|| format!("the attempt {name}"))
        };
        let image_bytes = std::fs::metadata(&bench.image.zst)?.len();
        let given_out = |attempt: &mut Attempt, bytes: u64, tell: Tell<'_>| {
            attempt.follow(tell, |_| (bench.image_relay.answered_bytes() >= bytes).then_some(()))
        };
        match self {
            Self::PowerCutInTheMiddle | Self::PowerCutAtTheEnd => {
                let mut first = begin("cut", &[], &[], tell)?;
                let is_middle = self == Self::PowerCutInTheMiddle;
                given_out(&mut first, if is_middle { image_bytes / 2 } else { image_bytes }, tell)?;
                let given = bench.image_relay.answered_bytes();
                // Dropped, a machine is killed: nothing in it hears of that.
                drop(first);
                notes.push(format!("cut after {given} of {image_bytes} bytes"));
            }
            Self::ImageServerGone => {
                let mut only = begin("in-memory-os", &[], &[], tell)?;
                given_out(&mut only, image_bytes / 2, tell)?;
                bench.image_relay.cut();
                let began = Instant::now();
                while began.elapsed() < GONE {
                    ensure!(only.machine.runs(), "the machine ended without the image server");
                    thread::sleep(Duration::from_millis(200));
                }
                bench.image_relay.lead_to(bench.web.address())?;
                notes.push(format!("gone after {} of {image_bytes} bytes", image_bytes / 2));
                let reports = only.succeed(tell)?;
                return Ok((only, reports));
            }
            Self::RegistryGone => {
                let mut first = begin("without-registry", &[], &[], tell)?;
                // The second action has its image once it fetches.
                given_out(&mut first, 1, tell)?;
                bench.registry_relay.cut();
                first.fail("grow-partition", State::Failed, tell)?;
                let log = first.agent_log();
                let words = log.lines().rev().find(|line| line.contains("error executing action"));
                let words = words.context("the agent has no word of the failure")?;
                // containerd names the image that it could not pull, Docker the registry that it did not reach.
                ensure!(words.contains(REGISTRY), "the agent's word names no registry: {words}");
                notes.push(format!("grow-partition FAILED, the agent says that it did not reach {REGISTRY}"));
                bench.registry_relay.lead_to(bench.registry.address())?;
            }
            Self::WriteErrors => {
                let fault = Fault {
                    event: "write_aio".into(),
                    errno: EIO,
                    sector: Some(BAD_SECTOR),
                    after: 0,
                    once: false,
                };
                let mut first = begin("bad-disk", &[], &[fault], tell)?;
                let line = first.fail("stream-image", State::Failed, tell)?;
                let line = line.context("stream-image has no last line")?;
                let words = line["msg"].as_str().unwrap_or_default();
                ensure!(line["level"] == "error", "the last line is no error: {line}");
                for expected in [bench.setup.disk_node(), "NIBS0001", "at byte ", "Input/output error"] {
                    ensure!(words.contains(expected), "the last line has no {expected:?}: {words}");
                }
                notes.push(format!("FAILED: {words}"));
            }
            Self::Timeout => {
                let short = Change::Timeout { action: "stream-image", secs: TIMEOUT_SECS };
                let mut first = begin("short", &[short], &[], tell)?;
                first.fail("stream-image", State::Timeout, tell)?;
                notes.push(format!("TIMEOUT after {TIMEOUT_SECS} s"));
            }
        }
        let mut again = begin("in-memory-os", &[], &[], tell)?;
        let reports = again.succeed(tell)?;
        Ok((again, reports))
    }
}
