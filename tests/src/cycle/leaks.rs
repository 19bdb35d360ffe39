//! Looks for secrets where none may be: in every log of a run, and in the arguments of every process.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// How often the processes are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// A place where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Finds every line of every file below a folder in which a secret stands. Gives the leaks, and the files that were
/// searched, both by their paths in the folder.
///
/// # Errors
/// When a file cannot be read.
pub fn search(folder: &Path, secrets: &[String]) -> Result<(Vec<Leak>, Vec<PathBuf>)> {
    let (mut leaks, mut files, mut folders) = (Vec::new(), Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(folder).unwrap_or(&path).to_owned();
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
                if secrets.iter().any(|secret| line.contains(secret.as_str())) {
                    leaks.push(Leak { file: file.clone(), line: number + 1 });
                }
            }
            files.push(file);
        }
    }
    files.sort();
    Ok((leaks, files))
}

/// Writes down the command line of every process that this process is an ancestor of, each once.
pub struct ProcessList {
    seen: Arc<Mutex<BTreeSet<String>>>,
    ending: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
    file: PathBuf,
}

impl ProcessList {
    /// Begins to look.
    pub fn begin(file: PathBuf) -> Self {
        let (seen, ending) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicBool::new(false)));
        let (theirs, stop) = (Arc::clone(&seen), Arc::clone(&ending));
        let looking = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                theirs.lock().unwrap_or_else(PoisonError::into_inner).extend(descendants());
                thread::park_timeout(INTERVAL);
            }
        });
        Self { seen, ending, looking: Some(looking), file }
    }

    /// Ends looking and writes the list, a line a process.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self) -> Result<()> {
        self.stop();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let text: String = seen.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&self.file, text).with_context(|| format!("writing {}", self.file.display()))
    }

    fn stop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(looking) = self.looking.take() {
            looking.thread().unpark();
            let _ = looking.join();
        }
    }
}

impl Drop for ProcessList {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The command lines of all processes below this one.
fn descendants() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    // Number, parent and command line. A process that ends meanwhile is left out.
    let all: Vec<(u32, u32, String)> = entries
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let number = folder.file_name()?.to_str()?.parse().ok()?;
            let status = fs::read_to_string(folder.join("stat")).ok()?;
            // The name, in parentheses, may hold anything.
            let parent = status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            let command = fs::read(folder.join("cmdline")).ok()?;
            Some((
                number,
                parent,
                String::from_utf8_lossy(&command).replace(['\0', '\n'], " ").trim().to_owned(),
            ))
        })
        .collect();
    let mut family = BTreeSet::from([std::process::id()]);
    loop {
        let before = family.len();
        family.extend(
            all.iter()
                .filter(|(_, parent, _)| family.contains(parent))
                .map(|(number, ..)| *number)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            break;
        }
    }
    family.remove(&std::process::id());
    all.into_iter()
        .filter(|(number, _, command)| family.contains(number) && !command.is_empty())
        .map(|(.., command)| command)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_secret_is_found_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.log"), "nothing\nhere\n").unwrap();
        fs::write(folder.path().join("b.log"), b"x\n\xff the s3cret is out\n").unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/c"), "s3cret").unwrap();
        let (leaks, files) = search(folder.path(), &["s3cret".into()]).unwrap();
        assert_eq!(leaks.len(), 2, "{leaks:?}");
        assert!(leaks.contains(&Leak { file: "b.log".into(), line: 2 }), "{leaks:?}");
        assert_eq!(files, ["a.log", "b.log", "sub/c"].map(PathBuf::from));
        assert_eq!(search(folder.path(), &["other".into()]).unwrap().0, []);
    }

    #[test]
    fn processes_below_this_one_are_listed_with_their_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let list = ProcessList::begin(folder.path().join("processes.txt"));
        let mut child = Command::new("sh").args(["-c", "sleep 3.25 & sleep 3.25; wait"]).spawn().unwrap();
        thread::sleep(INTERVAL * 3);
        list.end().unwrap();
        let text = fs::read_to_string(folder.path().join("processes.txt")).unwrap();
        assert!(text.lines().any(|line| line == "sleep 3.25"), "{text}");
        child.wait().unwrap();
    }
}
