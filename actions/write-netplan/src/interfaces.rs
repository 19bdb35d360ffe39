//! The Hardware's interfaces, as Tinkerbell's `toJson` writes them (`v1alpha1`), checked to the last field.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common::cause::Cause;
use common::failure::Failure;
use common::network::{Mac, Subnet, mac, subnet};
use common::variables::INTERFACES;
use serde_json::Value;

use crate::field::Field;

/// What `INTERFACES` takes.
const ACCEPTED: &str =
    "the Hardware's interfaces as a JSON array, by {{ toJson .Hardware.Interfaces | toJson }}";
/// IPv6 networks with hosts on them have this prefix (RFC 7421); Tinkerbell takes no mask for them.
const IPV6_PREFIX: u8 = 64;
/// Linux names an interface in at most 15 bytes (IFNAMSIZ).
const NAME_BYTES: usize = 15;

/// One interface of the Hardware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Which card it is.
    pub mac: Mac,
    /// What the Hardware calls it, if that is a name that an interface can have.
    pub name: Option<String>,
    /// Where its addresses come from.
    pub addressing: Addressing,
    /// Its name servers, each once, in their order.
    pub name_servers: Vec<IpAddr>,
    /// The VLAN that the addresses are in.
    pub vlan_id: Option<u16>,
    /// Its routes, the default ones among them.
    pub routes: Vec<Route>,
}

/// Where the addresses of an interface come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// From the Hardware.
    Static(Subnet),
    /// From a DHCP server.
    Dhcp,
    /// It has none.
    None,
}

/// A route by an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The network that it leads to.
    pub to: Destination,
    /// The next router; without one the network is on the link itself.
    pub via: Option<IpAddr>,
    /// The router is on the link, though it is in no network of the interface.
    pub on_link: bool,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Everywhere else.
    Default,
    /// A network, by its own address.
    Network(Subnet),
}

/// The checked interfaces, and what is unusual about them.
#[derive(Debug)]
pub struct Interfaces {
    /// In the order of the Hardware.
    pub interfaces: Vec<Interface>,
    /// For the log.
    pub warnings: Vec<String>,
}

/// Reads the value of `INTERFACES`.
///
/// # Errors
/// [`Cause::Configuration`] with the field, its value and what would be accepted.
pub fn read(json: &str) -> Result<Interfaces, Failure> {
    let value: Value = serde_json::from_str(json).map_err(|error| {
        Failure::new(
            Cause::Configuration,
            format_args!(
                "INTERFACES is no JSON (line {}, column {}); accepted: {ACCEPTED}",
                error.line(),
                error.column()
            ),
        )
    })?;
    if let Value::String(_) = value {
        return Err(Failure::new(
            Cause::Configuration,
            format_args!(
                "INTERFACES is JSON inside a JSON string: one toJson too many; accepted: {ACCEPTED}"
            ),
        ));
    }
    let root = Field::root(INTERFACES.name, &value);
    if !value.is_null() && !value.is_array() {
        return Err(root.wrong(ACCEPTED));
    }
    let elements = root.elements()?;
    if elements.is_empty() {
        return Err(Failure::new(
            Cause::Configuration,
            format_args!("INTERFACES={json:?} has no interface at all; accepted: {ACCEPTED}"),
        ));
    }

    let mut warnings = Vec::new();
    let mut interfaces = Vec::new();
    let mut macs: BTreeMap<Mac, String> = BTreeMap::new();
    let mut addresses: BTreeMap<IpAddr, String> = BTreeMap::new();
    for element in elements {
        let dhcp = element.get("dhcp")?;
        let interface = read_one(&element, &dhcp, &mut warnings)?;
        let mac = dhcp.get("mac")?;
        if let Some(other) = macs.insert(interface.mac, mac.path().to_owned()) {
            return Err(
                mac.wrong_because(&format!("it is that of {other} too"), "a MAC that no other interface has")
            );
        }
        if let Addressing::Static(subnet) = interface.addressing {
            let field = dhcp.get("ip")?.get("address")?;
            if let Some(other) = addresses.insert(subnet.address, field.path().to_owned()) {
                return Err(field.wrong_because(
                    &format!("it is that of {other} too"),
                    "an address that no other interface has",
                ));
            }
        }
        interfaces.push(interface);
    }
    if interfaces.iter().all(|interface| interface.addressing == Addressing::None) {
        return Err(Failure::new(
            Cause::Configuration,
            "INTERFACES gives no interface an address, and disableDhcp is true for all of them: the node would have no network; accepted: a dhcp.ip.address, or an interface with DHCP",
        ));
    }
    Ok(Interfaces { interfaces, warnings })
}

fn read_one(element: &Field<'_>, dhcp: &Field<'_>, warnings: &mut Vec<String>) -> Result<Interface, Failure> {
    let mac_field = dhcp.get("mac")?;
    let text = mac_field.text()?.ok_or_else(|| mac_field.missing(mac::ACCEPTED))?;
    let mac = Mac::parse(text).ok_or_else(|| mac_field.wrong(mac::ACCEPTED))?;
    if let Some(why) = mac.no_card() {
        return Err(mac_field.wrong_because(why, mac::ACCEPTED));
    }
    let name = dhcp.get("iface_name")?.text()?.filter(|name| is_name(name)).map(str::to_owned);
    let addressing = match read_address(&dhcp.get("ip")?, warnings)? {
        Some(subnet) => Addressing::Static(subnet),
        None if element.get("disableDhcp")?.boolean()? => {
            warnings.push(format!(
                "{} ({mac}) has no address, and disableDhcp is true: it comes up without one",
                element.path()
            ));
            Addressing::None
        }
        None => Addressing::Dhcp,
    };
    let mut name_servers = Vec::new();
    for field in dhcp.get("name_servers")?.elements()? {
        let accepted = "the IP address of a name server";
        let address = read_ip(&field, accepted)?.ok_or_else(|| field.missing(accepted))?;
        // A resolver of the node's own may listen on loopback.
        if let Some(why) = subnet::no_unicast(address).filter(|_| !address.is_loopback()) {
            return Err(field.wrong_because(why, accepted));
        }
        if !name_servers.contains(&address) {
            name_servers.push(address);
        }
    }
    let vlan_id = read_vlan_id(&dhcp.get("vlan_id")?)?;
    let routes = read_routes(dhcp, addressing, warnings)?;
    Ok(Interface { mac, name, addressing, name_servers, vlan_id, routes })
}

/// Names that both Linux and netplan take, and that no glob is hidden in.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.len() <= NAME_BYTES && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(plain)
}

fn read_ip(field: &Field<'_>, accepted: &str) -> Result<Option<IpAddr>, Failure> {
    field.text()?.map(|text| text.parse().map_err(|_| field.wrong(accepted))).transpose()
}

fn read_address(ip: &Field<'_>, warnings: &mut Vec<String>) -> Result<Option<Subnet>, Failure> {
    const ACCEPTED: &str = "an IPv4 or IPv6 address without a prefix length, as 192.0.2.19";
    let field = ip.get("address")?;
    let mask = ip.get("netmask")?;
    let Some(address) = read_ip(&field, ACCEPTED)? else {
        for name in ["netmask", "gateway"] {
            let other = ip.get(name)?;
            if other.text()?.is_some() {
                return Err(field.missing(format_args!("{ACCEPTED}, since {} is given", other.path())));
            }
        }
        return Ok(None);
    };
    if let Some(why) = subnet::no_unicast(address) {
        return Err(field.wrong_because(why, ACCEPTED));
    }
    let ipv6 = address.is_ipv6();
    let accepted = if ipv6 { subnet::IPV6_MASK } else { subnet::IPV4_MASK };
    let prefix = match mask.text()? {
        Some(text) => subnet::prefix_length(text, ipv6).ok_or_else(|| mask.wrong(accepted))?,
        None if ipv6 => {
            warnings.push(format!("{} is not given: taking /{IPV6_PREFIX} for {address}", mask.path()));
            IPV6_PREFIX
        }
        None => return Err(mask.missing(accepted)),
    };
    let subnet = Subnet { address, prefix };
    match subnet.no_host() {
        Some(why) => {
            Err(field
                .wrong_because(why, format_args!("the address of a host in {}/{prefix}", subnet.network())))
        }
        None => Ok(Some(subnet)),
    }
}

fn read_vlan_id(field: &Field<'_>) -> Result<Option<u16>, Failure> {
    // IEEE 802.1Q: 0 and 4095 are reserved.
    const ACCEPTED: &str = "one VLAN id of 1 to 4094, or none for an untagged network";
    match field.number(ACCEPTED)? {
        None => Ok(None),
        Some(id @ 1..=4094) => Ok(Some(id as u16)),
        Some(_) => Err(field.wrong(ACCEPTED)),
    }
}

fn read_routes(
    dhcp: &Field<'_>,
    addressing: Addressing,
    warnings: &mut Vec<String>,
) -> Result<Vec<Route>, Failure> {
    let mut routes: Vec<Route> = Vec::new();
    for field in dhcp.get("classless_static_routes")?.elements()? {
        let route = read_classless_route(&field, addressing, warnings)?;
        if let Some(other) = routes.iter().find(|other| other.to == route.to) {
            if *other == route {
                continue;
            }
            let destination = field.get("destination_descriptor")?;
            return Err(destination.wrong("a network that no other route of the interface leads to"));
        }
        routes.push(route);
    }
    let ip = dhcp.get("ip")?;
    let Addressing::Static(subnet) = addressing else { return Ok(routes) };
    let field = ip.get("gateway")?;
    let Some(gateway) = read_ip(&field, "the IP address of a router")? else { return Ok(routes) };
    check_gateway(&field, gateway, subnet)?;
    let route = Route {
        to: Destination::Default,
        via: Some(gateway),
        on_link: on_link(&field, gateway, subnet, warnings),
    };
    match routes.iter().find(|route| route.to == Destination::Default) {
        Some(other) if other.via == route.via => {}
        // RFC 3442: who is given classless routes ignores the router option.
        Some(other) => warnings.push(format!(
            "{}={gateway} is left out: a classless static route says that the default is {}",
            field.path(),
            other.via.map_or_else(|| "on the link".to_owned(), |via| via.to_string())
        )),
        None => routes.insert(0, route),
    }
    Ok(routes)
}

fn read_classless_route(
    field: &Field<'_>,
    addressing: Addressing,
    warnings: &mut Vec<String>,
) -> Result<Route, Failure> {
    const NETWORK: &str = "a network and its prefix length, as 10.0.0.0/8";
    const ROUTER: &str = "the IP address of a router, or 0.0.0.0 for none";
    let destination = field.get("destination_descriptor")?;
    let text = destination.text()?.ok_or_else(|| destination.missing(NETWORK))?;
    let (address, prefix) = text.split_once('/').ok_or_else(|| destination.wrong(NETWORK))?;
    let address: IpAddr = address.parse().map_err(|_| destination.wrong(NETWORK))?;
    let everything = prefix == "0" && address.is_unspecified();
    let to = if everything {
        Destination::Default
    } else {
        let prefix = prefix.bytes().all(|byte| byte.is_ascii_digit()).then_some(prefix);
        let prefix = prefix.and_then(|prefix| subnet::prefix_length(prefix, address.is_ipv6()));
        let given = Subnet { address, prefix: prefix.ok_or_else(|| destination.wrong(NETWORK))? };
        let network = Subnet { address: given.network(), ..given };
        if given != network {
            // Tinkerbell's DHCP server does the same.
            warnings.push(format!(
                "{}={text}: taken as the network that it is in, {network}",
                destination.path()
            ));
        }
        Destination::Network(network)
    };
    let router = field.get("router")?;
    let via = read_ip(&router, ROUTER)?.ok_or_else(|| router.missing(ROUTER))?;
    if via.is_ipv4() != address.is_ipv4() {
        return Err(router.wrong(format_args!("a router of the same IP version as {text}")));
    }
    // RFC 3442: a router of 0.0.0.0 means that the network is on the link.
    if via.is_unspecified() {
        return Ok(Route { to, via: None, on_link: false });
    }
    let mut is_on_link = false;
    match addressing {
        Addressing::Static(subnet) if subnet.address.is_ipv4() == via.is_ipv4() => {
            check_gateway(&router, via, subnet)?;
            is_on_link = on_link(&router, via, subnet, warnings);
        }
        _ => {
            if let Some(why) = subnet::no_unicast(via) {
                return Err(router.wrong_because(why, ROUTER));
            }
        }
    }
    Ok(Route { to, via: Some(via), on_link: is_on_link })
}

fn check_gateway(field: &Field<'_>, gateway: IpAddr, subnet: Subnet) -> Result<(), Failure> {
    let version = if subnet.address.is_ipv4() { "IPv4" } else { "IPv6" };
    let refuse =
        |why: &str| Err(field.wrong_because(why, format_args!("the {version} address of a router, or none")));
    if gateway.is_ipv4() != subnet.address.is_ipv4() {
        return refuse("the interface's own address is of the other version");
    }
    if let Some(why) = subnet::no_unicast(gateway) {
        return refuse(why);
    }
    if gateway == subnet.address {
        return refuse("it is the interface's own address");
    }
    let as_host = Subnet { address: gateway, ..subnet };
    match as_host.no_host().filter(|_| subnet.contains(gateway)) {
        Some(why) => refuse(why),
        None => Ok(()),
    }
}

/// Whether the kernel must be told that a router is on the link. Link-local ones always are.
fn on_link(field: &Field<'_>, gateway: IpAddr, subnet: Subnet, warnings: &mut Vec<String>) -> bool {
    let link_local = matches!(gateway, IpAddr::V6(address) if address.is_unicast_link_local());
    if link_local || subnet.contains(gateway) {
        return false;
    }
    warnings.push(format!(
        "{}={gateway} is not in {}/{}: reaching it with on-link",
        field.path(),
        subnet.network(),
        subnet.prefix
    ));
    true
}
