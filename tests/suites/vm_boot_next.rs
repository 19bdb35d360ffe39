//! kexec-reboot and the firmware's boot order: on a machine that has the network first in it, the installed disk is started
//! next, once, and nothing else of the firmware's variables changes.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::efi::boot_next::{OWN, Seen};
use common::efi::{Entry, Variables};
use nibs_tests::kexec_reboot;
use nibs_tests::os;
use nibs_tests::outcome::Outcome;
use nibs_tests::vm::{Disk, Exit, Guest, Nic, Vm, turn};

/// The message of the action's line that speaks of BootNext.
fn word_of_boot_next(outcome: &Outcome) -> (&str, &str) {
    let line =
        outcome.lines.iter().find(|line| line["msg"].as_str().is_some_and(|msg| msg.contains("BootNext")));
    let line = line.unwrap_or_else(|| panic!("no word of BootNext: {}", outcome.text));
    (line["level"].as_str().unwrap_or_default(), line["msg"].as_str().unwrap_or_default())
}

/// What the firmware's variables say, read through the guest's own mount, which is made for it and goes again.
fn variables(guest: &Guest) -> Seen {
    let listing = guest
        .run(
            "mkdir -p /tmp/vars && mount -t efivarfs efivarfs /tmp/vars && cd /tmp/vars &&
             for each in Boot*; do echo $each $(od -An -v -tx1 $each | tr -d ' \\n'); done; cd /; umount /tmp/vars",
        )
        .and_then(|output| output.succeeded())
        .expect("the variables")
        .stdout;
    let folder = tempfile::tempdir().expect("a folder");
    for line in listing.lines() {
        let (name, hex) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("a byte");
        let content: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        fs::write(folder.path().join(name), content).expect("a variable");
    }
    Variables::at(folder.path()).expect("the folder").seen().expect("the variables")
}

fn own(seen: &Seen) -> Vec<&Entry> {
    let is_own = |entry: &&Entry| entry.option.as_ref().is_some_and(|option| option.name() == OWN);
    seen.entries.iter().filter(is_own).collect()
}

fn others(seen: &Seen) -> Vec<&Entry> {
    let is_own = |entry: &&Entry| entry.option.as_ref().is_some_and(|option| option.name() == OWN);
    seen.entries.iter().filter(|entry| !is_own(entry)).collect()
}

/// A UEFI machine with the Debian image on its disk, and the network before it in the boot order.
fn machine(folder: &Path, name: &str) -> Vm {
    Vm::new(name)
        .memory_mib(1536)
        .uefi(folder.join("variables.fd"))
        .disk(Disk::raw(folder.join("disk.raw")).serial("TARGET"))
        .nic(Nic::new("52:54:00:00:00:01").boots_first())
}

/// Boots the in-memory OS on that machine.
fn memory_os(folder: &Path) -> Guest {
    Guest::boot(machine(folder, "boot-next")).expect("a booted guest")
}

/// Starts the machine without a kernel of ours, and waits until its console shows one of the two. What the firmware says
/// that it starts comes with it.
fn firmware_starts(folder: &Path) -> (&'static str, String) {
    const DISK: &str = "Linux version";
    const NETWORK: &str = "Start PXE over IPv4";
    let machine = machine(folder, "boot-next-firmware").start().expect("a machine");
    machine
        .wait_until("start of the disk or the network on the console", Duration::from_secs(240), || {
            [DISK, NETWORK].iter().any(|mark| machine.console_text().contains(mark))
        })
        .expect("a start");
    let text = machine.console_text();
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with("BdsDxe: starting")).collect();
    (if text.contains(NETWORK) { "the network" } else { "the disk" }, said.join("\n"))
}

#[test]
fn vm_the_firmware_starts_the_installed_disk_though_the_network_is_first() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let image = os::debian().expect("the Debian image").raw;
    let disk = folder.path().join("disk.raw");
    let copied =
        Command::new("cp").args(["--sparse=always".as_ref(), image.as_os_str(), disk.as_os_str()]).status();
    assert!(copied.expect("cp").success());
    assert_eq!(firmware_starts(folder.path()).0, "the network", "before anything was set");

    let guest = memory_os(folder.path());
    // An in-memory OS need not have efivarfs mounted; the second one below has.
    guest.run("umount /sys/firmware/efi/efivars").and_then(|output| output.succeeded()).expect("no efivarfs");
    let before = variables(&guest);
    assert_eq!((own(&before).len(), before.next), (0, None));
    let outcome =
        kexec_reboot::in_guest(&guest, &["DEST_DISK=serial:TARGET", "REBOOT_MODE=reboot", "WAIT_SECONDS=15"]);
    outcome.succeeded();
    let (level, word) = word_of_boot_next(&outcome);
    eprintln!("{word}");
    assert_eq!(level, "info");
    assert!(word.contains("\\EFI\\BOOT\\BOOTX64.EFI on partition 2 of /dev/vda"), "{word}");
    assert!(word.ends_with(", a new entry"), "{word}");
    // It is all done before the success is reported; the machine goes down later.
    let after = variables(&guest);
    let [ours] = own(&after)[..] else { panic!("{after:?}") };
    assert_eq!(after.next, Some(ours.number));
    assert_eq!((&after.order, others(&after)), (&before.order, others(&before)));
    let mounts = guest.run("grep efivarfs /proc/*/mountinfo").expect("a look").stdout;
    assert_eq!(mounts, "", "the action's mount was left behind");
    assert_eq!(guest.machine().wait_for_exit(Duration::from_secs(90)).expect("its end"), Exit::Reboot);
    let number = ours.number;
    drop(guest);

    let (started, said) = firmware_starts(folder.path());
    eprintln!("{said}");
    assert_eq!(started, "the disk", "BootNext was set");
    let expected = format!("starting Boot{number:04X} {OWN:?} from HD(2,GPT,");
    assert!(said.contains(&expected) && said.ends_with(")/\\EFI\\BOOT\\BOOTX64.EFI"), "{said}");
    assert_eq!(firmware_starts(folder.path()).0, "the network", "BootNext counts once");

    // Provisioned again: the same entry, and no second.
    let guest = memory_os(folder.path());
    let before = variables(&guest);
    assert_eq!((own(&before).len(), before.next), (1, None));
    // Without DEST_DISK it is the only disk with something to start.
    let outcome = kexec_reboot::in_guest(&guest, &["SET_BOOT_NEXT=true", "REBOOT_MODE=none"]);
    outcome.succeeded();
    let (_, word) = word_of_boot_next(&outcome);
    eprintln!("{word}");
    assert!(word.ends_with(&format!("BootNext is Boot{number:04X} {OWN:?}, which is there")), "{word}");
    let after = variables(&guest);
    assert_eq!(after.next, Some(number));
    assert_eq!(after, Seen { next: Some(number), ..before });

    // A failure is a warning, and changes nothing.
    let environment =
        ["SET_BOOT_NEXT=true", "REBOOT_MODE=none", "VERIFY_BOOT=false", "DEST_DISK=serial:NONE"];
    let outcome = kexec_reboot::in_guest(&guest, &environment);
    outcome.succeeded();
    let (level, word) = word_of_boot_next(&outcome);
    assert_eq!(level, "warn");
    assert!(word.contains("there is no serial:NONE; this machine has /dev/vda"), "{word}");
    assert_eq!(variables(&guest), after);
}

#[test]
fn vm_on_a_bios_true_warns_and_auto_says_nothing() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    File::create(folder.path().join("disk")).and_then(|file| file.set_len(1 << 20)).expect("a disk");
    let vm = Vm::new("boot-next-bios").disk(Disk::raw(folder.path().join("disk")).serial("TARGET"));
    let guest = Guest::boot(vm).expect("a booted guest");
    let outcome = kexec_reboot::in_guest(&guest, &["SET_BOOT_NEXT=true", "REBOOT_MODE=none"]);
    outcome.succeeded();
    let (level, word) = word_of_boot_next(&outcome);
    assert_eq!(level, "warn");
    assert!(word.contains("started by a BIOS"), "{word}");
    let outcome = kexec_reboot::in_guest(&guest, &["REBOOT_MODE=reboot", "WAIT_SECONDS=60"]);
    outcome.succeeded();
    assert!(!outcome.text.contains("BootNext"), "{}", outcome.text);
}
