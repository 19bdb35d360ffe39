//! Disks that were broken in one way each.

use std::fs;
use std::path::{Path, PathBuf};

use nibs_tests::loop_device::LoopDevice;

use crate::disk::{self, AARCH64, BIOS_BOOT_AT, ESP_AT, Making, RELEASE, X64, change, esp, make, write_at};
use crate::{BOTH, END, Firmware, of_level, verify, will_boot};

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

fn replace_in(root: &Path, path: &str, from: &str, to: &str) {
    let path = root.join(path);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

pub fn boot_file(root: &Path, name: &str) -> PathBuf {
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
