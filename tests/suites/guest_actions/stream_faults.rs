//! stream-image on disks that fail: the cause, what the disk is then, and that it is right once it is healed.

use std::sync::OnceLock;

use crate::bench::bench;

const IMAGE: &str = "/srv/faults/image.raw";
const URL: &str = "http://127.0.0.1:8081/image.raw";

/// An image of 48 MiB, as large as the disks here, without zeros between its ends; served on the guest's port 8081, also
/// with a stop in its middle until `/tmp/go-on` is there.
fn image() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        bench().sh(&format!(
            r#"mkdir -p /srv/faults/cgi-bin
            truncate -s 48M {IMAGE}
            sgdisk --clear --new=1:1M:-1M {IMAGE} >/dev/null
            dd if=/dev/urandom of=/tmp/random bs=1M count=4 2>/dev/null
            for mib in 1 5 9 13 17 21 25 29 33 37 41; do
                dd if=/tmp/random of={IMAGE} bs=1M seek=$mib conv=notrunc 2>/dev/null
            done
            cat >/srv/faults/cgi-bin/half <<'END'
#!/bin/sh
printf 'Content-Length: 50331648\r\n\r\n'
head -c 25165824 {IMAGE}
touch /tmp/half-sent
while [ ! -e /tmp/go-on ]; do sleep 0.1; done
tail -c 25165824 {IMAGE}
END
            chmod +x /srv/faults/cgi-bin/half
            httpd -p 127.0.0.1:8081 -h /srv/faults"#
        ));
    });
}

/// Neither an older system nor half of a new one boots: both ends are zero.
#[track_caller]
fn assert_not_bootable(node: &str) {
    bench().sh(&format!(
        "blockdev --flushbufs {node}
        cmp -n 1048576 {node} /dev/zero
        cmp -n 1048576 -i $(($(blockdev --getsize64 {node}) - 1048576)):0 {node} /dev/zero"
    ));
}

/// Streams once more, and compares every byte.
#[track_caller]
fn assert_right_again(disk: &str, node: &str) {
    bench().action("stream-image", &[("DEST_DISK", disk), ("IMG_URL", URL)]).succeeded();
    bench().sh(&format!("blockdev --flushbufs {node}; cmp {IMAGE} {node}"));
}

#[track_caller]
fn assert_fails(disk: &str, words: &[&str]) {
    let outcome = bench().action("stream-image", &[("DEST_DISK", disk), ("IMG_URL", URL)]);
    let message = outcome.failed("disk-io");
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

const LEFT: &str =
    "was left not bootable, both its ends are zero; look at the disk, then run the workflow again";

#[test]
fn vm_stream_fails_where_a_write_in_the_middle_does() {
    image();
    let (disk, node) = ("serial:STREAM-MIDDLE", bench().node("STREAM-MIDDLE"));
    assert_fails(
        disk,
        &["writing 1048576 bytes at byte 20,971,520: Input/output error", "serial STREAM-MIDDLE", LEFT],
    );
    assert_not_bootable(node);
    assert_right_again(disk, node);
}

#[test]
fn vm_stream_fails_where_any_of_its_flushes_does() {
    image();
    let (disk, node) = ("serial:STREAM-FLUSH", bench().node("STREAM-FLUSH"));
    for what in [
        "flushing the zeroed ends of the disk",
        "flushing the image to the disk",
        "flushing the disk's end",
        "flushing the image's beginning",
        "flushing block 0",
    ] {
        assert_fails(disk, &[&format!("{what}: Input/output error"), LEFT]);
        assert_not_bootable(node);
    }
    assert_right_again(disk, node);
}

#[test]
fn vm_stream_fails_where_a_thin_disk_has_no_space() {
    image();
    let (disk, node) = ("serial:STREAM-THIN", bench().node("STREAM-THIN"));
    assert_fails(disk, &["No space left on device", LEFT]);
    assert_not_bootable(node);
    bench().make_room();
    assert_right_again(disk, node);
}

/// A mapped disk of 48 MiB that can be broken while it is used. The UUID makes it one that can be meant: not a volume.
fn mapped(name: &str) -> String {
    bench().sh(&format!(
        "truncate -s 48M /tmp/{name}
        printf '%440s' boot | dd of=/tmp/{name} conv=notrunc 2>/dev/null
        sgdisk --clear --new=1:1M:-1M /tmp/{name} >/dev/null
        losetup --show --find /tmp/{name} >/tmp/{name}.below
        dmsetup create {name} --uuid mpath-{name} --table \"0 98304 linear $(cat /tmp/{name}.below) 0\"
        dmsetup mknodes
        echo -n /dev/mapper/{name}"
    ))
}

/// Puts another table below a mapped disk.
fn remap(name: &str, table: &str) -> String {
    format!(
        "dmsetup suspend --noflush --nolockfs {name}
        dmsetup load {name} --table \"0 98304 $(echo {table} | sed \"s|BELOW|$(cat /tmp/{name}.below)|\")\"
        dmsetup resume {name}\n"
    )
}

/// Takes the mapping away, and gives the healthy disk below it: a mapped one cannot show partitions.
fn unmapped(name: &str) -> String {
    bench().sh(&format!("dmsetup remove {name}; echo -n $(cat /tmp/{name}.below)"))
}

fn digest(node: &str) -> String {
    bench().digest(node).split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn vm_stream_fails_where_the_disk_dies_in_the_middle() {
    image();
    let node = mapped("dying");
    let outcome = bench().started_action(
        "stream-image",
        &[
            ("DEST_DISK", &node),
            ("IMG_URL", "http://127.0.0.1:8081/cgi-bin/half"),
            ("RETRY_ENABLED", "false"),
        ],
        &format!(
            "while [ ! -e /tmp/half-sent ]; do sleep 0.1; done; sleep 1\n{}touch /tmp/go-on",
            remap("dying", "error")
        ),
    );
    let message = outcome.failed("disk-io");
    assert!(message.contains("Input/output error") && message.contains(LEFT), "{message}");
    let below = unmapped("dying");
    assert_not_bootable(&below);
    assert_right_again(&below, &below);
}

#[test]
fn vm_stream_says_so_where_not_even_the_ends_can_be_zeroed() {
    image();
    let node = mapped("frozen");
    let before = digest(&node);
    bench().sh(&remap("frozen", "flakey BELOW 0 0 3600 1 error_writes"));
    assert_fails(
        &node,
        &[
            "flushing the zeroed ends of the disk: Input/output error",
            "may still boot, or hold half an image: zeroing its ends failed",
            "look at the disk",
        ],
    );
    let below = unmapped("frozen");
    assert_eq!(digest(&below), before, "a disk that takes no write was written to");
    assert_right_again(&below, &below);
}
