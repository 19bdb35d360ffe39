//! What is in use is left as it is, to the byte, and the error says who uses it.

use crate::bench::bench;

/// Sets up a use, asserts that wipe-disk and stream-image refuse the disk because of it, and ends the use.
#[track_caller]
fn assert_refused(serial: &str, set_up: &str, cause: &str, names: &[&str], tear_down: &str) {
    let bench = bench();
    let node = bench.node(serial);
    bench.sh(set_up);
    let before = bench.digest(node);
    let disk = format!("serial:{serial}");
    for (action, environment) in [
        ("wipe-disk", vec![("DEST_DISK", disk.as_str())]),
        ("stream-image", vec![("DEST_DISK", disk.as_str()), ("IMG_URL", "http://127.0.0.1:1/image.raw")]),
    ] {
        let outcome = bench.action(action, &environment);
        let message = outcome.failed(cause);
        for name in names {
            assert!(message.contains(name), "{action} does not name {name}: {message}");
        }
        assert!(message.contains(serial), "{action} does not name the disk: {message}");
    }
    assert_eq!(bench.digest(node), before, "{node} was written to");
    bench.sh(tear_down);
}

#[test]
fn vm_refuses_a_disk_with_an_active_lvm_volume() {
    let node = bench().node("HELD-LVM");
    assert_refused(
        "HELD-LVM",
        &format!(
            "two_partitions {node}
            lvm pvcreate -qq {node}2
            lvm vgcreate -qq active {node}2
            lvm lvcreate -qq -Zn -n data -L 16M active"
        ),
        "disk-held",
        &["LVM", "active-data", &format!("{}2", node.trim_start_matches("/dev/"))],
        "lvm vgchange -qq -an active",
    );
}

#[test]
fn vm_refuses_both_disks_of_a_running_md_array() {
    let (a, b) = (bench().node("HELD-MD-A"), bench().node("HELD-MD-B"));
    bench().sh(&format!(
        "for node in {a} {b}; do two_partitions $node; done
        yes | mdadm --quiet --create /dev/md111 --run --level=1 --metadata=1.2 --raid-devices=2 {a}2 {b}2
        mdadm --quiet --wait /dev/md111 || true
        mdadm --quiet --readonly /dev/md111"
    ));
    assert_refused("HELD-MD-A", "true", "disk-held", &["md111"], "true");
    assert_refused("HELD-MD-B", "true", "disk-held", &["md111"], "mdadm --quiet --stop /dev/md111");
}

#[test]
fn vm_refuses_a_disk_with_an_open_encrypted_device() {
    let node = bench().node("HELD-CRYPT");
    assert_refused(
        "HELD-CRYPT",
        &format!(
            "two_partitions {node}
            echo secret | cryptsetup luksFormat --batch-mode --type luks1 --pbkdf-force-iterations 1000 {node}2 -
            echo secret | cryptsetup open --type luks --key-file - {node}2 opened"
        ),
        "disk-held",
        &["opened", "encrypted"],
        "cryptsetup close opened",
    );
}

#[test]
fn vm_refuses_a_disk_with_a_mounted_vfat() {
    let node = bench().node("HELD-VFAT");
    assert_refused(
        "HELD-VFAT",
        &format!(
            "two_partitions {node}
            mkfs.vfat {node}1 >/dev/null
            mkdir -p /mnt/esp
            mount -t vfat -o ro {node}1 /mnt/esp"
        ),
        "disk-mounted",
        &["/mnt/esp"],
        "umount /mnt/esp",
    );
}
