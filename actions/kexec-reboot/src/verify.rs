//! Looking once more whether what is on the disk will start, before the success is reported: afterwards nobody hears of it.

use common::cause::Cause;
use common::disk::{Disk, System, find_place};
use common::efi::Firmware;
use common::failure::Failure;
use common::verify_boot::{Report, Start, hides_a_system, of_disk, of_system};
use tracing::{debug, warn};

use crate::kexec;
use crate::plan::{Going, Plan};

/// What a failure to find the installed system, or to look at it, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The action fails.
    Fail,
    /// The disk was given, and holds no system, unless one is hidden from us.
    FailUnlessHidden,
    /// Nothing more can be said, and nobody is stopped by that.
    Warn,
}

/// What it means. `given` says whether a disk was named. Without one there need be none: a plain reboot needs no installed system.
fn verdict(cause: Cause, given: bool) -> Verdict {
    match cause {
        Cause::Configuration | Cause::Stopped | Cause::Internal => Verdict::Fail,
        _ if !given => Verdict::Warn,
        Cause::RootNotFound => Verdict::FailUnlessHidden,
        Cause::DiskMissing
        | Cause::DiskAmbiguous
        | Cause::NotABlockDevice
        | Cause::NotAWholeDisk
        | Cause::DiskIo
        | Cause::PartitionTable
        | Cause::RootAmbiguous => Verdict::Fail,
        // It is in use, or the running kernel lacks what it takes: the firmware and the system will not mind.
        _ => Verdict::Warn,
    }
}

/// Checks what will start, a line a check. Nothing is written.
///
/// # Errors
/// [`Cause::BootLoader`], [`Cause::BootKernel`], [`Cause::BootRoot`], [`Cause::BootArchitecture`], [`Cause::PartitionTable`] and
/// [`Cause::RootAmbiguous`] where the system will surely not start; where a disk was given, that it is not there or holds no system.
pub fn verify(system: &System, plan: &Plan, going: Going) -> Result<(), Failure> {
    let firmware = Firmware::of(system);
    let mut start = Start::by_firmware(firmware);
    if going == Going::Kexec {
        start.by_firmware = false;
        start.wanted = plan.given.wanted(start.wanted.firmware);
    }
    let failed = |failure: Failure| match verdict(failure.cause, plan.disk.is_some()) {
        Verdict::Fail | Verdict::FailUnlessHidden => Err(unless_off(failure)),
        Verdict::Warn => {
            warn!("whether the installed system will start was not looked at: {failure}");
            Ok(())
        }
    };
    let mut report = Report::default();
    let mut disk = None;
    if let Some(selector) = &plan.disk {
        let place = match find_place(system, selector) {
            Ok(place) => place,
            Err(failure) => return failed(failure),
        };
        report = match of_disk(place.disk(), &start) {
            Ok(report) => report,
            Err(failure) => return failed(failure),
        };
        if report.hides_the_rest() {
            return conclude(&report, place.disk(), firmware);
        }
        disk = Some(place.disk().clone());
    }
    let (root, boot_files) = match kexec::find(system, plan) {
        Ok(found) => found,
        Err(failure) => {
            if let Some(disk) = disk.as_ref().filter(|_| report.has_errors() && !ends(&failure)) {
                debug!("{failure}");
                return conclude(&report, disk, firmware);
            }
            report.log();
            return unfound(system, disk.as_ref(), failure).or_else(failed);
        }
    };
    debug!("root is {}", root.describe());
    if disk.is_none() {
        report = match of_disk(&root.disk, &start) {
            Ok(report) => report,
            Err(failure) => return failed(failure),
        };
    }
    match of_system(system, &root, boot_files, &start) {
        Ok(more) => report.add(more),
        Err(failure) if report.has_errors() && !ends(&failure) => debug!("{failure}"),
        Err(failure) => {
            report.log();
            return failed(failure);
        }
    }
    conclude(&report, &root.disk, firmware)
}

fn conclude(report: &Report, disk: &Disk, firmware: Firmware) -> Result<(), Failure> {
    report.log();
    report.conclude(disk, firmware).map_err(unless_off)
}

/// Whether a failure has nothing to do with the disk.
fn ends(failure: &Failure) -> bool {
    matches!(failure.cause, Cause::Configuration | Cause::Stopped | Cause::Internal)
}

/// Says what to do where the verdict is wrong, or does not matter.
fn unless_off(failure: Failure) -> Failure {
    if ends(&failure) {
        return failure;
    }
    Failure::new(failure.cause, format_args!("{failure}; VERIFY_BOOT=false goes on all the same"))
}

/// Where no root was found on the disk that was given: whether a system may be on it all the same.
///
/// # Errors
/// The failure, where there is none.
fn unfound(system: &System, disk: Option<&Disk>, failure: Failure) -> Result<(), Failure> {
    let Some(disk) = disk.filter(|_| verdict(failure.cause, true) == Verdict::FailUnlessHidden) else {
        return Err(failure);
    };
    match hides_a_system(system, disk) {
        Ok(Some(why)) => {
            warn!("whether the installed system will start was not looked at: {failure}; {why}");
            Ok(())
        }
        Ok(None) => Err(failure),
        Err(error) => {
            debug!("{}: {error}", disk.describe());
            Err(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_was_not_given_need_not_be_there() {
        for cause in [Cause::RootNotFound, Cause::RootAmbiguous, Cause::DiskBusy, Cause::PartitionTable] {
            assert_eq!(verdict(cause, false), Verdict::Warn, "{cause:?}");
        }
        for cause in [Cause::Stopped, Cause::Configuration, Cause::Internal] {
            assert_eq!(verdict(cause, false), Verdict::Fail, "{cause:?}");
        }
    }

    #[test]
    fn a_disk_that_was_given_holds_a_system_or_cannot_be_looked_at() {
        assert_eq!(verdict(Cause::RootNotFound, true), Verdict::FailUnlessHidden);
        for cause in [Cause::DiskMissing, Cause::RootAmbiguous, Cause::PartitionTable, Cause::DiskIo] {
            assert_eq!(verdict(cause, true), Verdict::Fail, "{cause:?}");
        }
        for cause in [Cause::DiskBusy, Cause::DiskMounted, Cause::DiskReadOnly, Cause::Mount, Cause::File] {
            assert_eq!(verdict(cause, true), Verdict::Warn, "{cause:?}");
        }
    }
}
