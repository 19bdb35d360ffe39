//! HookOS's own way to reboot: it does so within a second of seeing `/worker/reboot`, where an action has the volume
//! `/worker:/worker`. Another in-memory OS takes no notice of the file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// The volume.
const FOLDER: &str = "/worker";

/// The volume that HookOS looks into, open from before the container was left: where its host has it is not known.
#[derive(Debug)]
pub struct Worker {
    folder: File,
}

impl Worker {
    /// Finds the volume in this container; nothing where it has none.
    pub fn find() -> Option<Self> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
        if !is_mounted(&mountinfo) {
            return None;
        }
        Some(Self { folder: File::open(FOLDER).ok()? })
    }

    /// The volume in this folder.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(folder)? })
    }

    /// Has HookOS reboot.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn ask_for_reboot(&self) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, "reboot", flags, Mode::from_bits_truncate(0o644))?;
        File::from(file).write_all(b"reboot\n")
    }
}

/// Whether the text of a mountinfo file (proc(5)) has the volume.
fn is_mounted(mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| line.split(' ').nth(4) == Some(FOLDER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_is_a_mount() {
        assert!(is_mounted(
            "1 0 0:1 / / rw - overlay overlay rw\n9 1 0:5 /worker /worker rw - tmpfs tmpfs rw\n"
        ));
        assert!(!is_mounted("9 1 0:5 /worker /workers rw - tmpfs /worker rw\n"));
    }

    #[test]
    fn the_file_is_written_into_the_folder_that_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::create_dir(&old).unwrap();
        let worker = Worker::at(&old).unwrap();
        fs::rename(&old, &new).unwrap();
        worker.ask_for_reboot().unwrap();
        worker.ask_for_reboot().unwrap();
        assert_eq!(fs::read_to_string(new.join("reboot")).unwrap(), "reboot\n");
    }
}
