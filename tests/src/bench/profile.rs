//! Where the time of a run goes: CPU seconds of each of its threads, and how busy the machine was beside them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// How often the threads are looked at. What one does between the last look and its end is not seen, and counts as the
/// server's and the kernel's.
const LOOK: Duration = Duration::from_millis(20);

/// What a run took, by who took it.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// From the start to the end.
    pub wall_secs: f64,
    /// Of all cores, how much of that time they were at work.
    pub busy: f64,
    /// CPU seconds by the threads' name, all with the same name together.
    pub threads_cpu_secs: BTreeMap<String, f64>,
    /// CPU seconds of everything else: the server, and the kernel's own threads and interrupts.
    pub others_cpu_secs: f64,
}

impl Profile {
    /// Who took how much, the most first.
    pub fn shares(&self) -> Vec<(&str, f64)> {
        let threads = self.threads_cpu_secs.iter().map(|(name, secs)| (name.as_str(), *secs));
        let mut shares: Vec<_> = threads.chain([("server and kernel", self.others_cpu_secs)]).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }
}

/// Looks at a running process.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
    busy_before_secs: f64,
    /// When it looked last, since the beginning, and how long the cores were at work until then.
    looked: Option<(Duration, f64)>,
    /// By the threads' numbers: name and CPU seconds.
    threads: BTreeMap<u32, (String, f64)>,
}

impl Watch {
    /// Begins, just before the process does.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn begin() -> Result<Self> {
        Ok(Self {
            began: Instant::now(),
            busy_before_secs: busy_secs()?,
            looked: None,
            threads: BTreeMap::new(),
        })
    }

    /// Looks at the children of a process, unless that was done a moment ago.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn look(&mut self, parent: u32) -> Result<()> {
        let elapsed = self.began.elapsed();
        if self.looked.is_some_and(|(looked, _)| elapsed < looked + LOOK) {
            return Ok(());
        }
        self.looked = Some((elapsed, busy_secs()? - self.busy_before_secs));
        let children =
            fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let Ok(tasks) = fs::read_dir(format!("/proc/{child}/task")) else { continue };
            // A thread that is gone by now keeps what it had.
            for (thread, name, secs) in tasks.flatten().filter_map(|task| thread(&task.path())) {
                self.threads.insert(thread, (name, secs));
            }
        }
        Ok(())
    }

    /// What was seen until it looked last; `None` when it never did.
    pub fn end(self) -> Option<Profile> {
        let (elapsed, busy_secs) = self.looked?;
        let wall_secs = elapsed.as_secs_f64();
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let mut threads_cpu_secs = BTreeMap::new();
        for (name, secs) in self.threads.into_values() {
            *threads_cpu_secs.entry(name).or_default() += secs;
        }
        let own_secs: f64 = threads_cpu_secs.values().sum();
        Some(Profile {
            wall_secs,
            busy: busy_secs / (wall_secs * cores),
            threads_cpu_secs,
            others_cpu_secs: (busy_secs - own_secs).max(0.0),
        })
    }
}

/// A thread's number, its name, and the CPU seconds that it took (schedstat: first nanoseconds on a core).
fn thread(task: &Path) -> Option<(u32, String, f64)> {
    let number = task.file_name()?.to_str()?.parse().ok()?;
    let name = fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
    let nanos: f64 = fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse().ok()?;
    Some((number, name, nanos / 1e9))
}

/// How long the cores were at work since the machine began, all together: proc(5), /proc/stat, without the fields for
/// being idle and waiting for a disk.
fn busy_secs() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, ..] = fields[..] else {
        anyhow::bail!("/proc/stat begins with {:?}", text.lines().next());
    };
    Ok((user + nice + system + interrupts + soft_interrupts) / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_child_is_seen_by_its_name() {
        let mut watch = Watch::begin().unwrap();
        // A child that ends by itself, and is busy until then.
        let script = "sh -c 'i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done'; true";
        let mut parent = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
        while parent.try_wait().unwrap().is_none() {
            watch.look(parent.id()).unwrap();
        }
        let profile = watch.end().unwrap();
        assert!(profile.threads_cpu_secs["sh"] > 0.0 && profile.busy > 0.0, "{profile:?}");
        assert_eq!(profile.shares().len(), profile.threads_cpu_secs.len() + 1);
    }
}
