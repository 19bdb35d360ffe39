//! kexec-reboot in a real container by runc. The machine that it takes down is a process namespace of the test's own:
//! reboot(2) in one ends its first process by SIGHUP, power-off by SIGINT (pid_namespaces(7)).

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};
use std::time::{Duration, SystemTime};

use nibs_tests::binaries::binary;
use nibs_tests::loop_device::run;
use nibs_tests::outcome::Outcome;
use serde_json::{Value, json};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;

/// All that the hand-over and runc need; not CAP_SYS_RESOURCE, which the first process may not have to give.
const CAPABILITIES: &[&str] =
    &["CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"];

struct Container<'a> {
    environment: Vec<&'a str>,
    /// A folder of the host as the volume /worker.
    worker: Option<&'a Path>,
    /// How many tenths of a second the machine lives longer than the action, if it is let.
    tenths_after: u32,
    host_processes: bool,
    capabilities: Vec<&'static str>,
}

struct Ended {
    action: Outcome,
    /// When runc was done with it.
    action_ended: SystemTime,
    /// How the machine's first process ended.
    machine: ExitStatus,
    /// Whether it was still running some seconds after the action's end.
    survived: bool,
    /// From the container's end to the machine's.
    between: Option<Duration>,
}

impl Default for Container<'_> {
    fn default() -> Self {
        Self {
            environment: vec!["WAIT_SECONDS=5"],
            worker: None,
            tenths_after: 90,
            host_processes: true,
            capabilities: CAPABILITIES.to_vec(),
        }
    }
}

impl Container<'_> {
    /// Runs the action as the only container of a machine.
    fn run(&self) -> Ended {
        let folder = tempfile::Builder::new().prefix("nibs-container-").tempdir().unwrap();
        let at = folder.path();
        let root = at.join("rootfs");
        for name in ["proc", "sys", "dev"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy(binary("kexec-reboot"), root.join("kexec-reboot")).unwrap();
        run(Command::new("runc").arg("spec").current_dir(at));
        let mut config: Value = serde_json::from_slice(&fs::read(at.join("config.json")).unwrap()).unwrap();
        self.shape(&mut config);
        fs::write(at.join("config.json"), config.to_string()).unwrap();

        let name = at.file_name().unwrap().to_str().unwrap();
        let script = format!(
            "runc --root {at}/state run --bundle {at} {name} > {at}/out 2> {at}/err; echo $? > {at}/code\n\
             for i in $(seq {tenths}); do date +%s.%N >> {at}/alive; sleep 0.1; done; touch {at}/survived",
            at = at.display(),
            tenths = self.tenths_after
        );
        let machine = Command::new("timeout")
            .args([
                "--kill-after=5",
                "60",
                "unshare",
                "--pid",
                "--mount",
                "--fork",
                "--mount-proc",
                "--kill-child",
            ])
            .args(["sh", "-c", &script])
            .status()
            .unwrap();
        let read = |name: &str| fs::read(at.join(name)).unwrap_or_default();
        let code: i32 =
            String::from_utf8(read("code")).unwrap().trim().parse().expect("runc ended before the machine");
        let output =
            Output { status: ExitStatus::from_raw(code << 8), stdout: read("out"), stderr: read("err") };
        // Appended, so that what was written before is there also when the machine goes in the middle of a line.
        let alive = String::from_utf8(read("alive")).unwrap();
        let last = alive.split_inclusive('\n').rfind(|line| line.ends_with('\n'));
        let action_ended = fs::metadata(at.join("code")).unwrap().modified().unwrap();
        let ended = action_ended.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let between =
            last.map(|line| Duration::from_secs_f64((line.trim().parse::<f64>().unwrap() - ended).max(0.0)));
        Ended {
            action: Outcome::read(&output),
            action_ended,
            machine,
            survived: at.join("survived").exists(),
            between,
        }
    }

    fn shape(&self, config: &mut Value) {
        let process = &mut config["process"];
        process["args"] = json!(["/kexec-reboot"]);
        process["terminal"] = json!(false);
        // The firmware is the real machine's, whose boot entries are none of a test's business.
        let environment = self.environment.iter().copied().chain(["SET_BOOT_NEXT=false"]);
        process["env"] = environment.collect();
        for set in ["bounding", "effective", "permitted"] {
            process["capabilities"][set] = json!(self.capabilities);
        }
        process["capabilities"]["ambient"] = json!([]);
        config["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| ["/proc", "/dev", "/sys"].contains(&mount["destination"].as_str().unwrap()));
        if let Some(worker) = self.worker {
            let mount = json!({"destination": "/worker", "source": worker, "type": "bind", "options": ["rbind", "rw"]});
            config["mounts"].as_array_mut().unwrap().push(mount);
        }
        let linux = config["linux"].as_object_mut().unwrap();
        linux.remove("maskedPaths");
        linux.remove("readonlyPaths");
        let mut namespaces = vec![json!({"type": "mount"}), json!({"type": "ipc"}), json!({"type": "uts"})];
        if !self.host_processes {
            namespaces.push(json!({"type": "pid"}));
        }
        linux.insert("namespaces".into(), namespaces.into());
    }
}

/// `timeout` and `unshare` end as their child did.
fn ended_by(status: ExitStatus, signal: i32) -> bool {
    status.signal() == Some(signal) || status.code() == Some(128 + signal)
}

#[test]
fn container_success_comes_first_and_then_the_machine_reboots() {
    let ended = Container::default().run();
    assert_eq!(ended.action.succeeded(), "the machine reboots 5 s after this container is gone");
    assert!(
        ended.action.text.contains("REBOOT_MODE=auto: no kexec, so the machine reboots: "),
        "{}",
        ended.action.text
    );
    assert!(ended_by(ended.machine, SIGHUP), "{:?}", ended.machine);
    assert!(!ended.survived);
    let between = ended.between.expect("the machine was seen alive after the container's end");
    assert!(between >= Duration::from_millis(4500), "{between:?}");
}

#[test]
fn container_poweroff_turns_the_machine_off() {
    let container =
        Container { environment: vec!["WAIT_SECONDS=5", "REBOOT_MODE=poweroff"], ..Container::default() };
    let ended = container.run();
    assert_eq!(ended.action.succeeded(), "the machine powers off 5 s after this container is gone");
    assert!(ended_by(ended.machine, SIGINT), "{:?}", ended.machine);
}

#[test]
fn container_none_checks_and_leaves_the_machine_up() {
    let ended = Container { environment: vec!["REBOOT_MODE=none"], ..Container::default() }.run();
    assert!(ended.action.succeeded().contains("leaves the machine up"));
    assert!(ended.survived, "{:?}", ended.machine);
}

#[test]
fn container_without_the_hosts_processes_fails_at_once_and_says_what_to_add() {
    let ended = Container { host_processes: false, ..Container::default() }.run();
    assert!(ended.action.failed("pid-host").contains("add `pid: host`"));
    assert!(ended.survived, "{:?}", ended.machine);
}

#[test]
fn container_without_privilege_fails_at_once_and_names_it() {
    let capabilities = CAPABILITIES.iter().copied().filter(|name| *name != "CAP_SYS_BOOT").collect();
    let ended = Container { capabilities, ..Container::default() }.run();
    assert!(ended.action.failed("privilege").contains("CAP_SYS_BOOT"));
    assert!(ended.survived, "{:?}", ended.machine);
}

#[test]
fn container_kexec_that_cannot_be_leaves_the_machine_up() {
    let environment = vec!["REBOOT_MODE=kexec", "DEST_DISK=serial:NONE"];
    let ended = Container { environment, ..Container::default() }.run();
    // A kernel that was built without the call says so before a disk is looked for.
    let cause = ended.action.last("cause");
    assert!(["kexec", "disk-missing"].contains(&cause), "{}", ended.action.text);
    ended.action.failed(cause);
    assert!(ended.survived, "{:?}", ended.machine);
}

#[test]
fn container_hookos_is_asked_to_reboot_where_its_volume_is_there() {
    for (mode, asked, signal) in [("reboot", true, SIGHUP), ("poweroff", false, SIGINT)] {
        let volume = tempfile::tempdir().unwrap();
        let mode = format!("REBOOT_MODE={mode}");
        let container = Container {
            environment: vec!["WAIT_SECONDS=5", &mode],
            worker: Some(volume.path()),
            tenths_after: 160,
            ..Container::default()
        };
        let ended = container.run();
        ended.action.succeeded();
        // Nobody looks for the file here, so the machine goes all the same.
        assert!(ended_by(ended.machine, signal), "{:?}", ended.machine);
        let file = volume.path().join("reboot");
        assert_eq!(file.exists(), asked, "{mode}");
        if asked {
            let ended_at = ended.action_ended;
            let written = fs::metadata(file).unwrap().modified().unwrap();
            let after = written.duration_since(ended_at).expect("it was written after the container's end");
            assert!(after >= Duration::from_millis(4500), "{after:?}");
        }
    }
}
