//! `nibs check` on folders of right and of wrong input: what it says, to the letter. No root needed.
//!
//! A folder is checked as it is; `expected` is what is printed. A wrong one begins with the code of the finding that it
//! is there for. `NIBS_BLESS=1` writes what is expected anew: then read what changed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use nibs::code::{self, Severity};
use nibs_tests::binaries::{command, top};
use serde_json::Value;

fn folders(kind: &str) -> Vec<PathBuf> {
    let path = top().join("tests/fixtures/nibs/check").join(kind);
    let mut folders: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn call(folder: &Path, arguments: &[&str]) -> Output {
    command("nibs").arg("check").arg(".").args(arguments).current_dir(folder).output().unwrap()
}

fn compare(folder: &Path, output: &Output) {
    let path = folder.join("expected");
    if std::env::var_os("NIBS_BLESS").is_some() {
        fs::write(&path, &output.stdout).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", path.display());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", path.display());
}

#[test]
fn right_input_has_no_findings() {
    let folders = folders("valid");
    assert!(folders.len() >= 8);
    for folder in folders {
        let output = call(&folder, &[]);
        compare(&folder, &output);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with("0 errors, 0 warnings"), "{}: {said}", folder.display());
        assert_eq!(output.status.code(), Some(0), "{}", folder.display());
    }
}

#[test]
fn wrong_input_has_exactly_these_findings() {
    let folders = folders("invalid");
    assert!(folders.len() >= 80, "{}", folders.len());
    for folder in folders {
        let output = call(&folder, &[]);
        compare(&folder, &output);
        let said = String::from_utf8(output.stdout).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy();
        let code = code::ALL.iter().find(|code| name.starts_with(code.id)).unwrap();
        assert!(said.contains(&format!("{}[{}]", code.severity.word(), code.id)), "{name}: {said}");
        let exit = i32::from(!said.contains("\n0 errors, "));
        assert_eq!(output.status.code(), Some(exit), "{name}: {said}");
        assert!(code.severity == Severity::Warning || exit == 1, "{name}");
        for secret in ["secret-", "secret!", "c2VjcmV0"] {
            assert!(!said.contains(secret), "{name}: {said}");
        }
    }
}

/// Those of `nibs workflow` alone are about its options, and about what it needs.
#[test]
fn every_code_has_a_folder() {
    let folders = folders("invalid");
    let there: BTreeSet<_> =
        folders.iter().map(|f| f.file_name().unwrap().to_string_lossy()[..5].to_owned()).collect();
    let missing: Vec<_> = code::ALL.iter().map(|c| c.id).filter(|id| !there.contains(*id)).collect();
    assert_eq!(missing, ["N0205", "N0313", "N0314", "N0510", "N0512"]);
}

#[test]
fn machines_are_told_the_same() {
    let mut folders = folders("invalid");
    folders.extend(self::folders("valid"));
    for folder in folders {
        let output = call(&folder, &["-o", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = String::from_utf8(call(&folder, &[]).stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), said.matches("   = help: ").count(), "{}", folder.display());
        for finding in findings {
            let head = format!(
                "{}[{}]: {}\n",
                finding["severity"].as_str().unwrap(),
                finding["code"].as_str().unwrap(),
                finding["title"].as_str().unwrap()
            );
            assert!(said.contains(&head), "{}: {head}", folder.display());
        }
        let errors = report["errors"].as_u64().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(errors > 0)), "{}", folder.display());
    }
}

#[test]
fn standard_input_and_wrong_calls() {
    let text = fs::read(top().join("tests/fixtures/nibs/check/invalid/N0705-bmc/bmc.yaml")).unwrap();
    let mut child =
        command("nibs").args(["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("  --> -:7:3  Machine tink-system/b\n"));
    for (arguments, expected) in [
        (&["check"][..], "<FILE>"),
        (&["check", "nowhere.yaml"], "reading nowhere.yaml: "),
        (&["check", "-", "-"], "standard input (-) was given twice"),
        (&["check", "-o", "xml", "-"], "xml"),
    ] {
        let output = command("nibs").args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
