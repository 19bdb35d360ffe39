//! What is done to the installed system's files, from what was found there.

use common::cause::Cause;
use common::cloud_init::{self, NETPLAN_FOLDERS};
use common::failure::Failure;

use crate::image_files::{Aside, ImageFile, to_set_aside};
use crate::wanted::Wanted;

/// Of these, one is there where netplan is installed: the command, or the generator that systemd calls at boot.
pub const PROGRAMS: [&str; 5] = [
    "/usr/sbin/netplan",
    "/usr/libexec/netplan/generate",
    "/usr/lib/netplan/generate",
    "/lib/netplan/generate",
    "/usr/lib/systemd/system-generators/netplan",
];

/// Where an image may have files for systemd-networkd itself, beside netplan.
pub const NETWORKD_FOLDER: &str = "/etc/systemd/network";
/// How the names of the files begin that netplan makes for systemd-networkd. Of those that match a card, networkd takes
/// the first by name, whatever the folder (systemd.network(5)).
const MADE_BY_NETPLAN: &str = "10-netplan-";

/// What cloud-init reads as: the network is not for you.
const NETWORK_OFF: &str = "# Written by write-netplan: the network is netplan's, and stays so after `cloud-init clean`.\n\
                           network: {config: disabled}\n";

/// What was found in the installed system.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Whether netplan is installed.
    pub netplan: bool,
    /// Whether cloud-init is.
    pub cloud_init: bool,
    /// Whether the seed has a network configuration of its own.
    pub seed_network: bool,
    /// The netplan files.
    pub files: Vec<ImageFile>,
    /// The names in [`NETWORKD_FOLDER`].
    pub networkd: Vec<String>,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The content of the netplan file.
    pub netplan: String,
    /// The files that must not count any more.
    pub aside: Vec<Aside>,
    /// The content of the file that switches cloud-init's own network configuration off, where there is cloud-init.
    pub network_off: Option<&'static str>,
    /// What is unusual, for the log.
    pub warnings: Vec<String>,
}

/// Makes the plan.
///
/// # Errors
/// [`Cause::NotInstalled`] when the system has no netplan, which would read nothing of what is written.
pub fn plan(wanted: Wanted, found: &Found) -> Result<Plan, Failure> {
    if !found.netplan {
        return Err(Failure::new(
            Cause::NotInstalled,
            format_args!(
                "the installed system has no netplan: none of {} is there; what it needs instead (NetworkManager, \
                 Ignition) is not written by this action: leave it out of the Template, or use an image with netplan.io",
                PROGRAMS.join(", ")
            ),
        ));
    }
    let files: Vec<ImageFile> =
        found.files.iter().filter(|file| counts(file, &found.files)).cloned().collect();
    let mut warnings = wanted.warnings;
    if found.seed_network {
        warnings.push(format!(
            "the network-config in {} does not count any more: what is written here does",
            cloud_init::SEED_FOLDER
        ));
    }
    for name in &found.networkd {
        if name.ends_with(".network") && name.as_str() < MADE_BY_NETPLAN {
            warnings.push(format!(
                "{NETWORKD_FOLDER}/{name} of the image goes before what netplan makes: if it matches a card that is \
                 configured here, take it out of the image"
            ));
        }
    }
    Ok(Plan {
        netplan: wanted.text,
        aside: to_set_aside(&files, &wanted.ours),
        network_off: found.cloud_init.then_some(NETWORK_OFF),
        warnings,
    })
}

/// Whether netplan reads the file, and it is not the one of an earlier run.
fn counts(file: &ImageFile, all: &[ImageFile]) -> bool {
    let name = |file: &ImageFile| file.path.rsplit('/').next().unwrap_or_default().to_owned();
    let shadowed = !file.path.starts_with(NETPLAN_FOLDERS[0])
        && all.iter().any(|other| other.path.starts_with(NETPLAN_FOLDERS[0]) && name(other) == name(file));
    !shadowed && file.path != cloud_init::NETPLAN
}

#[cfg(test)]
mod tests {
    use common::values::Values;
    use common::variables::WRITE_NETPLAN;

    use super::*;
    use crate::wanted;

    fn wanted() -> Wanted {
        let interfaces = r#"[{"dhcp": {"mac": "52:54:00:12:34:56"}}]"#;
        wanted::read(&Values::from_pairs(&WRITE_NETPLAN, &[("INTERFACES", interfaces)]).unwrap()).unwrap()
    }

    fn file(path: &str) -> ImageFile {
        ImageFile { path: path.into(), content: b"network: {version: 2, ethernets: {eth0: {}}}".into() }
    }

    fn aside(files: &[&str]) -> Vec<String> {
        let found =
            Found { netplan: true, files: files.iter().map(|path| file(path)).collect(), ..Found::default() };
        plan(wanted(), &found).unwrap().aside.into_iter().map(|aside| aside.path).collect()
    }

    #[test]
    fn without_netplan_nothing_is_planned() {
        let failure = plan(wanted(), &Found::default()).unwrap_err();
        assert_eq!(failure.cause, Cause::NotInstalled);
        assert!(
            failure.to_string().contains("none of /usr/sbin/netplan, /usr/libexec/netplan/generate"),
            "{failure}"
        );
    }

    #[test]
    fn cloud_init_is_told_only_where_it_is() {
        let found = Found { netplan: true, ..Found::default() };
        assert_eq!(plan(wanted(), &found).unwrap().network_off, None);
        let found = Found { cloud_init: true, seed_network: true, ..found };
        let plan = plan(wanted(), &found).unwrap();
        assert!(plan.network_off.unwrap().ends_with("\nnetwork: {config: disabled}\n"));
        assert!(
            plan.warnings[0].contains("/var/lib/cloud/seed/nocloud does not count"),
            "{:?}",
            plan.warnings
        );
    }

    #[test]
    fn a_file_for_networkd_that_would_win_is_told() {
        let networkd =
            ["05-all.network", "05-a.link", "10-netplan-x.network", "20-all.network"].map(str::to_owned);
        let found = Found { netplan: true, networkd: networkd.into(), ..Found::default() };
        let warnings = plan(wanted(), &found).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("/etc/systemd/network/05-all.network of the image goes before"));
    }

    #[test]
    fn our_own_file_and_shadowed_ones_are_left() {
        let own = "/etc/netplan/90-nibs.yaml";
        assert_eq!(
            aside(&[own, "/etc/netplan/1.yaml", "/lib/netplan/2.yaml"]),
            ["/etc/netplan/1.yaml", "/lib/netplan/2.yaml"]
        );
        assert_eq!(aside(&["/etc/netplan/1.yaml", "/lib/netplan/1.yaml"]), ["/etc/netplan/1.yaml"]);
    }
}
