//! grow-partition grows an ext4 root, which needs a privilege that development machines may lack.

use crate::bench::bench;

/// The disk is 1 GiB with a root of 320 MiB as its last partition, and its backup GPT is where the image ended.
#[track_caller]
fn assert_grows(serial: &str) {
    let bench = bench();
    let node = bench.node(serial);
    // A real ESP: a filesystem that can be mounted and is no root.
    bench.sh(&format!("mkfs.vfat {node}2 >/dev/null"));
    let disk = format!("serial:{serial}");
    bench.action("grow-partition", &[("DEST_DISK", &disk)]).succeeded();

    let sectors: u64 =
        bench.sh(&format!("cat /sys/class/block/{}3/size", &node[5..])).trim().parse().expect("a number");
    assert!(sectors * 512 > (1 << 30) - (20 << 20), "the partition has {sectors} sectors");
    let verdict = bench.sh(&format!("sgdisk --verify {node}"));
    assert!(verdict.contains("No problems found"), "{verdict}");
    let geometry = bench.sh(&format!("e2fsck -f -n {node}3 >/dev/null && dumpe2fs -h {node}3 2>/dev/null"));
    let number = |name: &str| -> u64 {
        let line = geometry.lines().find(|line| line.starts_with(name)).expect(name);
        line.rsplit(' ').next().expect("a value").parse().expect("a number")
    };
    let filesystem_bytes = number("Block count:") * number("Block size:");
    assert!(sectors * 512 - filesystem_bytes < 1 << 20, "{filesystem_bytes} of {} bytes", sectors * 512);
    // What was in it still is.
    let release = bench.sh(&format!(
        "mkdir -p /mnt/{serial}; mount -o ro {node}3 /mnt/{serial}; cat /mnt/{serial}/usr/lib/os-release; umount /mnt/{serial}"
    ));
    assert!(release.contains("ID=debian"), "{release}");

    // Once more: nothing left to do, and that is a success.
    for place in [&disk, &format!("{node}3")] {
        let outcome = bench.action("grow-partition", &[("DEST_DISK", place)]);
        assert!(outcome.succeeded().contains("already fills the disk"), "{}", outcome.text);
    }
    bench.sh(&format!("e2fsck -f -n {node}3 >/dev/null"));
    let verdict = bench.sh(&format!("sgdisk --verify {node}"));
    assert!(verdict.contains("No problems found"), "{verdict}");
}

#[test]
fn vm_grow_ext4() {
    assert_grows("GROW-512");
}

#[test]
fn vm_grow_ext4_on_blocks_of_4096_bytes() {
    assert_grows("GROW-4K");
}
