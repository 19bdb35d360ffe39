//! Filesystems are made by the crate itself here, of each kind; those of mkfs.vfat are read in `tests/suites/loop_esp.rs`.

use std::io::Cursor;

use fatfs::{FatType, FormatVolumeOptions, FsOptions, format_volume};

use super::*;
use crate::efi::Architecture;
use crate::esp::loaders;

/// A disk in memory.
struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.0.as_slice().read_exact_at(buffer, offset_bytes)
    }
}

/// A small program for x86-64, by its header.
fn program() -> Vec<u8> {
    let mut program = vec![0; 0x80];
    program[..2].copy_from_slice(b"MZ");
    program[0x3c] = 0x80;
    program.extend(b"PE\0\0\x64\x86");
    program.resize(5000, 7);
    program
}

fn made(kind: FatType, files: &[&str]) -> Vec<u8> {
    let mib = if kind == FatType::Fat32 { 40 } else { 4 };
    let mut disk = Cursor::new(vec![0; mib << 20]);
    format_volume(&mut disk, FormatVolumeOptions::new().fat_type(kind).bytes_per_cluster(512)).unwrap();
    let filesystem = FileSystem::new(&mut disk, FsOptions::new()).unwrap();
    let root = filesystem.root_dir();
    for path in files {
        for (at, _) in path.match_indices('/') {
            root.create_dir(&path[..at]).unwrap();
        }
        root.create_file(path).unwrap().write_all(&program()).unwrap();
    }
    drop(root);
    filesystem.unmount().unwrap();
    disk.into_inner()
}

const FILES: [&str; 5] = [
    "EFI/BOOT/BOOTX64.EFI",
    "EFI/BOOT/fbx64.efi",
    "EFI/debian/grubx64.efi",
    "EFI/debian/shimx64.efi",
    "EFI/A vendor with a long name/Boot Manager.efi",
];

/// All that is asked of a partition in practice.
fn look(disk: &dyn ReadAt, length_bytes: u64) -> Result<Vec<String>, EspError> {
    let esp = Esp::open(disk, 0, length_bytes)?;
    esp.has_file("\\EFI\\BOOT\\BOOTX64.EFI")?;
    esp.list("\\")?;
    let found = loaders::of(&esp, Architecture::X64)?;
    Ok(found.into_iter().map(|loader| loader.path).collect())
}

#[test]
fn each_kind_of_fat_is_read() {
    for kind in [FatType::Fat12, FatType::Fat16, FatType::Fat32] {
        // At an offset, as on a disk.
        let (mut disk, content) = (vec![0xee; 12345], made(kind, &FILES));
        disk.extend(&content);
        let disk = Bytes(disk);
        let esp = Esp::open(&disk, 12345, content.len() as u64).unwrap();
        let found = loaders::of(&esp, Architecture::X64).unwrap();
        let paths: Vec<&str> = found.iter().map(|loader| loader.path.as_str()).collect();
        let expected = [
            "\\EFI\\BOOT\\BOOTX64.EFI",
            "\\EFI\\debian\\shimx64.efi",
            "\\EFI\\debian\\grubx64.efi",
            "\\EFI\\A vendor with a long name\\Boot Manager.efi",
        ];
        assert_eq!(paths, expected, "{kind:?}");
        assert!(found.iter().all(|loader| loader.architecture == Architecture::X64));
        assert_eq!(esp.read("/efi/boot/BootX64.efi", 6000).unwrap().unwrap(), program());
        assert_eq!(esp.read("\\EFI\\BOOT\\BOOTX64.EFI", 600).unwrap().unwrap(), program()[..600]);
        for missing in ["\\EFI\\BOOT", "\\EFI\\BOOT\\BOOTAA64.EFI", "\\EFI\\arch\\x.efi", "\\", ""] {
            assert_eq!(esp.read(missing, 10).unwrap(), None, "{missing}");
            assert!(!esp.has_file(missing).unwrap());
        }
        let root = [Item { name: "EFI".into(), is_folder: true, length_bytes: 0 }];
        assert_eq!(esp.list("\\").unwrap().unwrap(), root);
        assert_eq!(esp.list("\\EFI\\BOOT\\BOOTX64.EFI").unwrap(), None);
        // A name that says nothing of an architecture could be for any.
        let others = loaders::of(&esp, Architecture::Aarch64).unwrap();
        assert_eq!(others, found[3..]);
    }
}

#[test]
fn what_is_no_program_is_no_loader() {
    let mut disk = made(FatType::Fat16, &["EFI/BOOT/BOOTX64.EFI"]);
    assert_eq!(look(&Bytes(disk.clone()), disk.len() as u64).unwrap().len(), 1);
    let at = disk.windows(2).position(|two| two == b"MZ").unwrap();
    disk[at] = 0;
    assert!(look(&Bytes(disk.clone()), disk.len() as u64).unwrap().is_empty());
    let empty = made(FatType::Fat16, &[]);
    assert!(look(&Bytes(empty.clone()), empty.len() as u64).unwrap().is_empty());
}

#[test]
fn a_damaged_loader_does_not_hide_the_others() {
    let mut disk = made(FatType::Fat16, &["EFI/BOOT/BOOTX64.EFI", "EFI/debian/grubx64.efi"]);
    let at = disk.windows(11).position(|name| name == b"BOOTX64 EFI").unwrap();
    // Its first cluster is the last that a number can name, behind the disk's end.
    disk[at + 26..at + 28].copy_from_slice(&0xffefu16.to_le_bytes());
    let length_bytes = disk.len() as u64;
    assert_eq!(look(&Bytes(disk.clone()), length_bytes).unwrap(), ["\\EFI\\debian\\grubx64.efi"]);
    let at = disk.windows(11).position(|name| name == b"GRUBX64 EFI").unwrap();
    disk[at + 26..at + 28].copy_from_slice(&0xffefu16.to_le_bytes());
    let error = look(&Bytes(disk), length_bytes).unwrap_err();
    assert!(error.to_string().contains("ends after 0 of 5000 bytes"), "{error}");
}

#[test]
fn what_is_no_fat_is_told() {
    for (sector, length_bytes) in [(vec![0; 512], 1 << 20), (vec![0xff; 512], 1 << 20), (vec![0; 511], 511)] {
        assert!(matches!(look(&Bytes(sector), length_bytes), Err(EspError::NoFat(_))));
    }
    let whole = made(FatType::Fat16, &FILES);
    // Larger than its partition, and on a disk that ends before it.
    assert!(matches!(look(&Bytes(whole.clone()), whole.len() as u64 - 512), Err(EspError::NoFat(_))));
    let cut = Bytes(whole[..700].to_vec());
    assert!(matches!(look(&cut, whole.len() as u64), Err(EspError::Io(_))));
}

#[test]
fn a_chain_without_an_end_is_given_up() {
    let mut disk = made(FatType::Fat16, &["EFI/x"]);
    // The folder EFI is the first one that was made, in cluster 2: its chain leads back to itself, and its only cluster is
    // full of deleted files, so that nothing ends it.
    let u16_at = |at: usize| u16::from_le_bytes([disk[at], disk[at + 1]]);
    let fat = usize::from(u16_at(14)) * 512;
    let root = fat + usize::from(disk[16]) * usize::from(u16_at(22)) * 512;
    let data = root + usize::from(u16_at(17)) * 32;
    for copy in 0..2 {
        let at = fat + copy * (root - fat) / 2 + 4;
        disk[at..at + 2].copy_from_slice(&2u16.to_le_bytes());
    }
    for entry in disk[data..data + 512].chunks_mut(32) {
        entry[0] = 0xe5;
    }
    let error = look(&Bytes(disk.clone()), disk.len() as u64).unwrap_err();
    assert!(error.to_string().contains("a chain in it may have none"), "{error}");
    // Full of files, it is only as long as what is given of it.
    for entry in disk[data..data + 512].chunks_mut(32) {
        entry[..12].copy_from_slice(b"A          \x20");
    }
    let disk = Bytes(disk);
    let esp = Esp::open(&disk, 0, disk.0.len() as u64).unwrap();
    assert_eq!(esp.list("\\EFI").unwrap().unwrap().len(), MOST_ITEMS);
}

#[test]
fn no_byte_anywhere_makes_it_panic() {
    for kind in [FatType::Fat12, FatType::Fat16, FatType::Fat32] {
        let whole = made(kind, &FILES);
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
        let mut disk = Bytes(whole);
        let mut state = 1u32;
        let fat = 512 * usize::from(u16::from_le_bytes([disk.0[14], disk.0[15]]));
        for round in 0..320 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The boot sector, what is before the tables, their beginning, or anything.
            let within = [512, fat, fat + 256, used][round % 4];
            let at = state as usize % within;
            let (byte, value) = (disk.0[at], [0, 0xff, (state >> 24) as u8, disk.0[at] ^ 1][round / 4 % 4]);
            disk.0[at] = value;
            // Well-formed or not: it ends.
            let _ = look(&disk, disk.0.len() as u64);
            disk.0[at] = byte;
        }
    }
}
