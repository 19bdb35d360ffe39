//! A disk that fails makes the action fail: it is named, and nothing is called done.

use crate::bench::bench;

#[track_caller]
fn assert_wipe_fails(serial: &str) {
    let outcome = bench().action("wipe-disk", &[("DEST_DISK", &format!("serial:{serial}"))]);
    let message = outcome.failed("disk-io");
    assert!(message.contains(serial), "{message}");
    assert!(message.contains("Input/output error"), "{message}");
}

#[test]
fn vm_wipe_fails_where_the_disk_cannot_be_written() {
    assert_wipe_fails("FAULT-WRITE");
}

#[test]
fn vm_wipe_fails_where_the_disk_takes_writes_and_cannot_flush() {
    assert_wipe_fails("FAULT-FLUSH");
}

#[test]
fn vm_wipe_fails_where_the_first_sector_cannot_be_read() {
    assert_wipe_fails("FAULT-READ");
}
