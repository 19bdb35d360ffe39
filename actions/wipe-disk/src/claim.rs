//! Claiming all disks before anything is written to any.

use common::cause::Cause;
use common::disk::{Disk, OpenDisk, System, find_disk};
use common::failure::Failure;
use common::stop;
use common::variables::WIPE_METHOD;

use crate::options::{Method, Options};

/// Finds, checks and opens every disk, so that nobody else can use it, and makes the kernel forget its partitions. What
/// speaks against any of them is said together, and then all disks are as they were.
///
/// # Errors
/// What speaks against a disk: the causes of [`find_disk`], [`OpenDisk::exclusive`] and
/// [`OpenDisk::forget_partitions`], and [`Cause::Configuration`] for a disk that is named twice, or that cannot discard
/// where it must.
pub(crate) fn claim(system: &System, options: &Options) -> Result<Vec<OpenDisk>, Failure> {
    let disks = all(options.disks.iter().map(|selector| find_disk(system, selector)))?;
    check_twice(&options.disks, &disks)?;
    if options.method == Method::Discard {
        check_discard(&disks)?;
    }
    let disks = all(disks.into_iter().map(|disk| OpenDisk::exclusive(system, disk)))?;
    let mut forgotten = Vec::new();
    for disk in &disks {
        let result = stop::check().and_then(|()| disk.forget_partitions(system));
        match result {
            Ok(partitions) => forgotten.push((disk, partitions)),
            Err(failure) => {
                for (disk, partitions) in forgotten {
                    disk.show_again(&partitions);
                }
                return Err(failure.context("nothing was written to any disk"));
            }
        }
    }
    Ok(disks)
}

/// All values, or all failures.
fn all<T>(results: impl Iterator<Item = Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(failure) => failures.push(failure),
        }
    }
    match together(failures) {
        None => Ok(values),
        Some(failure) => Err(failure),
    }
}

/// Several failures as one: the cause of the first, and what all say.
pub(crate) fn together(mut failures: Vec<Failure>) -> Option<Failure> {
    if failures.len() < 2 {
        return failures.pop();
    }
    let text: Vec<String> = failures.iter().map(ToString::to_string).collect();
    Some(Failure::new(failures[0].cause, text.join("; ")))
}

/// Two selectors can name one disk; so can two paths to it, each with a node of its own.
fn check_twice(selectors: &[String], disks: &[Disk]) -> Result<(), Failure> {
    for (at, disk) in disks.iter().enumerate() {
        let same = |other: &Disk| {
            let one_unit = disk.wwid.as_ref().is_some_and(|wwid| wwid.starts_with("naa."))
                && (&disk.wwid, &disk.serial) == (&other.wwid, &other.serial);
            other.number == disk.number || one_unit
        };
        if let Some(before) = disks[..at].iter().position(same) {
            return Err(Failure::new(
                Cause::Configuration,
                format_args!(
                    "{} and {} in DISKS are the same disk, {}; accepted: each disk once",
                    selectors[before],
                    selectors[at],
                    disk.describe()
                ),
            ));
        }
    }
    Ok(())
}

fn check_discard(disks: &[Disk]) -> Result<(), Failure> {
    match disks.iter().find(|disk| disk.discard_max_bytes == 0) {
        None => Ok(()),
        Some(disk) => Err(Failure::configuration(
            &WIPE_METHOD,
            "discard",
            format_args!("auto, signatures or zero, since {} cannot discard", disk.describe()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, minor: u32) -> Disk {
        Disk {
            name: name.into(),
            node: format!("/dev/{name}").into(),
            number: (8, minor),
            size_bytes: 1 << 30,
            logical_block_size: 512,
            read_only: false,
            discard_max_bytes: 0,
            model: None,
            serial: Some("S1".into()),
            wwid: None,
        }
    }

    #[test]
    fn one_disk_by_two_names_or_two_paths_is_refused() {
        let selectors = ["/dev/sda".to_owned(), "serial:S1".to_owned()];
        assert!(check_twice(&selectors, &[disk("sda", 0), disk("sdb", 16)]).is_ok());
        let failure = check_twice(&selectors, &[disk("sda", 0), disk("sda", 0)]).unwrap_err();
        assert_eq!(failure.cause, Cause::Configuration);
        assert!(
            failure.to_string().starts_with("/dev/sda and serial:S1 in DISKS are the same disk"),
            "{failure}"
        );
        let path = |name, minor| Disk { wwid: Some("naa.5000c500a1b2c3d4".into()), ..disk(name, minor) };
        assert!(check_twice(&selectors, &[path("sda", 0), path("sdb", 16)]).is_err());
        let other = Disk { serial: Some("S2".into()), ..path("sdb", 16) };
        assert!(check_twice(&selectors, &[path("sda", 0), other]).is_ok());
    }

    #[test]
    fn a_disk_that_cannot_discard_is_refused_where_it_must() {
        let can = Disk { discard_max_bytes: 1 << 30, ..disk("sda", 0) };
        assert!(check_discard(std::slice::from_ref(&can)).is_ok());
        let failure = check_discard(&[can, disk("sdb", 16)]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "WIPE_METHOD=\"discard\" is not valid; accepted: auto, signatures or zero, since /dev/sdb (serial S1, 1.1 GB) cannot discard"
        );
    }

    #[test]
    fn several_failures_are_said_together() {
        let failures = vec![Failure::new(Cause::DiskMounted, "one"), Failure::new(Cause::DiskMissing, "two")];
        let failure = together(failures).unwrap();
        assert_eq!((failure.cause, failure.to_string().as_str()), (Cause::DiskMounted, "one; two"));
        assert!(together(Vec::new()).is_none());
    }
}
