//! A machine for the tests: folders made of a capture in `fixtures/machines` (the form: `fixtures/capture.sh`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::attributes::System;

/// What a machine showed, as folders that go away with it.
pub(super) struct Machine {
    pub(super) system: System,
    folder: TempDir,
}

impl Machine {
    /// Unpacks `fixtures/machines/NAME.txt`. `/dev` is empty.
    pub(super) fn load(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/machines").join(name).with_extension("txt");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let folder = TempDir::new().unwrap();
        let top = folder.path();
        let system = System { sys: top.join("sys"), proc: top.join("proc"), dev: top.join("dev") };
        fs::create_dir_all(&system.dev).unwrap();
        let machine = Self { system, folder };
        machine.unpack(&text);
        machine
    }

    fn unpack(&self, text: &str) {
        let mut folder = PathBuf::new();
        let mut whole: Option<(&str, String)> = None;
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("== ") {
                if let Some((path, content)) = whole.replace((path, String::new())) {
                    self.write(path, content);
                }
            } else if let Some((_, content)) = &mut whole {
                *content += line;
                *content += "\n";
            } else if let Some(path) = line.strip_prefix("@ ") {
                folder = path.into();
            } else if let Some((path, target)) = line.split_once(" -> ") {
                let path = self.path(path);
                symlink(target, path).unwrap_or_else(|error| panic!("{line}: {error}"));
            } else if let Some((name, hex)) = line.split_once(" =x ") {
                let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                self.write(folder.join(name), (0..hex.len()).step_by(2).map(digits).collect::<Vec<u8>>());
            } else if let Some((name, value)) = line.split_once(" = ") {
                self.write(folder.join(name), format!("{value}\n"));
            } else {
                panic!("{line:?} has none of the forms");
            }
        }
        if let Some((path, content)) = whole {
            self.write(path, content);
        }
    }

    /// Writes a file of this machine, which may be there already.
    pub(super) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        fs::write(self.path(path), content).unwrap();
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}
