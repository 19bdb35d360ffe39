//! write-cloud-init on disks with an installed system: the seed, what else it changes, what it refuses, and that its
//! secrets are nowhere else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nibs_tests::binaries::{command, top};
use nibs_tests::installed_files::{
    CLOUD_CFG, Entry, ROOT, add_netplan_and_cloud_init, changes, fill, in_root, root_tree, tree,
};
use nibs_tests::installed_image::{InstalledImage, Mounted, RootFs, forget_partitions, show_partition};
use nibs_tests::loop_device::{LoopDevice, run};
use nibs_tests::os;
use nibs_tests::outcome::Outcome;

const SEED: &str = "var/lib/cloud/seed/nocloud";
const DATASOURCE: &str = "etc/cloud/cloud.cfg.d/zz-nibs-datasource.cfg";
const NETWORK_OFF: &str = "etc/cloud/cloud.cfg.d/zz-nibs-network.cfg";
/// What may be seen in the seed and nowhere else.
const SECRET: &str = "hunter2";
const USER_DATA: &str = "#cloud-config\nwrite_files:\n- {path: /etc/token, content: hunter2-one}\n";
const OTHER_USER_DATA: &str = "#cloud-config\nwrite_files:\n- {path: /etc/token, content: hunter2-two}\n";

fn action(disk: &Path, pairs: &[(&str, &str)]) -> Command {
    let mut command = command("write-cloud-init");
    command.env("DEST_DISK", disk).env("LOG_LEVEL", "debug").envs(pairs.iter().copied());
    command
}

/// Runs the action; whatever comes of it, nothing secret is in its log.
#[track_caller]
fn seed(disk: &Path, pairs: &[(&str, &str)]) -> Outcome {
    let outcome = Outcome::of(&mut action(disk, pairs));
    assert!(!outcome.text.contains(SECRET), "{}", outcome.text);
    assert!(!outcome.text.contains(BASE64_STANDARD.encode(SECRET).trim_end_matches('=')), "{}", outcome.text);
    outcome
}

fn small_disk(more: impl FnOnce(&Path)) -> LoopDevice {
    InstalledImage { root_mib: 16, disk_mib: 64, ..InstalledImage::default() }.make_with(|root| {
        add_netplan_and_cloud_init(root);
        more(root);
    })
}

fn seed_file(name: &str) -> String {
    format!("{SEED}/{name}")
}

/// The cases of a folder of fixtures: name, and the environment.
fn cases(folder: &str) -> Vec<(PathBuf, BTreeMap<String, String>)> {
    let folder = top().join("tests/fixtures/cloud_init").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let environment = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path, environment)
        })
        .collect()
}

/// What a variable holds, plain or in base64.
fn content(environment: &BTreeMap<String, String>, name: &str) -> Vec<u8> {
    let decode = |text: &String| BASE64_STANDARD.decode(text.replace('\n', "")).unwrap();
    let plain = environment.get(name).map(|text| text.clone().into_bytes());
    plain.or_else(|| environment.get(&format!("{name}_BASE64")).map(decode)).unwrap_or_default()
}

fn pairs(environment: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn what_cannot_be_right_is_refused_without_a_word_of_it() {
    let cases = cases("invalid");
    assert!(cases.len() > 30, "{}", cases.len());
    for (path, environment) in cases {
        // There is no such disk, and that is not what it ends with.
        let outcome = seed(Path::new("/dev/nothing"), &pairs(&environment));
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        assert_eq!(outcome.failed("configuration"), expected.trim_end(), "{}", path.display());
    }
    let flag = Outcome::of(
        command("write-cloud-init").arg("--user-data=#!hunter2").env("DEST_DISK", "/dev/nothing"),
    );
    assert_eq!(
        flag.failed("configuration"),
        "--user-data is no flag: USER_DATA is taken from the environment only"
    );
    let no_disk = Outcome::of(command("write-cloud-init").env("USER_DATA", USER_DATA));
    assert!(no_disk.failed("configuration").starts_with("DEST_DISK is not set; it takes: "));
}

#[test]
fn every_format_is_written_as_it_was_given() {
    let disk = small_disk(|_| {});
    for (path, environment) in cases("valid") {
        let outcome = seed(disk.node(), &pairs(&environment));
        let written = outcome.succeeded().to_owned();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        let first = outcome.lines[0]["msg"].as_str().unwrap();
        assert_eq!(format!("{first}\n{written}\n"), expected, "{}", path.display());

        let found = in_root(&disk, |root| tree(&root.join(SEED)));
        assert_eq!(found["user-data"].content, content(&environment, "USER_DATA"), "{}", path.display());
        assert_eq!(found["vendor-data"].content, content(&environment, "VENDOR_DATA"), "{}", path.display());
        let meta_data = fs::read_to_string(path.with_extension("meta-data")).unwrap();
        assert_eq!(found["meta-data"].text(), meta_data, "{}", path.display());
        let network_config = content(&environment, "NETWORK_CONFIG");
        assert_eq!(
            found.get("network-config").map(|entry| &entry.content[..]).unwrap_or_default(),
            network_config
        );
        let names = 3 + usize::from(!network_config.is_empty());
        assert_eq!(found.len(), names, "{}: {:?}", path.display(), found.keys());
        for (name, entry) in found {
            assert_eq!((entry.mode, entry.owner), (0o100_600, (0, 0)), "{name}");
        }
    }
}

#[test]
fn a_seed_is_written_and_a_second_run_changes_nothing() {
    for filesystem in RootFs::ALL {
        let disk = InstalledImage::of(filesystem).make_with(add_netplan_and_cloud_init);
        let before = root_tree(&disk);
        let given = [("USER_DATA", USER_DATA), ("INSTANCE_ID", "node-1"), ("LOCAL_HOSTNAME", "node-1")];
        let outcome = seed(disk.node(), &given);
        assert_eq!(
            outcome.succeeded(),
            "wrote the NoCloud seed /var/lib/cloud/seed/nocloud: instance node-1, host name node-1"
        );
        let after = root_tree(&disk);
        assert_eq!(
            changes(&before, &after),
            [
                format!("+{DATASOURCE}"),
                "+var/lib/cloud/seed".to_owned(),
                format!("+{SEED}"),
                format!("+{SEED}/meta-data"),
                format!("+{SEED}/user-data"),
                format!("+{SEED}/vendor-data"),
            ]
        );
        assert_eq!((after[SEED].mode, after[SEED].owner), (0o40_700, (0, 0)));
        assert_eq!(after["var/lib/cloud/seed"].mode, 0o40_755);
        assert_eq!(after[DATASOURCE].mode, 0o100_644);
        assert!(after[DATASOURCE].text().contains("\ndatasource_list: [NoCloud, None]\n"));
        seed(disk.node(), &given).succeeded();
        assert_eq!(root_tree(&disk), after);
        secret_is_in_the_seed_alone(&after);
        // Another instance replaces it.
        seed(disk.node(), &[("USER_DATA", OTHER_USER_DATA), ("INSTANCE_ID", "node-2")]).succeeded();
        let replaced = root_tree(&disk);
        assert_eq!(changes(&after, &replaced), [format!("~{SEED}/meta-data"), format!("~{SEED}/user-data")]);
        secret_is_in_the_seed_alone(&replaced);
    }
}

/// Looks into every file and name of the disk.
#[track_caller]
fn secret_is_in_the_seed_alone(tree: &BTreeMap<String, Entry>) {
    let encoded = BASE64_STANDARD.encode(USER_DATA);
    let holds = |entry: &Entry| {
        let text = String::from_utf8_lossy(&entry.content);
        text.contains(SECRET) || text.contains(&encoded[..40])
    };
    let holders: Vec<&String> = tree.iter().filter(|(_, entry)| holds(entry)).map(|(path, _)| path).collect();
    assert_eq!(holders, [&seed_file("user-data")]);
    assert!(!tree.keys().any(|path| path.contains(SECRET) || path.ends_with(".nibs-new")));
}

#[test]
fn the_secret_is_in_no_argument_and_in_no_copy() {
    let disk = small_disk(|_| {});
    let temporary = tempfile::tempdir().unwrap();
    let encoded = BASE64_STANDARD.encode(USER_DATA);
    let mut child = action(disk.node(), &[("USER_DATA_BASE64", &encoded)])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Until it has become the action, what is there is another program, or nothing.
    let arguments = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        let arguments = fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap();
        arguments.contains("write-cloud-init").then_some(arguments)
    });
    assert!(!arguments.expect("the action runs").contains(&encoded[..16]));
    child.wait().unwrap();
    assert!(tree(temporary.path()).is_empty());
    // On the disk's blocks the user-data lies once: nothing wrote it anywhere else and removed it again.
    let content = disk.content();
    let count = |what: &[u8]| content.windows(what.len()).filter(|window| *window == what).count();
    assert_eq!((count(b"hunter2-one"), count(&encoded.as_bytes()[..40])), (1, 0));
}

#[test]
fn what_the_image_or_an_earlier_run_left_does_not_count() {
    let disk = small_disk(|root| {
        let folder = root.join(SEED);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        for name in [
            "user-data",
            "meta-data",
            "vendor-data",
            "network-config",
            ".user-data.nibs-new",
            ".network-config.nibs-new",
        ] {
            fs::write(folder.join(name), "hunter2 of another").unwrap();
        }
        fs::write(root.join("etc/cloud/cloud-init.disabled"), "").unwrap();
        fs::write(root.join("etc/cloud/ds-identify.cfg"), "datasource: Ec2\n").unwrap();
        fs::write(root.join("etc/cloud/cloud.cfg.d/90_dpkg.cfg"), "datasource_list: [Ec2]\n").unwrap();
    });
    let outcome = seed(disk.node(), &[("USER_DATA", "#!/bin/sh\n"), ("INSTANCE_ID", "i")]);
    outcome.succeeded();
    let after = root_tree(&disk);
    let seed: Vec<&str> =
        after.keys().filter_map(|path| path.strip_prefix(SEED)?.strip_prefix('/')).collect();
    assert_eq!(seed, ["meta-data", "user-data", "vendor-data"]);
    assert_eq!(after[SEED].mode, 0o40_700);
    assert!(!after.values().any(|entry| String::from_utf8_lossy(&entry.content).contains(SECRET)));
    for name in ["cloud-init.disabled", "ds-identify.cfg"] {
        assert!(after.contains_key(&format!("etc/cloud/{name}.nibs-aside")));
        assert!(outcome.text.contains(&format!("/etc/cloud/{name} is now /etc/cloud/{name}.nibs-aside: ")));
    }
    assert!(after.contains_key("etc/cloud/cloud.cfg.d/90_dpkg.cfg"));
}

/// Who speaks of the network last decides whose it is.
#[test]
fn a_network_config_and_write_netplan_take_turns() {
    let disk = small_disk(|root| {
        fs::write(root.join("etc/cloud/cloud.cfg.d/99-off.cfg"), "network: {config: disabled}\n").unwrap();
    });
    let netplan = || {
        let interfaces = r#"[{"dhcp": {"mac": "52:54:00:12:34:56"}}]"#;
        let outcome =
            Outcome::of(command("write-netplan").env("DEST_DISK", disk.node()).env("INTERFACES", interfaces));
        outcome.succeeded();
        outcome
    };
    netplan();
    let outcome = seed(disk.node(), &[("USER_DATA", USER_DATA), ("NETWORK_CONFIG", "version: 2\n")]);
    outcome.succeeded();
    let after = root_tree(&disk);
    for gone in [NETWORK_OFF, "etc/netplan/90-nibs.yaml", "etc/cloud/cloud.cfg.d/99-off.cfg"] {
        assert!(!after.contains_key(gone), "{gone}");
    }
    for there in [
        "etc/netplan/90-nibs.yaml.nibs-aside",
        "etc/cloud/cloud.cfg.d/99-off.cfg.nibs-aside",
        &seed_file("network-config"),
    ] {
        assert!(after.contains_key(there), "{there}");
    }
    assert_eq!(outcome.lines.iter().filter(|line| line["level"] == "warn").count(), 2, "{}", outcome.text);
    let outcome = netplan();
    assert!(
        outcome.text.contains("the network-config in /var/lib/cloud/seed/nocloud does not count any more")
    );
    assert!(root_tree(&disk).contains_key(NETWORK_OFF));
    // Without one, what write-netplan did stays.
    let before = root_tree(&disk);
    seed(disk.node(), &[("USER_DATA", USER_DATA)]).succeeded();
    let differs = changes(&before, &root_tree(&disk));
    assert_eq!(differs, [format!("~{SEED}/meta-data"), format!("-{SEED}/network-config")]);

    let disk = small_disk(|root| {
        fs::write(root.join("etc/cloud/cloud.cfg"), format!("{CLOUD_CFG}network: {{config: disabled}}\n"))
            .unwrap();
    });
    let before = root_tree(&disk);
    let outcome = seed(disk.node(), &[("USER_DATA", USER_DATA), ("NETWORK_CONFIG", "version: 2\n")]);
    assert!(
        outcome.failed("file").starts_with("/etc/cloud/cloud.cfg of the installed system has a `network:`")
    );
    assert_eq!(root_tree(&disk), before);
}

#[test]
fn no_link_of_the_image_leads_out_of_it() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("victim"), "untouched").unwrap();
    let untouched = || {
        let left = tree(outside.path());
        assert_eq!(left.keys().collect::<Vec<_>>(), ["victim"]);
        assert_eq!(left["victim"].text(), "untouched");
    };
    // Folders as links to this machine's, which the image has not.
    let disk = small_disk(|root| {
        fs::remove_dir(root.join("var/lib/cloud")).unwrap();
        symlink(outside.path(), root.join("var/lib/cloud")).unwrap();
    });
    let before = root_tree(&disk);
    let outcome = seed(disk.node(), &[("USER_DATA", USER_DATA)]);
    assert!(outcome.failed("file").contains("of the installed system"), "{}", outcome.text);
    assert_eq!(root_tree(&disk), before);
    untouched();
    // A folder as a link to /etc: that of the installed system, as it will be for cloud-init.
    let disk = small_disk(|root| {
        fs::remove_dir(root.join("var/lib/cloud")).unwrap();
        symlink("/etc", root.join("var/lib/cloud")).unwrap();
        fs::create_dir_all(root.join("etc/seed")).unwrap();
        symlink("/etc", root.join("etc/seed/nocloud")).unwrap();
        symlink(outside.path().join("victim"), root.join(DATASOURCE)).unwrap();
    });
    let etc = root_tree(&disk)["etc"].clone();
    seed(disk.node(), &[("USER_DATA", USER_DATA)]).succeeded();
    let after = root_tree(&disk);
    assert_eq!(after["etc"], etc);
    assert_eq!(after["etc/seed/nocloud"].mode, 0o40_700);
    assert_eq!(after["etc/seed/nocloud/user-data"].text(), USER_DATA);
    assert_eq!(after[DATASOURCE].mode, 0o100_644);
    untouched();
    assert!(!Path::new("/etc/seed").exists());
    // Files as links.
    let disk = small_disk(|root| {
        fs::create_dir_all(root.join(SEED)).unwrap();
        for name in ["user-data", "network-config"] {
            symlink(outside.path().join("victim"), root.join(SEED).join(name)).unwrap();
        }
    });
    seed(disk.node(), &[("USER_DATA", USER_DATA)]).succeeded();
    assert_eq!(root_tree(&disk)[&seed_file("user-data")].mode, 0o100_600);
    untouched();
}

#[test]
fn what_cannot_be_seeded_is_refused_untouched() {
    let given = [("USER_DATA", USER_DATA)];
    let blank = LoopDevice::new(32 << 20);
    assert!(seed(blank.node(), &given).failed("root-not-found").contains("no installed system on"));
    assert!(blank.content().iter().all(|byte| *byte == 0));

    let disk = InstalledImage { root_mib: 16, disk_mib: 64, ..InstalledImage::default() }.make();
    let before = root_tree(&disk);
    let outcome = seed(disk.node(), &given);
    assert!(
        outcome.failed("not-installed").starts_with(
            "the installed system has no cloud-init: /etc/cloud/cloud.cfg and /usr/bin/cloud-init or "
        ),
        "{}",
        outcome.text
    );
    assert_eq!(root_tree(&disk), before);

    let disk = small_disk(|root| {
        fs::write(root.join("etc/fstab"), "UUID=1 / ext4 defaults 0 1\nUUID=2 /var xfs defaults 0 2\n")
            .unwrap();
    });
    let before = root_tree(&disk);
    let outcome = seed(disk.node(), &given);
    assert!(outcome.failed("file").contains("mounts a filesystem of its own at /var"), "{}", outcome.text);
    assert_eq!(root_tree(&disk), before);

    let disk = small_disk(|_| {});
    forget_partitions(&disk);
    let read_only = LoopDevice::over(&disk.backing(), &["--read-only"]);
    let before = disk.content();
    assert!(seed(read_only.node(), &given).failed("disk-read-only").contains("nothing was written to it"));
    drop(read_only);
    assert!(before == disk.content());

    assert!(
        seed(Path::new("/dev/nothing"), &given)
            .failed("disk-missing")
            .starts_with("there is no /dev/nothing")
    );
    assert!(
        seed(Path::new("/dev/null"), &given).failed("not-a-block-device").starts_with("/dev/null is there")
    );

    let before = root_tree(&disk);
    show_partition(&disk, ROOT);
    let mounted = Mounted::new(&disk.partition(ROOT), &["-o", "ro,noload"]);
    assert!(seed(disk.node(), &given).failed("disk-mounted").contains("is mounted at "));
    drop(mounted);
    assert_eq!(root_tree(&disk), before);
}

#[test]
fn a_full_filesystem_keeps_the_old_seed() {
    let disk = small_disk(|_| {});
    seed(disk.node(), &[("USER_DATA", USER_DATA), ("INSTANCE_ID", "i")]).succeeded();
    in_root(&disk, fill);
    let before = root_tree(&disk);
    let outcome = seed(disk.node(), &[("USER_DATA", OTHER_USER_DATA), ("INSTANCE_ID", "i")]);
    assert_eq!(
        outcome.failed("file"),
        "writing /var/lib/cloud/seed/nocloud/user-data of the installed system: No space left on device (os error 28)"
    );
    assert_eq!(changes(&before, &root_tree(&disk)), [""; 0]);
    in_root(&disk, |root| fs::remove_file(root.join("filler")).unwrap());
    seed(disk.node(), &[("USER_DATA", OTHER_USER_DATA), ("INSTANCE_ID", "i")]).succeeded();
    assert_eq!(root_tree(&disk)[&seed_file("user-data")].text(), OTHER_USER_DATA);
}

#[test]
fn killed_at_any_moment_a_rerun_does_it() {
    let disk = small_disk(|_| {});
    let old = [("USER_DATA", USER_DATA), ("INSTANCE_ID", "i")];
    let new = [("USER_DATA", OTHER_USER_DATA), ("INSTANCE_ID", "i")];
    seed(disk.node(), &old).succeeded();
    let expected = root_tree(&disk);
    let mut killed = 0;
    for delay_millis in (0..120).step_by(10) {
        let mut child = action(disk.node(), &new).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay_millis));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let after = root_tree(&disk);
        let user_data = &after[&seed_file("user-data")];
        assert!(
            [USER_DATA, OTHER_USER_DATA].contains(&user_data.text()),
            "after {delay_millis} ms: {user_data:?}"
        );
        // What it may have left behind is as secret as the seed, and in its folder.
        for (path, entry) in after.iter().filter(|(path, _)| path.ends_with(".nibs-new")) {
            assert!(path.starts_with(SEED) || path.starts_with("etc/cloud"), "{path}");
            assert!(entry.mode == 0o100_600 || !entry.text().contains(SECRET), "{path}: {entry:?}");
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(disk.node().to_str().unwrap()), "a mount was left");
        seed(disk.node(), &old).succeeded();
        assert_eq!(root_tree(&disk), expected, "after {delay_millis} ms");
    }
    assert!(killed > 2, "only {killed} runs were killed in time");
}

/// On the Debian image itself, cloud-init's own code finds the seed, before and after the bootstrap's `cloud-init clean`.
#[test]
fn a_real_cloud_init_finds_the_seed() {
    const ASK: &str = "
from cloudinit import sources, stages
init = stages.Init(ds_deps=[sources.DEP_FILESYSTEM])
init.read_cfg()
init.initialize()
found = init.fetch(existing='check')
print(found, found.get_instance_id(), found.get_hostname().hostname, len(found.get_userdata_raw()), len(found.vendordata_raw))
print([part.get_content_type() for part in found.get_userdata().walk()][1:])
";
    let image = os::debian().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backing = folder.path().join("disk");
    run(Command::new("cp").arg("--sparse=always").arg(&image.raw).arg(&backing));
    let disk = LoopDevice::over(&backing, &[]);
    for (path, content_type) in [
        ("cloud-config", "text/cloud-config"),
        ("gzip", "text/cloud-config"),
        ("script", "text/x-shellscript"),
        ("mime", "text/cloud-config"),
        ("jinja", "text/jinja2"),
        ("boothook", "text/cloud-boothook"),
        ("archive", "text/x-shellscript"),
    ] {
        let (_, environment) =
            cases("valid").into_iter().find(|(case, _)| case.file_stem().unwrap() == path).unwrap();
        let mut given = pairs(&environment);
        given.retain(|(name, _)| !["INSTANCE_ID", "LOCAL_HOSTNAME"].contains(name));
        given.extend([("INSTANCE_ID", "node-1"), ("LOCAL_HOSTNAME", "node-1")]);
        seed(disk.node(), &given).succeeded();
        let length = content(&environment, "USER_DATA").len();
        in_root(&disk, |root| {
            let in_system = |program: &str, arguments: &[&str]| {
                run(Command::new("chroot").arg(root).arg(program).args(arguments))
            };
            for _ in 0..2 {
                let found = in_system("python3", &["-c", ASK]);
                assert_eq!(
                    found,
                    format!(
                        "DataSourceNoCloud [seed=/{SEED}][dsmode=net] node-1 node-1 {length} 0\n['{content_type}']\n"
                    ),
                    "{path}"
                );
                in_system("cloud-init", &["clean"]);
            }
        });
    }
}
