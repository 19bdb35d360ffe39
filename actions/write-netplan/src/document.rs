//! The netplan document that says what the Hardware says.

use std::collections::BTreeSet;

use common::cause::Cause;
use common::failure::{Because, Failure};
use serde::{Serialize, Serializer};
use serde_saphyr::DoubleQuoted;

use crate::interfaces::{Addressing, Destination, Interface, Route};

/// The routes of the first interface get this metric, those of the second twice as much, and so on: the first wins.
/// Netplan gives DHCP routes the same 100, so a static and a DHCP interface compare as their order says.
const METRIC_STEP: u32 = 100;

/// Entries in the order in which they are written.
#[derive(Debug)]
struct Entries<T>(Vec<(String, T)>);

impl<T> Entries<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Entries<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, entry)| (name, entry)))
    }
}

#[derive(Debug, Serialize)]
struct Document {
    network: Network,
}

#[derive(Debug, Serialize)]
struct Network {
    version: u8,
    ethernets: Entries<Device>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    vlans: Entries<Device>,
}

/// A network card or a VLAN.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Device {
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matches: Option<Match>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    dhcp4: bool,
    dhcp6: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp4_overrides: Option<Overrides>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp6_overrides: Option<Overrides>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp_identifier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept_ra: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameservers: Option<Nameservers>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteEntry>,
}

#[derive(Debug, Serialize)]
struct Match {
    /// Quoted: to a reader of YAML 1.1, `52:54:00:12:34:56` is a number to the base of 60.
    macaddress: DoubleQuoted<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Overrides {
    route_metric: u32,
}

#[derive(Debug, Serialize)]
struct Nameservers {
    addresses: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RouteEntry {
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    metric: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_link: Option<bool>,
}

/// A document, and what it calls its devices.
#[derive(Debug)]
pub struct Written {
    /// The content of the file.
    pub text: String,
    /// The ids of its devices.
    pub ids: BTreeSet<String>,
}

/// Writes the document. A card is told by its MAC alone and keeps the name that the kernel gives it: its id in the
/// document is only a label, the Hardware's `iface_name` where it has one.
///
/// # Errors
/// [`Cause::Internal`] when it cannot be written as YAML.
pub fn write(interfaces: &[Interface]) -> Result<Written, Failure> {
    let mut ids = BTreeSet::new();
    let (mut ethernets, mut vlans) = (Vec::new(), Vec::new());
    for (index, interface) in interfaces.iter().enumerate() {
        let metric = METRIC_STEP * (index as u32 + 1);
        let label = interface.name.clone().unwrap_or_else(|| format!("nic{index}"));
        let id = unused(&mut ids, label);
        let matches = Some(Match { macaddress: DoubleQuoted(interface.mac.to_string()) });
        let addressed = addressed(interface, metric);
        if let Some(vlan_id) = interface.vlan_id {
            let name = unused(&mut ids, format!("vlan{vlan_id}"));
            // The card below only carries the VLAN: no addresses, and none from routers of the untagged network. Its
            // link-local address stays, since systemd waits at boot for a link with no address at all.
            ethernets.push((id.clone(), Device { matches, accept_ra: Some(false), ..Device::default() }));
            vlans.push((name, Device { id: Some(vlan_id), link: Some(id), ..addressed }));
        } else {
            ethernets.push((id, Device { matches, ..addressed }));
        }
    }
    let document =
        Document { network: Network { version: 2, ethernets: Entries(ethernets), vlans: Entries(vlans) } };
    let yaml = serde_saphyr::to_string(&document).because(Cause::Internal)?;
    Ok(Written { text: format!("# Written by write-netplan from the Hardware's interfaces.\n{yaml}"), ids })
}

/// The label, or the first of `label-1`, `label-2`… that nothing has yet.
fn unused(ids: &mut BTreeSet<String>, label: String) -> String {
    let mut candidates =
        std::iter::once(label.clone()).chain((1..).map(|number| format!("{label}-{number}")));
    let id = candidates.find(|id| !ids.contains(id)).expect("the numbers do not end");
    ids.insert(id.clone());
    id
}

fn addressed(interface: &Interface, metric: u32) -> Device {
    let dhcp = interface.addressing == Addressing::Dhcp;
    // networkd wants the same override for both.
    let overrides = dhcp.then_some(Overrides { route_metric: metric });
    let servers: Vec<String> = interface.name_servers.iter().map(ToString::to_string).collect();
    Device {
        dhcp4: dhcp,
        dhcp6: dhcp,
        dhcp4_overrides: overrides.clone(),
        dhcp6_overrides: overrides,
        // By default the client names itself by the machine's id, which is new after each installation; the MAC, by
        // which the in-memory OS asked too, keeps the lease.
        dhcp_identifier: dhcp.then_some("mac"),
        addresses: match interface.addressing {
            Addressing::Static(subnet) => vec![subnet.to_string()],
            _ => Vec::new(),
        },
        nameservers: (!servers.is_empty()).then_some(Nameservers { addresses: servers }),
        routes: interface.routes.iter().map(|route| entry(route, metric)).collect(),
        ..Device::default()
    }
}

fn entry(route: &Route, metric: u32) -> RouteEntry {
    RouteEntry {
        to: match route.to {
            Destination::Default => "default".into(),
            Destination::Network(network) => network.to_string(),
        },
        via: route.via.map(|via| via.to_string()),
        scope: route.via.is_none().then_some("link"),
        metric,
        on_link: route.on_link.then_some(true),
    }
}
