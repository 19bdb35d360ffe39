//! Every block of `docs/tutorial.md`, run one after another in one shell: what it prints is what the page shows. No root
//! needed.
//!
//! A block of `sh` is run; the next block of any other kind shows what it prints, and without one it prints nothing. The
//! clusters are folders, behind a `kubectl` that takes what fits Tinkerbell's CRDs (`tests/fixtures/tutorial/kubectl`).
//! With `NIBS_PROFILE=debug` nothing is built: `make` says only what it would do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nibs_tests::binaries::{binary, top};
use nibs_tests::tinkerbell;
use serde_json::json;

/// Something that is run, and what the page shows of it.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    /// Where it begins, from 1.
    line: usize,
    script: String,
    shown: Option<String>,
}

impl Block {
    /// What it ends with: a check that found an error ends with 1.
    fn status(&self) -> i32 {
        let last = self.shown.as_deref().and_then(|shown| shown.lines().last()).unwrap_or_default();
        let errors = last.split_once(" error").and_then(|(count, _)| count.parse::<u32>().ok());
        i32::from(errors.is_some_and(|count| count > 0))
    }

    /// Whether it is known what it prints.
    fn is_told(&self) -> bool {
        self.shown.is_some() || !self.script.contains("make ")
    }
}

fn page() -> String {
    fs::read_to_string(top().join("docs/tutorial.md")).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = page.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let text: String =
            lines.by_ref().take_while(|(l, _)| *l != "```").map(|(l, _)| format!("{l}\n")).collect();
        if language == "sh" {
            blocks.push(Block { line: number, script: text, shown: None });
        } else {
            let shown = &mut blocks.last_mut().unwrap().shown;
            assert_eq!(shown, &None, "line {number}: two outputs of one block");
            *shown = Some(text);
        }
    }
    blocks
}

/// A clone in which what is under test was built and the images have digests, without their being made.
fn clone_of(folder: &Path) -> PathBuf {
    let clone = folder.join("clone");
    let triple = clone.join(format!("target/{}-unknown-linux-gnu", std::env::consts::ARCH));
    fs::create_dir_all(&triple).unwrap();
    for entry in fs::read_dir(top()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap();
        if name != "target" {
            symlink(&entry, clone.join(name)).unwrap();
        }
    }
    symlink(binary("nibs").parent().unwrap(), triple.join("release")).unwrap();
    let images: Vec<_> = common::variables::ACTIONS
        .iter()
        .map(|action| json!({"name": action.name, "digest": format!("sha256:{}", "5a".repeat(32))}))
        .collect();
    fs::create_dir_all(clone.join("target/oci")).unwrap();
    fs::write(clone.join("target/oci/index.json"), json!({"images": images}).to_string()).unwrap();
    clone
}

/// Runs the blocks, each as if it were typed: what one exports, the next has.
fn run(blocks: &[Block], is_built: bool) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut driver = "set -o pipefail\n".to_owned();
    for (index, block) in blocks.iter().enumerate() {
        fs::write(at(&format!("{index}.sh")), &block.script).unwrap();
        driver += &format!(
            ". \"$RUN/{index}.sh\" > \"$RUN/{index}.out\" 2>&1\necho $? > \"$RUN/{index}.status\"\n"
        );
    }
    fs::write(at("driver"), driver).unwrap();
    fs::create_dir(at("home")).unwrap();

    let path = std::env::var("PATH").unwrap();
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    let mut bash = Command::new("bash");
    bash.arg(at("driver")).stdin(Stdio::null());
    // Those of the suite's own cargo and make would make the page's build another.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_cargos =
            text == "CARGO" || text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_");
        if is_cargos || ["LD_LIBRARY_PATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"].contains(&&*text) {
            bash.env_remove(&name);
        }
    }
    for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if std::env::var_os(name).is_none() {
            bash.env(name, Path::new(&home).join(below));
        }
    }
    bash.env("RUN", folder.path()).env("HOME", at("home")).env("CLUSTERS", at("clusters"));
    bash.env("TINKERBELL_SERVER", tinkerbell::server().unwrap());
    bash.env("PATH", format!("{}:{path}", top().join("tests/fixtures/tutorial").display()));
    if is_built {
        bash.current_dir(top());
    } else {
        bash.current_dir(clone_of(folder.path())).env("MAKEFLAGS", "--dry-run");
    }
    let output = bash.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    for (index, block) in blocks.iter().enumerate() {
        let read = |suffix: &str| fs::read_to_string(at(&format!("{index}.{suffix}"))).unwrap();
        let (said, status) = (read("out"), read("status"));
        let shown = block.shown.as_deref().unwrap_or_default();
        let is_right = !block.is_told() || said == shown;
        if !is_right || status.trim() != block.status().to_string() {
            let line = block.line;
            return Err(format!(
                "docs/tutorial.md:{line}: exit {}, not {}\nprinted:\n{said}\nshown:\n{shown}",
                status.trim(),
                block.status()
            ));
        }
    }
    Ok(())
}

#[test]
fn every_block_prints_what_the_page_shows() {
    let is_built = std::env::var("NIBS_PROFILE").is_ok_and(|profile| profile == "release")
        || std::env::var_os("NIBS_PROFILE").is_none();
    run(&blocks(&page()), is_built).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn a_page_that_is_wrong_is_found() {
    for (what, from, to) in [
        ("a value of an output", "mac: \"52:54:00:0F:2E:67\"\n   =", "mac: \"52:54:00:0F:2E:68\"\n   ="),
        ("a line too few", "   = help: The pattern of the Hardware's CRD refuses it.\n", ""),
        ("a line too many", "nibs 0.1.0\n", "nibs 0.1.0\n\n"),
        ("the count of errors", "2 errors, 1 warning in 3 objects", "0 errors, 1 warning in 3 objects"),
        ("an option that there is not", "--image-digest-suffix .sha256", "--image-digest-sufix .sha256"),
        ("an object that was not mended", "-e 's/replicas: 3/replicas: 1/' ", ""),
        ("what the cluster refuses", "kubectl --context tinkerbell apply -f hardware.yaml\n", ""),
        ("an output that is not shown", "```text\nnibs 0.1.0\n```\n", ""),
    ] {
        let right = page();
        assert_eq!(right.matches(from).count(), 1, "{what}: {from:?} is once on the page");
        let wrong = right.replace(from, to);
        run(&blocks(&wrong), false).expect_err(what);
    }
}

#[test]
fn it_goes_the_whole_way() {
    let scripts: String = blocks(&page()).iter().map(|block| &*block.script).collect();
    for command in
        ["nibs check ", "nibs template kkp ", "nibs workflow ", " apply -f -\n", "| nibs check -\n"]
    {
        assert!(scripts.contains(command), "{command}");
    }
}
