//! What a finished cycle promised and did not keep.

use super::Setup;
use super::node::Node;
use super::objects::{FIRST_ADDRESS, FIRST_MAC, GATEWAY, NAME, NAME_SERVERS, SECOND_ADDRESS, SECOND_MAC};

/// How much may lie behind the root: what is left of a MiB, and the backup GPT, which is the larger the larger the blocks
/// are: 16 KiB of entries and a block.
const AFTER_ROOT_BYTES: u64 = (1 << 20) + (16 << 10) + 4096;

/// Everything about the node that is not as the objects asked for, a sentence each; nothing when all is well.
pub(super) fn of_node(node: &Node, setup: &Setup, bootstrap_proof: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, got: &str, want: &str| {
        if got != want {
            wrong.push(format!("{what}: {got}, expected {want}"));
        }
    };
    expect("the host name", &node.hostname, NAME);
    expect("the firmware", &node.firmware, &setup.firmware.to_string().to_lowercase());
    expect("the root's filesystem", &node.root_kind, setup.image.root_fs.name());
    for (mac, address) in [(FIRST_MAC, FIRST_ADDRESS), (SECOND_MAC, SECOND_ADDRESS)] {
        let addresses = node.link(mac).map_or("no such card".to_owned(), |link| link.addresses.join(", "));
        expect(&format!("the addresses of {mac}"), &addresses, address);
    }
    expect("the gateways", &node.gateways.join(", "), GATEWAY);
    expect("the name servers", &node.name_servers.join(", "), &NAME_SERVERS.join(", "));
    expect("cloud-init", node.cloud_init_status(), "done");
    expect("the user-data's bootstrap", &node.bootstrap_proof, bootstrap_proof);
    expect("the failed units", &node.failed_units.join(", "), "");
    if !node.root.starts_with(setup.disk_node()) {
        wrong.push(format!("the root is {}, not on {}", node.root, setup.disk_node()));
    }
    if node.after_root_bytes > AFTER_ROOT_BYTES {
        wrong.push(format!("{} bytes lie behind the root's partition", node.after_root_bytes));
    }
    if node.root_filesystem_bytes.abs_diff(node.root_partition_bytes) >= 1 << 20 {
        wrong.push(format!(
            "the root's filesystem has {} bytes, its partition {}",
            node.root_filesystem_bytes, node.root_partition_bytes
        ));
    }
    for path in
        ["/etc/kubernetes/bootstrap-kubelet.conf", "/etc/netplan/", "/var/lib/cloud/seed/nocloud/user-data"]
    {
        match node.files.iter().find(|file| file.contains(path)) {
            Some(file) if file.starts_with("600 root ") => {}
            Some(file) => wrong.push(format!("{file}: expected mode 600, owner root")),
            None => wrong.push(format!("nothing at {path}")),
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cycle::Link;

    fn node() -> Node {
        let link = |name: &str, mac: &str, address: &str| Link {
            name: name.into(),
            mac: mac.into(),
            addresses: vec![address.into()],
        };
        Node {
            hostname: NAME.into(),
            system: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.1.0-1".into(),
            firmware: "uefi".into(),
            links: vec![link("enp0s2", SECOND_MAC, SECOND_ADDRESS), link("enp0s3", FIRST_MAC, FIRST_ADDRESS)],
            gateways: vec![GATEWAY.into()],
            name_servers: NAME_SERVERS.map(String::from).into(),
            root: "/dev/nvme0n1p3".into(),
            root_kind: "ext4".into(),
            root_partition_bytes: 8 << 30,
            after_root_bytes: 1 << 20,
            root_filesystem_bytes: 8 << 30,
            cloud_init: "status: done".into(),
            bootstrap_proof: "abc".into(),
            files: [
                "600 root /etc/kubernetes/bootstrap-kubelet.conf",
                "600 root /etc/netplan/60-nibs.yaml",
                "600 root /var/lib/cloud/seed/nocloud/user-data",
            ]
            .map(String::from)
            .into(),
            failed_units: Vec::new(),
        }
    }

    #[test]
    fn a_node_as_asked_for_has_none() {
        assert_eq!(of_node(&node(), &Setup::default(), "abc"), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_told() {
        type Change = fn(&mut Node);
        let changes: [(Change, &str); 9] = [
            (|node| node.hostname = "localhost".into(), "the host name: localhost, expected node-1"),
            (|node| node.links.swap(0, 1), ""),
            (|node| node.links[0].mac = FIRST_MAC.into(), "the addresses of 52:54:00:ab:cd:ef: no such card"),
            (
                |node| node.links[1].addresses.push("10.0.2.16/24".into()),
                "10.0.2.15/24, 10.0.2.16/24, expected",
            ),
            (
                |node| drop(node.name_servers.pop()),
                "the name servers: 10.0.2.3, expected 10.0.2.3, 192.0.2.3",
            ),
            (|node| node.after_root_bytes = 2 << 20, "2097152 bytes lie behind"),
            (|node| node.root_filesystem_bytes = 1 << 30, "the root's filesystem has 1073741824 bytes"),
            (|node| node.files[1] = "644 root /etc/netplan/60-nibs.yaml".into(), "expected mode 600"),
            (|node| node.cloud_init = "status: degraded".into(), "cloud-init: degraded, expected done"),
        ];
        for (change, expected) in changes {
            let mut node = node();
            change(&mut node);
            let wrong = of_node(&node, &Setup::default(), "abc").join("\n");
            assert!(
                wrong.contains(expected) && (expected.is_empty() == wrong.is_empty()),
                "{expected}: {wrong}"
            );
        }
    }
}
