//! The whole way, twice: from a Hardware object to a booted node, with nothing mocked on it. `make test-matrix` goes it on
//! more kinds of machines.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nibs_tests::binaries::top;
use nibs_tests::cycle::{self, Event, Finished, Firmware, Setup};
use nibs_tests::os::Engine;
use nibs_tests::tinkerbell::State;
use nibs_tests::vm::{Bus, turn};

const ACTIONS: [&str; 6] =
    ["wipe-disk", "stream-image", "grow-partition", "write-netplan", "write-cloud-init", "kexec-reboot"];

/// Goes the way, and looks at what came of it. Gives the folder of the logs, too.
fn cycle(name: &str, setup: Setup) -> (Finished, PathBuf) {
    let folder = top().join("target").join(name);
    let finished = cycle::run(&folder, &cycle::image_index(), setup, &mut |event| match event {
        Event::Begun(phase) => eprintln!("{}", phase.what()),
        Event::Done { phase, words, took } => {
            eprintln!("{}: {words} ({:.1} s)", phase.label(), took.as_secs_f64())
        }
        Event::Action { report, words } => eprintln!("{report:?} {}", words.unwrap_or_default()),
        Event::Word(words) => eprintln!("{words}"),
    })
    .unwrap_or_else(|error| panic!("{error:#}\nlogs: {}", folder.display()));
    every_action_ran_once_in_order(&finished);
    assert_eq!(finished.shortcomings(), Vec::<String>::new());
    nothing_secret_was_logged(&finished, &folder);
    (finished, folder)
}

#[test]
fn vm_cycle_by_bios_with_containerd() {
    let _turn = turn();
    let setup = Setup {
        firmware: Firmware::Bios,
        bus: Bus::VirtioBlk,
        engine: Engine::Containerd,
        ..Setup::default()
    };
    cycle("cycle-bios", setup);
}

#[test]
fn vm_cycle_by_uefi_with_docker() {
    let _turn = turn();
    let setup =
        Setup { firmware: Firmware::Uefi, bus: Bus::Nvme, engine: Engine::Docker, ..Setup::default() };
    let (finished, _) = cycle("cycle-uefi", setup);
    the_configuration_outlives_a_second_bootstrap(&finished);
}

fn every_action_ran_once_in_order(finished: &Finished) {
    let got: Vec<(&str, State)> =
        finished.reports.iter().map(|report| (report.action.as_str(), report.state)).collect();
    let want: Vec<(&str, State)> =
        ACTIONS.iter().flat_map(|action| [(*action, State::Running), (*action, State::Success)]).collect();
    assert_eq!(got, want);
    assert!(finished.success_came_first, "the machine was down before its success was known");
}

/// That no log holds a secret says something only if the logs are there.
fn nothing_secret_was_logged(finished: &Finished, folder: &Path) {
    assert_eq!(finished.leaks, []);
    for log in [
        "agent.log",
        "http.log",
        "states.jsonl",
        "processes.txt",
        "in-memory-os/console.log",
        "in-memory-os-processes.txt",
        "node/console.log",
        "node-journal.log",
        "node-processes.txt",
    ] {
        assert!(finished.logs.iter().any(|each| each.as_os_str() == log), "{log} was not searched");
        assert_ne!(fs::metadata(folder.join(log)).unwrap().len(), 0, "{log} is empty");
    }
    let agent = fs::read_to_string(folder.join("agent.log")).unwrap();
    for action in ACTIONS {
        assert!(cycle::agent_log::last_words(&agent, action).is_some(), "nothing of {action} in agent.log");
    }
}

/// What operating-system-manager's bootstrap does next: cloud-init forgets everything, and begins again.
fn the_configuration_outlives_a_second_bootstrap(finished: &Finished) {
    let target = &finished.target;
    let look =
        "sudo sh -c 'sha256sum /etc/netplan/* && find /var/lib/cloud/seed -type f -exec sha256sum {} +'";
    let before = target.run(look).and_then(|output| output.succeeded()).unwrap().stdout;
    assert!(before.contains("/etc/netplan/") && before.contains("/user-data"), "{before}");
    target
        .run_within("sudo cloud-init clean && sudo cloud-init init", Duration::from_secs(180))
        .and_then(|output| output.succeeded())
        .unwrap();
    let after = target.run(look).and_then(|output| output.succeeded()).unwrap().stdout;
    assert_eq!(after, before);
    let source = target.run("cloud-id").and_then(|output| output.succeeded()).unwrap().stdout;
    assert_eq!(source.trim(), "nocloud");
}
