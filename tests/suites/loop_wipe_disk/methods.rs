//! What happens to the data between the signatures.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::outcome::Outcome;
use nibs_tests::signatures::{Format, assert_blank};

use super::{MIB, Memory, full, wipe_command};

const SIZE: u64 = 64 * MIB;
/// Between both ends, where nothing is found.
const MIDDLE: std::ops::Range<usize> = MIB as usize..(SIZE - MIB) as usize;

fn wiped(disk: &LoopDevice, method: &str) -> Outcome {
    Outcome::of(wipe_command(&[disk.node()]).env("WIPE_METHOD", method))
}

/// What the file below the disk takes, in bytes.
fn allocated(disk: &LoopDevice) -> u64 {
    std::fs::metadata(disk.backing()).unwrap().blocks() * 512
}

fn ends_are_zero(content: &[u8]) -> bool {
    let (first, last) = (&content[..MIDDLE.start], &content[MIDDLE.end..]);
    first.iter().chain(last).all(|byte| *byte == 0)
}

#[test]
fn auto_and_discard_give_the_blocks_back() {
    for method in ["auto", "discard"] {
        let disk = full(SIZE);
        Format::Swap.put(disk.node());
        assert!(allocated(&disk) > 60 * MIB, "{}", allocated(&disk));
        let outcome = wiped(&disk, method);
        assert!(outcome.succeeded().contains("swap erased, 65.0 MB discarded"), "{}", outcome.text);
        assert!(allocated(&disk) <= 3 * MIB, "{}", allocated(&disk));
        assert!(ends_are_zero(&disk.content()));
        assert_blank(disk.node());
    }
}

#[test]
fn auto_goes_without_where_the_disk_cannot_discard_and_discard_refuses() {
    // A file of ramfs has no holes.
    let memory = Memory::new("ramfs");
    let disk = LoopDevice::over(&memory.file(SIZE), &[]);
    std::fs::write(disk.node(), vec![0xa5; SIZE as usize]).unwrap();
    Format::Swap.put(disk.node());
    let before = disk.content();
    let outcome = wiped(&disk, "discard");
    let message = outcome.failed("configuration");
    assert!(
        message.starts_with("WIPE_METHOD=\"discard\" is not valid; accepted: auto, signatures or zero"),
        "{message}"
    );
    assert!(disk.content() == before, "a refused disk has changed");

    let outcome = wiped(&disk, "auto");
    assert!(!outcome.succeeded().contains("discarded"), "{}", outcome.text);
    let content = disk.content();
    assert!(ends_are_zero(&content));
    assert!(content[MIDDLE].iter().all(|byte| *byte == 0xa5));
    assert_blank(disk.node());
}

#[test]
fn signatures_leaves_the_data_between() {
    let disk = full(SIZE);
    Format::Swap.put(disk.node());
    let outcome = wiped(&disk, "signatures");
    assert!(outcome.succeeded().ends_with("swap erased"), "{}", outcome.text);
    let content = disk.content();
    assert!(ends_are_zero(&content));
    assert!(content[MIDDLE].iter().all(|byte| *byte == 0xa5));
    assert_blank(disk.node());
}

#[test]
fn zero_leaves_nothing() {
    for block_size in [512, 4096] {
        let disk = LoopDevice::with_block_size(SIZE, block_size);
        std::fs::write(disk.node(), vec![0xa5; SIZE as usize]).unwrap();
        Format::Lvm.put(disk.node());
        run(Command::new("blockdev").arg("--flushbufs").arg(disk.node()));
        let outcome = wiped(&disk, "zero");
        assert!(outcome.succeeded().contains("LVM2_member erased, 65.0 MB zeroed"), "{}", outcome.text);
        assert!(disk.content().iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_disk_of_a_few_blocks_is_wiped_too() {
    for size in [512, 4096, MIB, 2 * MIB, 2 * MIB + 512, 3 * MIB - 512] {
        let disk = full(size);
        let outcome = wiped(&disk, "auto");
        assert!(outcome.succeeded().contains("nothing was found on it"), "{size}: {}", outcome.text);
        let content = disk.content();
        let end = content.len() - (MIB as usize).min(content.len());
        assert!(content[..(MIB as usize).min(content.len())].iter().all(|byte| *byte == 0), "{size}");
        assert!(content[end..].iter().all(|byte| *byte == 0), "{size}");
    }
}
