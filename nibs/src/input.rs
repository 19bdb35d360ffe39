//! What is given: files, folders and standard input.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::code;
use crate::finding::{Finding, Findings};
use crate::object::{Object, Reader};
use crate::template::check_name;
use crate::user_data::whose::{Named, Own, Owner};
use crate::user_data::{self, UserData};

/// The most that a file may hold: a bound on what a device or an endless pipe can ask for.
const MOST_BYTES: u64 = 1 << 30;

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Given {
    /// The objects of the kinds that are known, in the order of the files.
    pub objects: Vec<Object>,
    /// How many objects there were of each other kind.
    pub passed_over: BTreeMap<String, usize>,
    /// User-data for all machines, a file each.
    pub user_data: Vec<UserData>,
    /// User-data for one machine each.
    pub own_user_data: Vec<Own>,
}

impl Given {
    /// Whether nothing was there, not even an object that is passed over.
    pub fn is_nothing(&self) -> bool {
        self.objects.is_empty()
            && self.passed_over.is_empty()
            && self.user_data.is_empty()
            && self.own_user_data.is_empty()
    }
}

/// Reads files, folders (their `.yaml`, `.yml` and `.json` files, and those whose names begin with `user-data`, at
/// any depth) and `-`, standard input. `user_data` are files that are user-data whatever they begin with, and folders with
/// a file for each MachineDeployment.
///
/// # Errors
/// A file cannot be read, or standard input is asked for twice.
pub fn read(paths: &[&PathBuf], user_data: &[Named], findings: &mut Findings) -> Result<Given, String> {
    let asked = paths.iter().map(|p| p.as_os_str()).chain(user_data.iter().map(|n| n.path.as_os_str()));
    if asked.filter(|p| *p == "-").count() > 1 {
        return Err("standard input (-) was given twice; once is accepted".into());
    }
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut files)?;
        } else {
            files.push((path.to_path_buf(), is_user_data(path)));
        }
    }
    let (mut reader, mut given) = (Reader::default(), Given::default());
    for named in user_data {
        match &named.owner {
            Some(owner) => given.own_user_data.push(own(owner.clone(), &named.path, true)?),
            None if named.path.is_dir() => own_of_folder(&named.path, &mut given.own_user_data)?,
            None => files.push((named.path.clone(), true)),
        }
    }
    for (path, named) in files {
        let file = path.display().to_string();
        let bytes = content(&path)?;
        if named || user_data::form(&bytes).is_some() {
            given.user_data.extend(user_data::check(&file, bytes, findings));
            continue;
        }
        match String::from_utf8(bytes) {
            Ok(text) => reader.read(&file, &text, findings),
            Err(_) => findings.push(Finding::in_file(&code::NOT_UTF8, &file, None)),
        }
    }
    given.objects = reader.objects;
    given.passed_over = reader.passed_over;
    Ok(given)
}

fn own(owner: Owner, path: &Path, is_asked_for: bool) -> Result<Own, String> {
    Ok(Own { owner, file: path.display().to_string(), is_asked_for, bytes: content(path)? })
}

/// The files of a folder that are called as a MachineDeployment could be, with an ending or without; those of a folder in
/// it are for those of the namespace that it is called as.
fn own_of_folder(folder: &Path, all: &mut Vec<Own>) -> Result<(), String> {
    for (path, is_folder) in entries(folder)? {
        let Some(name) = name_of(&path) else { continue };
        if !is_folder {
            all.push(own(Owner { namespace: None, name }, &path, false)?);
            continue;
        }
        for (path, is_folder) in entries(&path)? {
            if let Some(owner) = name_of(&path).filter(|_| !is_folder) {
                all.push(own(Owner { namespace: Some(name.clone()), name: owner }, &path, false)?);
            }
        }
    }
    Ok(())
}

fn name_of(path: &Path) -> Option<String> {
    const ENDINGS: [&str; 7] = ["yaml", "yml", "json", "ign", "cfg", "sh", "gz"];
    let name = path.file_name()?.to_str()?;
    let name = match name.rsplit_once('.') {
        Some((name, ending)) if ENDINGS.contains(&ending) => name,
        _ => name,
    };
    check_name(name).ok()
}

fn is_user_data(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("user-data"))
}

/// What is in a folder, by name, so that the same folder always reads the same; whether each is a folder itself.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>, String> {
    let read = || -> std::io::Result<Vec<(PathBuf, bool)>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            // A link to a folder may lead back to this one.
            let is_folder = entry.file_type()?.is_dir();
            let path = entry.path();
            if is_folder || path.is_file() {
                paths.push((path, is_folder));
            }
        }
        paths.sort();
        Ok(paths)
    };
    read().map_err(|e| failed(folder, &e))
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, bool)>) -> Result<(), String> {
    for (path, is_folder) in entries(folder)? {
        if is_folder {
            walk(&path, files)?;
            continue;
        }
        let is_objects =
            path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        let named = is_user_data(&path);
        if is_objects || named {
            files.push((path, named));
        }
    }
    Ok(())
}

/// All of a file, or of standard input.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let source: Box<dyn Read> = match path.as_os_str() == "-" {
            true => Box::new(std::io::stdin().lock()),
            false => Box::new(std::fs::File::open(path)?),
        };
        source.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|e| failed(path, &e))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("reading {}: more than {MOST_BYTES} bytes; less is accepted", path.display()));
    }
    Ok(bytes)
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("reading {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_order_and_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let object = |name: &str| {
            format!("{{apiVersion: tinkerbell.org/v1alpha1, kind: Hardware, metadata: {{name: {name}}}}}")
        };
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for (file, text) in [
            ("z.yaml", object("z")),
            ("b/c/x.json", object("x")),
            ("a.yml", object("a")),
            ("notes.txt", "secret".into()),
            ("user-data-1", "#!/bin/sh\n".into()),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let mut findings = Findings::default();
        let given = read(&[&folder.path().to_path_buf()], &[], &mut findings).unwrap();
        let names: Vec<_> = given.objects.iter().map(|o| &*o.name).collect();
        assert_eq!(names, ["a", "x", "z"]);
        assert_eq!(given.user_data.len(), 1);
        assert_eq!(findings.codes(), [""; 0]);
    }

    #[test]
    fn a_folder_with_a_file_for_each_machine() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("kube-system")).unwrap();
        for file in
            ["worker-1", "worker-2.yaml", "node.9.example", "kube-system/worker-1.cfg", "README.txt", "A"]
        {
            std::fs::write(folder.path().join(file), "secret").unwrap();
        }
        let mut findings = Findings::default();
        let given = read(&[], &[Named::parse(folder.path())], &mut findings).unwrap();
        let owners: Vec<_> = given
            .own_user_data
            .iter()
            .map(|o| format!("{} {}", o.owner.namespace.as_deref().unwrap_or("-"), o.owner.name))
            .collect();
        assert_eq!(owners, ["kube-system worker-1", "- node.9.example", "- worker-1", "- worker-2"]);
        assert!(!format!("{given:?}").contains("secret"), "{given:?}");
        assert_eq!(findings.codes(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read() {
        let findings = &mut Findings::default();
        let stdin = PathBuf::from("-");
        let named = Named::parse(&stdin);
        assert!(read(&[&stdin], &[named], findings).unwrap_err().contains("twice"));
        assert!(read(&[&PathBuf::from("/no/where")], &[], findings).unwrap_err().contains("/no/where"));
    }
}
