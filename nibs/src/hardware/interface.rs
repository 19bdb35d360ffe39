//! One interface of a Hardware.

use std::net::IpAddr;

use common::network::subnet::no_unicast;
use common::network::{Mac, Subnet};

use super::Machine;
use crate::code::{self, Code};
use crate::field::Field;
use crate::finding::Findings;
use crate::network;

/// What KKP makes up when no name server is given.
const DEFAULT_NAME_SERVER: &str = "1.1.1.1";

/// Checks one interface; of the first one KKP takes what it puts into the Workflow.
pub(super) fn check<'a>(interface: &Field<'a>, first: bool, findings: &mut Findings) -> Option<Machine<'a>> {
    let dhcp = interface.get("dhcp");
    let mac = check_mac(&dhcp.get("mac"), findings);
    check_vlan(&dhcp.get("vlan_id"), findings);
    check_hostname(&dhcp.get("hostname"), findings);
    check_arch(&dhcp.get("arch"), findings);
    check_routes(&dhcp.get("classless_static_routes"), findings);
    let interface_name = check_interface_name(&dhcp.get("iface_name"), findings);
    let name_server = check_name_servers(&dhcp.get("name_servers"), first, findings);
    let ip = dhcp.get("ip");
    if !ip.exists() && !first {
        // The others may be configured by DHCP.
        return None;
    }
    let (cidr, gateway) = check_ip(&ip, first, findings)?;
    Some(Machine { mac: mac?, cidr, gateway, interface_name, name_server, partition_number: "" })
}

fn check_mac<'a>(field: &Field<'a>, findings: &mut Findings) -> Option<&'a str> {
    const ACCEPTED: &str = "six bytes in lower case with colons, as 02:00:00:00:00:09";
    let text = field.required(findings, &code::MAC, ACCEPTED)?;
    let Some(mac) = Mac::parse(text) else {
        field.wrong(findings, &code::MAC, text, ACCEPTED);
        return None;
    };
    if let Some(why) = mac.no_card() {
        findings.push(field.finding(&code::MAC_NO_CARD).value(text).note(why));
        return None;
    }
    if mac.to_string() != text {
        field.wrong(findings, &code::MAC_CASE, text, &mac.to_string());
        return None;
    }
    Some(text)
}

/// A node's name is a DNS subdomain (RFC 1123), and a machine's is what DHCP says.
fn check_hostname(field: &Field<'_>, findings: &mut Findings) {
    let Some(name) = field.text(findings).filter(|n| !n.is_empty()) else { return };
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let word = |w: &str| {
        end(w.chars().next())
            && end(w.chars().last())
            && w.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if !name.split('.').all(word) {
        field.wrong(findings, &code::HOSTNAME, name, "a DNS name, as node9 or node9.example");
    } else if name.len() > 253 || name.split('.').any(|w| w.len() > 63) {
        field.wrong(findings, &code::HOSTNAME_LONG, name, "at most 63 bytes between two dots");
    }
}

/// Smee picks the in-memory OS by it: x86_64 is what it takes when nothing is said.
fn check_arch(field: &Field<'_>, findings: &mut Findings) {
    if let Some(arch) = field.text(findings).filter(|a| !a.is_empty())
        && !matches!(arch, "x86_64" | "amd64" | "aarch64" | "arm64")
    {
        field.wrong(findings, &code::ARCH, arch, "x86_64 or aarch64");
    }
}

fn check_interface_name<'a>(field: &Field<'a>, findings: &mut Findings) -> &'a str {
    let name = field.text(findings).unwrap_or_default();
    // IFNAMSIZ, and dev_valid_name() in the kernel's net/core/dev.c.
    let valid = name.len() < 16
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
    if !valid {
        field.wrong(findings, &code::INTERFACE_NAME, name, "at most 15 bytes, as enp1s0");
    }
    name
}

fn check_vlan(field: &Field<'_>, findings: &mut Findings) {
    if let Some(text) = field.text(findings)
        && !text.is_empty()
        && !text.parse::<u16>().is_ok_and(|id| (1..=4094).contains(&id))
    {
        field.wrong(findings, &code::VLAN, text, "a number from 1 to 4094, in quotes");
    }
}

fn check_routes(list: &Field<'_>, findings: &mut Findings) {
    for route in list.items(findings) {
        let destination = route.get("destination_descriptor");
        const NETWORK: &str = "a network, as 10.0.0.0/8";
        if let Some(text) = destination.required(findings, &code::ROUTE, NETWORK)
            && network::network(text).is_none()
        {
            destination.wrong(findings, &code::ROUTE, text, NETWORK);
        }
        let router = route.get("router");
        const ROUTER: &str = "a router's IPv4 address";
        if let Some(text) = router.required(findings, &code::ROUTE, ROUTER)
            && !matches!(network::address(text), Some(IpAddr::V4(_)))
        {
            router.wrong(findings, &code::ROUTE, text, ROUTER);
        }
    }
}

fn check_name_servers<'a>(list: &Field<'a>, first: bool, findings: &mut Findings) -> &'a str {
    let mut last = None;
    for server in list.items(findings) {
        const ACCEPTED: &str = "a name server's address";
        let Some(text) = server.required(findings, &code::NAME_SERVER, ACCEPTED) else { continue };
        if network::address(text).is_none() {
            server.wrong(findings, &code::NAME_SERVER, text, ACCEPTED);
        }
        last = Some(text);
    }
    if last.is_none() && first {
        findings.push(list.finding(&code::NO_NAME_SERVER));
    }
    last.unwrap_or(DEFAULT_NAME_SERVER)
}

/// The address with the length of its network's prefix, and the gateway.
fn check_ip<'a>(ip: &Field<'a>, first: bool, findings: &mut Findings) -> Option<(String, &'a str)> {
    if !ip.exists() {
        ip.missing(findings, &code::NO_IP, "{address: …, netmask: …, gateway: …}");
        return None;
    }
    let parsed = |field: &Field<'a>, code: &'static Code, accepted: &str, findings: &mut Findings| {
        let text = field.required(findings, code, accepted)?;
        let address = network::address(text);
        if address.is_none() {
            field.wrong(findings, code, text, accepted);
        }
        Some((text, address?))
    };
    let (address_field, netmask_field, gateway_field) =
        (&ip.get("address"), &ip.get("netmask"), &ip.get("gateway"));
    let address = parsed(address_field, &code::ADDRESS, "an address, as 192.0.2.19", findings);
    let mask = parsed(netmask_field, &code::NETMASK, "a netmask, as 255.255.255.0", findings);
    let gateway = match gateway_field.text(findings) {
        Some(text) if !text.is_empty() => {
            parsed(gateway_field, &code::GATEWAY, "an address, as 192.0.2.1", findings)
        }
        _ => None,
    };
    let (mask_text, mask) = mask?;
    let Some(length) = network::prefix_length(mask) else {
        let accepted = "ones, and then only zeros, as 255.255.255.0";
        netmask_field.wrong(findings, &code::NETMASK, mask_text, accepted);
        return None;
    };
    let (address_text, address) = address?;
    if address.is_ipv4() != mask.is_ipv4() {
        netmask_field.wrong(
            findings,
            &code::NETMASK,
            mask_text,
            "one of the address' own kind, IPv4 or IPv6",
        );
        return None;
    }
    if first && address.is_ipv6() {
        findings.push(address_field.finding(&code::IPV6).value(address_text));
    }
    let subnet = Subnet { address, prefix: length };
    if let Some(why) = no_unicast(address).or_else(|| subnet.no_host()) {
        let finding = address_field.finding(&code::ADDRESS_NO_HOST);
        findings.push(finding.value(&format!("{address_text}/{length}")).note(why));
    }
    if let Some((text, gateway)) = gateway {
        let own_kind = "one of the address' own kind, IPv4 or IPv6";
        if gateway == address {
            let finding = gateway_field.finding(&code::GATEWAY).value(text);
            findings.push(finding.note("it is the server's own address"));
        } else if gateway.is_ipv4() != address.is_ipv4() {
            gateway_field.wrong(findings, &code::GATEWAY, text, own_kind);
        } else if !subnet.contains(gateway) {
            let finding = gateway_field.finding(&code::GATEWAY_OUTSIDE).value(text);
            findings.push(finding.note(format!("it is not in {address_text}/{length}")));
        }
    }
    Some((format!("{address_text}/{length}"), gateway.map_or("", |(text, _)| text)))
}
