//! EFI system partitions as mkfs.vfat, mtools, sgdisk and sfdisk make them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use common::efi::Architecture;
use common::esp::{self, Esp};
use common::table::{self, PartitionTable};
use nibs_tests::disk_image::MIB;
use nibs_tests::loop_device::{LoopDevice, run};

/// Something with the header of a program, of more than one cluster.
fn program(machine: [u8; 2]) -> Vec<u8> {
    let mut program = vec![0; 0x80];
    program[..2].copy_from_slice(b"MZ");
    program[0x3c] = 0x80;
    program.extend(b"PE\0\0");
    program.extend(machine);
    program.resize(100_000, 7);
    program
}

const X64: [u8; 2] = [0x64, 0x86];
const AARCH64: [u8; 2] = [0x64, 0xaa];

/// A filesystem of 36 MiB by the tools, with these programs in it.
fn filesystem(folder: &Path, options: &[&str], files: &[(&str, [u8; 2])]) -> Vec<u8> {
    let image = folder.join("esp");
    File::create(&image).and_then(|file| file.set_len(36 * MIB)).unwrap();
    run(Command::new("mkfs.vfat").args(options).arg(&image));
    for (path, machine) in files {
        let content = folder.join("content");
        fs::write(&content, program(*machine)).unwrap();
        for (at, _) in path.match_indices('/') {
            let folder = format!("::/{}", &path[..at]);
            // Fails where the folder is there already; then the copy does not.
            let _ = Command::new("mmd").arg("-i").arg(&image).arg(folder).output().unwrap();
        }
        run(Command::new("mcopy").arg("-i").arg(&image).arg(&content).arg(format!("::/{path}")));
    }
    fs::read(image).unwrap()
}

/// A disk whose partition 2 holds it.
fn disk(logical_block_size: u32, mbr: bool, filesystem: &[u8]) -> (LoopDevice, File, PartitionTable) {
    let device = LoopDevice::with_block_size(64 * MIB, logical_block_size);
    if mbr {
        let script = "label: dos\n1 : start=1MiB, size=4MiB, type=83\n2 : start=8MiB, size=36MiB, type=ef\n";
        let script_file = tempfile::NamedTempFile::new().unwrap();
        fs::write(script_file.path(), script).unwrap();
        run(Command::new("sfdisk")
            .args(["--quiet", "--no-reread", "--no-tell-kernel"])
            .arg(device.node())
            .stdin(File::open(script_file.path()).unwrap()));
    } else {
        run(Command::new("sgdisk")
            .args(["--clear", "--new=1:1M:+4M", "--new=2:8M:+36M", "--typecode=2:ef00"])
            .arg(device.node()));
    }
    let file = File::options().read(true).write(true).open(device.node()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, filesystem, 8 * MIB).unwrap();
    let table = table::read(&file, 64 * MIB, logical_block_size).unwrap().unwrap();
    (device, file, table)
}

#[test]
fn loaders_are_found_on_what_mkfs_makes() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("EFI/BOOT/BOOTX64.EFI", X64),
        ("EFI/BOOT/BOOTAA64.EFI", AARCH64),
        ("EFI/BOOT/fbx64.efi", X64),
        ("EFI/ubuntu/grubx64.efi", X64),
        ("EFI/ubuntu/shimx64.efi", X64),
        ("EFI/ubuntu/mmx64.efi", X64),
        ("EFI/systemd/systemd-bootx64.efi", X64),
    ];
    for (options, logical_block_size, mbr) in [
        (&["-F", "32", "-s", "1"][..], 512, false),
        (&["-F", "16"][..], 512, true),
        (&["-F", "12", "-s", "32"][..], 512, false),
        (&["-F", "16", "-S", "4096", "-s", "1"][..], 4096, false),
    ] {
        let (_device, file, table) =
            disk(logical_block_size, mbr, &filesystem(folder.path(), options, &files));
        let partitions: Vec<_> = esp::partitions(&table).collect();
        let [partition] = partitions[..] else { panic!("{partitions:?}") };
        assert_eq!(partition.number, 2);
        let found = esp::look(&file, &table, partition, Architecture::X64).unwrap();
        let paths: Vec<&str> = found.loaders.iter().map(|loader| loader.path.as_str()).collect();
        let expected = [
            "\\EFI\\BOOT\\BOOTX64.EFI",
            "\\EFI\\ubuntu\\shimx64.efi",
            "\\EFI\\ubuntu\\grubx64.efi",
            "\\EFI\\systemd\\systemd-bootx64.efi",
        ];
        assert_eq!(paths, expected, "{options:?}");
        assert!(found.foreign.is_empty());
        assert_eq!(found.fallback(Architecture::X64), Some(&found.loaders[0]));
        let esp = Esp::open(&file, partition.start_bytes(&table), partition.length_bytes(&table)).unwrap();
        assert_eq!(esp.read("\\efi\\UBUNTU\\SHIMX64.EFI", 1 << 20).unwrap().unwrap(), program(X64));
    }
}

#[test]
fn a_loader_for_another_architecture_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let content = filesystem(folder.path(), &["-F", "16"], &[("EFI/BOOT/BOOTX64.EFI", AARCH64)]);
    let (_device, file, table) = disk(512, false, &content);
    let partition = esp::partitions(&table).next().unwrap();
    let found = esp::look(&file, &table, partition, Architecture::X64).unwrap();
    assert!(found.loaders.is_empty());
    let [foreign] = &found.foreign[..] else { panic!("{found:?}") };
    assert_eq!(foreign.architecture, Architecture::Aarch64);
    // And where nothing was put.
    let (_device, file, table) = disk(512, false, &filesystem(folder.path(), &["-F", "16"], &[]));
    let partition = esp::partitions(&table).next().unwrap();
    assert_eq!(esp::look(&file, &table, partition, Architecture::X64).unwrap(), esp::Found::default());
}
