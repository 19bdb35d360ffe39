//! Whether netplan can read what it will find.

use super::Finding;
use crate::cloud_init::NETPLAN_FOLDERS;
use crate::failure::Failure;
use crate::root_dir::{Kind, RootDir};
use crate::yaml;

/// No netplan file that a person or an installer wrote is near to this.
const LIMIT_BYTES: u64 = 1 << 20;

/// A file that netplan reads.
#[derive(Debug)]
pub(super) struct File {
    path: String,
    content: Vec<u8>,
}

/// Reads the files.
///
/// # Errors
/// [`Cause::File`](crate::cause::Cause::File).
pub(super) fn look(root: &RootDir) -> Result<Vec<File>, Failure> {
    let mut files: Vec<File> = Vec::new();
    for folder in NETPLAN_FOLDERS {
        for name in root.list(folder)? {
            let Some(name) = name.to_str().filter(|name| name.ends_with(".yaml")) else { continue };
            let path = format!("{folder}/{name}");
            let is_hidden = files.iter().any(|file| file.path.rsplit('/').next() == Some(name));
            if is_hidden || root.kind(&path)? != Some(Kind::File) {
                continue;
            }
            if let Some(content) = root.read(&path, LIMIT_BYTES)? {
                files.push(File { path, content });
            }
        }
    }
    Ok(files)
}

/// Says what netplan fails on: one broken file keeps all of them from counting. What is in a file is not repeated.
pub(super) fn judge(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for File { path, content } in files {
        let document = yaml::text(content).and_then(yaml::parse);
        let why = match &document {
            Err(broken) => broken.to_string(),
            Ok(document) if document.is_null() => continue,
            Ok(document) if document.get("network").is_some_and(serde_json::Value::is_object) => continue,
            Ok(_) => "it has no `network:` mapping".to_owned(),
        };
        findings.push(Finding::warning(format!(
            "netplan fails on {path}, and leaves the whole network without configuration: {why}"
        )));
    }
    if findings.is_empty() && !files.is_empty() {
        let paths: Vec<&str> = files.iter().take(8).map(|file| file.path.as_str()).collect();
        findings.push(Finding::right(format!("netplan can read {}", paths.join(", "))));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Weight;
    use super::*;

    #[test]
    fn netplan_needs_a_network() {
        let file = |content: &str| File { path: "/etc/netplan/90-nibs.yaml".into(), content: content.into() };
        let right = judge(&[file("network: {version: 2}\n"), file("# nothing\n")]);
        assert_eq!(
            right,
            [Finding::right("netplan can read /etc/netplan/90-nibs.yaml, /etc/netplan/90-nibs.yaml")]
        );
        assert_eq!(judge(&[]), []);
        for (content, words) in [
            ("network: {hunter2\n", "fails on /etc/netplan/90-nibs.yaml"),
            ("network: hunter2\n", "no `network:` mapping"),
            ("ethernets: {hunter2: {}}\n", "no `network:` mapping"),
            ("- hunter2\n", "no `network:` mapping"),
        ] {
            let findings = judge(&[file("network: {}\n"), file(content)]);
            let [finding] = &findings[..] else { panic!("{findings:?}") };
            assert_eq!(finding.weight, Weight::Warning);
            assert!(finding.text.contains(words) && !finding.text.contains("hunter2"), "{finding:?}");
        }
    }

    #[test]
    fn a_file_of_the_administrator_hides_one_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("etc/netplan/a.yaml", "network: {}\n");
        write("etc/netplan/b.yaml.nibs-aside", "broken: [\n");
        write("lib/netplan/a.yaml", "broken: [\n");
        let files = look(&RootDir::open(folder.path()).unwrap()).unwrap();
        assert_eq!(judge(&files), [Finding::right("netplan can read /etc/netplan/a.yaml")]);
        write("lib/netplan/b.yaml", "broken: [\n");
        let files = look(&RootDir::open(folder.path()).unwrap()).unwrap();
        assert_eq!(judge(&files)[0].weight, Weight::Warning);
    }
}
