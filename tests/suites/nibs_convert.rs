//! `nibs convert` on Templates as they are in the field: what it prints, and that Tinkerbell takes it. No root needed.
//! `NIBS_BLESS=1` writes what is expected anew: then read what changed.

use std::fs;

use nibs_tests::binaries::{command, top};
use nibs_tests::tinkerbell;

#[test]
fn templates_of_the_field() {
    let folder = top().join("tests/fixtures/nibs/convert");
    for (name, said) in [
        ("kkp", "6 actions swapped, 0 kept\n"),
        ("capt", "1 actions swapped, 2 kept\n"),
        ("eksa", "3 actions swapped, 0 kept\n"),
    ] {
        let from = folder.join(format!("{name}.template.yaml"));
        tinkerbell::validate(&[&from]).unwrap_or_else(|e| panic!("{name} before: {e:#}"));
        let output = command("nibs")
            .arg("convert")
            .arg(&from)
            .args(["--registry", "r.example/nibs"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), said, "{name}");
        let expected = folder.join(format!("{name}.expected.yaml"));
        let text = String::from_utf8(output.stdout).unwrap();
        if std::env::var_os("NIBS_BLESS").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&expected).unwrap(), "{name}");
        tinkerbell::validate(&[&expected]).unwrap_or_else(|e| panic!("{name}: {e:#}"));
    }
}

#[test]
fn what_cannot_be_read_is_exit_2() {
    for (file, expected) in [("nowhere.yaml", "reading nowhere.yaml"), ("Cargo.toml", "no action in it")] {
        let output = command("nibs")
            .current_dir(top())
            .args(["convert", file, "--registry", "r.example"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{file}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected) && output.stdout.is_empty(), "{said}");
    }
}
