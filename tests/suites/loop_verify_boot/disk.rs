//! A small disk that would boot by BIOS and by UEFI, and join: all that is looked at is there, and little more.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use nibs_tests::disk_image::MIB;
use nibs_tests::installed_files::add_netplan_and_cloud_init;
use nibs_tests::installed_image::{InstalledImage, RootFs};
use nibs_tests::loop_device::{LoopDevice, run};

/// The release in the names of the kernel and its initrd.
pub const RELEASE: &str = "6.1.0-28-amd64";

/// The first sector of the BIOS boot partition.
pub const BIOS_BOOT_AT: u64 = MIB;

/// The first byte of the EFI system partition, and its length.
pub const ESP_AT: u64 = 2 * MIB;
const ESP_BYTES: u64 = 8 * MIB;

/// The machine types of a PE header.
pub const X64: [u8; 2] = [0x64, 0x86];
pub const AARCH64: [u8; 2] = [0x64, 0xaa];

/// What a disk is made with.
#[derive(Debug, Clone, Copy)]
pub struct Making {
    pub filesystem: RootFs,
    /// What the root is named by on the command line: `UUID` or `LABEL`.
    pub root_by: &'static str,
}

impl Default for Making {
    fn default() -> Self {
        Self { filesystem: RootFs::Ext4, root_by: "UUID" }
    }
}

/// Makes the disk; `more` gets its mounted root at the end.
pub fn make(making: Making, more: impl FnOnce(&Path)) -> LoopDevice {
    let root_mib = if making.filesystem == RootFs::Ext4 { 24 } else { 320 };
    let esp_id = fastrand::u32(..);
    // Other tests have disks at the same time, and all of them have roots with the same label.
    let label = format!("only-{esp_id:08x}");
    let image = InstalledImage {
        root_mib,
        // No more than the image itself, so that its table fits the disk.
        disk_mib: 18 + root_mib,
        ..InstalledImage::of(making.filesystem)
    };
    let disk = image.make_with(|root| {
        let node = run(Command::new("findmnt").args(["--noheadings", "--output", "SOURCE"]).arg(root));
        let uuid = run(Command::new("blkid").args(["-o", "value", "-s", "UUID", node.trim()]));
        let uuid = uuid.trim();
        let name = if making.root_by == "LABEL" { &label } else { uuid };
        if making.root_by == "LABEL" {
            run(Command::new("tune2fs").args(["-L", &label, node.trim()]));
        }
        write_boot(root, uuid, &format!("{}={name}", making.root_by));
        let fstab = format!(
            "# <file system> <mount point>\nUUID={uuid} / {} errors=remount-ro 0 1\n\
             UUID={:04X}-{:04X} /boot/efi vfat umask=0077 0 1\n/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n",
            making.filesystem.name(),
            esp_id >> 16,
            esp_id & 0xffff,
        );
        fs::write(root.join("etc/fstab"), fstab).unwrap();
        add_netplan_and_cloud_init(root);
        write_seed(root);
        more(root);
    });
    write_bios(&disk);
    write_at(&disk, ESP_AT, &esp(esp_id, &[("EFI/BOOT/BOOTX64.EFI", X64), ("EFI/debian/grubx64.efi", X64)]));
    disk
}

/// Writes to the disk past every cache.
pub fn write_at(disk: &LoopDevice, at: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(disk.node()).unwrap();
    file.write_all_at(bytes, at).unwrap();
    file.sync_all().unwrap();
}

/// Changes bytes of the disk.
pub fn change(disk: &LoopDevice, at: u64, length: usize, work: impl FnOnce(&mut [u8])) {
    let mut bytes = vec![0; length];
    File::open(disk.node()).and_then(|file| file.read_exact_at(&mut bytes, at)).unwrap();
    work(&mut bytes);
    write_at(disk, at, &bytes);
}

/// What grub-install leaves: boot code that goes on in the BIOS boot partition, and something there.
fn write_bios(disk: &LoopDevice) {
    change(disk, 0, 512, |sector| {
        sector[..3].copy_from_slice(&[0xeb, 0x63, 0x90]);
        sector[0x5c..0x64].copy_from_slice(&(BIOS_BOOT_AT / 512).to_le_bytes());
        sector[0x180..0x185].copy_from_slice(b"GRUB ");
    });
    write_at(disk, BIOS_BOOT_AT, &[0x52; 4096]);
}

/// An EFI system partition with these programs.
pub fn esp(id: u32, programs: &[(&str, [u8; 2])]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("esp");
    File::create(&image).and_then(|file| file.set_len(ESP_BYTES)).unwrap();
    run(Command::new("mkfs.vfat").args(["-i", &format!("{id:08x}")]).arg(&image));
    for (path, machine) in programs {
        let mut program = vec![0; 0x80];
        program[..2].copy_from_slice(b"MZ");
        program[0x3c] = 0x80;
        program.extend(b"PE\0\0");
        program.extend(machine);
        program.resize(10_000, 7);
        let file = folder.path().join("tree").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, program).unwrap();
    }
    if !programs.is_empty() {
        let tree = folder.path().join("tree/EFI");
        run(Command::new("mcopy").arg("-s").arg("-i").arg(&image).arg(tree).arg("::/"));
    }
    fs::read(image).unwrap()
}

/// The beginning of a bzImage for x86-64 that says its version.
pub fn kernel() -> Vec<u8> {
    let mut kernel = vec![0x90; 64 * 1024];
    kernel[..2].copy_from_slice(b"MZ");
    kernel[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    kernel[0x20e..0x210].copy_from_slice(&0x3000_u16.to_le_bytes());
    kernel[0x236..0x238].copy_from_slice(&0x7f_u16.to_le_bytes());
    kernel[0x238..0x23c].copy_from_slice(&2047_u32.to_le_bytes());
    let version = format!("{RELEASE} (debian-kernel@lists.debian.org) #1 SMP\0");
    kernel[0x3200..0x3200 + version.len()].copy_from_slice(version.as_bytes());
    kernel
}

/// The beginning of an Image for arm64.
pub fn arm64_kernel() -> Vec<u8> {
    let mut kernel = vec![0x90; 4096];
    kernel[..2].copy_from_slice(b"MZ");
    kernel[56..60].copy_from_slice(b"ARM\x64");
    kernel
}

fn write_boot(root: &Path, uuid: &str, root_is: &str) {
    let boot = root.join("boot");
    fs::create_dir_all(boot.join("grub")).unwrap();
    fs::write(boot.join(format!("vmlinuz-{RELEASE}")), kernel()).unwrap();
    fs::write(boot.join(format!("initrd.img-{RELEASE}")), b"070701".repeat(1000)).unwrap();
    let grub_cfg = format!(
        "set default=\"0\"\nmenuentry 'Debian GNU/Linux' --class debian {{\n\
         \tsearch --no-floppy --fs-uuid --set=root {uuid}\n\
         \tlinux /boot/vmlinuz-{RELEASE} root={root_is} ro quiet\n\
         \tinitrd /boot/initrd.img-{RELEASE}\n}}\n"
    );
    fs::write(boot.join("grub/grub.cfg"), grub_cfg).unwrap();
}

fn write_seed(root: &Path) {
    let seed = root.join("var/lib/cloud/seed/nocloud");
    fs::create_dir_all(&seed).unwrap();
    fs::write(seed.join("meta-data"), "instance-id: i\n").unwrap();
    fs::write(seed.join("user-data"), "#cloud-config\npassword: hunter2\n").unwrap();
    let list = "datasource_list: [NoCloud, None]\n";
    fs::write(root.join("etc/cloud/cloud.cfg.d/zz-nibs-datasource.cfg"), list).unwrap();
}
