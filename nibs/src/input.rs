//! What is given: files, folders and standard input.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::code;
use crate::finding::{Finding, Findings};
use crate::object::{Object, Reader};
use crate::user_data::{self, UserData};

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Given {
    /// The objects of the kinds that are known, in the order of the files.
    pub objects: Vec<Object>,
    /// How many objects there were of each other kind.
    pub passed_over: BTreeMap<String, usize>,
    /// User-data, a file each.
    pub user_data: Vec<UserData>,
}

/// Reads files, folders (their `.yaml`, `.yml` and `.json` files, and those whose names begin with `user-data`, at
/// any depth) and `-`, standard input. `user_data` are files that are user-data whatever they begin with.
///
/// # Errors
/// A file cannot be read, or standard input is asked for twice.
pub fn read(paths: &[&PathBuf], user_data: &[&PathBuf], findings: &mut Findings) -> Result<Given, String> {
    if paths.iter().chain(user_data).filter(|p| p.as_os_str() == "-").count() > 1 {
        return Err("standard input (-) was given twice; once is accepted".into());
    }
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut files).map_err(|e| format!("reading {}: {e}", path.display()))?;
        } else {
            files.push((path.to_path_buf(), is_user_data(path)));
        }
    }
    files.extend(user_data.iter().map(|p| (p.to_path_buf(), true)));
    let (mut reader, mut given) = (Reader::default(), Given::default());
    for (path, named) in files {
        let file = path.display().to_string();
        let bytes = content(&path).map_err(|e| format!("reading {file}: {e}"))?;
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

fn is_user_data(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("user-data"))
}

/// The files of a folder by name, so that the same folder always reads the same.
fn walk(folder: &Path, files: &mut Vec<(PathBuf, bool)>) -> std::io::Result<()> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A link to a folder may lead back to this one.
        let is_folder = entry.file_type()?.is_dir();
        paths.push((entry.path(), is_folder));
    }
    paths.sort();
    for (path, is_folder) in paths {
        if is_folder {
            walk(&path, files)?;
            continue;
        }
        let is_objects =
            path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        let named = is_user_data(&path);
        if (is_objects || named) && path.is_file() {
            files.push((path, named));
        }
    }
    Ok(())
}

fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path)
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
    fn what_cannot_be_read() {
        let findings = &mut Findings::default();
        let stdin = PathBuf::from("-");
        assert!(read(&[&stdin], &[&stdin], findings).unwrap_err().contains("twice"));
        assert!(read(&[&PathBuf::from("/no/where")], &[], findings).unwrap_err().contains("/no/where"));
    }
}
