//! The whole way, once: from a Hardware object to a booted node, with nothing mocked on it.

use std::fs;
use std::time::Duration;

use nibs_tests::binaries::top;
use nibs_tests::cycle::{self, Event, Finished};
use nibs_tests::tinkerbell::State;

const ACTIONS: [&str; 6] =
    ["wipe-disk", "stream-image", "grow-partition", "write-netplan", "write-cloud-init", "kexec-reboot"];

#[test]
fn vm_cycle_from_hardware_object_to_booted_node() {
    let folder = top().join("target/cycle");
    let finished = cycle::run(&folder, &cycle::image_index(), &mut |event| match event {
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
    nothing_secret_was_logged(&finished);
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
fn nothing_secret_was_logged(finished: &Finished) {
    assert_eq!(finished.leaks, []);
    let folder = top().join("target/cycle");
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
        assert!(agent.contains(&format!("\"{action}\"")), "nothing of {action} in agent.log");
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
