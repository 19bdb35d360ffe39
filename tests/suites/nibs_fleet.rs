//! A generated fleet is one in which `nibs` finds nothing, and of which it makes a Workflow for each server. No root
//! needed. `make bench-nibs` measures the same with many more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use nibs_tests::binaries::command;
use nibs_tests::fleet::{Fleet, OBJECTS, USER_DATA};
use nibs_tests::tinkerbell;

const SERVERS: u32 = 50;

fn call(folder: &Path, arguments: &[&str]) -> Output {
    command("nibs").args(arguments).current_dir(folder).output().unwrap()
}

fn fleet(fleet: Fleet) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fleet.write(folder.path(), SERVERS).unwrap();
    folder
}

#[test]
fn the_same_size_gives_the_same_bytes() {
    let (one, other) = (fleet(Fleet::Right), fleet(Fleet::Right));
    for file in [OBJECTS, USER_DATA] {
        assert_eq!(fs::read(one.path().join(file)).unwrap(), fs::read(other.path().join(file)).unwrap());
    }
}

#[test]
fn nothing_is_wrong_with_it() {
    let folder = fleet(Fleet::Right);
    let output = call(folder.path(), &["check", OBJECTS, USER_DATA]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "0 errors, 0 warnings in 101 objects and 1 file of user-data\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn each_server_has_a_workflow_that_tinkerbell_takes() {
    let folder = fleet(Fleet::Right);
    let output =
        call(folder.path(), &["workflow", OBJECTS, USER_DATA, "--registry", "registry.example/nibs"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<&str> = printed.split("---\n").collect();
    assert!(documents[0].contains("\nkind: Template\n"), "{}", documents[0]);
    let names: BTreeSet<&str> = documents[1..]
        .iter()
        .map(|document| {
            assert!(document.contains("\nkind: Workflow\n"), "{document}");
            document.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap()
        })
        .collect();
    assert_eq!((documents.len() - 1, names.len()), (50, 50));

    // The Hardware are the second of the file's documents.
    let objects = fs::read_to_string(folder.path().join(OBJECTS)).unwrap();
    let (hardware, workflows) = (folder.path().join("hardware.yaml"), folder.path().join("workflows.yaml"));
    fs::write(&hardware, objects.split("---\n").nth(1).unwrap()).unwrap();
    fs::write(&workflows, printed).unwrap();
    tinkerbell::validate(&[&hardware, &workflows]).unwrap();
    let output = call(folder.path(), &["check", OBJECTS, USER_DATA, "workflows.yaml", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // What it says of them is that their images have no digest.
    assert_eq!((&report["errors"], &report["warnings"]), (&0.into(), &6.into()), "{report:#}");
}

#[test]
fn everything_is_wrong_with_the_other_one() {
    let folder = fleet(Fleet::Wrong);
    let output = call(folder.path(), &["check", OBJECTS, USER_DATA]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    // Of two neighbours the addresses of both interfaces, of each server both MACs, of each worker its server.
    for (code, count) in [("N0408", 100), ("N0412", 50), ("N0304", 50)] {
        assert_eq!(said.matches(&format!("error[{code}]")).count(), count, "{code}");
    }
    assert!(said.ends_with("200 errors, 0 warnings in 101 objects and 1 file of user-data\n"), "{said}");
}
