//! What is done to the installed system's files, from what was found there.

use common::cause::Cause;
use common::cloud_init::{self, DS_IDENTIFY, SEED_FOLDER};
use common::failure::Failure;
use common::yaml;

use crate::wanted::Wanted;

/// The seed is the only source, and no medium with the label `cidata` that happens to be in the machine goes before it.
/// On one line: cloud-init's `ds-identify` reads the list by pattern, and looks no further when it is this short.
const DATASOURCE: &str = "# Written by write-cloud-init: the seed in /var/lib/cloud/seed/nocloud is the only source.\n\
                          datasource_list: [NoCloud, None]\n\
                          datasource: {NoCloud: {fs_label: null}}\n";

/// A file of cloud-init's configuration.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Its path in the installed system.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// What was found in the installed system.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Whether cloud-init is installed.
    pub installed: bool,
    /// The content of `/etc/fstab`.
    pub fstab: String,
    /// Whether the folder of the seed is a symbolic link.
    pub seed_is_link: bool,
    /// Of the files that get in the way, those that are there: [`cloud_init::DISABLED`], [`DS_IDENTIFY`],
    /// [`cloud_init::NETWORK_OFF`], [`cloud_init::NETPLAN`].
    pub there: Vec<&'static str>,
    /// `cloud.cfg` and what is in its folder, without our own files.
    pub config: Vec<ConfigFile>,
}

/// A step.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Remove a file or link, if it is there.
    Remove(String),
    /// Give a file a name by which nobody reads it.
    SetAside {
        /// The file.
        path: String,
        /// Why, for the log.
        why: &'static str,
    },
    /// Make a folder and set its mode.
    Folder {
        /// The folder.
        path: &'static str,
        /// Its mode; what is there already keeps its own where this is nothing.
        mode: Option<u32>,
    },
    /// Write a file as a whole.
    Write {
        /// The file.
        path: String,
        /// What is in it, perhaps secret.
        content: Vec<u8>,
        /// Its mode.
        mode: u32,
    },
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Remove(path) => write!(f, "remove {path}"),
            Self::SetAside { path, .. } => write!(f, "set aside {path}"),
            Self::Folder { path, mode: Some(mode) } => write!(f, "folder {path} {mode:o}"),
            Self::Folder { path, mode: None } => write!(f, "folder {path}"),
            Self::Write { path, content, mode } => {
                write!(f, "write {path} {mode:o}, {} bytes", content.len())
            }
        }
    }
}

/// Makes the plan. The meta-data goes last of the seed, and the pin last of all: until then cloud-init finds no seed, or
/// a whole one of an earlier run.
///
/// # Errors
/// [`Cause::NotInstalled`] without cloud-init; [`Cause::File`] where what is written could not count.
pub fn plan(wanted: &Wanted, found: &Found) -> Result<Vec<Step>, Failure> {
    if !found.installed {
        return Err(Failure::new(
            Cause::NotInstalled,
            format_args!(
                "the installed system has no cloud-init: {} are not both there; what it needs instead (Ignition) is \
                 not written by this action: use an image with cloud-init",
                cloud_init::looked_for()
            ),
        ));
    }
    if let Some(at) = hidden_by(&found.fstab) {
        return Err(Failure::new(
            Cause::File,
            format_args!(
                "/etc/fstab of the installed system mounts a filesystem of its own at {at}, which would hide \
                 {SEED_FOLDER}; accepted: an image with {at} in its root"
            ),
        ));
    }
    let mut steps = network(wanted, found)?;
    if found.seed_is_link {
        steps.push(Step::Remove(SEED_FOLDER.to_owned()));
    }
    // Others go through the folders above, as cloud-init makes them; the seed is root's alone.
    steps.push(Step::Folder { path: "/var/lib/cloud/seed", mode: None });
    steps.push(Step::Folder { path: SEED_FOLDER, mode: Some(0o700) });
    let write = |name: &str, content: &[u8]| Step::Write {
        path: format!("{SEED_FOLDER}/{name}"),
        content: content.to_vec(),
        mode: 0o600,
    };
    match &wanted.network_config {
        Some(payload) => steps.push(write("network-config", &payload.content)),
        // Of an earlier run, or of the image. A leftover of a run that was killed is one too.
        None => steps.extend(
            ["network-config", ".network-config.nibs-new"]
                .map(|name| Step::Remove(format!("{SEED_FOLDER}/{name}"))),
        ),
    }
    steps.push(write("vendor-data", wanted.vendor_data.as_ref().map_or(&[][..], |payload| &payload.content)));
    steps.push(write("user-data", &wanted.user_data.content));
    steps.push(write("meta-data", wanted.meta_data.text.as_bytes()));
    steps.push(Step::Folder { path: cloud_init::CONFIG_FOLDER, mode: None });
    steps.push(Step::Write {
        path: cloud_init::DATASOURCE.to_owned(),
        content: DATASOURCE.into(),
        mode: 0o644,
    });
    for (path, why) in [
        (cloud_init::DISABLED, "it switches cloud-init off"),
        (DS_IDENTIFY, "it says which sources of data there are, and the seed may be none of them"),
    ] {
        if found.there.contains(&path) {
            steps.push(Step::SetAside { path: path.to_owned(), why });
        }
    }
    Ok(steps)
}

/// With a network configuration of its own, cloud-init must be free to use it: what tells it to leave the network alone
/// goes, ours and the image's, since cloud-init lets its own files go before the seed.
fn network(wanted: &Wanted, found: &Found) -> Result<Vec<Step>, Failure> {
    let Some(payload) = &wanted.network_config else { return Ok(Vec::new()) };
    let mut steps = Vec::new();
    for file in &found.config {
        let config = yaml::text(&file.content).and_then(yaml::parse);
        let Some(keys) = config.as_ref().ok().and_then(|config| config.as_object()) else { continue };
        if !keys.contains_key("network") {
            continue;
        }
        if keys.len() > 1 {
            return Err(Failure::new(
                Cause::File,
                format_args!(
                    "{} of the installed system has a `network:` of its own beside other things, and cloud-init would \
                     take that in the place of {}; take it out of the image, or use write-netplan",
                    file.path, payload.variable
                ),
            ));
        }
        steps.push(Step::SetAside {
            path: file.path.clone(),
            why: "cloud-init would take its `network:` in the place of the seed's network-config",
        });
    }
    if found.there.contains(&cloud_init::NETWORK_OFF) {
        steps.push(Step::Remove(cloud_init::NETWORK_OFF.to_owned()));
    }
    if found.there.contains(&cloud_init::NETPLAN) {
        steps.push(Step::SetAside {
            path: cloud_init::NETPLAN.to_owned(),
            why: "write-netplan wrote it, but cloud-init configures the network now",
        });
    }
    Ok(steps)
}

/// The mount point of an fstab(5) that would hide the seed.
fn hidden_by(fstab: &str) -> Option<&str> {
    fstab.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let at = line.split_whitespace().nth(1)?.trim_end_matches('/');
        let hides = !at.is_empty() && std::path::Path::new(SEED_FOLDER).starts_with(at);
        hides.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use common::values::Values;
    use common::variables::WRITE_CLOUD_INIT;

    use super::*;
    use crate::wanted;

    const USER_DATA: (&str, &str) = ("USER_DATA", "#!/bin/sh\n");
    const NETWORK_CONFIG: (&str, &str) = ("NETWORK_CONFIG", "version: 2\n");

    fn of(pairs: &[(&str, &str)], found: &Found) -> Result<Vec<String>, Failure> {
        let wanted = wanted::read(&Values::from_pairs(&WRITE_CLOUD_INIT, pairs).unwrap()).unwrap();
        Ok(plan(&wanted, found)?.iter().map(|step| format!("{step:?}")).collect())
    }

    fn installed() -> Found {
        Found { installed: true, ..Found::default() }
    }

    #[test]
    fn the_usual_way() {
        let steps = of(&[USER_DATA, ("INSTANCE_ID", "i")], &installed()).unwrap();
        let seed = "/var/lib/cloud/seed/nocloud";
        assert_eq!(
            steps,
            [
                "folder /var/lib/cloud/seed".to_owned(),
                format!("folder {seed} 700"),
                format!("remove {seed}/network-config"),
                format!("remove {seed}/.network-config.nibs-new"),
                format!("write {seed}/vendor-data 600, 0 bytes"),
                format!("write {seed}/user-data 600, 10 bytes"),
                format!("write {seed}/meta-data 600, 15 bytes"),
                "folder /etc/cloud/cloud.cfg.d".to_owned(),
                format!(
                    "write /etc/cloud/cloud.cfg.d/zz-nibs-datasource.cfg 644, {} bytes",
                    DATASOURCE.len()
                ),
            ]
        );
    }

    #[test]
    fn what_switches_cloud_init_off_goes() {
        let found =
            Found { there: vec![cloud_init::DISABLED, DS_IDENTIFY], seed_is_link: true, ..installed() };
        let steps = of(&[USER_DATA], &found).unwrap();
        assert_eq!(steps[0], "remove /var/lib/cloud/seed/nocloud");
        assert_eq!(
            steps[steps.len() - 2..],
            ["set aside /etc/cloud/cloud-init.disabled", "set aside /etc/cloud/ds-identify.cfg"]
        );
    }

    #[test]
    fn a_network_config_makes_the_network_cloud_inits() {
        let file = |path: &str, content: &str| ConfigFile { path: path.into(), content: content.into() };
        let found = Found {
            there: vec![cloud_init::NETWORK_OFF, cloud_init::NETPLAN],
            config: vec![
                file("/etc/cloud/cloud.cfg", "users: []\n"),
                file("/etc/cloud/cloud.cfg.d/99-off.cfg", "network: {config: disabled}\n"),
            ],
            ..installed()
        };
        let steps = of(&[USER_DATA, NETWORK_CONFIG], &found).unwrap();
        assert_eq!(
            steps[..3],
            [
                "set aside /etc/cloud/cloud.cfg.d/99-off.cfg",
                "remove /etc/cloud/cloud.cfg.d/zz-nibs-network.cfg",
                "set aside /etc/netplan/90-nibs.yaml",
            ]
        );
        assert_eq!(steps[5], "write /var/lib/cloud/seed/nocloud/network-config 600, 11 bytes");
        // Without one, all that stays as it is.
        let without = of(&[USER_DATA], &found).unwrap();
        assert!(!without.iter().any(|step| step.contains("off") || step.contains("netplan")), "{without:?}");
        // Other things would go with it.
        let found =
            Found { config: vec![file("/etc/cloud/cloud.cfg", "users: []\nnetwork: {}\n")], ..installed() };
        let failure = of(&[USER_DATA, NETWORK_CONFIG], &found).unwrap_err();
        assert!(
            failure.to_string().starts_with("/etc/cloud/cloud.cfg of the installed system has a `network:`")
        );
    }

    #[test]
    fn what_would_not_count_is_not_written() {
        assert_eq!(of(&[USER_DATA], &Found::default()).unwrap_err().cause, Cause::NotInstalled);
        for at in ["/var", "/var/", "/var/lib", "/var/lib/cloud"] {
            let found =
                Found { fstab: format!("UUID=1 / ext4 rw 0 1\nUUID=2 {at} ext4 rw 0 2\n"), ..installed() };
            let failure = of(&[USER_DATA], &found).unwrap_err();
            assert_eq!(failure.cause, Cause::File);
            assert!(
                failure.to_string().contains("which would hide /var/lib/cloud/seed/nocloud"),
                "{failure}"
            );
        }
        for line in
            ["UUID=1 / ext4", "#UUID=2 /var ext4", "UUID=3 /variable ext4", "UUID=4 none swap", "UUID=5"]
        {
            assert!(of(&[USER_DATA], &Found { fstab: line.into(), ..installed() }).is_ok(), "{line}");
        }
    }
}
