//! Whether cloud-init will run, and take its seed.

use std::path::Path;

use serde_json::Value;

use super::Finding;
use crate::boot::parameter;
use crate::cloud_init::{self, CONFIG, CONFIG_FOLDER, DISABLED, DS_IDENTIFY, SEED_FOLDER};
use crate::failure::Failure;
use crate::installed::devices::BlockDevice;
use crate::installed::fstab::Line;
use crate::root_dir::{Kind, RootDir};
use crate::yaml;

/// The units without one of which cloud-init does nothing, or not all of what it is for. Which of the first two there is,
/// depends on its version.
const UNITS: [&str; 7] = [
    "cloud-init.target",
    "cloud-init-local.service",
    "cloud-init-main.service",
    "cloud-init.service",
    "cloud-init-network.service",
    "cloud-config.service",
    "cloud-final.service",
];

/// No file of cloud-init's configuration is near to this.
const LIMIT_BYTES: u64 = 1 << 20;

/// The seed's folders, the one of NoCloudNet last (cloudinit/sources/DataSourceNoCloud.py).
const SEED_FOLDERS: [&str; 2] = [SEED_FOLDER, "/var/lib/cloud/seed/nocloud-net"];

/// What there is of cloud-init in an installed system.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    installed: bool,
    switched_off: bool,
    masked: Vec<&'static str>,
    /// The kernel's command line, where it is known.
    options: Option<String>,
    ds_identify: Option<String>,
    /// cloud.cfg and the files in its folder, in the order in which they count.
    config: Vec<(String, Vec<u8>)>,
    seed: Seed,
    /// The mount point of a filesystem that hides the seed.
    hidden_by: Option<String>,
}

/// The seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Seed {
    /// There is none.
    #[default]
    Missing,
    /// One of its two files is there: this one is missing.
    Without(&'static str),
    /// It is there.
    There,
    /// A filesystem with the label `cidata` is there, which can hold it.
    Medium,
}

/// Reads what cloud-init will.
///
/// # Errors
/// [`Cause::File`](crate::cause::Cause::File).
pub(super) fn look(
    root: &RootDir,
    fstab: &[Line],
    devices: &[BlockDevice],
    options: Option<&str>,
) -> Result<Seen, Failure> {
    let mut seen = Seen {
        installed: cloud_init::is_installed(root)?,
        switched_off: root.kind_of_link(DISABLED)?.is_some(),
        options: options.map(str::to_owned),
        ds_identify: read(root, DS_IDENTIFY)?.map(|text| String::from_utf8_lossy(&text).into_owned()),
        ..Seen::default()
    };
    for unit in UNITS {
        let path = format!("/etc/systemd/system/{unit}");
        // A mask is a link to /dev/null (systemctl(1)), which an installed system has or has not on its disk.
        if root.kind_of_link(&path)? == Some(Kind::Link) && root.kind(&path)? != Some(Kind::File) {
            seen.masked.push(unit);
        }
    }
    let further = root.list(CONFIG_FOLDER)?.into_iter().filter_map(|name| name.into_string().ok());
    let further = further.filter(|name| name.ends_with(".cfg")).map(|name| format!("{CONFIG_FOLDER}/{name}"));
    for path in std::iter::once(CONFIG.to_owned()).chain(further) {
        if let Some(content) = read(root, &path)? {
            seen.config.push((path, content));
        }
    }
    for folder in SEED_FOLDERS {
        let there = |name: &str| root.kind(format!("{folder}/{name}")).map(|kind| kind == Some(Kind::File));
        seen.seed = match (there("meta-data")?, there("user-data")?) {
            (true, true) => Seed::There,
            (true, false) => Seed::Without("user-data"),
            (false, true) => Seed::Without("meta-data"),
            (false, false) => continue,
        };
        break;
    }
    let is_medium = |device: &BlockDevice| {
        device.label.as_deref().is_some_and(|label| label.eq_ignore_ascii_case("cidata"))
    };
    if seen.seed == Seed::Missing && devices.iter().any(is_medium) {
        seen.seed = Seed::Medium;
    }
    let hides =
        |line: &&Line| line.mount_point != "/" && Path::new(SEED_FOLDER).starts_with(&line.mount_point);
    seen.hidden_by = fstab.iter().find(hides).map(|line| line.mount_point.clone());
    Ok(seen)
}

fn read(root: &RootDir, path: &str) -> Result<Option<Vec<u8>>, Failure> {
    if root.kind(path)? != Some(Kind::File) {
        return Ok(None);
    }
    root.read(path, LIMIT_BYTES)
}

/// Says what keeps cloud-init from its seed. What is in a file is not repeated.
pub(super) fn judge(seen: &Seen) -> Vec<Finding> {
    if !seen.installed {
        return vec![Finding::warning(format!(
            "cloud-init is not installed ({} are not both there), so nothing configures the node when it first starts",
            cloud_init::looked_for()
        ))];
    }
    let mut findings: Vec<Finding> = switched_off(seen).into_iter().map(Finding::warning).collect();
    let config = Config::of(&seen.config, &mut findings);
    findings.extend(judge_seed(seen, &config));
    findings
}

/// All that switches cloud-init off.
fn switched_off(seen: &Seen) -> Vec<String> {
    let mut reasons = Vec::new();
    if seen.switched_off {
        reasons.push(format!("cloud-init is switched off: {DISABLED} is there"));
    }
    let options = seen.options.as_deref().unwrap_or_default();
    // `tools/ds-identify` and the systemd generator read these words.
    if parameter(options, "cloud-init") == Some("disabled") {
        reasons
            .push("cloud-init is switched off: cloud-init=disabled is on the kernel's command line".into());
    }
    if !seen.masked.is_empty() {
        reasons.push(format!("cloud-init is switched off: systemd has {} masked", seen.masked.join(", ")));
    }
    let policies = [
        ("the kernel's command line", parameter(options, "ci.di.policy").map(str::to_owned)),
        (DS_IDENTIFY, seen.ds_identify.as_deref().and_then(|text| setting(text, "policy"))),
    ];
    for (place, policy) in policies {
        if policy.is_some_and(|policy| policy.split(',').next() == Some("disabled")) {
            reasons.push(format!("cloud-init is switched off: the policy of {place} is `disabled`"));
        }
    }
    reasons
}

/// The last value of a setting in ds-identify.cfg: `policy: disabled`.
fn setting(text: &str, name: &str) -> Option<String> {
    let value =
        text.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    let value = value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// What cloud-init's configuration says of sources.
#[derive(Debug, Default)]
struct Config {
    /// The list that counts, and where it stands.
    list: Option<(String, Vec<String>)>,
    /// Whether NoCloud is told where its seed is, or has it in its configuration.
    has_own_seed: bool,
}

impl Config {
    /// Joins the files; one that is broken is left out, as cloud-init does.
    fn of(files: &[(String, Vec<u8>)], findings: &mut Vec<Finding>) -> Self {
        let mut config = Self::default();
        for (path, content) in files {
            let document = match yaml::text(content).and_then(yaml::parse) {
                Ok(document) => document,
                Err(broken) => {
                    findings.push(Finding::warning(format!("cloud-init cannot read {path}: {broken}")));
                    continue;
                }
            };
            if let Some(list) = document.get("datasource_list").and_then(Value::as_array) {
                let names = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                config.list = Some((path.clone(), names));
            }
            let source = document.get("datasource").and_then(|sources| sources.get("NoCloud"));
            config.has_own_seed |= source.is_some_and(|source| {
                ["seedfrom", "user-data", "meta-data"].iter().any(|key| source.get(key).is_some())
            });
        }
        config
    }
}

fn judge_seed(seen: &Seen, config: &Config) -> Option<Finding> {
    let is_no_cloud = |name: &str| name.to_ascii_lowercase().starts_with("nocloud");
    let options = seen.options.as_deref().unwrap_or_default();
    let of_command_line = ["ds", "ci.ds", "ci.datasource"].iter().find_map(|name| {
        let value = parameter(options, name)?.split(';').next()?;
        Some((format!("{name}={value} on the kernel's command line"), vec![value.to_owned()]))
    });
    let of_ds_identify = seen
        .ds_identify
        .as_deref()
        .and_then(|text| setting(text, "datasource"))
        .map(|value| (DS_IDENTIFY.to_owned(), vec![value]));
    let of_config = config.list.as_ref().filter(|(_, list)| !list.is_empty()).cloned();
    let chosen = of_command_line.or(of_ds_identify).or(of_config);
    let other = chosen.filter(|(_, list)| !list.iter().any(|name| is_no_cloud(name)));
    let is_hidden = seen.hidden_by.as_ref();
    match (seen.seed, other, is_hidden) {
        (Seed::There | Seed::Medium, Some((place, list)), _) => Some(Finding::warning(format!(
            "cloud-init does not take its seed: {place} leaves {} as sources, and not NoCloud",
            list.join(", ")
        ))),
        (Seed::There, None, Some(at)) => Some(Finding::warning(format!(
            "cloud-init does not find its seed {SEED_FOLDER}: /etc/fstab mounts a filesystem of its own at {at}"
        ))),
        (Seed::There, None, None) => Some(Finding::right("cloud-init is installed, and its seed is there")),
        (Seed::Medium, None, _) => {
            Some(Finding::right("cloud-init is installed, and a medium with the label cidata is there"))
        }
        (Seed::Without(name), ..) => Some(Finding::warning(format!(
            "cloud-init does not take its seed: {SEED_FOLDER}/{name} is missing"
        ))),
        (Seed::Missing, Some((place, list)), _) => {
            Some(Finding::right(format!("cloud-init asks {}, as {place} says", list.join(", "))))
        }
        (Seed::Missing, None, Some(at)) => Some(Finding::warning(format!(
            "whether cloud-init has a seed is not known: /etc/fstab mounts a filesystem of its own at {at}"
        ))),
        (Seed::Missing, None, None) if config.has_own_seed => {
            Some(Finding::right("cloud-init is installed, and its configuration says where the seed is"))
        }
        (Seed::Missing, None, None) => Some(Finding::warning(format!(
            "cloud-init has no seed: there is neither {SEED_FOLDER} nor a medium with the label cidata"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::Weight;
    use super::*;
    use crate::installed::devices::Source;
    use crate::installed::devices::tests::device;

    fn good() -> Seen {
        let file = |path: &str, content: &str| (path.to_owned(), content.as_bytes().to_vec());
        Seen {
            installed: true,
            options: Some("root=UUID=1 ro quiet".into()),
            config: vec![
                file(CONFIG, "users: [default]\ndatasource_list: [Ec2]\n"),
                file(cloud_init::DATASOURCE, "datasource_list: [NoCloud, None]\n"),
            ],
            seed: Seed::There,
            ..Seen::default()
        }
    }

    #[track_caller]
    fn judged(change: impl Fn(&mut Seen), weight: Weight, words: &str) {
        let mut seen = good();
        change(&mut seen);
        let findings = judge(&seen);
        let finding = findings
            .iter()
            .find(|finding| finding.weight == weight)
            .unwrap_or_else(|| panic!("{findings:?}"));
        assert!(finding.text.contains(words), "{finding:?}");
        let worse = findings.iter().any(|finding| finding.weight != Weight::Right);
        assert_eq!(worse, weight != Weight::Right, "{findings:?}");
    }

    #[test]
    fn a_seed_that_counts_is_right() {
        judged(|_| {}, Weight::Right, "its seed is there");
        judged(|seen| seen.config.clear(), Weight::Right, "its seed is there");
        judged(|seen| seen.options = None, Weight::Right, "its seed is there");
        judged(|seen| seen.options = Some("ds=nocloud;s=/x/".into()), Weight::Right, "its seed is there");
        judged(
            |seen| seen.ds_identify = Some("policy: enabled\n".into()),
            Weight::Right,
            "its seed is there",
        );
        judged(|seen| seen.seed = Seed::Medium, Weight::Right, "label cidata");
    }

    #[test]
    fn what_switches_cloud_init_off_is_said() {
        judged(|seen| seen.installed = false, Weight::Warning, "is not installed");
        judged(|seen| seen.switched_off = true, Weight::Warning, "/etc/cloud/cloud-init.disabled is there");
        judged(
            |seen| seen.options = Some("ro cloud-init=disabled".into()),
            Weight::Warning,
            "on the kernel's command line",
        );
        judged(
            |seen| seen.masked = vec!["cloud-init.service"],
            Weight::Warning,
            "systemd has cloud-init.service masked",
        );
        judged(
            |seen| seen.ds_identify = Some("policy: disabled\n".into()),
            Weight::Warning,
            "the policy of /etc/cloud",
        );
    }

    #[test]
    fn a_seed_that_is_missing_or_not_asked_for_is_said() {
        judged(|seen| seen.seed = Seed::Missing, Weight::Warning, "has no seed");
        judged(
            |seen| seen.seed = Seed::Without("meta-data"),
            Weight::Warning,
            "nocloud/meta-data is missing",
        );
        judged(|seen| seen.hidden_by = Some("/var".into()), Weight::Warning, "of its own at /var");
        let list = |seen: &mut Seen| seen.config.truncate(1);
        judged(list, Weight::Warning, "/etc/cloud/cloud.cfg leaves Ec2 as sources, and not NoCloud");
        judged(
            |seen| seen.ds_identify = Some("datasource: Ec2\n".into()),
            Weight::Warning,
            "leaves Ec2 as sources",
        );
        judged(
            |seen| seen.options = Some("ci.ds=OpenStack".into()),
            Weight::Warning,
            "ci.ds=OpenStack on the kernel's",
        );
        // Whoever asks another source needs no seed.
        judged(
            |seen| {
                seen.config.truncate(1);
                seen.seed = Seed::Missing;
            },
            Weight::Right,
            "cloud-init asks Ec2",
        );
        judged(
            |seen| {
                seen.config
                    .push(("x".into(), b"datasource: {NoCloud: {seedfrom: 'http://10.0.0.1/'}}".to_vec()));
                seen.seed = Seed::Missing;
            },
            Weight::Right,
            "its configuration says where",
        );
    }

    #[test]
    fn a_broken_file_is_said_without_its_content() {
        let mut seen = good();
        seen.config.insert(1, ("/etc/cloud/cloud.cfg.d/50.cfg".into(), b"a: {hunter2\n".to_vec()));
        let findings = judge(&seen);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].text.starts_with("cloud-init cannot read /etc/cloud/cloud.cfg.d/50.cfg: line"));
        assert!(!format!("{findings:?}").contains("hunter2"));
    }

    #[test]
    fn an_installed_system_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let root = RootDir::open(folder.path()).unwrap();
        let looked = |fstab: &[Line], devices: &[BlockDevice]| look(&root, fstab, devices, None).unwrap();
        assert!(!looked(&[], &[]).installed);
        write("usr/bin/cloud-init", "");
        write("etc/cloud/cloud.cfg", "users: []\n");
        write("etc/cloud/cloud.cfg.d/90.cfg.nibs-aside", "broken: [\n");
        let seen = looked(&[], &[]);
        assert_eq!((seen.installed, seen.switched_off, seen.seed), (true, false, Seed::Missing));
        assert_eq!(seen.config.len(), 1);
        let medium = BlockDevice { label: Some("CIDATA".into()), ..device("sdb", 1, "vfat") };
        assert_eq!(looked(&[], &[medium]).seed, Seed::Medium);
        write("var/lib/cloud/seed/nocloud/user-data", "#!/bin/sh\n");
        assert_eq!(looked(&[], &[]).seed, Seed::Without("meta-data"));
        write("var/lib/cloud/seed/nocloud/meta-data", "{}\n");
        write("etc/systemd/system/multi-user.target", "");
        symlink("/dev/null", folder.path().join("etc/systemd/system/cloud-final.service")).unwrap();
        symlink(
            "/etc/systemd/system/multi-user.target",
            folder.path().join("etc/systemd/system/cloud-init.target"),
        )
        .unwrap();
        symlink("/nowhere", folder.path().join("etc/cloud/cloud-init.disabled")).unwrap();
        let line = |mount_point: &str| Line {
            source: Source::parse("UUID=1"),
            mount_point: mount_point.into(),
            kind: "ext4".into(),
            options: Vec::new(),
            number: 1,
        };
        let seen = looked(&[line("/"), line("/variable"), line("/var")], &[]);
        assert_eq!((seen.seed, seen.switched_off), (Seed::There, true));
        assert_eq!((seen.masked, seen.hidden_by.as_deref()), (vec!["cloud-final.service"], Some("/var")));
    }
}
