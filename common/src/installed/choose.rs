//! Which of the places that were looked at is the root.

use crate::cause::Cause;
use crate::failure::Failure;
use crate::mount::Filesystem;
use crate::table::PartitionKind;

/// The Discoverable Partitions Specification's type of a root for this architecture, as GPT stores it (UAPI group, 2).
pub(crate) const ROOT_TYPE: [u8; 16] = if cfg!(target_arch = "aarch64") {
    // b921b045-1df0-41c3-af44-4c6f280d3fae
    [0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41, 0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae]
} else {
    // 4f68bce3-e8cd-4db1-96e7-fbcaf984b709
    [0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09]
};

/// A failure lists no more places than this: it has to fit into a line.
const MOST_LISTED: usize = 12;

/// A place that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The kernel's name: `sda3`, or `sda` for a filesystem without a table.
    pub device: String,
    /// What the table says is in it.
    pub kind: Option<PartitionKind>,
    /// What was found in it.
    pub finding: Finding,
}

/// What was found in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// An installed system.
    System {
        /// Its filesystem.
        filesystem: Filesystem,
        /// The operating system's name.
        os: String,
        /// The folder in the filesystem that is the root, where it is not the filesystem's own.
        subvolume: Option<&'static str>,
    },
    /// A filesystem of a kind that could hold one, and does not.
    Lacks(Filesystem, String),
    /// A filesystem of a kind that could hold one, and cannot be mounted.
    Broken(Filesystem, String),
    /// Another format, by libblkid's name.
    Other(String),
    /// Nothing that is known.
    Nothing,
    /// The kernel does not show the partition, or it cannot be read.
    Unreadable(String),
}

/// The index of the root. A partition that its type names as the root of this architecture goes before the others, if it
/// holds an installed system.
///
/// # Errors
/// [`Cause::RootNotFound`] and [`Cause::RootAmbiguous`], with what was found where.
pub(super) fn choose(candidates: &[Candidate], disk: &str) -> Result<usize, Failure> {
    let systems: Vec<usize> =
        (0..candidates.len()).filter(|&i| matches!(candidates[i].finding, Finding::System { .. })).collect();
    let named: Vec<usize> = systems
        .iter()
        .copied()
        .filter(|&i| candidates[i].kind == Some(PartitionKind::Gpt(ROOT_TYPE)))
        .collect();
    let several = if named.is_empty() { &systems } else { &named };
    match several[..] {
        [only] => Ok(only),
        [] => Err(Failure::new(
            Cause::RootNotFound,
            format_args!("no installed system on {disk}: {}{}", list(candidates), unsupported(candidates)),
        )),
        [first, ..] => {
            let those: Vec<Candidate> = several.iter().map(|&i| candidates[i].clone()).collect();
            Err(Failure::new(
                Cause::RootAmbiguous,
                format_args!(
                    "several installed systems on {disk}: {}; set DEST_DISK to the one that is meant, as /dev/{}",
                    list(&those),
                    candidates[first].device,
                ),
            ))
        }
    }
}

fn list(candidates: &[Candidate]) -> String {
    if candidates.is_empty() {
        return "it has a partition table without partitions".to_owned();
    }
    let mut all: Vec<String> = candidates
        .iter()
        .take(MOST_LISTED)
        .map(|each| format!("{}: {}", each.device, each.finding))
        .collect();
    if candidates.len() > MOST_LISTED {
        all.push(format!("and {} more", candidates.len() - MOST_LISTED));
    }
    all.join(", ")
}

/// What a person must know who has a root in one of these.
fn unsupported(candidates: &[Candidate]) -> &'static str {
    let has = |names: &[&str]| {
        candidates
            .iter()
            .any(|each| matches!(&each.finding, Finding::Other(kind) if names.contains(&kind.as_str())))
    };
    if has(&["LVM2_member", "LVM1_member"]) {
        "; a root in LVM is not supported"
    } else if has(&["crypto_LUKS"]) {
        "; an encrypted root (LUKS) is not supported"
    } else if has(&["linux_raid_member"]) {
        "; a root on an md array is not supported"
    } else {
        ""
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System { filesystem, os, .. } => write!(f, "{os} ({})", filesystem.name()),
            Self::Lacks(filesystem, what) => write!(f, "{} with {what}", filesystem.name()),
            Self::Broken(filesystem, why) => {
                write!(f, "{} that cannot be mounted ({why})", filesystem.name())
            }
            Self::Other(kind) => write!(f, "{kind}"),
            Self::Nothing => write!(f, "nothing known"),
            Self::Unreadable(why) => write!(f, "{why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX_DATA: PartitionKind = PartitionKind::Gpt([7; 16]);
    const ROOT: PartitionKind = PartitionKind::Gpt(ROOT_TYPE);

    fn candidate(device: &str, kind: PartitionKind, finding: Finding) -> Candidate {
        Candidate { device: device.into(), kind: Some(kind), finding }
    }

    fn system(os: &str) -> Finding {
        Finding::System { filesystem: Filesystem::Ext4, os: os.into(), subvolume: None }
    }

    #[test]
    fn the_only_system_is_the_root_whatever_its_type() {
        let all = [
            candidate("sda1", LINUX_DATA, Finding::Other("vfat".into())),
            candidate("sda2", ROOT, Finding::Lacks(Filesystem::Ext4, "no /etc".into())),
            candidate("sda3", LINUX_DATA, system("Debian")),
        ];
        assert_eq!(choose(&all, "sda").unwrap(), 2);
    }

    #[test]
    fn the_type_decides_between_two_systems() {
        let all =
            [candidate("sda1", LINUX_DATA, system("Rescue")), candidate("sda2", ROOT, system("Debian"))];
        assert_eq!(choose(&all, "sda").unwrap(), 1);
    }

    #[test]
    fn two_systems_of_the_same_type_are_ambiguous() {
        for kind in [LINUX_DATA, ROOT, PartitionKind::Mbr(0x83)] {
            let all =
                [candidate("sda1", kind, system("Debian 12")), candidate("sda2", kind, system("Debian 13"))];
            let failure = choose(&all, "/dev/sda").unwrap_err();
            assert_eq!(failure.cause, Cause::RootAmbiguous);
            assert_eq!(
                failure.to_string(),
                "several installed systems on /dev/sda: sda1: Debian 12 (ext4), sda2: Debian 13 (ext4); set DEST_DISK \
                 to the one that is meant, as /dev/sda1"
            );
        }
    }

    #[test]
    fn nothing_found_says_what_was_looked_at() {
        let all = [
            candidate("sda1", LINUX_DATA, Finding::Other("vfat".into())),
            candidate("sda2", LINUX_DATA, Finding::Other("LVM2_member".into())),
            candidate("sda3", LINUX_DATA, Finding::Nothing),
            candidate("sda4", ROOT, Finding::Lacks(Filesystem::Xfs, "no os-release".into())),
        ];
        let failure = choose(&all, "/dev/sda (no serial, 1.0 GB)").unwrap_err();
        assert_eq!(failure.cause, Cause::RootNotFound);
        assert_eq!(
            failure.to_string(),
            "no installed system on /dev/sda (no serial, 1.0 GB): sda1: vfat, sda2: LVM2_member, sda3: nothing known, \
             sda4: xfs with no os-release; a root in LVM is not supported"
        );
        assert!(choose(&[], "sda").unwrap_err().to_string().contains("without partitions"));
    }

    #[test]
    fn a_long_list_is_cut() {
        let all: Vec<Candidate> =
            (1..=128).map(|n| candidate(&format!("sda{n}"), LINUX_DATA, Finding::Nothing)).collect();
        assert!(choose(&all, "sda").unwrap_err().to_string().ends_with("sda12: nothing known, and 116 more"));
    }
}
