//! wipe-disk finds what lies inside partitions, also where a discard does nothing.

use crate::bench::bench;

/// Asserts that nothing is found on the disk, nor where its partitions were.
#[track_caller]
fn assert_blank(serial: &str) {
    let bench = bench();
    let node = bench.node(serial);
    assert_eq!(
        bench.sh(&format!("wipefs --noheadings {node}; ls {node}?* 2>/dev/null || true")),
        "",
        "{serial}"
    );
    let below = bench.sh(&format!(
        "two_partitions {node}
        for each in $(ls {node}?*); do echo $each; wipefs --noheadings $each; done
        sgdisk --zap-all {node} >/dev/null"
    ));
    assert_eq!(below.lines().count(), 2, "two nodes and nothing on them: {below}");
    assert!(below.lines().all(|line| line.starts_with(node)), "{below}");
}

#[test]
fn vm_wipe_erases_lvm_inside_a_partition() {
    let bench = bench();
    let node = bench.node("WIPE-LVM");
    bench.sh(&format!(
        "two_partitions {node}
        mkfs.vfat {node}1 >/dev/null
        lvm pvcreate -qq {node}2
        lvm vgcreate -qq wiped {node}2
        lvm lvcreate -qq -Zn -n root -L 32M wiped
        mkfs.ext4 -q /dev/mapper/wiped-root
        lvm vgchange -qq -an wiped"
    ));
    let outcome = bench.action("wipe-disk", &[("DEST_DISK", "serial:WIPE-LVM")]);
    outcome.succeeded();
    assert!(outcome.text.contains("LVM2_member"), "{}", outcome.text);
    assert_blank("WIPE-LVM");
    assert!(!bench.sh("lvm pvs").contains("wiped"));
}

#[test]
fn vm_wipe_erases_md_members_of_several_disks() {
    let bench = bench();
    let (a, b) = (bench.node("WIPE-MD-A"), bench.node("WIPE-MD-B"));
    // The one format has its superblock at the member's end, the other 4 KiB behind its beginning.
    bench.sh(&format!(
        "for node in {a} {b}; do two_partitions $node; done
        yes | mdadm --quiet --create /dev/md101 --run --level=1 --metadata=1.0 --raid-devices=2 {a}1 {b}1
        yes | mdadm --quiet --create /dev/md102 --run --level=1 --metadata=1.2 --raid-devices=2 {a}2 {b}2
        mkfs.ext4 -q /dev/md102
        mdadm --quiet --wait /dev/md101 /dev/md102 || true
        mdadm --quiet --stop /dev/md101 /dev/md102"
    ));
    let outcome = bench.action("wipe-disk", &[("DISKS", "serial:WIPE-MD-A,serial:WIPE-MD-B")]);
    outcome.succeeded();
    assert!(outcome.text.contains("linux_raid_member"), "{}", outcome.text);
    for serial in ["WIPE-MD-A", "WIPE-MD-B"] {
        assert_blank(serial);
    }
}

#[test]
fn vm_wipe_erases_both_headers_of_luks() {
    let bench = bench();
    let node = bench.node("WIPE-LUKS");
    bench.sh(&format!(
        "two_partitions {node}
        echo secret | cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 {node}2 -"
    ));
    let outcome = bench.action("wipe-disk", &[("DEST_DISK", "serial:WIPE-LUKS")]);
    outcome.succeeded();
    assert!(outcome.text.contains("crypto_LUKS"), "{}", outcome.text);
    // cryptsetup repairs a header from its copy, 16 KiB behind: it finds none.
    assert_eq!(bench.sh(&format!("two_partitions {node}; cryptsetup isLuks {node}2 || echo none")), "none\n");
    bench.sh(&format!("sgdisk --zap-all {node} >/dev/null"));
    assert_blank("WIPE-LUKS");
}

#[test]
fn vm_wipe_works_with_logical_blocks_of_4096_bytes() {
    let bench = bench();
    let node = bench.node("WIPE-4K");
    bench.sh(&format!(
        "sgdisk --clear --new=1:1M:+8M --new=2:9M:-1M {node} >/dev/null
        mkfs.ext4 -q {node}p1
        lvm pvcreate -qq {node}p2"
    ));
    let outcome = bench.action("wipe-disk", &[("DEST_DISK", "serial:WIPE-4K")]);
    outcome.succeeded();
    for found in ["ext4", "LVM2_member", "gpt"] {
        assert!(outcome.text.contains(found), "{found}: {}", outcome.text);
    }
    let after = bench.sh(&format!(
        "wipefs --noheadings {node}; ls {node}?* 2>/dev/null || true
        sgdisk --clear --new=1:1M:+8M --new=2:9M:-1M {node} >/dev/null
        wipefs --noheadings {node}p1; wipefs --noheadings {node}p2"
    ));
    assert_eq!(after, "");
}

#[test]
fn vm_wipe_erases_vfat_and_what_lies_on_the_disk_itself() {
    let bench = bench();
    let node = bench.node("WIPE-VFAT");
    for make in ["mkfs.vfat -I", "mkfs.btrfs -q -f -M", "mkswap"] {
        bench.sh(&format!("{make} {node} >/dev/null"));
        bench.action("wipe-disk", &[("DEST_DISK", "serial:WIPE-VFAT")]).succeeded();
        assert_eq!(bench.sh(&format!("wipefs --noheadings {node}")), "", "{make}");
    }
}
