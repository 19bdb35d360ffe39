//! All cases of `tests/boot/`: each is a folder with the files of a system's boot loader, and a `case.json` that says what they
//! must come to. And what no file of a sane length holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::root_dir::RootDir;

mod defaults;
mod hostile;

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The folders of a case as volumes, with their names: `root`, and `boot` and `esp` where the case has them.
fn volumes(case: &Path, description: &Value) -> (Vec<&'static str>, Volumes) {
    let volume = |name: &str, description: &Value| {
        let usual = match name {
            "root" => "/",
            "boot" => "/boot",
            _ => "/boot/efi",
        };
        Volume {
            at: text(&description["at"]).unwrap_or_default(),
            subvolume: text(&description["subvolume"]).unwrap_or_default(),
            mount_point: text(&description["mount_point"]).unwrap_or(usual.to_owned()),
            uuid: text(&description["uuid"]),
            label: text(&description["label"]),
            filesystem: text(&description["filesystem"]),
            partition_uuid: text(&description["partition_uuid"]),
            partition: description["partition"].as_u64().map(|number| number as u32),
            ..Volume::new(
                RootDir::open(&case.join(name)).expect("a case has the folders of its volumes"),
                usual,
            )
        }
    };
    let mut names = vec!["root"];
    let mut volumes = Volumes::new(volume("root", &description["volumes"]["root"]));
    for name in ["boot", "esp"] {
        if !description["volumes"][name].is_null() {
            names.push(name);
            volumes.add(volume(name, &description["volumes"][name]));
        }
    }
    for each in description["prioritised"].as_array().into_iter().flatten() {
        volumes.prioritised.push(Prioritised {
            partition_uuid: text(&each["partition_uuid"]).unwrap(),
            priority: each["priority"].as_u64().unwrap() as u8,
            tries: each["tries"].as_u64().unwrap() as u8,
            successful: each["successful"].as_bool().unwrap(),
        });
    }
    (names, volumes)
}

fn wanted(description: &Value) -> Wanted {
    let given = &description["given"];
    Wanted {
        firmware: match description["firmware"].as_str() {
            Some("bios") => Firmware::Bios,
            Some("uefi") => Firmware::Uefi,
            other => panic!("firmware is {other:?}"),
        },
        machine: if description["machine"] == "aarch64" { Machine::Aarch64 } else { Machine::X86_64 },
        grub_cfg: text(&given["grub_cfg"]),
        kernel: text(&given["kernel"]),
        initrd: text(&given["initrd"]),
        options: text(&given["options"]),
    }
}

/// What came out, in the form of the case's `expect`. Of what was skipped, and of a failure's words, those are kept that are
/// expected and there.
fn outcome(names: &[&str], volumes: &Volumes, result: Result<Entry, Failure>, expected: &Value) -> Value {
    let folder = |file: &BootFile| {
        let at = volumes.iter().position(|(id, _)| id == file.volume).expect("it is one of these");
        format!("{}:{}", names[at], file.path)
    };
    let mut value = serde_json::Map::new();
    match result {
        Ok(entry) => {
            assert!(entry.skipped.len() <= 65, "{:?}", entry.skipped);
            value.insert("title".into(), entry.title.clone().into());
            value.insert("way".into(), format!("{:?}", entry.way).into());
            let line = entry.place.line;
            value.insert("place".into(), format!("{}:{line}", folder(&entry.place.file)).into());
            value.insert("kernel".into(), folder(&entry.kernel).into());
            value.insert("initrds".into(), entry.initrds.iter().map(folder).collect::<Vec<_>>().into());
            value.insert("options".into(), entry.options.clone().into());
            let expected: Vec<String> =
                expected["skipped"].as_array().into_iter().flatten().filter_map(text).collect();
            if expected.is_empty() {
                value.insert("skipped".into(), entry.skipped.into());
            } else {
                let there = |words: &String| entry.skipped.iter().any(|note| note.contains(words.as_str()));
                let expected = if expected.iter().all(there) { expected } else { entry.skipped };
                value.insert("skipped".into(), expected.into());
            }
        }
        Err(failure) => {
            let said = failure.to_string();
            assert!(said.len() < 2000 && !said.contains('\n'), "{said}");
            value.insert("cause".into(), failure.cause.word().into());
            let words = expected["words"].as_array().into_iter().flatten().filter_map(text);
            let there: Vec<String> = words.filter(|words| said.contains(words.as_str())).collect();
            // What is not expected at all shows what was said.
            value.insert("words".into(), if there.is_empty() { vec![said] } else { there }.into());
        }
    }
    value.into()
}

/// Plays all cases in a folder, and says of all that fail how.
fn play(folder: &str, at_least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/boot").join(folder);
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|case| case.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= at_least, "only {} cases in {}", cases.len(), folder.display());
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let json =
            fs::read_to_string(case.join("case.json")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let description: Value =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (names, volumes) = volumes(case, &description);
        let began = Instant::now();
        let result = default_entry(&volumes, &wanted(&description));
        let took = began.elapsed();
        let mut expected = description["expect"].clone();
        if expected["cause"].is_null() && expected["skipped"].is_null() {
            expected["skipped"] = Value::Array(Vec::new());
        }
        let outcome = outcome(&names, &volumes, result, &expected);
        if outcome != expected {
            wrong.push(format!("{name}: {outcome:#}\ninstead of {expected:#}"));
        }
        if took > Duration::from_secs(5) {
            wrong.push(format!("{name}: it took {took:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_good_case_gives_its_entry() {
    play("good", 30);
}

#[test]
fn every_broken_case_ends_as_it_must() {
    play("broken", 25);
}
