//! What the options ask for.

use std::time::Duration;

use common::boot::{Firmware, Wanted};
use common::failure::Failure;
use common::values::Values;
use common::variables::{
    BLOCK_DEVICE, CMD_LINE, DEST_DISK_OR_PARTITION, FS_TYPE, GRUBCFG_PATH, INITRD_PATH, KERNEL_PATH,
    REBOOT_MODE, SET_BOOT_NEXT, SHORTEST_WAIT_SECS, VERIFY_BOOT, WAIT_SECONDS,
};
use tracing::debug;

/// Reports reached the server 0.25 to 2.0 s after the container's control group was gone on a busy machine, and of 20 machines
/// that waited for 2 s one went down before (seen with tink-agent v0.25). So no machine goes down sooner than this.
const SHORTEST_WAIT: Duration = Duration::from_secs(SHORTEST_WAIT_SECS);

/// What `REBOOT_MODE` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// kexec where that can be, else a reboot.
    Auto,
    /// kexec, or a failure.
    Kexec,
    /// As this says, whatever the installed system is.
    Plainly(Going),
}

/// How the machine goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Going {
    /// Into a kernel that is loaded, without the firmware.
    Kexec,
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
            Self::Kexec => "the installed system's kernel takes over",
            Self::Reboot => "the machine reboots",
            Self::Poweroff => "the machine powers off",
            Self::Stay => "the machine stays up",
        }
    }
}

/// Whether the firmware is told to start the installed disk next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootNext {
    /// On UEFI, when the machine reboots.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl BootNext {
    fn of(values: &Values) -> Result<Self, Failure> {
        Ok(match values.choice(&SET_BOOT_NEXT)? {
            "true" => Self::Always,
            "false" => Self::Never,
            _ => Self::Auto,
        })
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How the machine is to go.
    pub mode: Mode,
    /// How long it stays up after the container is gone.
    pub wait: Duration,
    /// The disk with the installed system, as it was given.
    pub disk: Option<String>,
    /// Whether that can also be the partition which the boot files are on.
    pub disk_by_boot_files: bool,
    /// Whether the firmware is told to start it next.
    pub boot_next: BootNext,
    /// Whether it is looked at once more whether the installed system will start.
    pub verify_boot: bool,
    /// What was given in the place of what the boot loader would start.
    pub given: Given,
}

/// What of the default entry was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    kernel: Option<String>,
    initrd: Option<String>,
    options: Option<String>,
    grub_cfg: Option<String>,
}

impl Given {
    /// What is looked for on a machine with this firmware.
    pub fn wanted(&self, firmware: Firmware) -> Wanted {
        Wanted {
            grub_cfg: self.grub_cfg.clone(),
            kernel: self.kernel.clone(),
            initrd: self.initrd.clone(),
            options: self.options.clone(),
            ..Wanted::default_on(firmware)
        }
    }
}

impl Plan {
    /// Reads the options.
    ///
    /// # Errors
    /// [`common::cause::Cause::Configuration`].
    pub fn of(values: &Values) -> Result<Self, Failure> {
        let mode = match values.choice(&REBOOT_MODE)? {
            "kexec" => Mode::Kexec,
            "reboot" => Mode::Plainly(Going::Reboot),
            "poweroff" => Mode::Plainly(Going::Poweroff),
            "none" => Mode::Plainly(Going::Stay),
            _ => Mode::Auto,
        };
        let wait = values.duration(&WAIT_SECONDS)?;
        if wait < SHORTEST_WAIT {
            let value = values.text(&WAIT_SECONDS).unwrap_or_default();
            let accepted = "a number of seconds from 5: the agent needs time to report the success";
            return Err(Failure::configuration(&WAIT_SECONDS, value, accepted));
        }
        if let Some(kind) = values.given(&FS_TYPE) {
            debug!("FS_TYPE={kind} is left aside: the filesystem is told from the disk");
        }
        let text = |variable| values.given(variable).map(str::to_owned);
        let disk = text(&DEST_DISK_OR_PARTITION);
        Ok(Self {
            mode,
            wait,
            disk_by_boot_files: disk.is_none(),
            disk: disk.or_else(|| text(&BLOCK_DEVICE)),
            boot_next: BootNext::of(values)?,
            verify_boot: values.boolean(&VERIFY_BOOT)?,
            given: Given {
                kernel: text(&KERNEL_PATH),
                initrd: text(&INITRD_PATH),
                options: text(&CMD_LINE),
                grub_cfg: text(&GRUBCFG_PATH),
            },
        })
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
    fn each_mode_is_what_it_says() {
        assert_eq!(plan(&[]).unwrap().mode, Mode::Auto);
        for (word, mode) in [
            ("auto", Mode::Auto),
            ("kexec", Mode::Kexec),
            ("reboot", Mode::Plainly(Going::Reboot)),
            ("poweroff", Mode::Plainly(Going::Poweroff)),
            ("none", Mode::Plainly(Going::Stay)),
        ] {
            let plan = plan(&[("REBOOT_MODE", word), ("WAIT_SECONDS", "5.5")]).unwrap();
            assert_eq!((plan.mode, plan.wait), (mode, Duration::from_millis(5500)));
        }
        assert_eq!(plan(&[]).unwrap().wait, Duration::from_secs(10));
    }

    #[test]
    fn the_disk_is_looked_at_unless_told_not_to() {
        for (value, verifies) in [("", true), ("1", true), ("True", true), ("false", false), ("0", false)] {
            assert_eq!(plan(&[("VERIFY_BOOT", value)]).unwrap().verify_boot, verifies, "{value}");
        }
    }

    #[test]
    fn the_firmware_is_told_by_itself_always_or_never() {
        let of = |value| plan(&[("SET_BOOT_NEXT", value)]).map(|plan| plan.boot_next);
        assert_eq!(of("").unwrap(), BootNext::Auto);
        assert_eq!(of("auto").unwrap(), BootNext::Auto);
        assert_eq!(of("true").unwrap(), BootNext::Always);
        assert_eq!(of("false").unwrap(), BootNext::Never);
        let failure = of("yes").unwrap_err();
        assert_eq!(failure.to_string(), "SET_BOOT_NEXT=\"yes\" is not valid; accepted: auto, true, false");
        assert_eq!(failure.cause.exit_code(), 2);
    }

    #[test]
    fn the_disk_has_an_older_name() {
        let disk = |pairs: &[(&str, &str)]| {
            let plan = plan(pairs).unwrap();
            (plan.disk, plan.disk_by_boot_files)
        };
        assert_eq!(disk(&[]).0, None);
        assert_eq!(disk(&[("BLOCK_DEVICE", "/dev/sda3")]), (Some("/dev/sda3".into()), true));
        let both = [("BLOCK_DEVICE", "/dev/sda3"), ("DEST_DISK", "serial:A1")];
        assert_eq!(disk(&both), (Some("serial:A1".into()), false));
    }

    #[test]
    fn what_the_older_action_takes_is_taken() {
        let plan = plan(&[
            ("KERNEL_PATH", "/boot/vmlinuz"),
            ("INITRD_PATH", "/boot/initrd"),
            ("CMD_LINE", "root=/dev/sda1 ro"),
            ("GRUBCFG_PATH", "/boot/grub/grub.cfg"),
            ("FS_TYPE", "ext4"),
        ]);
        let wanted = plan.unwrap().given.wanted(Firmware::Uefi);
        assert_eq!(wanted.kernel.as_deref(), Some("/boot/vmlinuz"));
        assert_eq!(wanted.initrd.as_deref(), Some("/boot/initrd"));
        assert_eq!(wanted.options.as_deref(), Some("root=/dev/sda1 ro"));
        assert_eq!(wanted.grub_cfg.as_deref(), Some("/boot/grub/grub.cfg"));
        assert_eq!(Given::default().wanted(Firmware::Bios), Wanted::default_on(Firmware::Bios));
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        for (pairs, word) in [
            (&[("REBOOT_MODE", "restart")], "REBOOT_MODE=\"restart\""),
            (&[("WAIT_SECONDS", "4.9")], "WAIT_SECONDS=\"4.9\""),
            (&[("SET_BOOT_NEXT", "1")], "SET_BOOT_NEXT=\"1\""),
            (&[("VERIFY_BOOT", "no")], "VERIFY_BOOT=\"no\""),
            (&[("WAIT_SECONDS", "soon")], "WAIT_SECONDS=\"soon\""),
        ] {
            let failure = plan(pairs).unwrap_err();
            assert_eq!(failure.cause.exit_code(), 2);
            assert!(failure.to_string().starts_with(word), "{failure}");
        }
    }
}
