//! A Hardware: what KKP takes from it, and whether a Workflow on it could end well.

use std::net::IpAddr;

use common::network::Subnet;
use common::network::subnet::no_unicast;

use crate::field::Field;
use crate::finding::{Findings, show};
use crate::network;
use crate::object::Object;

/// The annotation with the number of the partition that KKP's own Template writes to.
const PARTITION_NUMBER: &str = "hardware.kubermatic.io/partition-number";
/// What KKP takes without that annotation.
const DEFAULT_PARTITION_NUMBER: &str = "3";
/// What KKP makes up when no name server is given.
const DEFAULT_NAME_SERVER: &str = "1.1.1.1";

/// What KKP puts into a Workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine<'a> {
    /// The MAC of the first interface.
    pub mac: &'a str,
    /// The address of the first interface, and the length of its network's prefix.
    pub cidr: String,
    /// The first interface's gateway, or nothing.
    pub gateway: &'a str,
    /// The first interface's name, or nothing.
    pub interface_name: &'a str,
    /// The last of the first interface's name servers: KKP keeps only that.
    pub name_server: &'a str,
    /// A number, as text.
    pub partition_number: &'a str,
}

/// An address of a machine that no other may have.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// The address as it is compared.
    pub value: String,
    /// Where it stands.
    pub field: Field<'a>,
}

/// Checks all of a Hardware. None when something is wrong with what KKP takes; everything that is wrong is said.
pub fn check<'a>(hardware: &'a Object, findings: &mut Findings) -> Option<Machine<'a>> {
    let root = Field::root(hardware);
    check_name(&root, findings);
    check_disks(&root.dig("spec.disks"), findings);
    check_state(&root, findings);
    let partition_number = check_partition_number(&root, findings);
    let list = root.dig("spec.interfaces");
    let interfaces = list.items(findings);
    if interfaces.is_empty() {
        list.missing(findings, "a list with at least one interface, {dhcp: {mac: …, ip: …}, netboot: …}");
        return None;
    }
    let mut machine = None;
    for (i, interface) in interfaces.iter().enumerate() {
        let checked = check_interface(interface, i == 0, findings);
        if i == 0 {
            check_netboot(&interface.get("netboot"), findings);
            machine = checked;
        }
    }
    machine.map(|machine| Machine { partition_number, ..machine })
}

/// The MACs and addresses of a Hardware's interfaces.
pub fn claims(hardware: &Object) -> Vec<Claim<'_>> {
    // What is wrong with them is said when the Hardware is checked.
    let quiet = &mut Findings::default();
    let mut claims = Vec::new();
    for interface in Field::root(hardware).dig("spec.interfaces").items(quiet) {
        for path in ["dhcp.mac", "dhcp.ip.address"] {
            let field = interface.dig(path);
            if let Some(text) = field.text(quiet).filter(|t| !t.is_empty()) {
                claims.push(Claim { value: text.to_ascii_lowercase(), field });
            }
        }
    }
    claims
}

/// The Workflow carries the name as a label's value, which is shorter than a name may be.
fn check_name(root: &Field<'_>, findings: &mut Findings) {
    let name = &root.object().name;
    let word = |w: &str| {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        end(w.chars().next())
            && end(w.chars().last())
            && w.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if name.len() > 63 || !name.split('.').all(word) {
        let accepted = "at most 63 lower-case letters, digits, '-' and '.'";
        root.dig("metadata.name").wrong(findings, name, accepted);
    }
}

fn check_disks(list: &Field<'_>, findings: &mut Findings) {
    const ACCEPTED: &str = "a disk, as /dev/sda, /dev/disk/by-id/…, serial:… or wwn:…,";
    let disks = list.items(findings);
    if disks.is_empty() {
        list.missing(findings, "a list with at least one disk, {device: /dev/…},");
    }
    let mut seen: Vec<(&str, Field<'_>)> = Vec::new();
    for disk in disks {
        let field = disk.get("device");
        let Some(device) = field.required(findings, ACCEPTED) else { continue };
        let path = ["/dev/", "serial:", "wwn:"]
            .iter()
            .any(|p| device.strip_prefix(p).is_some_and(|d| !d.is_empty()));
        if !path || device.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control()) {
            field.wrong(findings, device, ACCEPTED);
        }
        if is_partition(device) {
            field.error(
                findings,
                format!("{} is a partition, by its name; {ACCEPTED} is accepted", show(device)),
            );
        }
        if let Some((_, first)) = seen.iter().find(|(d, _)| *d == device) {
            field.error(findings, format!("{} is there twice, first at {}", show(device), first.place()));
        }
        seen.push((device, field));
    }
}

/// Whether the kernel or udev gives such a name to a partition alone: `sda1`, `nvme0n1p1`, `…-part1`.
fn is_partition(device: &str) -> bool {
    let Some(name) = device.strip_prefix("/dev/") else { return false };
    let before = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if before.len() == name.len() {
        return false;
    }
    if name.starts_with("disk/") {
        return before.ends_with("-part");
    }
    let lettered = ["sd", "vd", "hd", "xvd"].iter().any(|p| {
        before.strip_prefix(p).is_some_and(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_lowercase()))
    });
    let numbered = before.strip_suffix('p').is_some_and(|disk| disk.ends_with(|c: char| c.is_ascii_digit()));
    lettered || numbered
}

/// KKP leaves a Hardware alone that a Machine has: it waits for it to be freed.
fn check_state(root: &Field<'_>, findings: &mut Findings) {
    let state = root.dig("spec.metadata.state");
    if let Some(text @ ("Staged" | "Provisioned")) = state.text(findings) {
        state.warning(
            findings,
            format!("{}: a Machine has this server; KKP makes no Workflow for another", show(text)),
        );
    }
}

fn check_partition_number<'a>(root: &Field<'a>, findings: &mut Findings) -> &'a str {
    let field = root.dig("metadata.annotations").get(PARTITION_NUMBER);
    let Some(text) = field.text(findings) else { return DEFAULT_PARTITION_NUMBER };
    let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || !text.parse::<u8>().is_ok_and(|n| (1..=128).contains(&n)) {
        field.wrong(findings, text, "a number from 1 to 128, in quotes,");
    }
    text
}

/// Without these two the server is not booted into the in-memory OS, or gets no work there. KKP's own check of them
/// never fires.
fn check_netboot(netboot: &Field<'_>, findings: &mut Findings) {
    for key in ["allowPXE", "allowWorkflow"] {
        let field = netboot.get(key);
        if !field.exists() {
            field.missing(findings, "true");
        } else if field.boolean(findings) == Some(false) {
            field.error(findings, "false; true is accepted");
        }
    }
}

/// Checks one interface; of the first one KKP takes what it puts into the Workflow.
fn check_interface<'a>(interface: &Field<'a>, first: bool, findings: &mut Findings) -> Option<Machine<'a>> {
    let dhcp = interface.get("dhcp");
    let mac = check_mac(&dhcp.get("mac"), findings);
    check_vlan(&dhcp.get("vlan_id"), findings);
    check_routes(&dhcp.get("classless_static_routes"), findings);
    let interface_name = check_interface_name(&dhcp.get("iface_name"), findings);
    let name_server = check_name_servers(&dhcp.get("name_servers"), first, findings);
    let ip = dhcp.get("ip");
    if !ip.exists() && !first {
        // The others may be configured by DHCP.
        return None;
    }
    let (cidr, gateway) = check_ip(&ip, findings)?;
    Some(Machine { mac: mac?, cidr, gateway, interface_name, name_server, partition_number: "" })
}

fn check_mac<'a>(field: &Field<'a>, findings: &mut Findings) -> Option<&'a str> {
    const ACCEPTED: &str = "the MAC of one network card, lower case, as 02:00:00:00:00:09,";
    let mac = field.required(findings, ACCEPTED)?;
    if network::is_mac(mac) {
        return Some(mac);
    }
    field.wrong(findings, mac, ACCEPTED);
    None
}

fn check_interface_name<'a>(field: &Field<'a>, findings: &mut Findings) -> &'a str {
    let name = field.text(findings).unwrap_or_default();
    // IFNAMSIZ, and dev_valid_name() in the kernel's net/core/dev.c.
    let valid = name.len() < 16
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
    if !valid {
        field.wrong(findings, name, "an interface's name of at most 15 bytes");
    }
    name
}

fn check_vlan(field: &Field<'_>, findings: &mut Findings) {
    if let Some(text) = field.text(findings)
        && !text.is_empty()
        && !text.parse::<u16>().is_ok_and(|id| (1..=4094).contains(&id))
    {
        field.wrong(findings, text, "a number from 1 to 4094, in quotes,");
    }
}

fn check_routes(list: &Field<'_>, findings: &mut Findings) {
    for route in list.items(findings) {
        let destination = route.get("destination_descriptor");
        const NETWORK: &str = "a network, as 10.0.0.0/8,";
        if let Some(text) = destination.required(findings, NETWORK)
            && network::network(text).is_none()
        {
            destination.wrong(findings, text, NETWORK);
        }
        let router = route.get("router");
        const ROUTER: &str = "a router's IPv4 address";
        if let Some(text) = router.required(findings, ROUTER)
            && !matches!(network::address(text), Some(IpAddr::V4(_)))
        {
            router.wrong(findings, text, ROUTER);
        }
    }
}

fn check_name_servers<'a>(list: &Field<'a>, first: bool, findings: &mut Findings) -> &'a str {
    let mut last = None;
    for server in list.items(findings) {
        const ACCEPTED: &str = "a name server's address";
        let Some(text) = server.required(findings, ACCEPTED) else { continue };
        if network::address(text).is_none() {
            server.wrong(findings, text, ACCEPTED);
        }
        last = Some(text);
    }
    if last.is_none() && first {
        let message = format!(
            "none; KKP puts {DEFAULT_NAME_SERVER} into the Workflow, and the server gets no name server"
        );
        list.warning(findings, message);
    }
    last.unwrap_or(DEFAULT_NAME_SERVER)
}

/// The address with the length of its network's prefix, and the gateway.
fn check_ip<'a>(ip: &Field<'a>, findings: &mut Findings) -> Option<(String, &'a str)> {
    if !ip.exists() {
        ip.missing(findings, "{address: …, netmask: …, gateway: …}");
        return None;
    }
    let parsed = |field: &Field<'a>, accepted: &str, findings: &mut Findings| {
        let text = field.required(findings, accepted)?;
        let address = network::address(text);
        if address.is_none() {
            field.wrong(findings, text, accepted);
        }
        Some((text, address?))
    };
    let (address_field, netmask_field, gateway_field) =
        (&ip.get("address"), &ip.get("netmask"), &ip.get("gateway"));
    let address = parsed(address_field, "an address, as 192.0.2.19,", findings);
    let mask = parsed(netmask_field, "a netmask, as 255.255.255.0,", findings);
    let gateway = match gateway_field.text(findings) {
        Some(text) if !text.is_empty() => parsed(gateway_field, "an address, as 192.0.2.1,", findings),
        _ => None,
    };
    let (mask_text, mask) = mask?;
    let Some(length) = network::prefix_length(mask) else {
        let accepted = "a netmask that begins with ones and then has only zeros, as 255.255.255.0,";
        netmask_field.wrong(findings, mask_text, accepted);
        return None;
    };
    let (address_text, address) = address?;
    if address.is_ipv4() != mask.is_ipv4() {
        netmask_field.wrong(findings, mask_text, "a netmask of the address' own kind, IPv4 or IPv6,");
        return None;
    }
    let subnet = Subnet { address, prefix: length };
    if let Some(why) = no_unicast(address).or_else(|| subnet.no_host()) {
        address_field
            .error(findings, format!("{}/{length}: {why}; a host's address is accepted", show(address_text)));
    }
    if let Some((text, gateway)) = gateway {
        if gateway == address {
            gateway_field
                .error(findings, format!("{} is the server's own address; another is accepted", show(text)));
        } else if gateway.is_ipv4() != address.is_ipv4() {
            gateway_field.wrong(findings, text, "a gateway of the address' own kind, IPv4 or IPv6,");
        } else if !subnet.contains(gateway) {
            let message =
                format!("{} is not in {address_text}/{length}; the route to it will be on-link", show(text));
            gateway_field.warning(findings, message);
        }
    }
    Some((format!("{address_text}/{length}"), gateway.map_or("", |(text, _)| text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_by_their_names() {
        for partition in
            ["/dev/sda1", "/dev/vdb12", "/dev/nvme0n1p3", "/dev/mmcblk0p1", "/dev/disk/by-id/wwn-0x5-part1"]
        {
            assert!(is_partition(partition), "{partition}");
        }
        for disk in [
            "/dev/sda",
            "/dev/nvme0n1",
            "/dev/mmcblk0",
            "/dev/disk/by-id/ata-X1",
            "/dev/md127",
            "serial:p1",
            "/dev/loop0",
        ] {
            assert!(!is_partition(disk), "{disk}");
        }
    }
}
