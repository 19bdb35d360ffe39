//! One run of a command: wall seconds, CPU seconds and memory of all its processes.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;

use super::tool::stopped;

/// No run takes longer.
const LONGEST: Duration = Duration::from_secs(1800);

/// What a run took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// From the start to the end of the last process.
    pub wall_secs: f64,
    /// User and system time of all processes that were waited for.
    pub cpu_secs: f64,
    /// The largest resident set of any of the processes.
    pub rss_kib: u64,
}

/// Kills a process and all of its group when the measuring ends before it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by now.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// Runs a command to its end; what it prints goes to `log`. All the while, `watch` is called with the number of its
/// parent.
///
/// # Errors
/// When it fails, with the end of what it printed, or when the bench is asked to stop.
pub fn run(command: &Command, log: &Path, watch: &mut dyn FnMut(u32) -> Result<()>) -> Result<Sample> {
    let figures = log.with_extension("time");
    // GNU time: wait4(2) gives what a process and all its children, waited for, have used.
    let mut timed = Command::new("time");
    timed.args(["--format", "%U %S %M", "--output"]).arg(&figures).arg("--").arg(command.get_program());
    timed.args(command.get_args()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = File::create(log).with_context(|| format!("making {}", log.display()))?;
    timed.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);

    let began = Instant::now();
    let mut group = Group(timed.spawn().context("starting time (package time)")?);
    let status = loop {
        if let Some(status) = group.0.try_wait()? {
            break status;
        }
        stopped()?;
        watch(group.0.id())?;
        ensure!(began.elapsed() < LONGEST, "{command:?} did not end within {} s", LONGEST.as_secs());
        thread::sleep(Duration::from_millis(1));
    };
    let wall_secs = began.elapsed().as_secs_f64();
    if !status.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        let end: Vec<&str> = text.lines().rev().take(10).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        bail!("{command:?}: {status}\n{}", end.join("\n"));
    }
    let text = fs::read_to_string(&figures).with_context(|| format!("reading {}", figures.display()))?;
    let values: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user_secs, system_secs, rss_kib] = values[..] else { bail!("time says {text:?}") };
    Ok(Sample { wall_secs, cpu_secs: user_secs + system_secs, rss_kib: rss_kib as u64 })
}
