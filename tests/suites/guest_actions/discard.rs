//! wipe-disk discards on each kind of disk: the file below it on the host becomes a hole.

use crate::bench::bench;

#[track_caller]
fn assert_discards(serial: &str) {
    let bench = bench();
    let node = bench.node(serial);
    bench.sh(&format!(
        "sgdisk --clear --new=1:1M:-1M {node} >/dev/null
        mkfs.ext4 -q -F $(ls {node}?*)
        yes | dd of={node} bs=1M seek=64 count=48 iflag=fullblock oflag=direct conv=notrunc 2>/dev/null
        sync"
    ));
    let before = bench.allocated_bytes(serial);
    assert!(before >= 48 << 20, "{before} bytes were written to {serial}");
    let outcome = bench.action("wipe-disk", &[("DEST_DISK", &format!("serial:{serial}"))]);
    assert!(outcome.succeeded().contains("discard"), "{}", outcome.text);
    // Both ends, and what was found between them, are written with zeros after the discard.
    let after = bench.allocated_bytes(serial);
    assert!(after <= 6 << 20, "{after} bytes of {serial} are still allocated");
    assert_eq!(bench.sh(&format!("wipefs --noheadings {node}")), "");
}

#[test]
fn vm_wipe_discards_on_virtio() {
    assert_discards("DISCARD-VIRTIO");
}

#[test]
fn vm_wipe_discards_on_virtio_with_blocks_of_4096_bytes() {
    assert_discards("DISCARD-VIRTIO4K");
}

#[test]
fn vm_wipe_discards_on_nvme() {
    assert_discards("DISCARD-NVME");
}

#[test]
fn vm_wipe_trims_on_ahci() {
    assert_discards("DISCARD-AHCI");
}

#[test]
fn vm_wipe_unmaps_on_scsi() {
    assert_discards("DISCARD-SCSI");
}
