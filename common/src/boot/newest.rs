//! The newest kernel in /boot, where no boot loader's configuration leads to one.

use std::cmp::Ordering;

use super::command_line;
use super::entry::{Entry, Place, Way};
use super::version::compare_kernels;
use super::volumes::{BootFile, Volumes, clean};
use crate::failure::Failure;
use crate::root_dir::Kind;

/// What the names of kernels begin with.
const KERNELS: [&str; 6] = ["vmlinuz", "vmlinux", "bzImage", "Image", "kernel", "linux"];

/// Microcode, which goes before the initrd.
const MICROCODE: [&str; 6] =
    ["intel-uc.img", "intel-ucode.img", "amd-uc.img", "amd-ucode.img", "early_ucode.cpio", "microcode.cpio"];

/// What stands beside kernels and is none.
const NO_KERNELS: [&str; 6] = [".hmac", ".sig", ".sha256", ".sha512", ".txt", ".map"];

/// The newest kernel with its initrd and a command line; nothing where there is none.
///
/// # Errors
/// Those of [`command_line::make`].
pub(super) fn entry(volumes: &Volumes) -> Result<Option<Entry>, Failure> {
    let folder = volumes.of_system("/boot");
    let Some(name) = newest(volumes, &folder) else { return Ok(None) };
    let kernel = BootFile { volume: folder.volume, path: clean(&format!("{}/{name}", folder.path)) };
    let initrds = initrds(volumes, &kernel);
    let options = command_line::make(volumes, !initrds.is_empty())?;
    Ok(Some(Entry {
        title: format!("Linux {}", version(&name).unwrap_or_default()).trim_end().to_owned(),
        way: Way::Newest,
        place: Place { file: folder, line: 0 },
        kernel,
        initrds,
        options,
        skipped: Vec::new(),
    }))
}

/// The initrds for a kernel, which are beside it: microcode, and one of its name.
pub(super) fn initrds(volumes: &Volumes, kernel: &BootFile) -> Vec<BootFile> {
    let (folder, name) = kernel.path.rsplit_once('/').unwrap_or(("", &kernel.path));
    let beside = |name: &str| {
        let file = BootFile { volume: kernel.volume, path: clean(&format!("{folder}/{name}")) };
        (volumes.kind(&file) == Some(Kind::File)).then_some(file)
    };
    let Some(own) = initrd_names(version(name).unwrap_or(name)).iter().find_map(|name| beside(name)) else {
        return Vec::new();
    };
    MICROCODE.iter().filter_map(|name| beside(name)).chain([own]).collect()
}

/// The names that the initrd of a kernel of this version can have.
fn initrd_names(version: &str) -> Vec<String> {
    if version.is_empty() {
        return ["initrd.img", "initramfs.img", "initrd", "initramfs", "initrd.gz"]
            .map(str::to_owned)
            .to_vec();
    }
    let patterns = [
        "initrd.img-{}",
        "initramfs-{}.img",
        "initrd-{}.img",
        "initrd-{}",
        "initramfs-{}",
        "initrd-{}.gz",
        "initramfs-genkernel-{}",
        "initramfs-genkernel-x86_64-{}",
        "initramfs-genkernel-aarch64-{}",
    ];
    let with = |version: &str| patterns.map(|pattern| pattern.replace("{}", version)).to_vec();
    let mut names = with(version);
    if let Some(version) = version.strip_suffix(".old") {
        names.extend(with(version).into_iter().map(|name| format!("{name}.old")));
        names.extend(with(version));
    }
    names
}

fn newest(volumes: &Volumes, folder: &BootFile) -> Option<String> {
    let names = volumes.get(folder.volume).dir.list(&folder.path).ok()?;
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    names
        .filter(|name| version(name).is_some())
        .filter(|name| {
            let file = BootFile { volume: folder.volume, path: clean(&format!("{}/{name}", folder.path)) };
            volumes.kind(&file) == Some(Kind::File)
        })
        .max_by(|one, other| order(one, other))
}

/// Which of two kernels is to be preferred: `Greater` when the first one is.
fn order(one: &str, other: &str) -> Ordering {
    let rank = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let spare = lower.contains("rescue")
            || lower.contains("fallback")
            || [".old", ".bak", ".orig", ".rpmsave", "~"].iter().any(|end| lower.ends_with(end))
            || lower.contains(".dpkg-");
        // A name without a version is mostly a link to one that has it.
        (!spare, version(name).is_some_and(|version| !version.is_empty()))
    };
    let versions = compare_kernels(version(one).unwrap_or_default(), version(other).unwrap_or_default());
    rank(one).cmp(&rank(other)).then(versions).then_with(|| one.cmp(other))
}

/// The version in the name of a kernel, empty where it has none; nothing where it is the name of no kernel.
fn version(name: &str) -> Option<&str> {
    if NO_KERNELS.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    KERNELS.iter().find_map(|kind| {
        let rest = name.strip_prefix(kind)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('-') }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_one_is_preferred_and_spares_go_last() {
        let preferred_first = [
            "vmlinuz-6.12.3-1-amd64",
            "vmlinuz-6.12.0-rc4-amd64",
            "vmlinuz-6.1.0-18-amd64",
            "vmlinuz-6.1.0-9-amd64",
            "vmlinuz-5.10.0",
            "vmlinuz",
            "vmlinuz-6.13.0.old",
            "vmlinuz-0-rescue-1d7f",
            "vmlinuz.old",
        ];
        let mut names: Vec<&str> =
            preferred_first.into_iter().filter(|name| version(name).is_some()).rev().collect();
        names.sort_by(|one, other| order(other, one));
        assert_eq!(names, preferred_first[..8]);
    }

    #[test]
    fn kernels_are_told_from_what_is_beside_them() {
        for (name, expected) in [
            ("vmlinuz-6.1", Some("6.1")),
            ("vmlinuz", Some("")),
            ("Image-6.4", Some("6.4")),
            ("vmlinuz-lts", Some("lts")),
            ("vmlinuz-5.14.hmac", None),
            (".vmlinuz-5.14.hmac", None),
            ("vmlinuzx", None),
            ("config-6.1", None),
            ("System.map-6.1", None),
            ("initrd.img-6.1", None),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }
}
