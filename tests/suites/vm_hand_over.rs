//! Success first, then down: with the real agent, in a machine of its own, again and again.
//!
//! A machine is brought to where its agent asks for work, and saved. From there it goes on in every run: the agent is
//! served a Workflow of kexec-reboot alone. When its SUCCESS reached the server and when the kernel was gone are both told by
//! the host's clock. `RUNS` says how many runs there are with each engine (2), `TABLE` where their table is written.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nibs_tests::agent_os::{AgentOs, REGISTRY};
use nibs_tests::binaries::top;
use nibs_tests::os::Engine;
use nibs_tests::registry::Registry;
use nibs_tests::relay::Relay;
use nibs_tests::tinkerbell::{Server, State};
use nibs_tests::vm::{Exit, Nic, Snapshot, Vm};

const MAC: &str = "52:54:00:12:34:56";
const ACTION: &str = "kexec-reboot";
/// What the action waits for after its container is gone: its default. With 2 the agent was too late in one run of 16, on
/// a machine that had four times as much to do as it could.
const WAIT_SECONDS: u32 = 10;

// Four times and more of what was seen, emulated on two cores.
const FIRST_SUCCESS: Duration = Duration::from_secs(180);
const SUCCESS: Duration = Duration::from_secs(90);
const GOING_DOWN: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);

/// What the agent logs of each question that got no answer.
const SERVER_IS_GONE: &str = "error reading/retrieving action";

/// One run.
struct Run {
    /// From the success's arrival at the server until the kernel was gone.
    between: Duration,
    /// How long the run took, from the restored machine to its end.
    took: Duration,
}

fn runs() -> usize {
    match std::env::var("RUNS").as_deref() {
        Ok("") | Err(_) => 2,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("RUNS is {text:?}; it can be a number")),
    }
}

/// A Workflow of the action alone, with its Template and Hardware.
fn workflow(folder: &Path, name: &str, mode: &str) -> Result<PathBuf> {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "apiVersion: tinkerbell.org/v1alpha1
kind: Workflow
metadata: {{name: {name}}}
spec:
  templateRef: hand-over
  hardwareRef: node-1
  hardwareMap: {{device_1: \"{MAC}\"}}
---
apiVersion: tinkerbell.org/v1alpha1
kind: Hardware
metadata: {{name: node-1}}
spec:
  interfaces: [{{dhcp: {{mac: \"{MAC}\"}}}}]
---
apiVersion: tinkerbell.org/v1alpha1
kind: Template
metadata: {{name: hand-over}}
spec:
  data: |
    version: \"0.1\"
    name: hand-over
    global_timeout: 600
    tasks:
      - name: hand-over
        worker: \"{{{{.device_1}}}}\"
        volumes: [\"/dev:/dev\", \"/dev/console:/dev/console\"]
        actions:
          - name: {ACTION}
            image: {REGISTRY}/{ACTION}:{version}
            timeout: 60
            pid: host
            # There is no disk whose system could be looked at.
            environment: {{REBOOT_MODE: {mode}, WAIT_SECONDS: \"{WAIT_SECONDS}\", VERIFY_BOOT: \"false\"}}
"
    );
    let path = folder.join("workflow.yaml");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// A machine whose agent asks for work, as often as is wanted.
struct Prepared {
    folder: PathBuf,
    snapshot: Snapshot,
    /// Where the agent believes the server is.
    relay: Relay,
    /// For an image that is asked for once more.
    _registry: Registry,
}

impl Prepared {
    /// Boots the machine and has the agent run the action once in a mode that leaves the machine up: the agent is ready then,
    /// and has the image.
    fn new(engine: Engine) -> Result<Self> {
        let folder = top().join("target/hand-over").join(engine.name());
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let registry = Registry::start()?;
        registry.push_layout(&top().join("target/oci").join(ACTION), ACTION, env!("CARGO_PKG_VERSION"))?;
        let mut server = Server::start(&folder, &[&workflow(&folder, "prepare", "none")?])?;
        let relay = Relay::start(server.address())?;
        let agent_os = AgentOs { engine, id: MAC, server: relay.address(), registry: registry.address() };
        let vm = Vm::new(&format!("hand-over-{}", engine.name()))
            .folder(folder.join("machine"))
            .memory_mib(2048)
            .nic(Nic::new(MAC));
        let vm = agent_os.on(vm, &folder.join("agent.log"), &folder.join("processes.txt"))?;
        let machine = ready(&vm, &mut server).or_else(|error| {
            eprintln!("the machine did not get ready, so it is started once more: {error:#}");
            server = Server::start(&folder, &[&workflow(&folder, "prepare", "none")?])?;
            relay.lead_to(server.address())?;
            ready(&vm, &mut server)
        })?;
        // The answer to its report was one: then it asks for work again, and again.
        let (mut seen, mut answers) = (relay.answered_bytes(), 0);
        machine.wait_until("question of the agent for work", PATIENCE, || {
            answers += u32::from(relay.answered_bytes() > seen);
            seen = relay.answered_bytes();
            answers >= 3
        })?;
        // A connection does not outlive the save, and an agent that waits for an answer on one would wait for hours: so it
        // is taken away before, and the agent is saved while it tries for another.
        relay.cut();
        machine.wait_until("word of the agent that its server is gone", PATIENCE, || {
            fs::read_to_string(folder.join("agent.log")).is_ok_and(|log| log.contains(SERVER_IS_GONE))
        })?;
        let snapshot = Snapshot::take(machine, &vm)?;
        Ok(Self { folder, snapshot, relay, _registry: registry })
    }

    fn run(&self, number: usize) -> Result<Run> {
        let began = Instant::now();
        let name = format!("run-{number}");
        let mut server = Server::start(&self.folder, &[&workflow(&self.folder, &name, "reboot")?])?;
        self.relay.lead_to(server.address())?;
        let machine = self.snapshot.restore()?;
        let success = server.wait(SUCCESS, |reports| {
            let success = reports.iter().find(|report| report.state == State::Success);
            ensure!(success.is_some() || machine.runs(), "the machine was down before its success was known");
            Ok(success.cloned())
        });
        let success = success.map_err(|error| machine.fault(error.context(self.agents_last_words())))?;
        let exit = machine.wait_for_exit(GOING_DOWN)?;
        self.relay.cut();
        ensure!(exit == Exit::Reboot, machine.fault(anyhow!("it ended by {exit:?}, not by a reboot")));
        // A panic ends the machine the same way. The kernel's own last line is not always out before QEMU ends.
        let panicked = machine.console_text().contains("Kernel panic");
        ensure!(!panicked, machine.fault(anyhow!("its kernel did not reboot, but panicked")));
        let gone = machine.went_down_at().context("no word of QEMU when the machine went down")?;
        let between = gone.duration_since(success.taken_at()).map_err(|error| {
            let millis = error.duration().as_millis();
            machine.fault(anyhow!("the kernel was gone {millis} ms before the success reached the server"))
        })?;
        Ok(Run { between, took: began.elapsed() })
    }
}

impl Prepared {
    fn agents_last_words(&self) -> String {
        let log = fs::read(self.folder.join("agent.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        format!("the agent's last line: {}", text.lines().last().unwrap_or("none"))
    }
}

/// Boots the machine, and waits for the action's first success.
fn ready(vm: &Vm, server: &mut Server) -> Result<nibs_tests::vm::Machine> {
    let machine = vm.start()?;
    let success = server.wait_for(ACTION, State::Success, FIRST_SUCCESS);
    success.map_err(|error| machine.fault(error))?;
    Ok(machine)
}

fn all(engine: Engine, runs: usize) -> Result<Vec<Run>> {
    let began = Instant::now();
    let prepared = Prepared::new(engine)?;
    eprintln!("{}: ready and saved after {:.1} s", engine.name(), began.elapsed().as_secs_f64());
    (1..=runs)
        .map(|number| {
            let run = prepared.run(number).with_context(|| format!("{}, run {number}", engine.name()))?;
            let (between, took) = (run.between.as_secs_f64(), run.took.as_secs_f64());
            eprintln!("{}, run {number}: {between:.3} s, all of it {took:.1} s", engine.name());
            Ok(run)
        })
        .collect()
}

/// The runs as a document.
fn table(all: &[(Engine, Vec<Run>)], runs: usize) -> String {
    let mut text = format!(
        "# Success first, then down

A machine whose agent asks for work is restored from a snapshot, and the agent is served a Workflow of kexec-reboot alone
(`REBOOT_MODE=reboot`, `WAIT_SECONDS={WAIT_SECONDS}`). Each figure is the time from the moment at which SUCCESS reached the server until the
guest's kernel was gone (QEMU's reset event), both by the host's clock, in seconds. A kernel that goes first fails the run.

Made by `make test-hand-over RUNS={runs}`. The agent is tink-agent v0.25.0; the guest has two emulated processors and cgroup v2.

| agent | runs | success came first | least | median | most |
|---|---|---|---|---|---|
"
    );
    let mut row = |engine: &str, each: &[Run]| {
        let mut sorted: Vec<f64> = each.iter().map(|run| run.between.as_secs_f64()).collect();
        sorted.sort_by(f64::total_cmp);
        let [Some(least), Some(most)] = [sorted.first(), sorted.last()] else { return };
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let count = sorted.len();
        writeln!(text, "| {engine} | {count} | {count} | {least:.3} | {median:.3} | {most:.3} |")
            .expect("a String takes everything");
    };
    for (engine, each) in all {
        row(engine.name(), each);
    }
    text += "\n| run |";
    for (engine, _) in all {
        text += &format!(" {} |", engine.name());
    }
    text += "\n|---|";
    text += &"---|".repeat(all.len());
    text.push('\n');
    for number in 0..runs {
        let figures: Vec<String> =
            all.iter().map(|(_, each)| format!("{:.3}", each[number].between.as_secs_f64())).collect();
        text += &format!("| {} | {} |\n", number + 1, figures.join(" | "));
    }
    text
}

#[test]
fn vm_success_is_at_the_server_before_the_kernel_goes() {
    let runs = runs();
    let all: Vec<(Engine, Vec<Run>)> = [Engine::Containerd, Engine::Docker]
        .into_iter()
        .map(|engine| {
            (engine, all(engine, runs).unwrap_or_else(|error| panic!("{}: {error:#}", engine.name())))
        })
        .collect();
    let text = table(&all, runs);
    println!("{text}");
    for (engine, each) in &all {
        assert_eq!(each.len(), runs, "{}", engine.name());
        // The wait is the action's promise, and the agent's report takes less than it.
        assert!(each.iter().all(|run| run.between > Duration::ZERO), "{}", engine.name());
    }
    if let Some(file) = std::env::var_os("TABLE").filter(|file| !file.is_empty()) {
        // A suite runs in its crate's folder.
        let file = top().join(file);
        fs::write(&file, text).unwrap_or_else(|error| panic!("writing {}: {error}", file.display()));
    }
}
