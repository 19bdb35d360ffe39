//! The whole way, from a Hardware object to a booted node.
//!
//! [`run`] takes what a KKP user has to what the node says of itself: `nibs` makes the Workflow, a registry and an HTTP
//! server on the host have the images, a virtual machine with a dirty disk boots the in-memory OS, the real agent runs
//! the actions there, the machine reboots, and boots from its disk. [`Setup`] says what kind of machine it is.

pub mod agent_log;
mod bench;
mod dirty_disk;
mod disk_file;
mod event;
mod leaks;
mod node;
mod objects;
mod setup;
mod shortcomings;
mod token_on_disk;
mod web;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::binaries::top;
use crate::tinkerbell::Report;
use crate::vm::Target;

pub use bench::{Attempt, Bench};
pub use disk_file::DiskFile;
pub use event::{Event, Phase};
pub use leaks::Leak;
pub use node::{Link, Node};
pub use objects::{
    Change, FIRST_ADDRESS, FIRST_MAC, GATEWAY, NAME, NAME_SERVERS, Objects, SECOND_ADDRESS, SECOND_MAC,
};
pub use setup::{Firmware, Going, Setup};
pub use web::Web;

use bench::IN_MEMORY_OS;
use leaks::ProcessList;

// Four times and more of what was seen, emulated on two cores.
const CLOUD_INIT: Duration = Duration::from_secs(300);

/// A cycle that came to its end.
pub struct Finished {
    /// What the node says of itself.
    pub node: Node,
    /// The node, still up.
    pub target: Target,
    /// How long it took from the start of the machine until cloud-init was done.
    pub boot_took: Duration,
    /// Every state that the agent reported, in order.
    pub reports: Vec<Report>,
    /// Whether the machine was still up when the Workflow's success was known.
    pub success_came_first: bool,
    /// What the bootstrap in the user-data must have left on the node.
    pub bootstrap_proof: String,
    /// Where secrets stand that may not: the logs and process lists of the run.
    pub leaks: Vec<Leak>,
    /// The logs that were searched.
    pub logs: Vec<PathBuf>,
    /// Where on the disk, in bytes, a secret stood outside of its seed before it booted first; `None` where nobody looked.
    pub outside_the_seed: Option<Vec<u64>>,
    /// Whether the older system on the second disk, where there is one, is as it was.
    pub older_system_is_untouched: bool,
    setup: Setup,
    /// Goes after the machine that runs from it.
    _disk: DiskFile,
}

impl Finished {
    /// Everything that is not as the objects asked for, or as it must always be, a sentence each.
    pub fn shortcomings(&self) -> Vec<String> {
        let mut wrong = shortcomings::of_node(&self.node, &self.setup, &self.bootstrap_proof);
        if !self.success_came_first {
            wrong.push("the machine was down before its success was known".to_owned());
        }
        if let Some(places) = self.outside_the_seed.as_ref().filter(|places| !places.is_empty()) {
            wrong.push(format!("a secret stood on the disk outside its seed, at the bytes {places:?}"));
        }
        if !self.older_system_is_untouched {
            wrong.push("the older system on the second disk was written to".to_owned());
        }
        wrong.extend(self.leaks.iter().map(|leak| format!("a secret stands at {leak}")));
        wrong
    }
}

/// Whoever watches a run.
pub type Tell<'a> = &'a mut dyn FnMut(Event);

/// The index file that `make images` writes.
pub fn image_index() -> PathBuf {
    top().join("target/oci/index.json")
}

/// Goes the whole way, with the images that `index` lists. `folder` is emptied, and gets every log; `tell` gets to know
/// each step as it happens.
///
/// # Errors
/// When a step fails or takes too long. The message says which, and what was seen last.
pub fn run(folder: &Path, index: &Path, setup: Setup, tell: Tell<'_>) -> Result<Finished> {
    run_with(folder, index, setup, tell, |bench, tell| {
        let mut attempt = bench.attempt(IN_MEMORY_OS, &[], &[], tell)?;
        let reports = attempt.succeed(tell)?;
        Ok((attempt, reports))
    })
}

/// As [`run`], with something else in place of an attempt that nothing disturbs. `provision` gives the last attempt, which has
/// ended well, with its reports.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    folder: &Path,
    index: &Path,
    setup: Setup,
    tell: Tell<'_>,
    provision: impl FnOnce(&Bench, Tell<'_>) -> Result<(Attempt, Vec<Report>)>,
) -> Result<Finished> {
    let _alone = alone(folder)?;
    clear(folder)?;
    let processes = ProcessList::begin(folder.join("processes.txt"));
    let bench = Bench::new(folder, index, setup, tell)?;
    let (attempt, reports) = provision(&bench, tell)?;

    let began = Instant::now();
    let (target, success_came_first, outside_the_seed, node) = phase(tell, Phase::Boot, |tell| {
        let (target, success_came_first, outside_the_seed) = bench.boot_installed(attempt, tell)?;
        target.wait_for_cloud_init(CLOUD_INIT)?;
        let node = Node::ask(&target)?;
        let words = format!("{} from its disk", node.hostname);
        Ok(((target, success_came_first, outside_the_seed, node), words))
    })?;
    let boot_took = began.elapsed();
    keep_logs_of(&target, folder)?;
    processes.end()?;
    let (leaks, logs) = leaks::search(folder, &bench.objects.secrets())?;
    Ok(Finished {
        node,
        target,
        boot_took,
        reports,
        success_came_first,
        bootstrap_proof: bench.objects.bootstrap_proof(),
        leaks,
        logs,
        outside_the_seed,
        older_system_is_untouched: bench.disk.older_is_untouched()?,
        setup,
        _disk: bench.disk,
    })
}

/// Gets what the node logged, and its processes' command lines.
fn keep_logs_of(target: &Target, folder: &Path) -> Result<()> {
    for (file, command) in [
        ("node-journal.log", "sudo journalctl --no-pager --boot"),
        ("node-cloud-init.log", "sudo cat /var/log/cloud-init-output.log"),
        ("node-processes.txt", "ps -ww -eo args"),
    ] {
        let output = target.run(command)?.succeeded()?;
        fs::write(folder.join(file), output.stdout).with_context(|| format!("writing {file}"))?;
    }
    Ok(())
}

/// Makes sure that no other run uses the folder, as long as the file is held.
fn alone(folder: &Path) -> Result<File> {
    let path = folder.with_extension("lock");
    fs::create_dir_all(path.parent().context("the folder lies in one")?)?;
    let lock = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    lock.try_lock().map_err(|error| anyhow!("another run uses {}: {error}", folder.display()))?;
    Ok(lock)
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

fn phase<T>(tell: Tell<'_>, phase: Phase, work: impl FnOnce(Tell<'_>) -> Result<(T, String)>) -> Result<T> {
    tell(Event::Begun(phase));
    let began = Instant::now();
    let (value, words) = work(tell).with_context(|| phase.what().to_owned())?;
    tell(Event::Done { phase, words, took: began.elapsed() });
    Ok(value)
}

fn sizes(index: &Path) -> Result<String> {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(index)?)?;
    let each = index["images"].as_array().into_iter().flatten();
    Ok(bytes(each.filter_map(|image| image["size_bytes"].as_u64()).sum()))
}

/// A size for a person: `1.5 GiB`, `151 MB`.
pub fn bytes(bytes: u64) -> String {
    let number = bytes as f64;
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 29) => {
            format!("{:.1} GiB", number / f64::from(1 << 30)).replace(".0 ", " ")
        }
        0..1_000_000 => format!("{:.0} kB", number / 1e3),
        1_000_000..20_000_000 => format!("{:.1} MB", number / 1e6),
        20_000_000..2_000_000_000 => format!("{:.0} MB", number / 1e6),
        _ => format!("{:.1} GiB", number / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_short_and_round() {
        let shown = [8 << 30, 3 << 29, 8_520_708_096, 129_017_533, 8_174_138, 1 << 20, 16_896].map(bytes);
        assert_eq!(shown, ["8 GiB", "1.5 GiB", "7.9 GiB", "129 MB", "8.2 MB", "1.0 MB", "17 kB"]);
    }
}
