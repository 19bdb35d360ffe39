//! How long `nibs` takes with a large fleet, and how much memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::measure::{self, Sample};
use super::report::{Machine, spread, table};
use super::statistics::Spread;
use crate::binaries::{binary, top};
use crate::fleet::{self, Fleet};

/// Hardware, and as many MachineDeployments.
pub const SERVERS: u32 = 10_000;
/// No command may take longer.
const SECONDS_BELOW: f64 = 5.0;
/// None may need more.
const MIB_BELOW: f64 = 500.0;

/// A command that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// `nibs check` of a fleet in which nothing is wrong.
    Check,
    /// `nibs workflow` of the same.
    Workflow,
    /// `nibs check` of the same with all the Workflows and the Template that `nibs workflow` printed.
    CheckWorkflows,
    /// `nibs check` of a fleet in which everything is wrong.
    CheckWrong,
}

/// In an order in which the third finds what the second printed.
pub const TASKS: [Task; 4] = [Task::Check, Task::Workflow, Task::CheckWorkflows, Task::CheckWrong];

impl Task {
    fn what(self) -> &'static str {
        match self {
            Self::Check => "nibs check",
            Self::Workflow => "nibs workflow",
            Self::CheckWorkflows => "nibs check, with the Workflows",
            Self::CheckWrong => "nibs check, all of them wrong",
        }
    }

    /// What bash runs: `$1` is nibs, and `$2` the folder of the fleets.
    fn script(self) -> &'static str {
        match self {
            Self::Check => "\"$1\" check right > right.txt",
            Self::Workflow => {
                "\"$1\" workflow right --registry registry.example/nibs --images index.json > workflows.yaml"
            }
            Self::CheckWorkflows => "\"$1\" check right workflows.yaml > workflows.txt",
            Self::CheckWrong => "\"$1\" check wrong > wrong.txt; [ $? = 1 ]",
        }
    }

    /// What the last line that it printed must begin with, and where it is.
    fn said(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Check => Some(("right.txt", "0 errors, 0 warnings in 20001 objects")),
            Self::Workflow => None,
            Self::CheckWorkflows => Some(("workflows.txt", "0 errors, 0 warnings in 30002 objects")),
            // Of each server two MACs and every second address twice; of each MachineDeployment its Hardware.
            Self::CheckWrong => Some(("wrong.txt", "40000 errors, 0 warnings in 20001 objects")),
        }
    }
}

/// The fleets, in a folder.
#[derive(Debug)]
pub struct Course {
    folder: PathBuf,
}

impl Course {
    /// Makes them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn new() -> Result<Self> {
        let folder = top().join("target/bench/nibs");
        for (name, fleet) in [("right", Fleet::Right), ("wrong", Fleet::Wrong)] {
            let folder = folder.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
            fleet.write(&folder, SERVERS)?;
        }
        let index = folder.join("index.json");
        fs::write(&index, images_index()).with_context(|| format!("writing {}", index.display()))?;
        Ok(Self { folder })
    }

    /// Megabytes of the objects.
    ///
    /// # Errors
    /// When they are gone.
    pub fn megabytes(&self) -> Result<u64> {
        let path = self.folder.join("right").join(fleet::OBJECTS);
        Ok(fs::metadata(&path).with_context(|| format!("looking at {}", path.display()))?.len() / 1_000_000)
    }

    /// Runs a command once, and looks at what it said.
    ///
    /// # Errors
    /// When it fails, or says something else than it must.
    pub fn run(&self, task: Task) -> Result<Sample> {
        let mut command = Command::new("bash");
        let script = format!("cd \"$2\" && {}", task.script());
        command.args(["-c", &script, "bash"]).arg(binary("nibs")).arg(&self.folder);
        let sample = measure::run(&command, &self.folder.join("nibs.log"), &mut |_| Ok(()))?;
        if let Some((file, beginning)) = task.said() {
            let path = self.folder.join(file);
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let last = text.lines().last().unwrap_or_default();
            ensure!(last.starts_with(beginning), "{}: {last:?}, not {beginning:?}", task.what());
        }
        Ok(sample)
    }
}

/// An index as `make images` leaves it, with a digest for each action.
fn images_index() -> String {
    let digest = format!("sha256:{}", "5a".repeat(32));
    let images: Vec<_> = common::variables::ACTIONS
        .iter()
        .map(|action| json!({"name": action.name, "digest": digest}))
        .collect();
    json!({"images": images}).to_string()
}

/// What was measured of each command.
#[derive(Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Of the objects that are read.
    pub megabytes: u64,
    /// Each command, with a sample a round.
    pub runs: Vec<(Task, Vec<Sample>)>,
}

impl Report {
    /// A table in Markdown that reads well as it is.
    pub fn text(&self) -> String {
        let Machine { processor, memory_mib, kernel, commit, .. } = &self.machine;
        let rounds = self.runs.iter().map(|(_, samples)| samples.len()).max().unwrap_or(0);
        let mut text = format!(
            "# Measured by `make bench-nibs`\n\n\
             nibs of {commit} on {processor}, {memory_mib} MiB of memory, {kernel}. {SERVERS} Hardware, as many\n\
             MachineDeployments, a Seed and user-data of 3.8 kB: {} MB of YAML. Rounds: {rounds}. Shown is the median, and the\n\
             least and the most in brackets; peak RSS is the most in any run.\n\n",
            self.megabytes
        );
        let rows = self.runs.iter().filter_map(|(task, samples)| {
            let of = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
            let (wall, cpu, rss) = (of(|s| s.wall_secs)?, of(|s| s.cpu_secs)?, of(mib)?);
            let met = if is_met(samples) { "yes" } else { "NO" };
            Some(vec![
                task.what().into(),
                spread(wall, 2),
                spread(cpu, 2),
                format!("{:.0}", rss.most),
                format!("< {SECONDS_BELOW} s, < {MIB_BELOW} MiB"),
                met.into(),
            ])
        });
        text += &table(&["command", "seconds", "CPU seconds", "RSS MiB", "goal", "met"], rows);
        text
    }

    /// Keeps the table, and all samples as JSON, in a folder by this name.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save(&self, folder: &Path, name: &str) -> Result<()> {
        let runs: Vec<_> = self
            .runs
            .iter()
            .map(
                |(task, samples)| json!({"command": task.what(), "met": is_met(samples), "samples": samples}),
            )
            .collect();
        let all =
            json!({"machine": self.machine, "servers": SERVERS, "megabytes": self.megabytes, "runs": runs});
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        for (suffix, text) in [("md", self.text()), ("json", serde_json::to_string_pretty(&all)? + "\n")] {
            let path = folder.join(format!("{name}.{suffix}"));
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            println!("kept     {}", path.display());
        }
        Ok(())
    }

    /// Whether every command meets its goals.
    pub fn is_met(&self) -> bool {
        self.runs.iter().all(|(_, samples)| is_met(samples))
    }
}

fn mib(sample: &Sample) -> f64 {
    sample.rss_kib as f64 / 1024.0
}

/// By the median of the seconds, and the most of the memory.
fn is_met(samples: &[Sample]) -> bool {
    let wall = Spread::of(samples.iter().map(|sample| sample.wall_secs));
    let rss = Spread::of(samples.iter().map(mib));
    wall.is_some_and(|wall| wall.median < SECONDS_BELOW) && rss.is_some_and(|rss| rss.most < MIB_BELOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(wall_secs: f64, rss_mib: u64) -> Sample {
        Sample { wall_secs, cpu_secs: wall_secs, rss_kib: rss_mib << 10 }
    }

    #[test]
    fn goals_are_judged_by_the_median_and_memory_by_the_most() {
        assert!(is_met(&[sample(9.0, 10), sample(2.0, 499), sample(4.0, 1)]));
        assert!(!is_met(&[sample(1.0, 10), sample(2.0, 500), sample(4.0, 1)]));
        assert!(!is_met(&[sample(5.0, 10)]));
        assert!(!is_met(&[]));
    }
}
