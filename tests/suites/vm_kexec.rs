//! kexec-reboot in a machine of its own: the running kernel hands over to what is on the installed disk, and where it cannot,
//! the action says why.
//!
//! The disks have Debian's kernel, and an initrd that says what it was started with and switches the machine off.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nibs_tests::disk_image::pipe;
use nibs_tests::installed_image::{InstalledImage, RootFs, forget_partitions, show_partition, with_mounted};
use nibs_tests::kexec_reboot;
use nibs_tests::loop_device::run;
use nibs_tests::os;
use nibs_tests::outcome::Outcome;
use nibs_tests::vm::{Bus, Disk, Exit, Guest, Vm, turn};

/// The UUID of a /boot of its own.
const BOOT_UUID: &str = "5ac1d5b6-50b0-4b0e-9cbb-7b1ffd8d1c55";

/// What the initrd says first.
const MARK: &str = "started from the installed disk: ";

/// From the load to the next kernel's end 15 s were seen, emulated.
const HAND_OVER: Duration = Duration::from_secs(120);

/// Runs the action. These disks have no boot loader: it is the running kernel that starts them.
fn action(guest: &Guest, environment: &[&str]) -> Outcome {
    kexec_reboot::in_guest(guest, &[environment, &["VERIFY_BOOT=false"]].concat())
}

/// How a disk is made.
#[derive(Clone, Copy)]
struct Making {
    root: RootFs,
    /// The folder of the filesystem that is the root.
    subvolume: Option<&'static str>,
    /// Whether /boot is partition 4.
    separate_boot: bool,
    logical_block_size: u32,
}

/// A disk with an installed system that has a kernel, two initrds and a grub.cfg.
fn disk(folder: &Path, name: &str, making: Making) -> Disk {
    let Making { root, subvolume, separate_boot, logical_block_size } = making;
    let image = InstalledImage {
        filesystem: root,
        logical_block_size,
        follower_mib: if separate_boot { 64 } else { 0 },
        ..InstalledImage::default()
    };
    let grub_cfg = |boot: &str, uuid: &str, root: &str| {
        format!(
            "set default=0
menuentry 'Debian GNU/Linux' {{
    search --no-floppy --fs-uuid --set=root {uuid}
    linux {boot}/vmlinuz-6.1.0-1-amd64 root={root} ro console=ttyS0 panic=-1 quiet loglevel=4 of={name}
    initrd {boot}/ucode.img {boot}/initrd.img-6.1.0-1-amd64
}}
"
        )
    };
    let disk = image.make_with(|top| {
        let node = run(Command::new("findmnt").args(["--noheadings", "--output", "SOURCE"]).arg(top));
        let uuid = run(Command::new("blkid").args(["-o", "value", "-s", "UUID", node.trim()]));
        let root = top.join(subvolume.unwrap_or("."));
        if let Some(name) = subvolume {
            run(Command::new("btrfs").args(["--quiet", "subvolume", "create"]).arg(&root));
            for entry in ["etc", "usr", "var", "boot", "lib", "sbin"] {
                run(Command::new("mv").arg(top.join(entry)).arg(root.join(entry)));
            }
            assert!(!top.join("etc").exists(), "{name}");
        }
        let mut fstab = format!("UUID={} / {} rw 0 1\n", uuid.trim(), image.filesystem.name());
        if separate_boot {
            fstab += &format!("UUID={BOOT_UUID} /boot ext4 rw 0 2\n");
        } else {
            let boot = format!("{}/boot", subvolume.map(|name| format!("/{name}")).unwrap_or_default());
            fill_boot(&root.join("boot"), &grub_cfg(&boot, uuid.trim(), &format!("UUID={}", uuid.trim())));
        }
        fs::write(root.join("etc/fstab"), fstab).unwrap();
        fs::write(root.join("root-uuid"), uuid.trim()).unwrap();
    });
    if separate_boot {
        let uuid = nibs_tests::installed_files::in_root(&disk, |root| {
            fs::read_to_string(root.join("root-uuid")).unwrap()
        });
        show_partition(&disk, 4);
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-U", BOOT_UUID]).arg(disk.partition(4)));
        with_mounted(&disk.partition(4), |boot| {
            fill_boot(boot, &grub_cfg("", BOOT_UUID, &format!("UUID={uuid}")));
        });
        forget_partitions(&disk);
    }
    run(Command::new("blockdev").arg("--flushbufs").arg(disk.node()));
    let file = folder.join(name);
    run(Command::new("cp").arg("--sparse=always").arg(disk.backing()).arg(&file));
    Disk::raw(file).serial(name).logical_block_bytes(logical_block_size)
}

/// Puts a kernel, its initrds and a grub.cfg into a /boot.
fn fill_boot(boot: &Path, grub_cfg: &str) {
    fs::create_dir_all(boot.join("grub")).unwrap();
    fs::write(boot.join("grub/grub.cfg"), grub_cfg).unwrap();
    fs::copy(os::kernel().expect("Debian's kernel"), boot.join("vmlinuz-6.1.0-1-amd64")).unwrap();
    let init = format!(
        "#!/bin/busybox sh
/bin/busybox mkdir /proc
/bin/busybox mount -t proc proc /proc
/bin/busybox echo \"{MARK}$(/bin/busybox cat /early) $(/bin/busybox cat /proc/cmdline)\" >/dev/console
/bin/busybox poweroff -f
"
    );
    fs::write(boot.join("initrd.img-6.1.0-1-amd64"), archive(&[("init", init.as_bytes())], true)).unwrap();
    // Its length is no multiple of four: what is behind it has to be padded.
    let mut early = archive(&[("early", b"both-initrds")], false);
    early.truncate(early.iter().rposition(|byte| *byte != 0).unwrap() + 2);
    assert_ne!(early.len() % 4, 0);
    fs::write(boot.join("ucode.img"), early).unwrap();
}

/// A cpio archive as the kernel unpacks it.
fn archive(files: &[(&str, &[u8])], with_busybox: bool) -> Vec<u8> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mut names = String::new();
    let mut add = |name: &str| names += &format!("{name}\n");
    if with_busybox {
        fs::create_dir_all(folder.path().join("bin")).unwrap();
        fs::create_dir_all(folder.path().join("dev")).unwrap();
        fs::copy("/bin/busybox", folder.path().join("bin/busybox")).unwrap();
        run(Command::new("mknod").arg(folder.path().join("dev/console")).args(["c", "5", "1"]));
        ["bin", "bin/busybox", "dev", "dev/console"].into_iter().for_each(&mut add);
    }
    for (name, content) in files {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        add(name);
    }
    let mut cpio = Command::new("cpio");
    cpio.args(["--quiet", "--create", "--format=newc"]).current_dir(folder.path()).stderr(Stdio::piped());
    pipe(&mut cpio, names.as_bytes())
}

/// A booted guest with these disks.
fn guest(vm: Vm, disks: Vec<Disk>) -> Guest {
    let vm = disks.into_iter().fold(vm.memory_mib(1536), Vm::disk);
    Guest::boot(vm).expect("a booted guest")
}

/// The line by which the kernel from the disk said what it was started with.
fn said(guest: &Guest) -> String {
    let text = guest.machine().console_text();
    let line = text.lines().find(|line| line.contains(MARK));
    line.unwrap_or_else(|| panic!("no kernel started from the disk: {text}")).to_owned()
}

/// Whether the running kernel has another one loaded.
fn loaded(guest: &Guest) -> String {
    guest.run("cat /sys/kernel/kexec_loaded").expect("a look").stdout.trim().to_owned()
}

/// The message of the line that has these words.
fn line<'a>(outcome: &'a Outcome, words: &str) -> &'a str {
    let all = outcome.lines.iter().filter_map(|line| line["msg"].as_str());
    all.into_iter().find(|msg| msg.contains(words)).unwrap_or_else(|| panic!("{words:?}: {}", outcome.text))
}

#[test]
fn vm_kexec_starts_what_is_on_the_disk() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let plain = Making { root: RootFs::Ext4, subvolume: None, separate_boot: false, logical_block_size: 512 };
    for (name, making, bus, mode, boot) in [
        ("PLAIN", plain, Bus::VirtioBlk, "auto", "/boot"),
        ("SEPARATE", Making { root: RootFs::Xfs, separate_boot: true, ..plain }, Bus::Nvme, "kexec", ""),
        (
            "SUBVOLUME",
            Making { root: RootFs::Btrfs, subvolume: Some("@"), logical_block_size: 4096, ..plain },
            Bus::VirtioBlk,
            "kexec",
            "/@/boot",
        ),
    ] {
        let disk = disk(folder.path(), name, making).bus(bus);
        let guest = guest(Vm::new(&format!("kexec-{}", name.to_lowercase())), vec![disk]);
        let mode = format!("REBOOT_MODE={mode}");
        let outcome = action(&guest, &[&mode, "WAIT_SECONDS=5"]);
        assert_eq!(
            outcome.succeeded(),
            "the installed system's kernel takes over 5 s after this container is gone",
            "{}",
            outcome.text
        );
        assert!(
            line(&outcome, "what starts is").contains("\"Debian GNU/Linux\" (an entry of GRUB"),
            "{}",
            outcome.text
        );
        let command_line = line(&outcome, "its command line: ").split_once(": ").unwrap().1;
        assert!(command_line.contains(&format!("of={name}")), "{command_line}");
        assert_eq!(guest.machine().wait_for_exit(HAND_OVER).expect("its end"), Exit::PowerOff, "{name}");
        let said = said(&guest);
        eprintln!("{name} ({boot}): {said}");
        assert!(said.contains(&format!("{MARK}both-initrds {command_line}")), "{said}");
    }
}

/// A disk as systemd's own tools make one: no fstab, and kernel and entry on the EFI system partition, which is partition 4.
fn disk_with_systemd_boot(folder: &Path, name: &str) -> Disk {
    let disk = InstalledImage { follower_mib: 64, ..InstalledImage::of(RootFs::Ext4) }.make();
    let files = tempfile::tempdir().unwrap();
    fill_boot(files.path(), "");
    fs::remove_dir_all(files.path().join("grub")).unwrap();
    for folder in ["EFI/BOOT", "EFI/systemd", "loader/entries"] {
        fs::create_dir_all(files.path().join(folder)).unwrap();
    }
    fs::write(files.path().join("EFI/systemd/systemd-bootx64.efi"), "#### LoaderInfo: systemd-boot 252 ####")
        .unwrap();
    fs::write(files.path().join("loader/loader.conf"), "default *-amd64\n").unwrap();
    fs::write(
        files.path().join("loader/entries/debian-6.1.0-1-amd64.conf"),
        format!(
            "title Debian GNU/Linux\nversion 6.1.0-1-amd64\nlinux /vmlinuz-6.1.0-1-amd64\ninitrd /ucode.img\n\
             initrd /initrd.img-6.1.0-1-amd64\noptions root=PARTLABEL=root ro console=ttyS0 panic=-1 quiet of={name}\n"
        ),
    )
    .unwrap();
    show_partition(&disk, 4);
    run(Command::new("mkfs.vfat").args(["-n", "ESP"]).arg(disk.partition(4)));
    let names = fs::read_dir(files.path()).unwrap().map(|entry| entry.unwrap().path());
    run(Command::new("mcopy").arg("-s").arg("-i").arg(disk.partition(4)).args(names).arg("::/"));
    forget_partitions(&disk);
    run(Command::new("blockdev").arg("--flushbufs").arg(disk.node()));
    let file = folder.join(name);
    run(Command::new("cp").arg("--sparse=always").arg(disk.backing()).arg(&file));
    run(Command::new("sgdisk").args(["--typecode=2:8300", "--typecode=4:ef00"]).arg(&file));
    Disk::raw(file).serial(name)
}

#[test]
fn vm_kexec_starts_what_is_on_the_efi_system_partition() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let disk = disk_with_systemd_boot(folder.path(), "ESP");
    let vm = Vm::new("kexec-esp").uefi(folder.path().join("variables.fd"));
    let guest = guest(vm, vec![disk]);
    let outcome = action(&guest, &["DEST_DISK=serial:ESP", "WAIT_SECONDS=5"]);
    let done = outcome.succeeded();
    assert!(done.starts_with("the installed system's kernel takes over"), "{}", outcome.text);
    assert!(
        line(&outcome, "what starts is").contains("an entry of systemd-boot, /boot/loader"),
        "{}",
        outcome.text
    );
    assert!(!outcome.text.contains("BootNext"), "{}", outcome.text);
    assert_eq!(guest.machine().wait_for_exit(HAND_OVER).expect("its end"), Exit::PowerOff);
    let said = said(&guest);
    eprintln!("{said}");
    assert!(
        said.contains("both-initrds root=PARTLABEL=root ro console=ttyS0 panic=-1 quiet of=ESP"),
        "{said}"
    );
}

#[test]
fn vm_kexec_that_does_not_start_is_said_to_the_kernels_log_and_a_reboot_follows() {
    let _turn = turn();
    let guest = guest(Vm::new("kexec-nothing-loaded"), Vec::new());
    // The process that is left behind, without a kernel that was loaded.
    let script = kexec_reboot::script(&guest, "--detached kexec 1");
    let _ = guest.run_within(&format!("({script}) >/dev/null 2>&1 &"), Duration::from_secs(10));
    assert_eq!(guest.machine().wait_for_exit(Duration::from_secs(120)).expect("its end"), Exit::Reboot);
    let text = guest.machine().console_text();
    assert!(text.contains("kexec-reboot: the kernel that was loaded does not start: EINVAL"), "{text}");
}

#[test]
fn vm_kexec_that_cannot_be_fails_with_its_cause_and_auto_reboots() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let making = Making { root: RootFs::Ext4, subvolume: None, separate_boot: true, logical_block_size: 512 };
    let disks: Vec<Disk> = ["ONE", "TWO"].map(|name| disk(folder.path(), name, making)).into();
    let blank: PathBuf = folder.path().join("BLANK");
    fs::File::create(&blank).and_then(|file| file.set_len(1 << 20)).unwrap();
    let guest = guest(
        Vm::new("kexec-refusals"),
        disks.into_iter().chain([Disk::raw(blank).serial("BLANK")]).collect(),
    );
    let kexec = |environment: &[&str]| {
        let outcome = action(&guest, &[&["REBOOT_MODE=kexec"], environment].concat());
        assert_eq!(loaded(&guest), "0", "{}", outcome.text);
        outcome
    };
    let outcome = kexec(&[]);
    assert!(outcome.failed("root-ambiguous").contains("set DEST_DISK to one"), "{}", outcome.text);
    kexec(&["DEST_DISK=serial:BLANK"]).failed("root-not-found");
    let one = "DEST_DISK=serial:ONE";
    let outcome = kexec(&[one, "CMD_LINE=root=UUID=01234567-89ab-cdef-0123-456789abcdef ro"]);
    assert!(outcome.failed("boot-root").contains("is nowhere on this machine"), "{}", outcome.text);
    let outcome = kexec(&[one, "CMD_LINE=root=/dev/vdb3"]);
    assert!(outcome.failed("boot-root").contains("is partition 3 of /dev/vdb"), "{}", outcome.text);
    let outcome = kexec(&[one, "KERNEL_PATH=/etc/hostname"]);
    assert!(outcome.failed("boot-entry").contains("no Linux kernel"), "{}", outcome.text);
    let outcome = kexec(&[one, "KERNEL_PATH=/boot/gone"]);
    assert!(outcome.failed("configuration").contains("KERNEL_PATH"), "{}", outcome.text);
    let long = format!("CMD_LINE=root=PARTLABEL=root {}", "x".repeat(2048));
    assert!(kexec(&[one, &long]).failed("kexec").contains("the kernel takes 2046"));

    // What is loaded is forgotten again when the process that starts it cannot be left behind.
    guest.run("mount -o remount,ro /sys/fs/cgroup").and_then(|output| output.succeeded()).unwrap();
    let outcome = kexec(&[one]);
    guest.run("mount -o remount,rw /sys/fs/cgroup").and_then(|output| output.succeeded()).unwrap();
    outcome.failed("hand-over");
    let mounts = guest.run("grep -c vd /proc/mounts").expect("a look").stdout;
    assert_eq!(mounts.trim(), "0", "what was mounted is unmounted");

    guest.run("echo 1 >/proc/sys/kernel/kexec_load_disabled").and_then(|output| output.succeeded()).unwrap();
    let outcome = kexec(&[one]);
    assert!(outcome.failed("kexec").contains("kexec_load_disabled is 1"), "{}", outcome.text);
    let outcome = action(&guest, &[one, "WAIT_SECONDS=5"]);
    assert_eq!(outcome.succeeded(), "the machine reboots 5 s after this container is gone");
    assert!(line(&outcome, "REBOOT_MODE=auto").contains("kexec_load_disabled is 1"), "{}", outcome.text);
    assert_eq!(guest.machine().wait_for_exit(Duration::from_secs(60)).expect("its end"), Exit::Reboot);
}
