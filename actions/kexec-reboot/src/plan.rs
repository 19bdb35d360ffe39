//! What the options ask for.

use std::time::Duration;

use common::failure::Failure;
use common::values::Values;
use common::variables::{BLOCK_DEVICE, DEST_DISK_OR_PARTITION, REBOOT_MODE, WAIT_SECONDS};

use crate::boot_next::Setting;

/// Reports reached the server up to 0.25 s after the container's control group was gone (seen with tink-agent v0.25), so
/// no machine goes down sooner than this.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// How the machine goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Going {
    /// Through the firmware.
    Reboot,
    /// Off.
    Poweroff,
    /// Not at all.
    Stay,
}

impl Going {
    /// For a log line.
    pub fn words(self) -> &'static str {
        match self {
            Self::Reboot => "the machine reboots",
            Self::Poweroff => "the machine powers off",
            Self::Stay => "the machine stays up",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How the machine goes.
    pub going: Going,
    /// How long it stays up after the container is gone.
    pub wait: Duration,
    /// What the user should know of the choice.
    pub word: Option<&'static str>,
    /// The disk with the installed system, as it was given.
    pub disk: Option<String>,
    /// Whether the firmware is told to start it next.
    pub boot_next: Setting,
}

impl Plan {
    /// Reads the options.
    ///
    /// # Errors
    /// [`common::cause::Cause::Configuration`].
    pub fn of(values: &Values) -> Result<Self, Failure> {
        let (going, word) = match values.choice(&REBOOT_MODE)? {
            "kexec" => {
                return Err(Failure::configuration(
                    &REBOOT_MODE,
                    "kexec",
                    "auto, reboot, poweroff or none; kexec is not there yet",
                ));
            }
            "auto" => {
                (Going::Reboot, Some("REBOOT_MODE=auto: kexec is not there yet, so the machine reboots"))
            }
            "poweroff" => (Going::Poweroff, None),
            "none" => (Going::Stay, None),
            _ => (Going::Reboot, None),
        };
        let wait = values.duration(&WAIT_SECONDS)?;
        if wait < SHORTEST_WAIT {
            let value = values.text(&WAIT_SECONDS).unwrap_or_default();
            let accepted = "a number of seconds from 1: the agent needs time to report the success";
            return Err(Failure::configuration(&WAIT_SECONDS, value, accepted));
        }
        let disk = values.given(&DEST_DISK_OR_PARTITION).or_else(|| values.given(&BLOCK_DEVICE));
        Ok(Self { going, wait, word, disk: disk.map(str::to_owned), boot_next: Setting::of(values)? })
    }
}

#[cfg(test)]
mod tests {
    use common::variables::KEXEC_REBOOT;

    use super::*;

    fn plan(pairs: &[(&str, &str)]) -> Result<Plan, Failure> {
        Plan::of(&Values::from_pairs(&KEXEC_REBOOT, pairs).unwrap())
    }

    #[test]
    fn auto_reboots_and_says_so() {
        let plan = plan(&[]).unwrap();
        assert_eq!((plan.going, plan.wait), (Going::Reboot, Duration::from_secs(10)));
        assert!(plan.word.unwrap().contains("kexec is not there yet"));
    }

    #[test]
    fn each_mode_is_what_it_says() {
        for (mode, going) in [("reboot", Going::Reboot), ("poweroff", Going::Poweroff), ("none", Going::Stay)]
        {
            let plan = plan(&[("REBOOT_MODE", mode), ("WAIT_SECONDS", "1.5")]).unwrap();
            assert_eq!((plan.going, plan.wait, plan.word), (going, Duration::from_millis(1500), None));
        }
    }

    #[test]
    fn the_disk_has_an_older_name() {
        let disk = |pairs: &[(&str, &str)]| plan(pairs).unwrap().disk;
        assert_eq!(disk(&[]), None);
        assert_eq!(disk(&[("BLOCK_DEVICE", "/dev/sda3")]).as_deref(), Some("/dev/sda3"));
        let both = [("BLOCK_DEVICE", "/dev/sda3"), ("DEST_DISK", "serial:A1")];
        assert_eq!(disk(&both).as_deref(), Some("serial:A1"));
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        for (pairs, word) in [
            (&[("REBOOT_MODE", "kexec")], "REBOOT_MODE=\"kexec\""),
            (&[("REBOOT_MODE", "restart")], "REBOOT_MODE=\"restart\""),
            (&[("WAIT_SECONDS", "0")], "WAIT_SECONDS=\"0\""),
            (&[("SET_BOOT_NEXT", "1")], "SET_BOOT_NEXT=\"1\""),
            (&[("WAIT_SECONDS", "soon")], "WAIT_SECONDS=\"soon\""),
        ] {
            let failure = plan(pairs).unwrap_err();
            assert_eq!(failure.cause.exit_code(), 2);
            assert!(failure.to_string().starts_with(word), "{failure}");
        }
    }
}
