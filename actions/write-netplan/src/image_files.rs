//! The netplan files that the image brought along, and which of them speak of the interfaces that are configured now.
//!
//! Netplan merges all files: two definitions of one id become one, and two that match one card both apply. What is left
//! of the image's must therefore speak of other cards, and be whole without the ones that are gone.

use std::collections::BTreeSet;

use common::network::Mac;
use common::yaml;
use serde_json::{Map, Value};

/// The sections whose entries are network cards. Wireless ones and modems have names of their own and match nothing else.
const CARDS: &str = "ethernets";
/// What cloud-init writes; it stays behind in an image that was booted before.
const CLOUD_INIT: &str = "50-cloud-init.yaml";
/// Fields by which a device names others.
const REFERENCES: [&str; 4] = ["interfaces", "link", "peer", "primary"];

/// A netplan file of the image.
#[derive(Debug, Clone)]
pub struct ImageFile {
    /// Its path in the installed system.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// What is configured now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ours {
    /// The cards.
    pub macs: BTreeSet<Mac>,
    /// Ids and interface names.
    pub names: BTreeSet<String>,
}

/// A file that must not count any more, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Its path in the installed system.
    pub path: String,
    /// Why, for the log.
    pub why: String,
}

/// Chooses the files to set aside.
pub fn to_set_aside(files: &[ImageFile], ours: &Ours) -> Vec<Aside> {
    let mut aside = Vec::new();
    let mut kept: Vec<(&ImageFile, Value)> = Vec::new();
    for file in files {
        let document = yaml::text(&file.content).and_then(yaml::parse);
        let why = match &document {
            _ if file.path.ends_with(CLOUD_INIT) => {
                Some("cloud-init wrote it for another instance".to_owned())
            }
            Err(broken) => Some(format!("netplan would fail on it: {broken}")),
            Ok(document) => conflict(document, ours),
        };
        match (why, document) {
            (None, Ok(document)) => kept.push((file, document)),
            (why, _) => aside.push(Aside { path: file.path.clone(), why: why.unwrap_or_default() }),
        }
    }
    // A bridge over a card whose file is gone would make netplan fail, and with it the whole network.
    loop {
        let defined: BTreeSet<&str> = kept.iter().flat_map(|(_, document)| ids(document)).collect();
        let lost = kept.iter().enumerate().find_map(|(index, (_, document))| {
            let name = references(document).into_iter().find(|name| !defined.contains(name))?;
            Some((index, format!("it needs {name:?}, which is configured anew or not at all")))
        });
        let Some((index, why)) = lost else { break };
        let (file, _) = kept.remove(index);
        aside.push(Aside { path: file.path.clone(), why });
    }
    aside
}

/// Why a document cannot stay beside ours, if it cannot.
fn conflict(document: &Value, ours: &Ours) -> Option<String> {
    if !document.is_null() && !document.get("network").is_some_and(Value::is_object) {
        return Some("it has no `network:` mapping, netplan would fail on it".into());
    }
    if let Some(id) = ids(document).into_iter().find(|id| ours.names.contains(*id)) {
        return Some(format!("it configures {id:?} too"));
    }
    section(document, CARDS).into_iter().flatten().find_map(|(id, card)| card_conflict(id, card, ours))
}

fn card_conflict(id: &str, card: &Value, ours: &Ours) -> Option<String> {
    if let Some(name) = card.get("set-name").and_then(Value::as_str).filter(|name| ours.names.contains(*name))
    {
        return Some(format!("it names a card {name:?} too"));
    }
    let matches = card.get("match").and_then(Value::as_object);
    match matches.and_then(|matches| matches.get("macaddress")).and_then(Value::as_str) {
        // A card that is told by its MAC is another one, or ours.
        Some(text) => match Mac::parse(text) {
            Some(mac) if ours.macs.contains(&mac) => Some(format!("{id:?} is the card {mac} too")),
            _ => None,
        },
        // Which names the installed system will give its cards is not known here, so a card that is told by its name or
        // its driver may be any.
        None if id == "lo" => None,
        None => {
            let by = match matches {
                None => "its name".to_owned(),
                Some(matches) => match matches.get("name") {
                    Some(Value::String(name)) => format!("the name {name:?}"),
                    _ => "other than its MAC".to_owned(),
                },
            };
            Some(format!("{id:?} is told by {by}, and may be a card that is configured now"))
        }
    }
}

/// What a finished document speaks of.
pub fn spoken_of(document: &Value) -> Ours {
    let mut ours = Ours { names: ids(document).into_iter().map(str::to_owned).collect(), ..Ours::default() };
    for (_, card) in section(document, CARDS).into_iter().flatten() {
        ours.names.extend(card.get("set-name").and_then(Value::as_str).map(str::to_owned));
        let mac = card.pointer("/match/macaddress").and_then(Value::as_str);
        ours.macs.extend(mac.and_then(Mac::parse));
    }
    ours
}

fn section<'a>(document: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    document.get("network")?.get(name)?.as_object()
}

/// The sections: every mapping of mappings below `network`.
fn sections(document: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    let network = document.get("network").and_then(Value::as_object);
    network
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "openvswitch")
        .filter_map(|(_, section)| section.as_object())
}

fn ids(document: &Value) -> BTreeSet<&str> {
    sections(document).flat_map(Map::keys).map(String::as_str).collect()
}

fn references(document: &Value) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for device in sections(document).flat_map(Map::values) {
        for field in REFERENCES {
            match device.get(field) {
                Some(Value::String(name)) => drop(names.insert(name.as_str())),
                Some(Value::Array(all)) => names.extend(all.iter().filter_map(Value::as_str)),
                _ => {}
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> ImageFile {
        ImageFile { path: format!("/etc/netplan/{path}"), content: content.into() }
    }

    fn ours() -> Ours {
        Ours { macs: [Mac::parse("52:54:00:12:34:56").unwrap()].into(), names: ["enp1s0".to_owned()].into() }
    }

    /// The names of the files that are set aside.
    fn aside(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(path, content)| file(path, content)).collect();
        let chosen = to_set_aside(&files, &ours());
        chosen.into_iter().map(|aside| aside.path.rsplit('/').next().unwrap().to_owned()).collect()
    }

    fn ethernet(definition: &str) -> String {
        format!("network:\n  version: 2\n  ethernets:\n    {definition}\n")
    }

    #[test]
    fn a_card_that_may_be_ours_goes() {
        for definition in [
            "enp1s0: {match: {macaddress: 02:00:00:00:00:01}}",
            "other: {match: {macaddress: 52:54:00:12:34:56}, dhcp4: true}",
            "other: {match: {macaddress: \"52:54:00:12:34:56\"}}",
            "other: {match: {macaddress: '52-54-00-12-34-56'}}",
            "other: {match: {macaddress: 02:00:00:00:00:01}, set-name: enp1s0}",
            "all: {match: {name: 'e*'}, dhcp4: true}",
            "all: {match: {driver: virtio_net}}",
            "all: {match: {}}",
            "eth0: {dhcp4: true}",
            "ens3: {}",
            "ens3:",
        ] {
            assert_eq!(aside(&[("a.yaml", &ethernet(definition))]), ["a.yaml"], "{definition}");
        }
    }

    #[test]
    fn what_speaks_of_others_stays() {
        for content in [
            ethernet("storage: {match: {macaddress: 02:00:00:00:00:01}, dhcp4: true}"),
            ethernet("lo: {addresses: [192.0.2.9/32]}"),
            "network: {version: 2, renderer: NetworkManager}\n".into(),
            "network: {version: 2, ethernets: {}}\n".into(),
            "network: {version: 2, wifis: {wlan0: {dhcp4: true}}}\n".into(),
            String::new(),
            "# nothing\n".into(),
        ] {
            assert_eq!(aside(&[("a.yaml", &content)]), [""; 0], "{content}");
        }
    }

    #[test]
    fn what_netplan_fails_on_goes() {
        for content in ["network: [\n", "a: b: c\n", "- network\n", "network: 2\n", "other: {}\n"] {
            assert_eq!(aside(&[("a.yaml", content)]), ["a.yaml"], "{content}");
        }
    }

    #[test]
    fn cloud_inits_file_goes_whatever_it_says() {
        let content = ethernet("x: {match: {macaddress: 02:00:00:00:00:01}}");
        assert_eq!(
            aside(&[("50-cloud-init.yaml", &content), ("60-x.yaml", &content)]),
            ["50-cloud-init.yaml"]
        );
    }

    #[test]
    fn what_stands_on_something_that_goes_goes_too() {
        let files = [
            ("10-cards.yaml", ethernet("eth0: {}")),
            ("20-bridge.yaml", "network: {version: 2, bridges: {br0: {interfaces: [eth0]}}}".into()),
            ("30-vlan.yaml", "network: {version: 2, vlans: {v7: {id: 7, link: br0}}}".into()),
            ("40-other.yaml", ethernet("storage: {match: {macaddress: 02:00:00:00:00:01}}")),
            ("50-over-other.yaml", "network: {version: 2, vlans: {v8: {id: 8, link: storage}}}".into()),
        ];
        let files: Vec<_> = files.iter().map(|(path, content)| (*path, content.as_str())).collect();
        assert_eq!(aside(&files), ["10-cards.yaml", "20-bridge.yaml", "30-vlan.yaml"]);
    }

    #[test]
    fn a_finished_document_names_its_cards() {
        let document = yaml::parse(
            "network: {version: 2, ethernets: {a: {match: {macaddress: 52:54:00:12:34:56}, set-name: enp1s0}}, bonds: {bond0: {interfaces: [a]}}}",
        );
        let spoken = spoken_of(&document.unwrap());
        assert_eq!(spoken.names, ["a", "bond0", "enp1s0"].map(str::to_owned).into());
        assert_eq!(spoken.macs, ours().macs);
    }
}
