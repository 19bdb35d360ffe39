//! A disk with an older system, and what must be on it once an image has landed.

use std::path::Path;
use std::process::Command;

use crate::disk_image::{MIB, write};
use crate::loop_device::{LoopDevice, run};

/// Fills a disk, or its file, with an older system: no zeros, boot code, and a GPT at both ends.
///
/// # Panics
/// When it cannot be written.
pub fn older_system(disk: &Path, size_bytes: u64) {
    let mut filling: Vec<u8> = (0..size_bytes).map(|index| (index / 512 % 251) as u8 | 1).collect();
    filling[..440].fill(0xeb);
    write(disk, &filling);
    run(Command::new("sgdisk").args(["--clear", "--new=1:0:0"]).arg(disk));
}

/// The same, and gives what the disk holds then.
///
/// # Panics
/// When it cannot be written.
pub fn fill_with_older_system(disk: &LoopDevice, size_bytes: u64) -> Vec<u8> {
    older_system(disk.node(), size_bytes);
    disk.content()
}

/// The disk without regard to a GPT: the image, what was behind it, and zeros at the end.
pub fn without_table(before: &[u8], image: &[u8]) -> Vec<u8> {
    let mut expected = before.to_vec();
    let end = expected.len();
    expected[end - MIB as usize..].fill(0);
    expected[..image.len()].copy_from_slice(image);
    expected
}

/// Asserts that an image is on the disk, to the byte, but for what its GPT must say of this disk. `expected` is
/// [`without_table`].
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn assert_landed(disk: &LoopDevice, expected: &[u8], image: &[u8], logical_block_size: u32) {
    let said = run(Command::new("sgdisk").arg("--verify").arg(disk.node()));
    assert!(said.contains("No problems found"), "{said}");
    let content = disk.content();
    let mut expected = expected.to_vec();
    let block = logical_block_size as usize;
    let end = content.len();
    let gpt_bytes = 128 * 128 + block;
    // The last copy: entries as they were, and a header that `sgdisk --verify` has read.
    let entries_at = u64::from_le_bytes(image[block + 72..block + 80].try_into().unwrap()) as usize * block;
    let entries = &image[entries_at..entries_at + 128 * 128];
    assert!(content[end - gpt_bytes..end - block] == *entries, "the last copy has other entries");
    // Where it is as large as the disk, nothing of it may change.
    if image.len() < end {
        expected[end - gpt_bytes..].copy_from_slice(&content[end - gpt_bytes..]);
        expected[block..2 * block].copy_from_slice(&content[block..2 * block]);
        // Of the protective MBR the size alone may change.
        expected[458..462].copy_from_slice(&content[458..462]);
        // The image's own last header is gone.
        expected[image.len() - block..image.len()].fill(0);
    }
    assert_same(&content, &expected);
}

/// Asserts that two contents are the same, and says where they are not.
///
/// # Panics
/// When they are not.
#[track_caller]
pub fn assert_same(content: &[u8], expected: &[u8]) {
    assert_eq!(content.len(), expected.len());
    if content != expected {
        let differ = content.iter().zip(expected).position(|(a, b)| a != b);
        panic!("the first byte that differs is {differ:?}");
    }
}
