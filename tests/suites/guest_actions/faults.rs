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

#[test]
fn vm_wipe_fails_where_the_disk_forgets_what_was_written() {
    // A disk that drops writes and says that all is well. The UUID makes it one that can be meant: not a volume.
    let node = bench().sh(
        "truncate -s 64M /tmp/forgetful
        below=$(losetup --show --find /tmp/forgetful)
        yes | head -c 67108864 >$below
        mkfs.ext4 -q -F $below
        blockdev --flushbufs $below
        dmsetup create forgetful --uuid mpath-forgetful --table \"0 131072 flakey $below 0 0 3600 1 drop_writes\"
        dmsetup mknodes
        echo -n /dev/mapper/forgetful",
    );
    let outcome = bench().action("wipe-disk", &[("DEST_DISK", &node)]);
    bench().sh("dmsetup remove forgetful; losetup --detach-all; rm /tmp/forgetful");
    let message = outcome.failed("verify-failed");
    assert!(message.contains("was zeroed and flushed, and is not zero when read back"), "{message}");
    assert!(message.contains("run the workflow again"), "{message}");
}
