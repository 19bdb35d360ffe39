//! Every format on the disk itself.

use nibs_tests::loop_device::LoopDevice;
use nibs_tests::signatures::{Format, assert_blank};

use super::{MIB, wipe};

#[test]
fn every_format_on_the_whole_disk_is_erased_and_a_second_run_finds_nothing() {
    for block_size in [512, 4096] {
        for format in Format::ALL {
            let disk = LoopDevice::with_block_size(400 * MIB, block_size);
            format.make(disk.node());
            let first = wipe(&[disk.node()]);
            let done = first.succeeded();
            assert!(done.contains(&format!("{} erased", format.kind())), "{format:?}: {done}");
            let found = format!("found {} (", format.kind());
            assert!(first.text.contains(&found), "{format:?}: {}", first.text);
            assert_blank(disk.node());

            let second = wipe(&[disk.node()]);
            assert!(second.succeeded().contains("nothing was found on it"), "{}", second.text);
            assert_blank(disk.node());
        }
    }
}

#[test]
fn formats_over_formats_are_all_erased() {
    for formats in [
        &[Format::Zfs, Format::Md090, Format::Swap][..],
        &[Format::Lvm, Format::Md10, Format::Md12],
        &[Format::Luks2, Format::Btrfs, Format::Md090, Format::Md10],
        &[Format::Ext4, Format::Vfat, Format::Zfs],
    ] {
        let disk = LoopDevice::new(400 * MIB);
        for format in formats {
            format.put(disk.node());
        }
        let outcome = wipe(&[disk.node()]);
        let done = outcome.succeeded();
        // The last one is whole; of the others, at least what its tool left is gone.
        assert!(done.contains(formats.last().unwrap().kind()), "{formats:?}: {done}");
        assert_blank(disk.node());
    }
}

#[test]
fn both_headers_of_luks_2_and_all_labels_of_zfs_are_found() {
    let disk = LoopDevice::new(400 * MIB);
    Format::Luks2.make(disk.node());
    let outcome = wipe(&[disk.node()]);
    assert!(outcome.succeeded().contains("crypto_LUKS erased"), "{}", outcome.text);
    assert!(outcome.text.contains("erased 2 magic numbers in the whole disk"), "{}", outcome.text);

    Format::Zfs.make(disk.node());
    let outcome = wipe(&[disk.node()]);
    assert!(outcome.succeeded().contains("zfs_member erased"), "{}", outcome.text);
    let last = outcome.text.lines().filter(|line| line.contains("magic numbers in the whole disk")).count();
    assert_eq!(last, 1, "{}", outcome.text);
    // Whoever reads labels without libblkid finds nothing either.
    let left = disk.content().iter().position(|byte| *byte != 0);
    assert_eq!(left, None, "the first byte that is not zero; {}", outcome.text);
}

#[test]
fn the_second_superblock_of_a_btrfs_goes_too() {
    let disk = LoopDevice::new(400 * MIB);
    Format::Btrfs.make(disk.node());
    let magic = |content: &[u8]| content[(64 * MIB) as usize + 64..][..8] == *b"_BHRfS_M";
    assert!(magic(&disk.content()));
    let mut command = super::wipe_command(&[disk.node()]);
    nibs_tests::outcome::Outcome::of(command.env("WIPE_METHOD", "signatures")).succeeded();
    assert!(!magic(&disk.content()));
}
