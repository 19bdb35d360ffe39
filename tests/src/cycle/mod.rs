//! The whole way, from a Hardware object to a booted node.
//!
//! [`run`] takes what a KKP user has to what the node says of itself: `nibs` makes the Workflow, a registry and an HTTP
//! server on the host have the images, a virtual machine with a dirty disk boots the in-memory OS, the real agent runs
//! the actions there, the machine reboots, and boots from its disk by UEFI.

mod agent_log;
mod dirty_disk;
mod event;
mod leaks;
mod node;
mod objects;
mod shortcomings;
mod web;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::binaries::top;
use crate::os;
use crate::registry::Registry;
use crate::tinkerbell::{self, Report, Server, State};
use crate::vm::{Accel, Bus, Disk, Exit, Machine, Nic, SshKey, Target, Vm};

pub use event::{Event, Phase};
pub use leaks::Leak;
pub use node::{Link, Node};
pub use objects::{
    FIRST_ADDRESS, FIRST_MAC, GATEWAY, NAME, NAME_SERVERS, Objects, SECOND_ADDRESS, SECOND_MAC,
};
pub use web::Web;

use leaks::ProcessList;
use objects::seen_by_guest;

/// The disk of the machine: larger than the image, so that there is something to grow into.
const DISK_BYTES: u64 = 8 << 30;
const MEMORY_MIB: u32 = 4096;
const PROCESSORS: u32 = 2;
/// The registry's address in the guest, from where it is forwarded to the host's.
const REGISTRY_IN_GUEST: &str = "127.0.0.1:5000";

// Four times and more of what was seen, emulated on two cores.
const FIRST_REPORT: Duration = Duration::from_secs(150);
const WORKFLOW: Duration = Duration::from_secs(15 * 60);
const GOING_DOWN: Duration = Duration::from_secs(120);
const LOGIN: Duration = Duration::from_secs(300);
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
    /// Goes after the machine that runs from it.
    _disk: DiskFile,
}

impl Finished {
    /// Everything that is not as the objects asked for, or as it must always be, a sentence each.
    pub fn shortcomings(&self) -> Vec<String> {
        let mut wrong = shortcomings::of_node(&self.node, &self.bootstrap_proof);
        if !self.success_came_first {
            wrong.push("the machine was down before its success was known".to_owned());
        }
        wrong.extend(self.leaks.iter().map(|leak| format!("a secret stands at {leak}")));
        wrong
    }
}

/// Whoever watches a run.
type Tell<'a> = &'a mut dyn FnMut(Event);

/// The index file that `make images` writes.
pub fn image_index() -> PathBuf {
    top().join("target/oci/index.json")
}

/// Goes the whole way, with the images that `index` lists. `folder` is emptied, and gets every log; `tell` gets to know
/// each step as it happens.
///
/// # Errors
/// When a step fails or takes too long. The message says which, and what was seen last.
pub fn run(folder: &Path, index: &Path, tell: Tell<'_>) -> Result<Finished> {
    let _alone = alone(folder)?;
    clear(folder)?;
    let processes = ProcessList::begin(folder.join("processes.txt"));

    let registry = phase(tell, Phase::Images, |_| {
        let registry = Registry::start()?;
        let names = registry.push(index)?;
        Ok((
            registry,
            format!("{} images, {} together, pushed to one on 127.0.0.1", names.len(), sizes(index)?),
        ))
    })?;
    let (image, memory_os) = phase(tell, Phase::Systems, |_| {
        let (image, memory_os) = (os::debian()?, os::with_agent(&tinkerbell::agent()?)?);
        let size = |path: &Path| Ok::<_, std::io::Error>(bytes(fs::metadata(path)?.len()));
        let words = format!(
            "debian 12, {}, .raw.zst {}; in-memory OS {}",
            size(&image.raw)?,
            size(&image.zst)?,
            size(&memory_os.initrd)?
        );
        Ok(((image, memory_os), words))
    })?;
    let key = SshKey::generate()?;
    let web = Web::serve(&os::folder(), &folder.join("http.log"))?;
    let (objects, mut server) = phase(tell, Phase::Check, |_| {
        let name = image.zst.file_name().context("the image has a name")?.to_string_lossy();
        let objects = Objects::write(&format!("http://{}/{name}", seen_by_guest(web.address())), &key)?;
        let (files, said) = objects.make_workflow(index, REGISTRY_IN_GUEST)?;
        let server = Server::start(folder, &files.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
        let said = if said.is_empty() { "0 errors".to_owned() } else { said.replace('\n', "; ") };
        Ok(((objects, server), format!("seed, 1 Hardware, 1 MachineDeployment, user-data: {said}")))
    })?;
    let disk = phase(tell, Phase::Machine, |_| {
        let accelerated = match Accel::detect()? {
            Accel::Kvm => "KVM",
            Accel::Tcg => "emulated (no KVM)",
        };
        let words = format!(
            "{PROCESSORS} cores, {} GiB, UEFI, {accelerated}, {} disk: old GPT, ext4, LVM, swap",
            MEMORY_MIB / 1024,
            bytes(DISK_BYTES)
        );
        Ok((DiskFile::make(folder)?, words))
    })?;

    let bench = Bench { folder, disk: &disk, registry: &registry };
    let (reports, success_came_first) = bench.provision(&memory_os, &mut server, tell)?;
    drop(server);

    let began = Instant::now();
    let (target, node) = phase(tell, Phase::Boot, |tell| {
        let target = bench.boot(&key, tell)?;
        target.wait_for_cloud_init(CLOUD_INIT)?;
        let node = Node::ask(&target)?;
        let words = format!("{} from its disk", node.hostname);
        Ok(((target, node), words))
    })?;
    let boot_took = began.elapsed();
    keep_logs_of(&target, folder)?;
    processes.end()?;
    let (leaks, logs) = leaks::search(folder, &objects.secrets())?;
    let bootstrap_proof = objects.bootstrap_proof();
    Ok(Finished {
        node,
        target,
        boot_took,
        reports,
        success_came_first,
        bootstrap_proof,
        leaks,
        logs,
        _disk: disk,
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

/// What the machine is made of.
struct Bench<'a> {
    folder: &'a Path,
    disk: &'a DiskFile,
    registry: &'a Registry,
}

impl Bench<'_> {
    /// The machine without what it boots. Its cards stand in the other order than in the Hardware, so that a name or a
    /// number would lead to the wrong one.
    fn vm(&self, name: &str) -> Vm {
        let address = FIRST_ADDRESS.split('/').next().unwrap_or_default();
        Vm::new(name)
            .folder(self.folder.join(name))
            .memory_mib(MEMORY_MIB)
            .processors(PROCESSORS)
            .uefi(&self.disk.efi_variables)
            .disk(Disk::raw(&self.disk.file).bus(Bus::Nvme).serial("NIBS0001"))
            .nic(Nic::new(SECOND_MAC).network("192.0.2.0/24"))
            .nic(Nic::new(FIRST_MAC).forward(address, 22))
    }

    /// Boots the in-memory OS and waits until the Workflow has succeeded and the machine has gone down to reboot.
    fn provision(
        &self,
        os: &os::MemoryOs,
        server: &mut Server,
        tell: Tell<'_>,
    ) -> Result<(Vec<Report>, bool)> {
        let agent_log = self.folder.join("agent.log");
        let command_line = format!(
            "nibs.mode=agent nibs.server={} nibs.registry={} nibs.id={FIRST_MAC}",
            seen_by_guest(server.address()),
            seen_by_guest(self.registry.address()),
        );
        let vm = self
            .vm("in-memory-os")
            .kernel(&os.kernel, &os.initrd, &command_line)
            .log_port("nibs.log", &agent_log)
            .log_port("nibs.processes", self.folder.join("in-memory-os-processes.txt"));
        let machine = first_sign(&vm, server).or_else(|error| {
            tell(Event::Word(format!("the machine gave no sign, so it is started once more ({error:#})")));
            first_sign(&vm, server)
        })?;
        let reports = follow(server, &machine, &agent_log, tell)?;
        let success_came_first = machine.runs();
        let exit = machine.wait_for_exit(GOING_DOWN)?;
        ensure!(exit == Exit::Reboot, machine.fault(anyhow!("ended by {exit:?} instead of a reboot")));
        Ok((reports, success_came_first))
    }

    /// Boots from the disk.
    fn boot(&self, key: &SshKey, tell: Tell<'_>) -> Result<Target> {
        let vm = self.vm("node");
        Target::boot(&vm, key, "debian", LOGIN, |word| tell(Event::Word(word)))
    }
}

/// Starts the machine and waits for the agent's first report.
fn first_sign(vm: &Vm, server: &mut Server) -> Result<Machine> {
    let machine = vm.start()?;
    let came = server.wait(FIRST_REPORT, |reports| {
        ensure!(machine.runs(), "it ended");
        Ok((!reports.is_empty()).then_some(()))
    });
    came.map_err(|error| machine.fault(error))?;
    Ok(machine)
}

/// Tells of each report until the Workflow has ended.
fn follow(server: &mut Server, machine: &Machine, agent_log: &Path, tell: Tell<'_>) -> Result<Vec<Report>> {
    let mut told = 0;
    let ended = server.wait(WORKFLOW, |reports| {
        for report in &reports[told..] {
            let words = report.state.is_end().then(|| last_words(agent_log, &report.action)).flatten();
            tell(Event::Action { report: report.clone(), words });
        }
        told = reports.len();
        let ended = reports.last().is_some_and(|last| last.workflow.is_end());
        ensure!(ended || machine.runs(), "the machine ended before the Workflow");
        Ok(ended.then(|| reports.to_vec()))
    });
    let reports = ended.map_err(|error| machine.fault(error))?;
    let last = reports.last().context("the Workflow ended without a report")?;
    if last.workflow != State::Success {
        let words = last_words(agent_log, &last.action).unwrap_or_else(|| "it said nothing".to_owned());
        bail!("{} ended as {:?}: {words}", last.action, last.state);
    }
    Ok(reports)
}

/// What the action said last; its line may come a moment after the agent's report.
fn last_words(agent_log: &Path, action: &str) -> Option<String> {
    for _ in 0..10 {
        let log = fs::read(agent_log).unwrap_or_default();
        if let Some(words) = agent_log::last_words(&String::from_utf8_lossy(&log), action) {
            return Some(words);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    None
}

/// The machine's disk and its firmware's variables. They go with it, unless `NIBS_KEEP` is set.
struct DiskFile {
    file: PathBuf,
    efi_variables: PathBuf,
    folder: PathBuf,
}

impl DiskFile {
    /// Beside the folder of the logs, not in it.
    fn make(logs: &Path) -> Result<Self> {
        let folder = logs.with_extension("disk");
        clear(&folder).with_context(|| format!("making {}", folder.display()))?;
        let disk =
            Self { file: folder.join("disk.raw"), efi_variables: folder.join("efi-variables.fd"), folder };
        dirty_disk::write(&disk.file, DISK_BYTES)?;
        Ok(disk)
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        if std::env::var_os("NIBS_KEEP").is_none()
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            eprintln!("removing {}: {error}", self.folder.display());
        }
    }
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
