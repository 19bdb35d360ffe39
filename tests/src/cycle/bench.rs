//! What a cycle runs on: servers, objects and a machine, which several attempts may use one after another.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::disk_file::{DISK_BYTES, DiskFile};
use super::objects::{Change, FIRST_ADDRESS, FIRST_MAC, Objects, SECOND_MAC};
use super::setup::{Firmware, Going, Setup};
use super::{Event, Phase, Tell, Web, agent_log, bytes, phase, sizes, token_on_disk};
use crate::agent_os::{AgentOs, REGISTRY, seen_by_guest};
use crate::os::{self, DebianImage};
use crate::registry::Registry;
use crate::relay::Relay;
use crate::tinkerbell::{Report, Server, State};
use crate::vm::{Accel, Disk, Exit, Fault, Machine, Nic, SshKey, Target, Vm};

const MEMORY_MIB: u32 = 4096;
const PROCESSORS: u32 = 2;
/// The serial number of the disk that a system is installed on.
const SERIAL: &str = "NIBS0001";

// Four times and more of what was seen, emulated on two cores.
const FIRST_REPORT: Duration = Duration::from_secs(150);
const WORKFLOW: Duration = Duration::from_secs(15 * 60);
const GOING_DOWN: Duration = Duration::from_secs(120);
const LOGIN: Duration = Duration::from_secs(300);

/// Everything around a machine. The image server and the registry stand behind relays, so that they can be gone.
pub struct Bench {
    /// Where the logs go.
    pub folder: PathBuf,
    /// What the machine is.
    pub setup: Setup,
    /// The objects.
    pub objects: Objects,
    /// The machine's files.
    pub disk: DiskFile,
    /// What leads to the image server.
    pub image_relay: Relay,
    /// What leads to the registry.
    pub registry_relay: Relay,
    /// The image that is installed.
    pub image: DebianImage,
    /// The registry.
    pub registry: Registry,
    /// The image server.
    pub web: Web,
    index: PathBuf,
    key: SshKey,
}

impl Bench {
    /// Starts the servers, writes the objects and makes the disk. `folder` is empty and gets every log.
    ///
    /// # Errors
    /// When something of it cannot be made.
    pub(super) fn new(folder: &Path, index: &Path, setup: Setup, tell: Tell<'_>) -> Result<Self> {
        let registry = phase(tell, Phase::Images, |_| {
            let registry = Registry::start()?;
            let names = registry.push(index)?;
            let words =
                format!("{} images, {} together, pushed to one on 127.0.0.1", names.len(), sizes(index)?);
            Ok((registry, words))
        })?;
        let image = phase(tell, Phase::Systems, |_| {
            let image = os::debian_of(setup.image)?;
            let size = |path: &Path| Ok::<_, std::io::Error>(bytes(fs::metadata(path)?.len()));
            let words = format!("debian 12, {}, .raw.zst {}", size(&image.raw)?, size(&image.zst)?);
            Ok((image, words))
        })?;
        let key = SshKey::generate()?;
        let web = Web::serve(&os::folder(), &folder.join("http.log"))?;
        let (image_relay, registry_relay) = (Relay::start(web.address())?, Relay::start(registry.address())?);
        let name = image.zst.file_name().context("the image has a name")?.to_string_lossy();
        let url = format!("http://{}/{name}", seen_by_guest(image_relay.address()));
        let objects = Objects::write(&url, &setup, &key)?;
        let disk = phase(tell, Phase::Machine, |_| {
            let accelerated = match Accel::detect()? {
                Accel::Kvm => "KVM",
                Accel::Tcg => "emulated (no KVM)",
            };
            let words = format!(
                "{PROCESSORS} cores, {} GiB, {}, {accelerated}, {} disk: old GPT, ext4, LVM, swap",
                MEMORY_MIB / 1024,
                setup.firmware,
                bytes(DISK_BYTES)
            );
            Ok((DiskFile::make(folder, setup.older_system)?, words))
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            setup,
            objects,
            disk,
            image_relay,
            registry_relay,
            image,
            registry,
            web,
            index: index.to_owned(),
            key,
        })
    }

    /// The machine without what it boots. Its cards stand in the other order than in the Hardware, so that a name or a
    /// number would lead to the wrong one.
    fn vm(&self, name: &str, faults: &[Fault]) -> Vm {
        let address = FIRST_ADDRESS.split('/').next().unwrap_or_default();
        let disk = |file: &Path, serial| {
            let blocks = self.setup.image.logical_block_bytes;
            Disk::raw(file).bus(self.setup.bus).serial(serial).logical_block_bytes(blocks)
        };
        let first = faults.iter().cloned().fold(disk(&self.disk.file, SERIAL), Disk::fault);
        let mut vm = Vm::new(name)
            .folder(self.folder.join(name))
            .memory_mib(MEMORY_MIB)
            .processors(PROCESSORS)
            .disk(first)
            .nic(Nic::new(SECOND_MAC).network("192.0.2.0/24"))
            .nic(Nic::new(FIRST_MAC).forward(address, 22));
        if let Some(older) = &self.disk.older {
            vm = vm.disk(disk(older, "NIBS0002").logical_block_bytes(512));
        }
        match self.setup.firmware {
            Firmware::Bios => vm,
            Firmware::Uefi => vm.uefi(&self.disk.efi_variables),
        }
    }

    /// Has `nibs` make the Workflow, with `changes`, serves it, and boots the in-memory OS until its agent has begun.
    ///
    /// # Errors
    /// When one of them fails, or the agent gives no sign, twice.
    pub fn attempt(
        &self,
        name: &str,
        changes: &[Change],
        faults: &[Fault],
        tell: Tell<'_>,
    ) -> Result<Attempt> {
        let mode = Change::Variable {
            action: "kexec-reboot",
            name: "REBOOT_MODE",
            value: self.setup.going.mode().to_owned(),
        };
        let changes: Vec<Change> = changes.iter().cloned().chain([mode]).collect();
        let mut server = phase(tell, Phase::Check, |_| {
            let (files, said) = self.objects.make_workflow(&self.index, REGISTRY, &changes)?;
            let server =
                Server::start(&self.folder, &files.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
            let said = if said.is_empty() { "0 errors".to_owned() } else { said.replace('\n', "; ") };
            Ok((server, format!("seed, 1 Hardware, 1 MachineDeployment, user-data: {said}")))
        })?;
        let file = |suffix: &str| {
            self.folder.join(if name == IN_MEMORY_OS {
                suffix.to_owned()
            } else {
                format!("{name}-{suffix}")
            })
        };
        let log = file("agent.log");
        let agent_os = AgentOs {
            engine: self.setup.engine,
            id: FIRST_MAC,
            server: server.address(),
            registry: self.registry_relay.address(),
        };
        let vm = agent_os.on(self.vm(name, faults), &log, &file("in-memory-os-processes.txt"))?;
        let machine = first_sign(&vm, &mut server).or_else(|error| {
            tell(Event::Word(format!("the machine gave no sign, so it is started once more ({error:#})")));
            first_sign(&vm, &mut server)
        })?;
        Ok(Attempt { machine, server, log, told: 0 })
    }

    /// Gives the installed system, once it is up and somebody can log in: booted from the disk after a machine that has gone
    /// down, or on the machine that goes on with another kernel. Also gives whether the machine was up when its success was
    /// known, and where secrets stood on the disk before it booted, see [`Finished`](super::Finished).
    ///
    /// # Errors
    /// When the machine does not go down, or nobody can log in.
    pub(super) fn boot_installed(
        &self,
        attempt: Attempt,
        tell: Tell<'_>,
    ) -> Result<(Target, bool, Option<Vec<u64>>)> {
        let machine = attempt.machine;
        let success_came_first = machine.runs();
        if self.setup.going == Going::Kexec {
            let target = Target::of(machine, self.key.clone(), "debian", LOGIN)?;
            return Ok((target, success_came_first, None));
        }
        let exit = machine.wait_for_exit(GOING_DOWN)?;
        ensure!(exit == Exit::Reboot, machine.fault(anyhow!("ended by {exit:?} instead of a reboot")));
        drop(machine);
        let found =
            token_on_disk::outside_the_seed(&self.disk.file, self.setup.image, &self.objects.secrets())?;
        if let Some((_, inside)) = &found {
            ensure!(*inside > 0, "no secret was found in the seed, so the search is of no use");
        }
        let outside_the_seed = found.map(|(outside, _)| outside);
        let vm = self.vm("node", &[]);
        let target = Target::boot(&vm, &self.key, "debian", LOGIN, |word| tell(Event::Word(word)))?;
        Ok((target, success_came_first, outside_the_seed))
    }
}

/// The name of a cycle's only attempt, and the beginning of its logs' names.
pub(super) const IN_MEMORY_OS: &str = "in-memory-os";

/// A machine with the in-memory OS, whose agent has begun a Workflow.
pub struct Attempt {
    /// The machine.
    pub machine: Machine,
    server: Server,
    log: PathBuf,
    told: usize,
}

impl Attempt {
    /// Tells of each report until `there` gives something; looks ten times a second, also without a new report.
    ///
    /// # Errors
    /// When that takes too long, the machine ends, or the Workflow ends and `there` still gives nothing.
    pub fn follow<T>(&mut self, tell: Tell<'_>, mut there: impl FnMut(&[Report]) -> Option<T>) -> Result<T> {
        let Self { machine, server, log, told } = self;
        let followed = server.wait(WORKFLOW, |reports| {
            for report in &reports[*told..] {
                let words = report.state.is_end().then(|| last_words(log, &report.action)).flatten();
                tell(Event::Action { report: report.clone(), words });
            }
            *told = reports.len();
            if let Some(found) = there(reports) {
                return Ok(Some(found));
            }
            if let Some(last) = reports.last().filter(|last| last.workflow.is_end()) {
                let words = last_words(log, &last.action).unwrap_or_else(|| "it said nothing".to_owned());
                bail!("{} ended as {:?}: {words}", last.action, last.state);
            }
            ensure!(machine.runs(), "the machine ended before the Workflow");
            Ok(None)
        });
        followed.map_err(|error| machine.fault(error))
    }

    /// Tells of each report until the Workflow has ended well, and gives them all.
    ///
    /// # Errors
    /// When it ends otherwise, with what the action said last.
    pub fn succeed(&mut self, tell: Tell<'_>) -> Result<Vec<Report>> {
        self.follow(tell, |reports| {
            reports.last().is_some_and(|last| last.workflow == State::Success).then(|| reports.to_vec())
        })
    }

    /// Tells of each report until `action` has ended the Workflow in `state`, and gives the last line of its log as JSON.
    ///
    /// # Errors
    /// When the Workflow ends otherwise.
    pub fn fail(&mut self, action: &str, state: State, tell: Tell<'_>) -> Result<Option<serde_json::Value>> {
        self.follow(tell, |reports| {
            reports
                .last()
                .is_some_and(|last| last.action == action && last.state == state && last.workflow.is_end())
                .then_some(())
        })?;
        Ok(agent_log::last_line(&self.agent_log(), action))
    }

    /// What the agent logged so far.
    pub fn agent_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
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

/// What the action said last; its line may come a moment after the agent's report.
fn last_words(log: &Path, action: &str) -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        let text = fs::read(log).unwrap_or_default();
        let words = agent_log::last_words(&String::from_utf8_lossy(&text), action);
        if words.is_some() || Instant::now() >= deadline {
            return words;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
