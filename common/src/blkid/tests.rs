use std::io::Write;

use super::*;

const MIB: u64 = 1 << 20;

fn file(size_bytes: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(size_bytes).unwrap();
    file
}

/// Version 1 of swap space, mkswap(8): the magic number ends the first page, version and last page follow the boot block.
fn swap(file: &File, start_bytes: u64) {
    file.write_all_at(&1u32.to_le_bytes(), start_bytes + 1024).unwrap();
    file.write_all_at(&255u32.to_le_bytes(), start_bytes + 1028).unwrap();
    file.write_all_at(&[7; 16], start_bytes + 1036).unwrap();
    file.write_all_at(b"scratch", start_bytes + 1052).unwrap();
    file.write_all_at(b"SWAPSPACE2", start_bytes + 4086).unwrap();
}

/// The header of LUKS version 1: magic number, version, UUID at byte 168.
fn luks1(file: &File, start_bytes: u64) {
    file.write_all_at(b"LUKS\xba\xbe\0\x01", start_bytes).unwrap();
    file.write_all_at(b"0fdd0aae-2b25-4ff0-8ef6-0d2ff8e4f2d5\0", start_bytes + 168).unwrap();
}

/// An LVM physical volume's label in the second sector; its checksum is wrong.
fn lvm(file: &File, start_bytes: u64) {
    let mut label = [0; 32];
    label[..8].copy_from_slice(b"LABELONE");
    label[8..16].copy_from_slice(&1u64.to_le_bytes());
    label[16..20].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
    label[20..24].copy_from_slice(&32u32.to_le_bytes());
    label[24..].copy_from_slice(b"LVM2 001");
    file.write_all_at(&label, start_bytes + 512).unwrap();
}

/// An MBR with one Linux partition.
fn mbr(file: &File) {
    file.write_all_at(&[0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 32, 0, 0], 446).unwrap();
    file.write_all_at(&[0x55, 0xaa], 510).unwrap();
}

fn erased(file: &File, start_bytes: u64, length_bytes: u64, search: Search) -> Vec<Found> {
    let mut all = Vec::new();
    erase(file, start_bytes, length_bytes, search, |found| {
        all.push(found.clone());
        Ok(())
    })
    .unwrap();
    all
}

#[test]
fn a_range_is_probed_like_a_device() {
    let file = file(32 * MIB);
    swap(&file, 8 * MIB);
    assert_eq!(probe(&file, 0, 32 * MIB).unwrap(), None);
    let signature = probe(&file, 8 * MIB, 16 * MIB).unwrap().unwrap();
    assert_eq!(
        signature,
        Signature {
            kind: Some("swap".into()),
            usage: Some("other".into()),
            label: Some("scratch".into()),
            uuid: Some("07070707-0707-0707-0707-070707070707".into()),
            ..Signature::default()
        }
    );
    assert_eq!(probe(&file, 8 * MIB, 0).unwrap(), None);
}

#[test]
fn a_partition_table_alone_is_a_signature_too() {
    let file = file(32 * MIB);
    mbr(&file);
    let signature = probe(&file, 0, 32 * MIB).unwrap().unwrap();
    assert_eq!(signature, Signature { table: Some("dos".into()), ..Signature::default() });
}

#[test]
fn two_formats_in_one_place_are_both_named() {
    let file = file(32 * MIB);
    swap(&file, 0);
    // A squashfs over it (magic number, major version 4) leaves the end of the page alone.
    file.write_all_at(b"hsqs", 0).unwrap();
    file.write_all_at(&4u16.to_le_bytes(), 28).unwrap();
    let Some(signature) = probe(&file, 0, 32 * MIB).unwrap() else { panic!("nothing was recognised") };
    let mut kinds = signature.others.clone();
    kinds.extend(signature.kind);
    kinds.sort();
    assert_eq!(kinds, ["squashfs", "swap"]);
}

#[test]
fn a_range_outside_the_file_is_an_error_that_says_so() {
    let file = file(MIB);
    let error = probe(&file, MIB / 2, MIB).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("libblkid takes no 1048576 bytes from byte 524288"), "{error}");
    assert!(probe(&file, u64::MAX, 1).is_err());
}

#[test]
fn everything_in_a_range_is_erased_and_nothing_outside_it() {
    let file = file(64 * MIB);
    file.write_all_at(&vec![0xa5; 4 * MIB as usize], 4 * MIB).unwrap();
    file.write_all_at(&vec![0; 16 * MIB as usize], 8 * MIB).unwrap();
    file.write_all_at(&[0x5a; 4096], 24 * MIB).unwrap();
    luks1(&file, 8 * MIB);
    lvm(&file, 8 * MIB);
    swap(&file, 32 * MIB);

    let all = erased(&file, 8 * MIB, 16 * MIB, Search::Everything);
    let places: Vec<(&str, Option<u64>, u64)> =
        all.iter().map(|each| (each.kind.as_str(), each.offset_bytes, each.length_bytes)).collect();
    assert_eq!(places, [("LVM2_member", Some(8 * MIB + 512 + 24), 8), ("crypto_LUKS", Some(8 * MIB), 6)]);
    assert_eq!(all[0].usage, "raid");
    assert_eq!(list(&file, 8 * MIB, 16 * MIB).unwrap(), []);
    assert_eq!(erased(&file, 8 * MIB, 16 * MIB, Search::Everything), []);

    let mut neighbour = vec![0; 4 * MIB as usize];
    file.read_exact_at(&mut neighbour, 4 * MIB).unwrap();
    assert!(neighbour.iter().all(|byte| *byte == 0xa5));
    let mut after = [0; 4096];
    file.read_exact_at(&mut after, 24 * MIB).unwrap();
    assert_eq!(after, [0x5a; 4096]);
    assert_eq!(list(&file, 32 * MIB, 16 * MIB).unwrap()[0].kind, "swap");
}

#[test]
fn superblocks_can_go_before_the_table() {
    let file = file(32 * MIB);
    mbr(&file);
    lvm(&file, 0);
    let kinds = |all: Vec<Found>| all.into_iter().map(|found| found.kind).collect::<Vec<_>>();
    assert_eq!(kinds(list(&file, 0, 32 * MIB).unwrap()), ["LVM2_member", "dos"]);
    assert_eq!(kinds(erased(&file, 0, 32 * MIB, Search::Superblocks)), ["LVM2_member"]);
    assert_eq!(kinds(erased(&file, 0, 32 * MIB, Search::Everything)), ["dos"]);
    assert_eq!(list(&file, 0, 32 * MIB).unwrap(), []);
}

#[test]
fn the_caller_is_asked_before_each_and_can_stop() {
    let file = file(32 * MIB);
    luks1(&file, 0);
    let stopped =
        erase(&file, 0, 32 * MIB, Search::Everything, |_| Err(Failure::new(Cause::Stopped, "stop")));
    assert_eq!(stopped.unwrap_err().cause, Cause::Stopped);
    assert_eq!(list(&file, 0, 32 * MIB).unwrap().len(), 1);
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let mut named = tempfile::NamedTempFile::new().unwrap();
    named.write_all(&vec![0; 2 * MIB as usize]).unwrap();
    luks1(named.as_file(), 0);
    let read_only = File::open(named.path()).unwrap();
    let failure = erase(&read_only, 0, 2 * MIB, Search::Everything, |_| Ok(())).unwrap_err();
    assert_eq!(failure.cause, Cause::DiskIo);
    assert!(failure.to_string().starts_with("erasing crypto_LUKS at byte 0: "), "{failure}");
}
