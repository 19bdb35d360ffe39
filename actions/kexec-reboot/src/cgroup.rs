//! Control groups: what a runtime kills when its container ends is what it finds in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the control group hierarchies are mounted, from the text of a mountinfo file (proc(5)).
pub fn hierarchies(mountinfo: &str) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let kind = after.split(' ').next()?;
            matches!(kind, "cgroup" | "cgroup2").then(|| before.split(' ').nth(4).map(PathBuf::from))?
        })
        .collect()
}

/// The groups below a hierarchy's root that hold a process. `/proc/self/cgroup` does not say: Docker gives a container
/// on cgroup v2 a view of its own, in which its group is the root.
pub fn groups_with(hierarchy: &Path, pid: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = children(hierarchy);
    while let Some(folder) = folders.pop() {
        if processes(&folder).contains(&pid) {
            found.push(folder.clone());
        }
        folders.append(&mut children(&folder));
    }
    found
}

/// Moves a process to the root of a hierarchy.
///
/// # Errors
/// ENOENT where the hierarchy delegates by namespace and the process still sees it from inside a container.
pub fn move_to_root(hierarchy: &Path, pid: u32) -> io::Result<()> {
    fs::write(hierarchy.join("cgroup.procs"), pid.to_string())
}

/// The processes in a group; none where the group is gone.
fn processes(group: &Path) -> Vec<u32> {
    fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect()
}

/// Folders alone: a group's control files are no groups, and no link leads out of the hierarchy.
fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_each_layout_are_found() {
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(hierarchies(v2), [PathBuf::from("/sys/fs/cgroup")]);
        let hybrid = "25 18 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            26 25 0:22 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n\
            27 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup none rw,cpu,cpuacct\n\
            28 25 0:24 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n";
        let expected =
            ["unified", "cpu,cpuacct", "memory"].map(|name| PathBuf::from("/sys/fs/cgroup").join(name));
        assert_eq!(hierarchies(hybrid), expected);
        assert!(hierarchies("22 1 0:2 / / rw - rootfs rootfs rw\n").is_empty());
    }

    #[test]
    fn a_process_is_found_in_its_group_and_not_in_the_root() {
        let tree = tempfile::tempdir().unwrap();
        let group = tree.path().join("tinkerbell/abc");
        fs::create_dir_all(&group).unwrap();
        fs::write(tree.path().join("cgroup.procs"), "1\n812\n").unwrap();
        fs::write(tree.path().join("tinkerbell/cgroup.procs"), "").unwrap();
        fs::write(group.join("cgroup.procs"), "811\n812\n").unwrap();
        assert_eq!(groups_with(tree.path(), 812), [group]);
        assert!(groups_with(tree.path(), 81).is_empty());
    }
}
