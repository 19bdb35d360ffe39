//! The bench's own virtual machines: the guest OS sees the disks that it was given, and the Debian image boots by itself.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nibs_tests::os;
use nibs_tests::vm::{Bus, Disk, Exit, Fault, Guest, Nic, SshKey, Target, Vm, turn};
use tempfile::TempDir;

fn sparse(folder: &TempDir, name: &str, mib: u64) -> PathBuf {
    let path = folder.path().join(name);
    File::create(&path).and_then(|file| file.set_len(mib << 20)).expect("a sparse file");
    path
}

#[test]
fn vm_guest_sees_each_disk_as_it_was_given() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let disk = |name| Disk::raw(sparse(&folder, name, 64)).serial(name);
    let guest = Guest::boot(
        Vm::new("guest-disks")
            .disk(disk("VIRTIO512"))
            .disk(disk("VIRTIO4K").logical_block_bytes(4096))
            .disk(disk("NVME512").bus(Bus::Nvme))
            .disk(disk("NVME4K").bus(Bus::Nvme).logical_block_bytes(4096))
            .disk(disk("AHCI").bus(Bus::Ahci))
            .disk(disk("SCSI512").bus(Bus::VirtioScsi))
            .disk(disk("SCSI4K").bus(Bus::VirtioScsi).logical_block_bytes(4096))
            .disk(disk("NODISCARD").discard(false))
            .disk(disk("READONLY").read_only())
            .disk(disk("BAD").fault(Fault {
                event: "write_aio".into(),
                errno: 5,
                sector: None,
                after: 0,
                once: false,
            })),
    )
    .expect("a booted guest");

    // The serial is where the bus' driver puts it; SCSI's is page 0x80, behind four bytes of header.
    let listing = guest
        .run(
            "for disk in /sys/block/vd* /sys/block/nvme* /sys/block/sd*; do
                serial=$(cat $disk/serial $disk/device/serial 2>/dev/null)
                [ -n \"$serial\" ] || serial=$(tail -c +5 $disk/device/vpd_pg80)
                echo $serial $(cat $disk/queue/logical_block_size $disk/size $disk/ro) \
                    $(($(cat $disk/queue/discard_max_bytes) > 0)) ${disk##*/}
            done",
        )
        .and_then(|output| output.succeeded())
        .expect("the disks' attributes");
    let mut seen: Vec<Vec<&str>> =
        listing.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    seen.sort();
    // Serial, logical block size in bytes, size in 512-byte sectors, read-only, can discard, beginning of its name.
    let expected = [
        ["AHCI", "512", "131072", "0", "1", "sd"],
        ["BAD", "512", "131072", "0", "1", "vd"],
        ["NODISCARD", "512", "131072", "0", "1", "vd"],
        ["NVME4K", "4096", "131072", "0", "1", "nvme"],
        ["NVME512", "512", "131072", "0", "1", "nvme"],
        ["READONLY", "512", "131072", "1", "1", "vd"],
        ["SCSI4K", "4096", "131072", "0", "1", "sd"],
        ["SCSI512", "512", "131072", "0", "1", "sd"],
        ["VIRTIO4K", "4096", "131072", "0", "1", "vd"],
        ["VIRTIO512", "512", "131072", "0", "1", "vd"],
    ];
    assert_eq!(seen.len(), expected.len(), "{}", listing.stdout);
    for (seen, expected) in seen.iter().zip(expected) {
        assert_eq!(seen[..5], expected[..5], "{}", listing.stdout);
        assert!(seen[5].starts_with(expected[5]), "{seen:?}");
    }

    // Commands: status, both streams, files both ways, a limit.
    let output = guest.run("echo out; echo err >&2; exit 3").expect("a command");
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (3, "out\n", "err\n"));
    let sent = folder.path().join("sent");
    std::fs::write(&sent, vec![7_u8; 3 << 20]).expect("a file to send");
    guest.put(&sent, "/tmp/there/file").expect("a file put");
    guest.get("/tmp/there/file", folder.path().join("back")).expect("a file got");
    assert_eq!(std::fs::read(folder.path().join("back")).expect("the file"), vec![7_u8; 3 << 20]);
    assert_eq!(guest.run_within("sleep 30", Duration::from_secs(1)).expect("a killed command").status, 137);

    // A disk that fails does so in the guest's programs.
    let bad = guest.run("dd if=/dev/zero of=/dev/$(grep -lx BAD /sys/block/*/serial | cut -d/ -f4) bs=4k count=1 oflag=direct");
    let bad = bad.expect("dd's end");
    assert_eq!(bad.status, 1, "{bad:?}");
    assert!(bad.stderr.contains("Input/output error"), "{bad:?}");

    guest.run("(sleep 1; reboot -f) >/dev/null 2>&1 &").expect("a reboot in a second");
    assert_eq!(guest.machine().wait_for_exit(Duration::from_secs(20)).expect("its end"), Exit::Reboot);
}

/// Writes a NoCloud seed into the image's root partition by debugfs, so that no mount is needed.
fn seed(image: &std::path::Path, folder: &TempDir, key: &SshKey) {
    let user_data = format!(
        "#cloud-config\nlocale: false\nssh_genkeytypes: [ed25519]\ndisable_root: false\nusers:\n- name: root\n  \
         ssh_authorized_keys: ['{}']\nwrite_files:\n- path: /etc/made-by-user-data\n  content: made\n",
        key.public()
    );
    std::fs::write(folder.path().join("user-data"), user_data).expect("user-data");
    std::fs::write(folder.path().join("meta-data"), "instance-id: i-1\nlocal-hostname: node-1\n")
        .expect("meta-data");
    let script = folder.path().join("debugfs");
    let from = folder.path().display();
    let seed = "/var/lib/cloud/seed/nocloud";
    std::fs::write(
        &script,
        format!(
            "mkdir /var/lib/cloud\nmkdir /var/lib/cloud/seed\nmkdir {seed}\nwrite {from}/user-data {seed}/user-data\n\
             write {from}/meta-data {seed}/meta-data\n"
        ),
    )
    .expect("a script");
    // The root begins at 66 MiB (tests/os/debian.sh).
    let output = Command::new("debugfs")
        .arg("-w")
        .arg("-f")
        .arg(&script)
        .arg(format!("{}?offset={}", image.display(), 66 << 20))
        .output()
        .expect("debugfs");
    // It ends with 0 whatever happened; what it says on standard error is its version, then errors.
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:?}");
}

/// Boots the Debian image by itself from a disk of 3 GiB, and looks at what came up.
fn debian_boots(name: &str, folder: &TempDir, firmware: impl FnOnce(Vm) -> Vm) -> Target {
    let image = os::debian().expect("the Debian image").raw;
    let disk = folder.path().join("disk.raw");
    let copied =
        Command::new("cp").args(["--sparse=always".as_ref(), image.as_os_str(), disk.as_os_str()]).status();
    assert!(copied.expect("cp").success());
    let key = SshKey::generate().expect("a key");
    seed(&disk, folder, &key);
    File::options().write(true).open(&disk).and_then(|file| file.set_len(3 << 30)).expect("a larger disk");

    let machine = Vm::new(name)
        .memory_mib(1536)
        .disk(Disk::raw(&disk).serial("TARGET"))
        .nic(Nic::new("52:54:00:00:00:01").forward("10.0.2.15", 22));
    let tell = |word: String| eprintln!("vm: {word}");
    let target = Target::boot(&firmware(machine), &key, "root", Duration::from_secs(400), tell);
    let target = target.expect("a booted target");
    target.wait_for_cloud_init(Duration::from_secs(240)).expect("cloud-init's end");
    let run =
        |command: &str| target.run(command).and_then(|output| output.succeeded()).expect(command).stdout;
    assert_eq!(run("hostname").trim(), "node-1");
    assert_eq!(run("cat /etc/made-by-user-data").trim(), "made");
    assert!(run("cat /etc/machine-id").trim().len() == 32, "a machine-id of its own");
    assert!(run("ip -4 -o addr show").contains("10.0.2.15/24"));
    assert_eq!(run("systemctl --failed --no-legend --plain"), "", "units that failed");
    // cloud-init has grown the root: 3 GiB less 66 MiB, in 512-byte sectors, and some for the backup GPT.
    let root_sectors: u64 = run("cat /sys/class/block/vda3/size").trim().parse().expect("a number");
    assert!(root_sectors > 6_150_000, "{root_sectors}");
    target
}

#[test]
fn vm_debian_boots_by_uefi_with_a_seed() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let target = debian_boots("debian-uefi", &folder, |vm| vm.uefi(folder.path().join("variables.fd")));
    let efi = target.run("test -d /sys/firmware/efi && findmnt -n -o FSTYPE /boot/efi").expect("a command");
    assert_eq!(efi.stdout.trim(), "vfat", "{efi:?}");
}

#[test]
fn vm_debian_boots_by_bios_with_a_seed() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let target = debian_boots("debian-bios", &folder, |vm| vm);
    assert_eq!(target.run("test -d /sys/firmware/efi").expect("a command").status, 1);
    target.machine().press_power_button().expect("the power button");
    assert_eq!(target.machine().wait_for_exit(Duration::from_secs(90)).expect("its end"), Exit::PowerOff);
}
