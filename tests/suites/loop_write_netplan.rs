//! write-netplan on disks with an installed system: what it writes, what it leaves alone, what it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nibs_tests::binaries::{command, top};
use nibs_tests::installed_files::{
    Entry, ROOT, add_netplan_and_cloud_init, changes, fill, in_root, root_tree, tree,
};
use nibs_tests::installed_image::{InstalledImage, Mounted, RootFs, forget_partitions, show_partition};
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::os;
use nibs_tests::outcome::Outcome;

const NETPLAN: &str = "etc/netplan/90-nibs.yaml";
const NETWORK_OFF: &str = "etc/cloud/cloud.cfg.d/zz-nibs-network.cfg";
const CARD: &str = r#"[{"dhcp": {"mac": "52:54:00:12:34:56"}}]"#;
const OTHER_CARD: &str = r#"[{"dhcp": {"mac": "52:54:00:12:34:57", "ip": {"address": "192.0.2.19", "netmask": "255.255.255.192"}}}]"#;

fn action(disk: &Path, pairs: &[(&str, &str)]) -> Command {
    let mut command = command("write-netplan");
    command.env("DEST_DISK", disk).envs(pairs.iter().copied());
    command
}

fn configure(disk: &LoopDevice, pairs: &[(&str, &str)]) -> Outcome {
    Outcome::of(&mut action(disk.node(), pairs))
}

/// A small disk with a system that has netplan and cloud-init.
fn small_disk(more: impl FnOnce(&Path)) -> LoopDevice {
    InstalledImage { root_mib: 16, disk_mib: 64, ..InstalledImage::default() }.make_with(|root| {
        add_netplan_and_cloud_init(root);
        more(root);
    })
}

/// The cases of a folder of fixtures: the path of each without what comes after its name.
fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = top().join("tests/fixtures/netplan").join(folder);
    let mut cases: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path().with_extension("")).collect();
    cases.sort();
    cases.dedup();
    assert!(!cases.is_empty(), "{}", folder.display());
    cases
}

fn warnings(outcome: &Outcome) -> String {
    let lines = outcome.lines.iter().filter(|line| line["level"] == "warn");
    lines.map(|line| format!("{}\n", line["msg"].as_str().unwrap())).collect()
}

#[test]
fn what_cannot_be_right_is_refused_by_field_and_value() {
    let cases = cases("invalid");
    assert!(cases.len() > 60, "{}", cases.len());
    for case in cases {
        let (variable, value) = match fs::read_to_string(case.with_extension("json")) {
            Ok(json) => ("INTERFACES", json),
            Err(_) => ("NETPLAN", fs::read_to_string(case.with_extension("yaml")).unwrap()),
        };
        // There is no such disk, and that is not what it ends with.
        let outcome = Outcome::of(&mut action(Path::new("/dev/nothing"), &[(variable, &value)]));
        let expected = fs::read_to_string(case.with_extension("txt")).unwrap();
        assert_eq!(outcome.failed("configuration"), expected.trim_end(), "{}", case.display());
    }
    let none = Outcome::of(&mut action(Path::new("/dev/nothing"), &[]));
    assert!(none.failed("configuration").starts_with("neither INTERFACES nor NETPLAN is given"));
    let both = Outcome::of(&mut action(
        Path::new("/dev/nothing"),
        &[("INTERFACES", CARD), ("NETPLAN", "network: {version: 2, ethernets: {a: {}}}")],
    ));
    assert_eq!(both.failed("configuration"), "INTERFACES and NETPLAN are both given; accepted: one of them");
    let no_disk = Outcome::of(command("write-netplan").env("INTERFACES", CARD));
    assert!(no_disk.failed("configuration").starts_with("DEST_DISK is not set; it takes: "));
}

#[test]
fn every_interface_is_written_as_expected() {
    let disk = small_disk(|_| {});
    for case in cases("valid") {
        let json = fs::read_to_string(case.with_extension("json")).unwrap();
        let outcome = configure(&disk, &[("INTERFACES", &json)]);
        outcome.succeeded();
        let written = in_root(&disk, |root| fs::read_to_string(root.join(NETPLAN)).unwrap());
        assert_eq!(written, fs::read_to_string(case.with_extension("yaml")).unwrap(), "{}", case.display());
        let expected = fs::read_to_string(case.with_extension("warnings")).unwrap_or_default();
        assert_eq!(warnings(&outcome), expected, "{}", case.display());
    }
}

/// Debian's own netplan turns every document into exactly these files for systemd-networkd.
#[test]
fn netplan_takes_every_document() {
    let image = os::debian().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backing = folder.path().join("disk");
    run(Command::new("cp").arg("--sparse=always").arg(&image.raw).arg(&backing));
    let disk = LoopDevice::over(&backing, &[]);
    in_root(&disk, |root| {
        for case in cases("valid") {
            let name = case.file_name().unwrap();
            let inner = root.join("tmp").join(name);
            fs::create_dir_all(inner.join("etc/netplan")).unwrap();
            fs::copy(case.with_extension("yaml"), inner.join("etc/netplan/90-nibs.yaml")).unwrap();
            let inside = Path::new("/tmp").join(name);
            run(Command::new("chroot")
                .arg(root)
                .args(["/usr/libexec/netplan/generate", "--root-dir"])
                .arg(inside));
            let made: String = tree(&inner.join("run/systemd/network"))
                .iter()
                .map(|(name, entry)| format!("==> {name}\n{}", entry.text()))
                .collect();
            assert_eq!(
                made,
                fs::read_to_string(case.with_extension("networkd")).unwrap(),
                "{}",
                case.display()
            );
        }
    });
}

/// On the Debian image itself: netplan and cloud-init are real, and the bootstrap's `cloud-init clean` changes nothing.
#[test]
fn a_real_debian_keeps_it_over_cloud_init_clean() {
    let image = os::debian().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backing = folder.path().join("disk");
    run(Command::new("cp").arg("--sparse=always").arg(&image.raw).arg(&backing));
    let disk = LoopDevice::over(&backing, &[]);
    let outcome = configure(&disk, &[("INTERFACES", CARD)]);
    outcome.succeeded();
    assert!(
        outcome.text.contains("/etc/netplan/90-default.yaml is now /etc/netplan/90-default.yaml.nibs-aside")
    );
    in_root(&disk, |root| {
        let in_system = |program: &str, arguments: &[&str]| {
            run(Command::new("chroot").arg(root).arg(program).args(arguments))
        };
        let before = tree(&root.join("etc"));
        in_system("cloud-init", &["clean"]);
        assert_eq!(changes(&before, &tree(&root.join("etc"))), [""; 0]);
        let decided = in_system(
            "python3",
            &[
                "-c",
                "from cloudinit import stages; i = stages.Init(ds_deps=[]); i.read_cfg(); print(i._find_networking_config())",
            ],
        );
        assert_eq!(decided.trim(), "(None, <NetworkConfigSource.SYSTEM_CFG: 'system_cfg'>)");
        in_system("netplan", &["generate"]);
        let made: Vec<String> = tree(&root.join("run/systemd/network")).into_keys().collect();
        assert_eq!(made, ["10-netplan-nic0.network"]);
    });
}

#[test]
fn the_images_files_are_set_aside_and_a_second_run_changes_nothing() {
    for filesystem in RootFs::ALL {
        let disk = InstalledImage::of(filesystem).make_with(|root| {
            add_netplan_and_cloud_init(root);
            let folder = root.join("etc/netplan");
            fs::write(folder.join("50-cloud-init.yaml"), "network: {version: 2}\n").unwrap();
            fs::write(
                folder.join("10-storage.yaml"),
                "network: {version: 2, ethernets: {s: {match: {macaddress: 02:00:00:00:00:01}}}}\n",
            )
            .unwrap();
            fs::write(folder.join("01-renderer.yaml"), "network: {version: 2, renderer: networkd}\n")
                .unwrap();
            fs::write(folder.join("70-broken.yaml"), "network: [\n").unwrap();
            fs::create_dir_all(root.join("usr/lib/netplan")).unwrap();
            fs::write(
                root.join("usr/lib/netplan/00-vendor.yaml"),
                "network: {version: 2, ethernets: {eth0: {}}}\n",
            )
            .unwrap();
        });
        let before = root_tree(&disk);
        let outcome = configure(&disk, &[("INTERFACES", CARD)]);
        assert_eq!(outcome.succeeded(), "wrote /etc/netplan/90-nibs.yaml: 1 interface");
        let after = root_tree(&disk);
        assert_eq!(
            changes(&before, &after),
            [
                format!("+{NETWORK_OFF}").as_str(),
                "-etc/netplan/50-cloud-init.yaml",
                "+etc/netplan/50-cloud-init.yaml.nibs-aside",
                "-etc/netplan/70-broken.yaml",
                "+etc/netplan/70-broken.yaml.nibs-aside",
                "-etc/netplan/90-default.yaml",
                "+etc/netplan/90-default.yaml.nibs-aside",
                "+etc/netplan/90-nibs.yaml",
                "-usr/lib/netplan/00-vendor.yaml",
                "+usr/lib/netplan/00-vendor.yaml.nibs-aside",
            ]
        );
        let (ours, off) = (&after[NETPLAN], &after[NETWORK_OFF]);
        assert_eq!((ours.mode, ours.owner), (0o100_600, (0, 0)));
        assert_eq!((off.mode, off.owner), (0o100_644, (0, 0)));
        assert!(off.text().ends_with("\nnetwork: {config: disabled}\n"));
        let aside = |line: &&serde_json::Value| line["msg"].as_str().unwrap().contains(".nibs-aside: ");
        assert_eq!(outcome.lines.iter().filter(aside).count(), 4, "{}", outcome.text);

        let again = configure(&disk, &[("INTERFACES", CARD)]);
        again.succeeded();
        assert_eq!(again.lines.iter().filter(aside).count(), 0, "{}", again.text);
        assert_eq!(root_tree(&disk), after);
        // Another configuration replaces it.
        configure(&disk, &[("INTERFACES", OTHER_CARD)]).succeeded();
        assert_eq!(changes(&after, &root_tree(&disk)), [format!("~{NETPLAN}")]);
    }
}

#[test]
fn a_finished_document_is_written_as_it_is() {
    let disk = small_disk(|_| {});
    let document = "# mine\nnetwork:\n  version: 2\n  ethernets:\n    eth0: {dhcp4: yes}\n";
    let outcome = configure(&disk, &[("NETPLAN", document)]);
    assert_eq!(outcome.succeeded(), "wrote /etc/netplan/90-nibs.yaml: 1 interface");
    let after = root_tree(&disk);
    assert_eq!((after[NETPLAN].text(), after[NETPLAN].mode), (document, 0o100_600));
    assert!(after.contains_key("etc/netplan/90-default.yaml.nibs-aside"));
    // As a flag, and in the place of another.
    let document = "network: {version: 2, ethernets: {eth1: {}}}";
    let outcome = Outcome::of(
        command("write-netplan").arg("--dest-disk").arg(disk.node()).args(["--netplan", document]),
    );
    outcome.succeeded();
    assert_eq!(root_tree(&disk)[NETPLAN].text(), format!("{document}\n"));
}

#[test]
fn no_link_of_the_image_leads_out_of_it() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("victim"), "untouched").unwrap();
    // The folder as a link to one of this machine, which the image has not.
    let disk = small_disk(|root| {
        fs::remove_dir_all(root.join("etc/netplan")).unwrap();
        symlink(outside.path(), root.join("etc/netplan")).unwrap();
    });
    let before = root_tree(&disk);
    let failed = configure(&disk, &[("INTERFACES", CARD)]);
    assert!(failed.failed("file").contains("/etc/netplan of the installed system"), "{}", failed.text);
    assert_eq!(root_tree(&disk), before);
    // The file, and the one for cloud-init, as links to files of this machine; a dangling one to be set aside.
    let disk = small_disk(|root| {
        let victim = outside.path().join("victim");
        symlink(&victim, root.join(NETPLAN)).unwrap();
        symlink(&victim, root.join(NETWORK_OFF)).unwrap();
        symlink(&victim, root.join("etc/netplan/10-x.yaml")).unwrap();
        symlink("/etc/netplan/90-default.yaml", root.join("etc/netplan/20-y.yaml")).unwrap();
        symlink("../../../../../../../../../../etc", root.join("etc/cloud/up")).unwrap();
    });
    configure(&disk, &[("INTERFACES", CARD)]).succeeded();
    let after = root_tree(&disk);
    for path in [NETPLAN, NETWORK_OFF] {
        assert_eq!(after[path].mode & 0o170_000, 0o100_000, "{path}: {:?}", after[path]);
    }
    assert!(after.contains_key("etc/netplan/10-x.yaml"));
    assert!(after.contains_key("etc/netplan/20-y.yaml.nibs-aside"));
    let left = tree(outside.path());
    assert_eq!(left.keys().collect::<Vec<_>>(), ["victim"]);
    assert_eq!(left["victim"].text(), "untouched");
}

/// Asserts that an action fails so, and that the disk is as it was, to the byte.
#[track_caller]
fn refused(disk: &LoopDevice, cause: &str, word: &str) {
    forget_partitions(disk);
    let before = disk.content();
    let outcome = configure(disk, &[("INTERFACES", CARD)]);
    let message = outcome.failed(cause);
    assert!(message.contains(word), "{message}");
    forget_partitions(disk);
    assert!(before == disk.content(), "the disk was written to");
}

#[test]
fn what_cannot_be_configured_is_refused_untouched() {
    refused(&LoopDevice::new(32 << 20), "root-not-found", "no installed system on");
    let without = InstalledImage { root_mib: 16, disk_mib: 64, ..InstalledImage::default() };
    // A journal that is replayed and a superblock that says when it was mounted are writes, but none to a file.
    let disk = without.make();
    let before = root_tree(&disk);
    let outcome = configure(&disk, &[("INTERFACES", CARD)]);
    assert!(outcome.failed("not-installed").starts_with(
        "the installed system has no netplan: none of /usr/sbin/netplan, /usr/libexec/netplan/generate"
    ));
    assert_eq!(root_tree(&disk), before);

    let disk = small_disk(|_| {});
    let read_only = LoopDevice::over(&disk.backing(), &["--read-only"]);
    let before = disk.content();
    let outcome = configure(&read_only, &[("INTERFACES", CARD)]);
    assert!(outcome.failed("disk-read-only").contains("is read-only; nothing was written to it"));
    drop(read_only);
    assert!(before == disk.content());

    let missing = Outcome::of(&mut action(Path::new("/dev/nothing"), &[("INTERFACES", CARD)]));
    assert!(missing.failed("disk-missing").starts_with("there is no /dev/nothing; this machine has "));
    let null = Outcome::of(&mut action(Path::new("/dev/null"), &[("INTERFACES", CARD)]));
    assert!(null.failed("not-a-block-device").starts_with("/dev/null is there, but is no block device"));
}

#[test]
fn a_mounted_disk_is_refused() {
    let disk = small_disk(|_| {});
    let before = root_tree(&disk);
    show_partition(&disk, ROOT);
    let mounted = Mounted::new(&disk.partition(ROOT), &["-o", "ro,noload"]);
    let outcome = configure(&disk, &[("INTERFACES", CARD)]);
    let message = outcome.failed("disk-mounted");
    assert!(message.contains(&format!("is mounted at {}", mounted.at().display())), "{message}");
    drop(mounted);
    assert_eq!(root_tree(&disk), before);
}

#[test]
fn a_full_filesystem_keeps_the_old_configuration() {
    let disk = small_disk(|_| {});
    configure(&disk, &[("INTERFACES", OTHER_CARD)]).succeeded();
    in_root(&disk, fill);
    let before = root_tree(&disk);
    let outcome = configure(&disk, &[("INTERFACES", CARD)]);
    let message = outcome.failed("file");
    assert_eq!(
        message,
        "writing /etc/netplan/90-nibs.yaml of the installed system: No space left on device (os error 28)"
    );
    assert_eq!(changes(&before, &root_tree(&disk)), [""; 0]);
    in_root(&disk, |root| fs::remove_file(root.join("filler")).unwrap());
    configure(&disk, &[("INTERFACES", CARD)]).succeeded();
    assert!(root_tree(&disk)[NETPLAN].text().contains("52:54:00:12:34:56"));
}

#[test]
fn killed_at_any_moment_a_rerun_does_it() {
    let disk = small_disk(|_| {});
    let expected = {
        let fresh = small_disk(|_| {});
        configure(&fresh, &[("INTERFACES", CARD)]).succeeded();
        provisioned(&root_tree(&fresh))
    };
    configure(&disk, &[("INTERFACES", OTHER_CARD)]).succeeded();
    let old = root_tree(&disk)[NETPLAN].clone();
    let mut killed = 0;
    for delay_millis in (0..120).step_by(10) {
        let mut child = action(disk.node(), &[("INTERFACES", CARD)]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay_millis));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let after = root_tree(&disk);
        let now = &after[NETPLAN];
        assert!(*now == old || *now == expected[NETPLAN], "after {delay_millis} ms: {now:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(disk.node().to_str().unwrap()), "a mount was left");
        // The next one begins with the old configuration again.
        if *now != old {
            configure(&disk, &[("INTERFACES", OTHER_CARD)]).succeeded();
        }
    }
    assert!(killed > 2, "only {killed} runs were killed in time");
    configure(&disk, &[("INTERFACES", CARD)]).succeeded();
    assert_eq!(provisioned(&root_tree(&disk)), expected);
}

/// What is in the folders that the action writes to.
fn provisioned(tree: &BTreeMap<String, Entry>) -> BTreeMap<String, Entry> {
    let ours = |path: &String| path.starts_with("etc/netplan") || path.starts_with("etc/cloud");
    tree.iter().filter(|(path, _)| ours(path)).map(|(path, entry)| (path.clone(), entry.clone())).collect()
}

/// A partition is taken as the place to look in.
#[test]
fn a_partition_can_be_given() {
    let disk = small_disk(|_| {});
    forget_partitions(&disk);
    let outcome = Outcome::of(&mut action(&disk.partition(ROOT), &[("INTERFACES", CARD)]));
    outcome.succeeded();
    assert!(outcome.text.contains("root is partition 3 of "), "{}", outcome.text);
    forget_partitions(&disk);
    let other = Outcome::of(&mut action(&disk.partition(2), &[("INTERFACES", CARD)]));
    other.failed("root-not-found");
    in_root(&disk, |root| assert!(root.join(NETPLAN).exists()));
}
