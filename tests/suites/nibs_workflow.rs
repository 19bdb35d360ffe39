//! `nibs workflow` on folders of right and of wrong input: what it prints and what it says, to the letter. No root
//! needed.
//!
//! A folder's `arguments` are those of the call, made in that folder. `expected.yaml` is its standard output,
//! `expected.stderr` its standard error. `NIBS_BLESS=1` writes both anew: then read what changed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use nibs_tests::binaries::{command, top};
use nibs_tests::tinkerbell;

fn fixtures() -> PathBuf {
    top().join("tests/fixtures/nibs")
}

fn folders(kind: &str) -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        fs::read_dir(fixtures().join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 3, "{folders:?}");
    folders
}

fn call(folder: &Path) -> Output {
    let arguments = fs::read_to_string(folder.join("arguments")).unwrap();
    command("nibs").arg("workflow").args(arguments.split_whitespace()).current_dir(folder).output().unwrap()
}

#[track_caller]
fn compare(path: &Path, actual: &[u8]) {
    if std::env::var_os("NIBS_BLESS").is_some() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(actual), expected, "{}", path.display());
}

#[test]
fn right_input_gives_exactly_this() {
    for folder in folders("valid") {
        let output = call(&folder);
        compare(&folder.join("expected.yaml"), &output.stdout);
        compare(&folder.join("expected.stderr"), &output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}", folder.display());
    }
}

#[test]
fn wrong_input_gives_all_findings_and_nothing_else() {
    for folder in folders("invalid") {
        let output = call(&folder);
        compare(&folder.join("expected.stderr"), &output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{}", folder.display());
        assert_eq!(output.status.code(), Some(1), "{}", folder.display());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("error[N"), "{}: {said}", folder.display());
        assert!(!said.contains("secret-"), "{}: {said}", folder.display());
    }
}

/// What KKP's own code made of the same objects, but for the name, which ends in the time there.
#[test]
fn the_workflow_is_kkps_own_to_the_byte() {
    let recorded = fs::read_to_string(top().join("tests/fixtures/golden/kkp/workflow.yaml")).unwrap();
    let recorded: String =
        recorded.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let ours = String::from_utf8(call(&fixtures().join("valid/kkp")).stdout).unwrap();
    let (before, after) = recorded.split_once("-20261123050620").unwrap();
    let digits = ours.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap_or_default();
    let digits = digits.strip_prefix('-').unwrap_or_else(|| panic!("{ours}"));
    assert!(digits.len() == 14 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits}");
}

#[test]
fn every_printed_document_fits_tinkerbells_own_schemas() {
    let template = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let made = command("nibs").args(["template", "kkp", "--registry", "registry.example"]).output().unwrap();
    fs::write(template.path(), made.stdout).unwrap();
    let recorded = top().join("tests/fixtures/golden/kkp/hardware.yaml");
    for (case, hardware) in [
        ("flatcar", recorded.clone()),
        ("kkp", recorded.clone()),
        ("os-version", recorded),
        ("two-namespaces", fixtures().join("valid/two-namespaces/hardware.yaml")),
        ("unusual", fixtures().join("valid/unusual/hardware.yaml")),
    ] {
        let printed = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        fs::write(printed.path(), call(&fixtures().join("valid").join(case)).stdout).unwrap();
        let files = [hardware.as_path(), printed.path(), template.path()];
        tinkerbell::validate(&files).unwrap_or_else(|error| panic!("{case}: {error:#}"));
    }
}

#[test]
fn standard_input_is_read_and_the_same_gives_the_same() {
    let folder = fixtures().join("valid/kubectl-list");
    let mut outputs = Vec::new();
    for _ in 0..2 {
        let mut child = command("nibs")
            .args(["workflow", "-", "--user-data", "user-data", "--without-template"])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&fs::read(folder.join("all.json")).unwrap()).unwrap();
        outputs.push(child.wait_with_output().unwrap().stdout);
    }
    assert_eq!(outputs[0], fs::read(folder.join("expected.yaml")).unwrap());
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn another_user_data_is_another_workflow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user-data");
    let valid = fixtures().join("valid/kkp");
    let name = |content: &str| {
        fs::write(&path, content).unwrap();
        let output = command("nibs")
            .args([
                "workflow",
                "../../../golden/kkp/hardware.yaml",
                "machine-deployment.yaml",
                "--without-template",
            ])
            .arg("--user-data")
            .arg(&path)
            .current_dir(&valid)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("  name: ")).unwrap().to_owned()
    };
    assert_ne!(name("#cloud-config\na: 1\n"), name("#cloud-config\na: 2\n"));
}

/// What KKP keeps in Secrets, written into files by their names, gives the same Workflows.
#[test]
fn each_machine_has_its_own_user_data_wherever_it_stood() {
    let scripts = |case: &str| -> Vec<String> {
        let printed = String::from_utf8(call(&fixtures().join("valid").join(case)).stdout).unwrap();
        let mut lines: Vec<_> = printed
            .lines()
            .filter(|l| l.starts_with("    cloud_init_script: ") || l.starts_with("  name: "))
            .map(str::to_owned)
            .collect();
        assert_eq!(lines.len(), 4, "{case}: {printed}");
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 4, "{case}: {printed}");
        lines
    };
    let of_files = scripts("user-data-of-each");
    assert_ne!(of_files, scripts("user-data-in-a-folder"));
    // The Secret of `a` ends in a line of white space, which machine-controller empties.
    let of_secrets = scripts("user-data-of-secrets");
    assert_eq!(of_files.iter().filter(|line| of_secrets.contains(line)).count(), 2);
}

#[test]
fn user_data_of_any_size_that_fits_and_no_larger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user-data");
    let valid = fixtures().join("valid/kkp");
    let call = |bytes: usize| {
        let mut content = b"#!/bin/sh\n#".to_vec();
        content.resize(bytes, b'x');
        fs::write(&path, content).unwrap();
        let arguments = [
            "workflow",
            "../../../golden/kkp/hardware.yaml",
            "machine-deployment.yaml",
            "--without-template",
        ];
        command("nibs").args(arguments).arg(&path).current_dir(&valid).output().unwrap()
    };
    let most = nibs::user_data::MAX_BYTES;
    assert_eq!(call(most).status.code(), Some(0));
    let refused = call(most + 1);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains(&format!("{} bytes; USER_DATA_BASE64 takes at most {most}", most + 1)), "{said}");
}

#[test]
fn a_wrong_call_is_exit_2() {
    let valid = fixtures().join("valid/kkp");
    for (arguments, expected) in [
        (&["workflow", "seed.yaml"][..], "--registry"),
        (&["workflow"], "<FILE>"),
        (&["workflow", "nowhere.yaml", "--without-template"], "reading nowhere.yaml: "),
        (&["workflow", "-", "-", "--without-template"], "standard input (-) was given twice"),
        (&["template", "kkp"], "--registry"),
        (&["template", "kkp", "--registry", "https://r"], "HOST[:PORT][/PATH]"),
        (
            &["template", "kkp", "--registry", "r", "--images", "nowhere.json"],
            "reading the images' index nowhere.json",
        ),
        (&["template", "kkp", "--registry", "r", "--image-digest-suffix", "?x"], "as .sha256"),
        (&["template"], "kkp"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output =
            command("nibs").args(arguments).current_dir(&valid).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    for arguments in
        [&["--help"][..], &["--version"], &["template", "kkp", "--help"], &["workflow", "--help"]]
    {
        let output = command("nibs").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
}
