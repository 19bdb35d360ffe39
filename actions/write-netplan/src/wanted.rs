//! The document that is to be written: made of `INTERFACES`, or given whole by `NETPLAN`.

use common::cause::Cause;
use common::failure::Failure;
use common::values::Values;
use common::variables::{INTERFACES, NETPLAN};
use common::yaml;
use serde_json::Value;

use crate::document;
use crate::image_files::{Ours, spoken_of};
use crate::interfaces::{self, Addressing, Interface};

/// What a finished document must be.
const ACCEPTED: &str = "a netplan document that begins `network: {version: 2, …}`";

/// A document, checked.
#[derive(Debug)]
pub struct Wanted {
    /// The content of the file.
    pub text: String,
    /// What it speaks of.
    pub ours: Ours,
    /// What it configures, for the log: a line a card.
    pub lines: Vec<String>,
    /// What is unusual about it, for the log.
    pub warnings: Vec<String>,
}

/// Reads the variables.
///
/// # Errors
/// [`Cause::Configuration`] when not exactly one of them is given, or its value cannot be right.
pub fn read(values: &Values) -> Result<Wanted, Failure> {
    match (values.given(&INTERFACES), values.given(&NETPLAN)) {
        (Some(json), None) => from_interfaces(json),
        (None, Some(text)) => from_document(text),
        (Some(_), Some(_)) => Err(Failure::new(
            Cause::Configuration,
            "INTERFACES and NETPLAN are both given; accepted: one of them",
        )),
        (None, None) => Err(Failure::new(
            Cause::Configuration,
            format_args!("neither INTERFACES nor NETPLAN is given; INTERFACES takes: {}", INTERFACES.doc),
        )),
    }
}

fn from_interfaces(json: &str) -> Result<Wanted, Failure> {
    let checked = interfaces::read(json)?;
    let written = document::write(&checked.interfaces)?;
    let mut names = written.ids;
    names.extend(checked.interfaces.iter().filter_map(|interface| interface.name.clone()));
    let macs = checked.interfaces.iter().map(|interface| interface.mac).collect();
    let lines = checked.interfaces.iter().map(describe).collect();
    Ok(Wanted { text: written.text, ours: Ours { macs, names }, lines, warnings: checked.warnings })
}

fn from_document(text: &str) -> Result<Wanted, Failure> {
    let invalid = |why: &dyn std::fmt::Display| {
        Failure::new(Cause::Configuration, format_args!("NETPLAN is not valid: {why}; accepted: {ACCEPTED}"))
    };
    let document = yaml::parse(text).map_err(|broken| invalid(&broken))?;
    let network = document.get("network").and_then(Value::as_object);
    let network = network.ok_or_else(|| invalid(&"it has no `network:` mapping"))?;
    match network.get("version") {
        Some(Value::Number(version)) if version.as_u64() == Some(2) => {}
        Some(Value::String(version)) if version == "2" => {}
        None | Some(Value::Null) => return Err(invalid(&"it has no `version: 2`")),
        Some(_) => return Err(invalid(&"its version is not 2")),
    }
    let ours = spoken_of(&document);
    if ours.names.is_empty() {
        return Err(invalid(&"it configures no interface at all"));
    }
    let names: Vec<&str> = ours.names.iter().map(String::as_str).collect();
    let lines = vec![format!("as given in NETPLAN: {}", names.join(", "))];
    // Netplan reads a document that ends without a line feed; people who look at it later want one.
    let end = if text.ends_with('\n') { "" } else { "\n" };
    Ok(Wanted { text: format!("{text}{end}"), ours, lines, warnings: Vec::new() })
}

/// `52:54:00:12:34:56 (enp1s0), VLAN 120: 192.0.2.19/26, gateway 192.0.2.1, 2 name servers`.
fn describe(interface: &Interface) -> String {
    let mut text = interface.mac.to_string();
    if let Some(name) = &interface.name {
        text += &format!(" ({name})");
    }
    if let Some(id) = interface.vlan_id {
        text += &format!(", VLAN {id}");
    }
    text += &match interface.addressing {
        Addressing::Static(subnet) => format!(": {subnet}"),
        Addressing::Dhcp => ": DHCP".to_owned(),
        Addressing::None => ": no address".to_owned(),
    };
    for route in &interface.routes {
        if let (interfaces::Destination::Default, Some(via)) = (route.to, route.via) {
            text += &format!(", gateway {via}");
        }
    }
    let count = |number: usize, what: &str| match number {
        0 => String::new(),
        1 => format!(", 1 {what}"),
        _ => format!(", {number} {what}s"),
    };
    let others = interface.routes.iter().filter(|route| route.to != interfaces::Destination::Default).count();
    text + &count(others, "route") + &count(interface.name_servers.len(), "name server")
}
