//! stream-image and the logical block size that an image was made for.

use std::sync::OnceLock;

use crate::bench::bench;

/// Makes two small images in the guest, for 512- and for 4096-byte blocks, and serves them on its port 8080.
fn images() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        bench().sh("mkdir -p /srv
            for size in 512 4096; do
                truncate -s 48M /srv/$size.raw
                loop=$(losetup --show --find --sector-size $size /srv/$size.raw)
                sgdisk --clear --new=1:1M:+32M --typecode=1:8304 $loop >/dev/null
                losetup --detach $loop
                truncate -s 32M /tmp/root
                mkfs.ext4 -q -F -b 4096 /tmp/root
                dd if=/tmp/root of=/srv/$size.raw bs=1M seek=1 conv=notrunc 2>/dev/null
                rm /tmp/root
            done
            httpd -p 127.0.0.1:8080 -h /srv");
    });
}

#[track_caller]
fn assert_refused(image: &str, serial: &str) {
    let bench = bench();
    images();
    let node = bench.node(serial);
    // Something to lose.
    bench.sh(&format!("mkfs.ext4 -q -F -b 4096 {node}"));
    let before = bench.digest(node);
    let url = format!("http://127.0.0.1:8080/{image}.raw");
    let outcome =
        bench.action("stream-image", &[("DEST_DISK", &format!("serial:{serial}")), ("IMG_URL", &url)]);
    let message = outcome.failed("block-size");
    for name in ["512", "4096", serial] {
        assert!(message.contains(name), "{message}");
    }
    assert_eq!(bench.digest(node), before, "{node} was written to");
}

#[test]
fn vm_stream_refuses_an_image_for_512_on_a_disk_of_4096() {
    assert_refused("512", "STREAM-4K");
}

#[test]
fn vm_stream_refuses_an_image_for_4096_on_a_disk_of_512() {
    assert_refused("4096", "STREAM-512");
}

#[test]
fn vm_stream_writes_an_image_for_4096_and_moves_its_backup_gpt() {
    let bench = bench();
    images();
    let node = bench.node("STREAM-4K-OK");
    let disk = [("DEST_DISK", "serial:STREAM-4K-OK"), ("IMG_URL", "http://127.0.0.1:8080/4096.raw")];
    bench.action("stream-image", &disk).succeeded();
    let verdict = bench.sh(&format!("sgdisk --verify {node}"));
    assert!(verdict.contains("No problems found"), "{verdict}");
    // The partition is there without anybody's asking for it, and what is in it came whole.
    bench.sh(&format!("e2fsck -f -n {node}p1 >/dev/null"));
}
