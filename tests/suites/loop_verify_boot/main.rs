//! `VERIFY_BOOT` of kexec-reboot on disks that would boot and join, and on disks that were broken in one way each. The action
//! itself runs, with `REBOOT_MODE=none` and below a first process of the test's own, so that no machine can go down.

mod breaks;
mod disk;

use std::fs;
use std::process::Command;

use nibs_tests::binaries::binary;
use nibs_tests::installed_files::in_root;
use nibs_tests::installed_image::RootFs;
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;
use serde_json::Value;

use breaks::boot_file;
use disk::{Making, RELEASE, make, write_at};

/// What the machine was started by, as sysfs shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Firmware {
    Bios,
    Uefi,
}

/// Runs the action with this environment. Its machine has the firmware that is said, whatever the real one has.
fn run_action(firmware: Firmware, more: &str, environment: &[(&str, &str)]) -> Outcome {
    let script = format!(
        "set -e
mount -t tmpfs none /sys/firmware
{}
{more}
status=0
unshare --mount \"$1\" || status=$?
exit $status",
        match firmware {
            Firmware::Bios => "",
            Firmware::Uefi => "mkdir /sys/firmware/efi\necho 64 >/sys/firmware/efi/fw_platform_size",
        }
    );
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120", "unshare", "--pid", "--mount", "--fork", "--mount-proc"]);
    command.args(["--kill-child", "sh", "-c", &script, "sh"]).arg(binary("kexec-reboot"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("REBOOT_MODE", "none").env("SET_BOOT_NEXT", "false");
    Outcome::of(command.envs(environment.iter().copied()))
}

fn verify(disk: &LoopDevice, firmware: Firmware) -> Outcome {
    let outcome = run_action(firmware, "", &[("DEST_DISK", disk.node().to_str().unwrap())]);
    assert!(!outcome.text.contains("hunter2"), "{}", outcome.text);
    outcome
}

/// The messages of a level.
fn of_level<'a>(outcome: &'a Outcome, level: &str) -> Vec<&'a str> {
    let lines = outcome.lines.iter().filter(|line| line["level"] == level);
    lines.filter_map(|line| line["msg"].as_str()).collect()
}

/// What the last line but the action's own says.
fn will_boot(outcome: &Outcome) -> &str {
    let lines: Vec<&str> =
        outcome.lines.iter().rev().filter_map(|line: &Value| line["msg"].as_str()).collect();
    lines.get(1).copied().unwrap_or_default()
}

/// The size of the disks in bytes.
const END: u64 = 42 << 20;

const BOTH: [Firmware; 2] = [Firmware::Bios, Firmware::Uefi];

#[test]
fn a_good_disk_passes_without_a_warning_and_is_not_written_to() {
    for filesystem in RootFs::ALL {
        let disk = make(Making { filesystem, ..Making::default() }, |_| {});
        let before = disk.content();
        for firmware in BOTH {
            let outcome = verify(&disk, firmware);
            outcome.succeeded();
            assert_eq!(of_level(&outcome, "warn"), Vec::<&str>::new(), "{filesystem:?} {firmware:?}");
            let name = if firmware == Firmware::Bios { "BIOS" } else { "UEFI" };
            assert_eq!(
                will_boot(&outcome),
                format!("will boot: {name}, Debian GNU/Linux 12 (bookworm), kernel {RELEASE}")
            );
            // A line for each check.
            for words in [
                "the partition table is right: GPT, both copies, 3 partitions",
                if firmware == Firmware::Bios {
                    "BIOS: block 0 has GRUB's boot code, and BIOS boot partition 1 the rest"
                } else {
                    "UEFI: there is \\EFI\\BOOT\\BOOTX64.EFI on partition 2"
                },
                "what starts is \"Debian GNU/Linux\" (an entry of GRUB",
                " is partition 3 of /dev/loop",
                "what 2 lines of /etc/fstab mount is there",
                "need not be",
                "its seed is there",
                "netplan can read /etc/netplan/90-default.yaml",
            ] {
                assert!(
                    of_level(&outcome, "info").iter().any(|line| line.contains(words)),
                    "{words}: {}",
                    outcome.text
                );
            }
        }
        assert!(before == disk.content(), "{filesystem:?} was written to");
    }
}

#[test]
fn two_disks_that_are_alike_are_ambiguous() {
    for root_by in ["UUID", "LABEL"] {
        let disk = make(Making { root_by, ..Making::default() }, |_| {});
        let twin = LoopDevice::new(END);
        fs::write(twin.node(), disk.content()).unwrap();
        run(Command::new("blockdev").arg("--flushbufs").arg(twin.node()));
        let outcome = verify(&disk, Firmware::Bios);
        let text = outcome.failed("root-ambiguous");
        assert!(text.contains(&format!("and also partition 3 of {}", twin.node().display())), "{text}");
    }
}

#[test]
fn several_errors_are_in_one_line() {
    let disk = make(Making::default(), |root| fs::write(boot_file(root, "initrd.img"), "").unwrap());
    write_at(&disk, 0, &[0; 440]);
    let outcome = verify(&disk, Firmware::Bios);
    // Without a boot loader nothing else counts, but whoever mends it wants to know the rest.
    let text = outcome.failed("boot-loader");
    assert!(text.contains("; also: the initrd"), "{text}");
    let node = disk.node().to_str().unwrap();
    let off = run_action(Firmware::Bios, "", &[("DEST_DISK", node), ("VERIFY_BOOT", "false")]);
    off.succeeded();
    assert_eq!(off.lines.len(), 1, "{}", off.text);
    // Nothing is left that would keep the disk.
    in_root(&disk, |root| assert!(root.join("boot").exists()));
}

#[test]
fn a_disk_that_was_given_holds_a_system_unless_one_is_hidden() {
    let disk = make(Making::default(), |root| fs::remove_file(root.join("usr/lib/os-release")).unwrap());
    let text = verify(&disk, Firmware::Bios);
    assert!(
        text.failed("root-not-found").ends_with("VERIFY_BOOT=false goes on all the same"),
        "{}",
        text.text
    );
    // As of a root in LVM, which is not looked into.
    let hidden = make(Making::default(), |_| {});
    write_at(&hidden, 10 << 20, &vec![0; 24 << 20]);
    let part = hidden.part(10 << 20, 24 << 20);
    nibs_tests::signatures::Format::Lvm.make(part.node());
    drop(part);
    run(Command::new("blockdev").arg("--flushbufs").arg(hidden.node()));
    let outcome = verify(&hidden, Firmware::Bios);
    outcome.succeeded();
    let warnings = of_level(&outcome, "warn");
    assert_eq!(warnings.len(), 1, "{}", outcome.text);
    assert!(
        warnings[0].contains("partition 3 is LVM2_member, in which a root is not looked for"),
        "{warnings:?}"
    );
    let missing = run_action(Firmware::Bios, "", &[("DEST_DISK", "serial:NONE")]);
    missing.failed("disk-missing");
}

#[test]
fn a_machine_without_a_disk_goes_down_with_a_warning() {
    let outcome = run_action(Firmware::Bios, "mount -t tmpfs none /sys/block", &[]);
    outcome.succeeded();
    let warnings = of_level(&outcome, "warn");
    assert_eq!(warnings.len(), 1, "{}", outcome.text);
    assert!(
        warnings[0].contains("was not looked at: no disk of this machine holds an installed system"),
        "{warnings:?}"
    );
}
