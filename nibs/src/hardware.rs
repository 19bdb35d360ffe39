//! A Hardware: what KKP takes from it, and whether a Workflow on it could end well.

mod interface;

use std::collections::HashMap;

use crate::code::{self, Code};
use crate::field::Field;
use crate::finding::Findings;
use crate::object::Object;

/// The annotation with the number of the partition that KKP's own Template writes to.
const PARTITION_NUMBER: &str = "hardware.kubermatic.io/partition-number";
/// What KKP takes without that annotation.
const DEFAULT_PARTITION_NUMBER: &str = "3";

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
    /// Whether it is a MAC.
    pub is_mac: bool,
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
        list.missing(findings, &code::NO_INTERFACE, "a list, [{dhcp: {mac: …, ip: …}, netboot: …}]");
        return None;
    }
    let mut machine = None;
    for (i, interface) in interfaces.iter().enumerate() {
        let checked = interface::check(interface, i == 0, findings);
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
                let is_mac = path == "dhcp.mac";
                claims.push(Claim { value: text.to_ascii_lowercase(), field, is_mac });
            }
        }
    }
    claims
}

/// The Workflow carries the name as a label's value, which is shorter than a name may be.
fn check_name(root: &Field<'_>, findings: &mut Findings) {
    let name = &*root.object().name;
    let word = |w: &str| {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        end(w.chars().next())
            && end(w.chars().last())
            && w.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if name.len() > 63 || !name.split('.').all(word) {
        let accepted = "at most 63 lower-case letters, digits, '-' and '.'";
        root.dig("metadata.name").wrong(findings, &code::OBJECT_NAME, name, accepted);
    }
}

/// What names a disk.
pub const DISK_ACCEPTED: &str = "/dev/sda, /dev/disk/by-id/…, serial:… or wwn:…";

/// Checks the name of a whole disk.
///
/// # Errors
/// The code of what is wrong with it.
pub fn check_device(device: &str) -> Result<(), &'static Code> {
    let path =
        ["/dev/", "serial:", "wwn:"].iter().any(|p| device.strip_prefix(p).is_some_and(|d| !d.is_empty()));
    let is_odd = device.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control())
        || device.split('/').any(|part| matches!(part, "." | ".."));
    if !path || is_odd {
        Err(&code::DISK)
    } else if is_partition(device) {
        Err(&code::DISK_PARTITION)
    } else {
        Ok(())
    }
}

fn check_disks(list: &Field<'_>, findings: &mut Findings) {
    let disks = list.items(findings);
    if disks.is_empty() {
        list.missing(findings, &code::NO_DISK, "a list, [{device: /dev/…}]");
    }
    let mut seen: HashMap<&str, Field<'_>> = HashMap::new();
    for disk in disks {
        let field = disk.get("device");
        let Some(device) = field.required(findings, &code::DISK, DISK_ACCEPTED) else { continue };
        if let Err(code) = check_device(device) {
            field.wrong(findings, code, device, DISK_ACCEPTED);
        }
        match seen.get(device) {
            Some(first) => {
                let finding = field.finding(&code::DISK_TWICE).value(device);
                findings.push(finding.note(format!("first at {}", first.place())));
            }
            None => {
                seen.insert(device, field);
            }
        }
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
        findings.push(state.finding(&code::CLAIMED).value(text));
    }
}

fn check_partition_number<'a>(root: &Field<'a>, findings: &mut Findings) -> &'a str {
    let field = root.dig("metadata.annotations").get(PARTITION_NUMBER);
    let Some(text) = field.text(findings) else { return DEFAULT_PARTITION_NUMBER };
    let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || !text.parse::<u8>().is_ok_and(|n| (1..=128).contains(&n)) {
        field.wrong(findings, &code::PARTITION_NUMBER, text, "a number from 1 to 128, in quotes");
    }
    text
}

/// Without these two the server is not booted into the in-memory OS, or gets no work there. KKP's own check of them
/// never fires.
fn check_netboot(netboot: &Field<'_>, findings: &mut Findings) {
    for key in ["allowPXE", "allowWorkflow"] {
        let field = netboot.get(key);
        if !field.exists() {
            field.missing(findings, &code::NETBOOT, "true");
        } else if field.boolean(findings) == Some(false) {
            findings.push(field.finding(&code::NETBOOT).shown("false").accepted("true"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Reader;

    /// The findings of a Hardware that is right but for a part of its text.
    fn said(from: &str, to: &str) -> Vec<String> {
        const RIGHT: &str = "apiVersion: tinkerbell.org/v1alpha1\nkind: Hardware\nmetadata: {name: node9, annotations: {hardware.kubermatic.io/partition-number: '2'}}\n\
            spec:\n  disks: [{device: /dev/sda}, {device: /dev/sdb}]\n  metadata: {state: Decommissioned}\n  interfaces:\n  - netboot: {allowPXE: true, allowWorkflow: true}\n    \
            dhcp: {mac: '02:00:00:00:00:09', arch: x86_64, hostname: node9.example, iface_name: enp1s0, vlan_id: '7', name_servers: [192.0.2.53], \
            ip: {address: 192.0.2.19, netmask: 255.255.255.192, gateway: 192.0.2.1}, classless_static_routes: [{destination_descriptor: 10.0.0.0/8, router: 192.0.2.2}]}\n";
        assert!(RIGHT.contains(from), "{from}");
        let mut findings = Findings::default();
        let mut reader = Reader::default();
        reader.read("f", &RIGHT.replacen(from, to, 1), &mut findings);
        check(&reader.objects[0], &mut findings);
        findings.codes().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn each_mistake_has_its_code_and_what_is_near_it_has_none() {
        for (from, wrong, code, right) in [
            ("[{device: /dev/sda}, {device: /dev/sdb}]", "[]", "N0401", "[{device: /dev/sda}]"),
            ("/dev/sda", "sda", "N0402", "/dev/disk/by-id/ata-1"),
            ("/dev/sda", "/dev/../sda", "N0402", "serial:S4EVNX0R"),
            ("/dev/sda", "/dev/sda1", "N0403", "/dev/nvme0n1"),
            ("/dev/sda", "/dev/sdb", "N0404", "/dev/sdba"),
            ("'02:00:00:00:00:09'", "'02:00:00:00:09'", "N0406", "'02:00:00:00:00:0a'"),
            ("'02:00:00:00:00:09'", "'01:00:5e:00:00:09'", "N0407", "'00:00:5e:00:00:09'"),
            ("'02:00:00:00:00:09'", "'00:00:00:00:00:00'", "N0407", "'00:00:00:00:00:01'"),
            ("'02:00:00:00:00:09'", "'02:00:00:00:00:AB'", "N0408", "'02:00:00:00:00:ab'"),
            ("192.0.2.19", "192.0.2.300", "N0410", "192.0.2.20"),
            ("255.255.255.192", "255.0.255.0", "N0411", "255.255.255.0"),
            ("gateway: 192.0.2.1", "gateway: 192.0.2", "N0413", "gateway: ''"),
            ("gateway: 192.0.2.1", "gateway: 192.0.2.19", "N0413", "gateway: 192.0.2.18"),
            ("gateway: 192.0.2.1", "gateway: 192.0.2.65", "N0414", "gateway: 192.0.2.62"),
            ("192.0.2.19", "192.0.2.0", "N0415", "192.0.2.3"),
            ("192.0.2.19", "192.0.2.63", "N0415", "192.0.2.62"),
            (
                "ip: {address: 192.0.2.19, netmask: 255.255.255.192, gateway: 192.0.2.1}",
                "ip: ",
                "N0416",
                "ip: {address: 192.0.2.19, netmask: 255.255.255.192}",
            ),
            ("[192.0.2.53]", "[]", "N0417", "[2001:db8::53]"),
            ("[192.0.2.53]", "[dns.example]", "N0418", "[192.0.2.54, 192.0.2.53]"),
            (
                "{address: 192.0.2.19, netmask: 255.255.255.192, gateway: 192.0.2.1}",
                "{address: 2001:db8::9, netmask: 'ffff:ffff::'}",
                "N0419",
                "{address: 192.0.2.19, netmask: 255.255.0.0}",
            ),
            ("node9.example", "Node_9", "N0420", "node-9"),
            ("allowPXE: true", "allowPXE: false", "N0421", "allowPXE: true"),
            ("allowPXE: true, ", "", "N0421", "allowPXE: yes, "),
            ("enp1s0", "a-name-that-is-too-long", "N0423", "enp12s0f0np0"),
            ("x86_64", "sparc", "N0424", "aarch64"),
            ("'2'", "'x'", "N0426", "'3'"),
            ("name: node9,", "name: Node9,", "N0427", "name: node.9,"),
            ("'7'", "'4095'", "N0428", "'4094'"),
            ("10.0.0.0/8", "10.0.0.0/40", "N0429", "10.0.0.0/16"),
            ("Decommissioned", "Provisioned", "N0430", "''"),
            ("node9.example", &"a".repeat(64), "N0431", &"a".repeat(63)),
        ] {
            assert_eq!(said(from, wrong), [code], "{wrong}");
            assert_eq!(said(from, right), [""; 0], "{right}");
        }
    }

    #[test]
    fn no_interface() {
        assert_eq!(said("interfaces:", "others:"), ["N0405"]);
    }

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
