//! `VERIFY_BOOT` of kexec-reboot on disks that would boot and join, and on disks that were broken in one way each. The action
//! itself runs, with `REBOOT_MODE=none` and below a first process of the test's own, so that no machine can go down.

mod disk;

use std::fs;
use std::path::Path;
use std::process::Command;

use nibs_tests::binaries::binary;
use nibs_tests::installed_files::in_root;
use nibs_tests::installed_image::RootFs;
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;
use serde_json::Value;

use disk::{AARCH64, BIOS_BOOT_AT, ESP_AT, Making, RELEASE, X64, change, esp, make, write_at};

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

/// A way to break a disk, and what is said of it.
struct Break {
    name: &'static str,
    firmware: &'static [Firmware],
    /// Changes the mounted root.
    root: fn(&Path),
    /// Changes the disk.
    disk: fn(&LoopDevice),
    /// The cause of the failure; nothing for a warning.
    cause: Option<&'static str>,
    words: &'static str,
}

impl Default for Break {
    fn default() -> Self {
        Self { name: "", firmware: &[Firmware::Bios], root: |_| {}, disk: |_| {}, cause: None, words: "" }
    }
}

impl Break {
    fn play(&self) {
        println!("{}", self.name);
        let disk = make(Making::default(), self.root);
        (self.disk)(&disk);
        let before = disk.content();
        for &firmware in self.firmware {
            let outcome = verify(&disk, firmware);
            let Self { name, cause, words, .. } = self;
            match cause {
                Some(cause) => {
                    let text = outcome.failed(cause);
                    assert!(text.contains(words), "{name}: {text}");
                    assert!(
                        text.contains("will not start")
                            && text.ends_with("VERIFY_BOOT=false goes on all the same"),
                        "{text}"
                    );
                    assert!(!outcome.text.contains("will boot"), "{name}: {}", outcome.text);
                    // What is broken is said, and nothing else: the last line is all that a person gets.
                    assert!(!text.contains("; also: "), "{name}: {text}");
                }
                None => {
                    outcome.succeeded();
                    let warnings = of_level(&outcome, "warn");
                    assert_eq!(warnings.len(), 1, "{name}: {}", outcome.text);
                    assert!(warnings[0].contains(words), "{name}: {}", outcome.text);
                    assert!(will_boot(&outcome).ends_with(", with 1 warning"), "{name}: {}", outcome.text);
                }
            }
        }
        assert!(before == disk.content(), "{}: the disk was written to", self.name);
    }
}

/// The size of the disks in bytes.
const END: u64 = 42 << 20;

fn replace_in(root: &Path, path: &str, from: &str, to: &str) {
    let path = root.join(path);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn boot_file(root: &Path, name: &str) -> std::path::PathBuf {
    root.join(format!("boot/{name}-{RELEASE}"))
}

#[test]
fn a_broken_table_is_an_error() {
    let breaks = [
        Break {
            name: "the header of the backup GPT",
            disk: |disk| change(disk, END - 512, 512, |header| header[60] ^= 1),
            words: "the last copy of its GPT is damaged: header checksum",
            ..Break::default()
        },
        Break {
            name: "the end of the disk, as of an image that ended early",
            disk: |disk| write_at(disk, END - (1 << 19), &[0; 1 << 19]),
            words: "the last copy of its GPT is damaged: no signature",
            ..Break::default()
        },
        Break {
            name: "the header of the primary GPT",
            disk: |disk| change(disk, 512, 512, |header| header[60] ^= 1),
            words: "the first copy of its GPT is damaged",
            ..Break::default()
        },
        Break {
            name: "an entry of the primary GPT",
            disk: |disk| change(disk, 1024 + 2 * 128, 128, |entry| entry[40] ^= 1),
            words: "the first copy of its GPT is damaged",
            ..Break::default()
        },
        Break {
            name: "the protective MBR",
            disk: |disk| change(disk, 446, 66, |entries| entries.fill(0)),
            words: "no protective MBR",
            ..Break::default()
        },
    ];
    for each in breaks {
        Break { firmware: &BOTH, cause: Some("partition-table"), ..each }.play();
    }
}

#[test]
fn firmware_with_nothing_to_start_is_an_error() {
    let breaks = [
        Break {
            name: "no loader on the ESP",
            firmware: &[Firmware::Uefi],
            disk: |disk| write_at(disk, ESP_AT, &esp(fat_id(disk), &[])),
            words: "EFI system partition 2 has no loader for x86-64",
            ..Break::default()
        },
        Break {
            name: "a loader for another architecture",
            firmware: &[Firmware::Uefi],
            disk: |disk| write_at(disk, ESP_AT, &esp(fat_id(disk), &[("EFI/BOOT/BOOTX64.EFI", AARCH64)])),
            words: "\\EFI\\BOOT\\BOOTX64.EFI on partition 2 is for arm64, and the firmware for x86-64",
            ..Break::default()
        },
        Break {
            name: "no boot code",
            disk: |disk| write_at(disk, 0, &[0; 440]),
            words: "started by a BIOS, and block 0 has no boot code",
            ..Break::default()
        },
        Break {
            name: "an empty BIOS boot partition",
            disk: |disk| write_at(disk, BIOS_BOOT_AT, &[0; 4096]),
            words: "GRUB's boot code goes on at sector 2048, in partition 1, which is empty",
            ..Break::default()
        },
    ];
    for each in breaks {
        Break { cause: Some("boot-loader"), ..each }.play();
    }
    // Each is the other firmware's own: with it, the same disk boots.
    let disk = make(Making::default(), |_| {});
    write_at(&disk, 0, &[0; 440]);
    verify(&disk, Firmware::Uefi).succeeded();
    let vendor = make(Making::default(), |_| {});
    write_at(&vendor, ESP_AT, &esp(fat_id(&vendor), &[("EFI/debian/shimx64.efi", X64)]));
    let outcome = verify(&vendor, Firmware::Uefi);
    outcome.succeeded();
    assert!(outcome.text.contains("debian\\\\shimx64.efi on partition 2"), "{}", outcome.text);
}

/// The serial number of a FAT filesystem, which fstab names.
fn fat_id(disk: &LoopDevice) -> u32 {
    let mut id = [0; 4];
    // FAT12 and FAT16 have it here (Microsoft's FAT specification, BS_VolID).
    change(disk, ESP_AT + 39, 4, |bytes| id.copy_from_slice(bytes));
    u32::from_le_bytes(id)
}

#[test]
fn a_kernel_that_cannot_be_started_is_an_error() {
    let breaks = [
        Break {
            name: "no kernel",
            root: |root| fs::remove_file(boot_file(root, "vmlinuz")).unwrap(),
            cause: Some("boot-kernel"),
            words: "vmlinuz-6.1.0-28-amd64",
            ..Break::default()
        },
        Break {
            name: "an empty kernel",
            root: |root| fs::write(boot_file(root, "vmlinuz"), "").unwrap(),
            cause: Some("boot-kernel"),
            words: "the kernel /boot/vmlinuz-6.1.0-28-amd64 is empty",
            ..Break::default()
        },
        Break {
            name: "a kernel of zeros",
            root: |root| fs::write(boot_file(root, "vmlinuz"), [0; 100_000]).unwrap(),
            cause: Some("boot-kernel"),
            words: "begins with 65536 zeros",
            ..Break::default()
        },
        Break {
            name: "no initrd",
            root: |root| fs::remove_file(boot_file(root, "initrd.img")).unwrap(),
            cause: Some("boot-kernel"),
            words: "initrd.img-6.1.0-28-amd64",
            ..Break::default()
        },
        Break {
            name: "an empty initrd",
            root: |root| fs::write(boot_file(root, "initrd.img"), "").unwrap(),
            cause: Some("boot-kernel"),
            words: "the initrd /boot/initrd.img-6.1.0-28-amd64 is empty",
            ..Break::default()
        },
        Break {
            name: "a kernel for another architecture",
            root: |root| fs::write(boot_file(root, "vmlinuz"), disk::arm64_kernel()).unwrap(),
            cause: Some("boot-architecture"),
            words: "is a kernel for arm64, and this machine is x86-64",
            ..Break::default()
        },
    ];
    for each in breaks {
        each.play();
    }
}

#[test]
fn a_root_that_is_not_the_root_is_an_error() {
    let breaks = [
        Break {
            name: "root= to nothing",
            root: |root| replace_in(root, "boot/grub/grub.cfg", "root=UUID=", "root=UUID=0000"),
            words: "is nowhere on this machine",
            ..Break::default()
        },
        Break {
            name: "root= to a partition that is not there",
            root: |root| replace_in(root, "boot/grub/grub.cfg", "root=UUID=", "root=/dev/nope3 x="),
            words: "root=/dev/nope3 is nowhere on this machine",
            ..Break::default()
        },
        Break {
            name: "root= to another disk's label",
            root: |root| replace_in(root, "boot/grub/grub.cfg", "root=UUID=", "root=PARTLABEL=nope x="),
            words: "root=PARTLABEL=nope is nowhere on this machine",
            ..Break::default()
        },
    ];
    for each in breaks {
        Break { cause: Some("boot-root"), ..each }.play();
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
fn what_only_keeps_a_node_from_joining_warns() {
    let breaks = [
        Break {
            name: "a UUID of fstab is gone",
            root: |root| {
                replace_in(root, "etc/fstab", "/dev/sr0", "UUID=01234567-89ab /data ext4 rw 0 2\n/dev/sr0")
            },
            words: "line 4 of /etc/fstab (UUID=01234567-89ab for /data) is nowhere on this machine",
            ..Break::default()
        },
        Break {
            name: "cloud-init is switched off",
            root: |root| fs::write(root.join("etc/cloud/cloud-init.disabled"), "").unwrap(),
            words: "cloud-init is switched off: /etc/cloud/cloud-init.disabled is there",
            ..Break::default()
        },
        Break {
            name: "cloud-init is switched off by the command line",
            root: |root| replace_in(root, "boot/grub/grub.cfg", " quiet", " cloud-init=disabled"),
            words: "cloud-init=disabled is on the kernel's command line",
            ..Break::default()
        },
        Break {
            name: "cloud-init is masked",
            root: |root| {
                fs::create_dir_all(root.join("etc/systemd/system")).unwrap();
                let unit = root.join("etc/systemd/system/cloud-init.service");
                std::os::unix::fs::symlink("/dev/null", unit).unwrap();
            },
            words: "systemd has cloud-init.service masked",
            ..Break::default()
        },
        Break {
            name: "cloud-init is not installed",
            root: |root| fs::remove_file(root.join("usr/bin/cloud-init")).unwrap(),
            words: "cloud-init is not installed",
            ..Break::default()
        },
        Break {
            name: "the seed is missing",
            root: |root| fs::remove_dir_all(root.join("var/lib/cloud/seed")).unwrap(),
            words: "cloud-init has no seed",
            ..Break::default()
        },
        Break {
            name: "half of the seed is missing",
            root: |root| fs::remove_file(root.join("var/lib/cloud/seed/nocloud/meta-data")).unwrap(),
            words: "nocloud/meta-data is missing",
            ..Break::default()
        },
        Break {
            name: "the seed is not asked for",
            root: |root| {
                let list = root.join("etc/cloud/cloud.cfg.d/zz-nibs-datasource.cfg");
                fs::write(list, "datasource_list: [Ec2]\n").unwrap();
            },
            words: "leaves Ec2 as sources, and not NoCloud",
            ..Break::default()
        },
        Break {
            name: "netplan is broken",
            root: |root| {
                fs::write(root.join("etc/netplan/90-default.yaml"), "network: {hunter2: [\n").unwrap()
            },
            words: "netplan fails on /etc/netplan/90-default.yaml",
            ..Break::default()
        },
        Break {
            name: "netplan has no network",
            root: |root| {
                fs::write(root.join("etc/netplan/90-default.yaml"), "ethernets: {hunter2: {}}\n").unwrap()
            },
            words: "it has no `network:` mapping",
            ..Break::default()
        },
        Break {
            name: "the table was not fitted to the disk",
            disk: |disk| nibs_tests::installed_image::resize(disk, END + (8 << 20)),
            words: "the table was not fitted to the disk",
            ..Break::default()
        },
    ];
    for each in breaks {
        each.play();
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
