//! Whether `root=` and /etc/fstab lead to what is there, and to nothing else.

use super::Finding;
use crate::boot::parameter;
use crate::cause::Cause;
use crate::installed::devices::{BlockDevice, Source};
use crate::installed::fstab::Line;
use crate::installed::{ROOT_TYPE, RootParameter, check_root};
use crate::table::PartitionKind;

/// Formats that hide block devices of their own, by libblkid's names: a UUID that is nowhere else may be in one of these.
const CONTAINERS: [&str; 8] = [
    "LVM2_member",
    "LVM1_member",
    "crypto_LUKS",
    "linux_raid_member",
    "zfs_member",
    "bcache",
    "DM_snapshot_cow",
    "isw_raid_member",
];

/// Without these the system starts, and the administrator notices.
const MOST_NAMED: usize = 4;

/// Whether a block device can have others in it.
pub(super) fn is_container(device: &BlockDevice) -> bool {
    device.content.as_deref().is_some_and(|content| CONTAINERS.contains(&content))
}

/// Says whether the command line's `root=` is the root that was found.
pub(super) fn judge_root(
    options: &str,
    has_initrd: bool,
    root: &BlockDevice,
    devices: &[BlockDevice],
) -> Vec<Finding> {
    let Some(value) = parameter(options, "root").filter(|value| !value.is_empty()) else {
        return vec![no_root(options, has_initrd, root)];
    };
    let source = Source::parse(value.strip_prefix("block:").unwrap_or(value));
    // A kernel can have an initrd in it, so that there is none beside it proves nothing.
    match check_root(options, true, root, devices) {
        RootParameter::Right { .. } => {
            let mut findings = twins(&source, root, devices, &format!("root={value}"), true);
            let needs_initrd = matches!(source, Source::Uuid(_) | Source::Label(_));
            if needs_initrd && !has_initrd {
                findings.push(Finding::warning(format!(
                    "root={value} is found by an initrd alone, and the default entry has none: the kernel has to have one in it"
                )));
            }
            if findings.is_empty() {
                findings.push(Finding::right(format!("root={value} is {}", root.describe())));
            }
            findings
        }
        RootParameter::Unknown(why) => {
            vec![Finding::warning(format!("whether the root will be found is not known: {why}"))]
        }
        RootParameter::Wrong(why) if is_certain(&source, root, devices) => {
            vec![Finding::error(Cause::BootRoot, why)]
        }
        RootParameter::Wrong(why) => vec![Finding::warning(format!("{why}; names can change at a start"))],
    }
}

fn no_root(options: &str, has_initrd: bool, root: &BlockDevice) -> Finding {
    let by_type = root.kind == Some(PartitionKind::Gpt(ROOT_TYPE));
    let by_dracut = options.split_ascii_whitespace().any(|word| word.starts_with("rd."));
    match (has_initrd, by_type, by_dracut) {
        (true, true, _) => Finding::right(format!(
            "the command line names no root: the initrd can tell it by its type, {}",
            root.describe()
        )),
        (true, ..) => Finding::warning("the command line names no root, so the initrd has to know it"),
        (false, ..) => Finding::warning(
            "the command line names no root, and there is no initrd: the kernel has to know it by itself",
        ),
    }
}

/// Whether a `root=` that does not lead to the root is surely wrong.
fn is_certain(source: &Source, root: &BlockDevice, devices: &[BlockDevice]) -> bool {
    let named = source.among(devices);
    if let Source::Name(name) = source {
        // The kernel gives names in the order in which it finds disks; but not those of another driver.
        let of_disks = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let kind = |name: &str| name.get(..2).unwrap_or(name).to_owned();
        let same_kind: Vec<&BlockDevice> =
            devices.iter().filter(|device| kind(&device.disk.name) == kind(&of_disks(name))).collect();
        let only_disk = devices.iter().all(|device| device.disk.number == root.disk.number);
        return same_kind.is_empty() || (only_disk && !named.is_empty());
    }
    !named.is_empty() || !devices.iter().any(is_container)
}

/// Says what else a name leads to than the one that is meant.
fn twins(
    source: &Source,
    meant: &BlockDevice,
    devices: &[BlockDevice],
    what: &str,
    decides: bool,
) -> Vec<Finding> {
    let others: Vec<&BlockDevice> =
        source.among(devices).into_iter().filter(|device| !is_same(device, meant)).collect();
    if others.is_empty() {
        return Vec::new();
    }
    let list: Vec<String> = others.iter().take(MOST_NAMED).map(|device| device.describe()).collect();
    let text = format!(
        "{what} is {}, and also {}: the system may start from either",
        meant.describe(),
        list.join(", ")
    );
    // Several disks can be one btrfs. Those of a copied disk have the same partition GUIDs as well.
    let is_copy = |device: &&&BlockDevice| {
        device.disk.number != meant.disk.number
            && (meant.content.as_deref() != Some("btrfs") || device.partition_uuid == meant.partition_uuid)
    };
    if decides && others.iter().any(|device| is_copy(&device)) {
        let text = format!("{text}; wipe the other disk, or take it out of the machine");
        return vec![Finding::error(Cause::RootAmbiguous, text)];
    }
    vec![Finding::warning(text)]
}

/// Whether both are the same place, perhaps seen by two paths to one disk.
fn is_same(one: &BlockDevice, other: &BlockDevice) -> bool {
    let (disk, other_disk) = (&one.disk, &other.disk);
    let same_disk = disk.number == other_disk.number
        || (disk.wwid.is_some() && disk.wwid == other_disk.wwid)
        || (disk.serial.is_some() && disk.serial == other_disk.serial);
    same_disk && one.partition == other.partition
}

/// Says whether what /etc/fstab mounts is there.
pub(super) fn judge_fstab(
    lines: &[Line],
    root: Option<&BlockDevice>,
    devices: &[BlockDevice],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut there = 0;
    for line in lines {
        if matches!(line.source, Source::Other(_)) {
            continue;
        }
        let Line { mount_point, number, .. } = line;
        let what = format!("line {number} of /etc/fstab ({} for {mount_point})", words(&line.source));
        let named = line.source.among(devices);
        let is_root = mount_point == "/";
        let near = |root: &BlockDevice| named.iter().find(|device| device.disk.number == root.disk.number);
        match (root, named.first()) {
            (_, None) if line.may_be_missing() => {
                findings.push(Finding::right(format!("{what} is not there, and need not be")));
            }
            (_, None) => {
                let hidden =
                    if devices.iter().any(is_container) { ", unless LVM, LUKS or RAID hides it" } else { "" };
                findings.push(Finding::warning(format!(
                    "{what} is nowhere on this machine{hidden}: the system may stop in its emergency mode"
                )));
            }
            (Some(root), Some(_)) if is_root && !named.iter().any(|device| is_same(device, root)) => {
                findings.push(Finding::warning(format!(
                    "{what} is {}, and the root is {}",
                    named[0].describe(),
                    root.describe()
                )));
            }
            (Some(root), Some(first)) => {
                let meant = if is_root { root } else { near(root).unwrap_or(first) };
                let twins = twins(&line.source, meant, devices, &what, is_root);
                there += usize::from(twins.is_empty());
                findings.extend(twins);
            }
            (None, Some(_)) => there += 1,
        }
    }
    if there > 0 {
        let lines = if there == 1 { "1 line".to_owned() } else { format!("{there} lines") };
        findings.push(Finding::right(format!("what {lines} of /etc/fstab mount is there")));
    }
    findings
}

/// As it is written in fstab(5).
fn words(source: &Source) -> String {
    match source {
        Source::Uuid(uuid) => format!("UUID={uuid}"),
        Source::Label(label) => format!("LABEL={label}"),
        Source::PartitionUuid(uuid) => format!("PARTUUID={uuid}"),
        Source::PartitionLabel(label) => format!("PARTLABEL={label}"),
        Source::Name(name) => format!("/dev/{name}"),
        Source::Other(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;
    use crate::installed::devices::tests::device;

    const WRONG: Weight = Weight::Error(Cause::BootRoot);
    const AMBIGUOUS: Weight = Weight::Error(Cause::RootAmbiguous);

    fn root() -> BlockDevice {
        BlockDevice {
            partition_uuid: Some("aa-03".into()),
            label: Some("Root".into()),
            ..device("sda", 3, "ext4")
        }
    }

    #[track_caller]
    fn check(options: &str, has_initrd: bool, devices: &[BlockDevice], expected: Weight, words: &str) {
        let findings = judge_root(options, has_initrd, &devices[0], devices);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.weight, expected, "{finding:?}");
        assert!(finding.text.contains(words), "{finding:?}");
    }

    #[test]
    fn root_leads_to_the_root_or_is_an_error() {
        let one = [root(), device("sda", 1, "vfat")];
        check("ro root=UUID=sda-3", true, &one, Weight::Right, "root=UUID=sda-3 is partition 3 of /dev/sda");
        check("root=PARTUUID=AA-03", false, &one, Weight::Right, "is partition 3");
        check("root=/dev/sda3", false, &one, Weight::Right, "is partition 3");
        check("root=UUID=gone", true, &one, WRONG, "root=UUID=gone is nowhere on this machine");
        check("root=LABEL=gone", true, &one, WRONG, "is nowhere");
        check("root=PARTUUID=gone", true, &one, WRONG, "is nowhere");
        check("root=UUID=sda-1", true, &one, WRONG, "is partition 1 of /dev/sda");
        check("root=/dev/vda3", true, &one, WRONG, "root=/dev/vda3 is nowhere");
        check("root=/dev/sda1", true, &one, WRONG, "is partition 1");
    }

    #[test]
    fn what_is_not_certain_warns() {
        let one = [root(), device("sda", 1, "vfat")];
        // Another disk of the same kind may get this name.
        let two = [root(), device("sdb", 1, "vfat")];
        check("root=/dev/sdb3", true, &one, Weight::Warning, "names can change");
        check("root=/dev/sdb1", true, &two, Weight::Warning, "names can change");
        check("root=/dev/mapper/vg-root", true, &one, Weight::Warning, "is not looked up");
        check("root=ZFS=x", true, &one, Weight::Warning, "is not looked up");
        let hidden = [root(), device("sda", 4, "LVM2_member")];
        check("root=UUID=gone", true, &hidden, Weight::Warning, "names can change");
        check("quiet", true, &one, Weight::Warning, "names no root");
        check("quiet rd.luks.uuid=1", true, &one, Weight::Warning, "names no root");
        check("quiet", false, &one, Weight::Warning, "no initrd");
        // Flatcar's kernel has its initrd in it.
        check("root=LABEL=Root", false, &one, Weight::Warning, "found by an initrd alone");
        let typed = [BlockDevice { kind: Some(PartitionKind::Gpt(ROOT_TYPE)), ..root() }];
        check("quiet", true, &typed, Weight::Right, "by its type");
    }

    #[test]
    fn two_disks_that_are_alike_are_ambiguous() {
        let twin = |change: &dyn Fn(&mut BlockDevice)| {
            let mut twin = BlockDevice { number: Some((8, 19)), ..device("sdb", 3, "ext4") };
            change(&mut twin);
            [root(), twin]
        };
        let same_uuid = twin(&|twin| twin.uuid = root().uuid);
        check("root=UUID=sda-3", true, &same_uuid, AMBIGUOUS, "and also partition 3 of /dev/sdb");
        check("root=PARTUUID=aa-03", true, &same_uuid, Weight::Right, "is partition 3");
        check("root=LABEL=Root", true, &twin(&|twin| twin.label = root().label), AMBIGUOUS, "/dev/sdb");
        check(
            "root=PARTUUID=aa-03",
            true,
            &twin(&|twin| twin.partition_uuid = root().partition_uuid),
            AMBIGUOUS,
            "/dev/sdb",
        );
        // On one disk a boot loader may know better.
        let near = [root(), BlockDevice { label: root().label, ..device("sda", 4, "ext4") }];
        check("root=LABEL=Root", true, &near, Weight::Warning, "and also partition 4 of /dev/sda");
        // A second path to the same disk.
        let path = twin(&|twin| {
            twin.uuid = root().uuid;
            twin.disk.wwid = Some("naa.5".into());
        });
        check("root=UUID=sda-3", true, &path, AMBIGUOUS, "/dev/sdb");
        let mut path = path;
        path[0].disk.wwid = Some("naa.5".into());
        check("root=UUID=sda-3", true, &path, Weight::Right, "is partition 3");
        // Two disks of one btrfs have one UUID, and each its own partition.
        let btrfs = |partition_uuid: &str| {
            let content = Some("btrfs".to_owned());
            let partition_uuid = Some(partition_uuid.to_owned());
            [
                BlockDevice { content: content.clone(), ..root() },
                BlockDevice {
                    content,
                    partition_uuid,
                    uuid: root().uuid,
                    number: Some((8, 19)),
                    ..device("sdb", 3, "btrfs")
                },
            ]
        };
        check("root=UUID=sda-3", true, &btrfs("bb-03"), Weight::Warning, "and also");
        check("root=UUID=sda-3", true, &btrfs("aa-03"), AMBIGUOUS, "and also");
    }

    fn line(source: &str, mount_point: &str, options: &str) -> Line {
        Line {
            source: Source::parse(source),
            mount_point: mount_point.into(),
            kind: "auto".into(),
            options: options.split(',').map(str::to_owned).collect(),
            number: 7,
        }
    }

    #[test]
    fn fstab_leads_to_what_is_there() {
        let devices = [root(), device("sda", 1, "vfat")];
        let judged = |lines: &[Line]| judge_fstab(lines, Some(&devices[0]), &devices);
        let right = judged(&[
            line("UUID=sda-3", "/", "rw"),
            line("UUID=sda-1", "/boot/efi", "umask=077"),
            line("tmpfs", "/tmp", "rw"),
            line("/dev/mapper/data", "/data", "rw"),
        ]);
        assert_eq!(right, [Finding::right("what 2 lines of /etc/fstab mount is there")]);
        assert_eq!(judged(&[]), []);
        for (line, weight, words) in [
            (
                line("UUID=gone", "/data", "rw"),
                Weight::Warning,
                "line 7 of /etc/fstab (UUID=gone for /data) is nowhere",
            ),
            (line("LABEL=gone", "none", "sw"), Weight::Warning, "is nowhere"),
            (line("UUID=gone", "/data", "nofail"), Weight::Right, "need not be"),
            (line("/dev/sr0", "/media/cdrom", "noauto"), Weight::Right, "need not be"),
            (line("UUID=sda-1", "/", "rw"), Weight::Warning, "is partition 1 of /dev/sda"),
        ] {
            let findings = judged(std::slice::from_ref(&line));
            let [finding] = &findings[..] else { panic!("{findings:?}") };
            assert_eq!(finding.weight, weight, "{finding:?}");
            assert!(finding.text.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn only_the_root_of_fstab_decides() {
        let esp = |disk: &str| BlockDevice { label: Some("UEFI".into()), ..device(disk, 1, "vfat") };
        let twin = BlockDevice { label: root().label, number: Some((8, 19)), ..device("sdb", 3, "ext4") };
        let devices = [root(), twin, esp("sda"), esp("sdb")];
        let judged = |line| judge_fstab(&[line], Some(&devices[0]), &devices).remove(0);
        assert_eq!(judged(line("LABEL=Root", "/", "rw")).weight, AMBIGUOUS);
        let finding = judged(line("LABEL=UEFI", "/boot/efi", "rw"));
        assert_eq!(finding.weight, Weight::Warning);
        assert!(finding.text.contains("is partition 1 of /dev/sda"), "{finding:?}");
    }
}
