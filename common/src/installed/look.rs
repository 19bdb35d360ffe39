//! Whether a folder is the root of an installed system.

use crate::root_dir::{Kind, RootDir};

/// No os-release is near to this.
const OS_RELEASE_LIMIT_BYTES: u64 = 64 * 1024;

/// Where os-release(5) may be, the first one wins.
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// Where the first process may be: what the kernel itself tries, and systemd, to which the rest is a link.
const INIT: [&str; 6] =
    ["sbin/init", "usr/sbin/init", "usr/lib/systemd/systemd", "lib/systemd/systemd", "etc/init", "bin/init"];

/// The name of the operating system in a root, or what the folder lacks to be one.
///
/// # Errors
/// What it lacks, in words.
pub(super) fn operating_system(root: &RootDir) -> Result<String, String> {
    match root.kind("etc") {
        Ok(Some(Kind::Folder)) => {}
        Ok(_) => return Err("no /etc".to_owned()),
        Err(failure) => return Err(failure.to_string()),
    }
    let mut lack = "no os-release".to_owned();
    let mut text = None;
    for path in OS_RELEASE {
        match root.read(path, OS_RELEASE_LIMIT_BYTES) {
            Ok(Some(content)) => {
                text = Some(content);
                break;
            }
            Ok(None) => {}
            Err(failure) => lack = failure.to_string(),
        }
    }
    let name = name(&String::from_utf8_lossy(&text.ok_or(lack)?)).ok_or("an os-release without a name")?;
    if INIT.iter().any(|path| root.kind(path).is_ok_and(|kind| kind == Some(Kind::File))) {
        Ok(name)
    } else {
        Err(format!("{name}, but no init"))
    }
}

/// The name that an os-release gives, for a log line.
fn name(os_release: &str) -> Option<String> {
    let value = |key: &str| {
        let line =
            os_release.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
        Some(unquote(line.trim())).filter(|value| !value.is_empty())
    };
    let name = value("PRETTY_NAME").or_else(|| value("NAME")).or_else(|| value("ID"))?;
    Some(name.chars().filter(|c| !c.is_control()).take(80).collect())
}

/// The value of a shell assignment of the kind that os-release(5) allows.
fn unquote(value: &str) -> String {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(literal) = inner('\'') {
        return literal.to_owned();
    }
    let mut text = String::new();
    let mut characters = inner('"').unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_are_read_as_a_shell_would() {
        for (text, expected) in [
            ("NAME=Alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\n", Some("Alpine Linux v3.20")),
            ("ID=arch", Some("arch")),
            ("NAME='A $B'\n", Some("A $B")),
            (r#"PRETTY_NAME="A \"quoted\" \$name""#, Some(r#"A "quoted" $name"#)),
            ("PRETTY_NAME=\"one\"\nPRETTY_NAME=\"two\"\n", Some("two")),
            ("PRETTY_NAME=\"\x1b[31mred\x07\"", Some("[31mred")),
            ("# NAME=comment\nVERSION=1\n", None),
            ("NAME=\"\"", None),
        ] {
            assert_eq!(name(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_root_has_etc_os_release_and_an_init() {
        let folder = tempfile::tempdir().unwrap();
        let look = || operating_system(&RootDir::open(folder.path()).unwrap());
        let path = |path: &str| folder.path().join(path);
        assert_eq!(look().unwrap_err(), "no /etc");
        fs::create_dir_all(path("etc")).unwrap();
        assert_eq!(look().unwrap_err(), "no os-release");
        // A link out of the root is no os-release.
        fs::create_dir_all(path("usr/lib/systemd")).unwrap();
        symlink("/proc/version", path("etc/os-release")).unwrap();
        assert_eq!(look().unwrap_err(), "no os-release");
        fs::write(path("usr/lib/os-release"), "NAME=Test\n").unwrap();
        assert_eq!(look().unwrap_err(), "Test, but no init");
        // As in Debian: an absolute link to what is there only from inside.
        fs::create_dir_all(path("sbin")).unwrap();
        symlink("/lib/systemd/systemd", path("sbin/init")).unwrap();
        assert_eq!(look().unwrap_err(), "Test, but no init");
        symlink("usr/lib", path("lib")).unwrap();
        fs::write(path("usr/lib/systemd/systemd"), "").unwrap();
        assert_eq!(look().unwrap(), "Test");
    }

    #[test]
    fn a_hostile_os_release_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("etc")).unwrap();
        let os_release = folder.path().join("etc/os-release");
        let look = || operating_system(&RootDir::open(folder.path()).unwrap()).unwrap_err();
        nix::unistd::mkfifo(&os_release, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(look().ends_with("it is no regular file"));
        fs::remove_file(&os_release).unwrap();
        fs::File::create(&os_release).unwrap().set_len(1 << 40).unwrap();
        assert!(look().ends_with("it is longer than 65536 bytes, which none of its kind is"));
        fs::write(&os_release, [0xff; 1000]).unwrap();
        assert_eq!(look(), "an os-release without a name");
    }
}
