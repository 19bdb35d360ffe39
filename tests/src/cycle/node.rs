//! What a booted node says of itself.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::vm::Target;

/// 512 bytes, the unit of `/sys/class/block/*/{start,size}` whatever the disk's blocks are.
const SECTOR_BYTES: u64 = 512;

/// A network card as the node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `enp0s3`
    pub name: String,
    /// In lower case, with colons.
    pub mac: String,
    /// Each as `ADDRESS/LENGTH`, without what is good for one link or site only, as QEMU announces it.
    pub addresses: Vec<String>,
}

/// The node's own words.
#[derive(Clone, Debug)]
pub struct Node {
    /// The host name.
    pub hostname: String,
    /// `Debian GNU/Linux 12 (bookworm)`
    pub system: String,
    /// The kernel's release.
    pub kernel: String,
    /// `uefi` or `bios`
    pub firmware: String,
    /// Every card but the loopback.
    pub links: Vec<Link>,
    /// The default routes' gateways.
    pub gateways: Vec<String>,
    /// Every name server that the resolver has, of all cards.
    pub name_servers: Vec<String>,
    /// `/dev/nvme0n1p3`
    pub root: String,
    /// `ext4`, `xfs`, `btrfs`
    pub root_kind: String,
    /// The size of the root's partition.
    pub root_partition_bytes: u64,
    /// How much lies between its end and the disk's.
    pub after_root_bytes: u64,
    /// The size of its filesystem.
    pub root_filesystem_bytes: u64,
    /// `cloud-init status --long`
    pub cloud_init: String,
    /// What the user-data's bootstrap left.
    pub bootstrap_proof: String,
    /// Mode, owner and path of the files that the user-data writes, of the netplan files and of the seed.
    pub files: Vec<String>,
    /// Units of systemd that failed.
    pub failed_units: Vec<String>,
}

impl Node {
    /// Asks the node.
    ///
    /// # Errors
    /// When it cannot be asked, or its answer has another form than expected.
    pub fn ask(target: &Target) -> Result<Self> {
        let output = target.run(include_str!("look.sh"))?;
        Self::read(&output.stdout).with_context(|| format!("{}\n{}", output.stdout, output.stderr))
    }

    fn read(text: &str) -> Result<Self> {
        let sections: HashMap<&str, &str> = text
            .split("=== ")
            .skip(1)
            .filter_map(|section| section.split_once('\n'))
            .map(|(name, body)| (name, body.trim_end()))
            .collect();
        let section = |name: &str| {
            sections.get(name).copied().ok_or_else(|| anyhow!("the node said nothing of its {name}"))
        };
        let line = |name: &str| -> Result<String> {
            let body = section(name)?;
            anyhow::ensure!(!body.is_empty(), "the node's {name} is empty");
            Ok(body.to_owned())
        };
        let lines =
            |name: &str| -> Result<Vec<String>> { Ok(section(name)?.lines().map(str::to_owned).collect()) };
        let numbers = |name: &str| -> Result<Vec<u64>> {
            section(name)?.split_whitespace().filter_map(|word| word.parse().ok()).map(Ok).collect()
        };
        let [start, size] = numbers("root_partition_sectors")?[..] else {
            return Err(anyhow!("the root's partition has no start and size"));
        };
        let [disk] = numbers("disk_sectors")?[..] else { return Err(anyhow!("the disk has no size")) };
        let [blocks, block_bytes] = numbers("root_filesystem")?[..] else {
            return Err(anyhow!("the root's filesystem has no size"));
        };
        let files =
            ["written", "netplan", "seed"].map(lines).into_iter().collect::<Result<Vec<_>>>()?.concat();
        Ok(Self {
            hostname: line("hostname")?,
            system: line("system")?,
            kernel: line("kernel")?,
            firmware: line("firmware")?,
            links: links(&serde_json::from_str(section("links")?).context("reading the node's links")?),
            gateways: strings(
                &serde_json::from_str(section("routes")?).context("reading the node's routes")?,
                "gateway",
            ),
            name_servers: name_servers(section("name_servers")?),
            root: line("root_source")?,
            root_kind: line("root_kind")?,
            root_partition_bytes: size * SECTOR_BYTES,
            after_root_bytes: (disk - start - size) * SECTOR_BYTES,
            root_filesystem_bytes: blocks * block_bytes,
            cloud_init: line("cloud_init")?,
            bootstrap_proof: line("bootstrap")?,
            files,
            failed_units: lines("failed_units")?,
        })
    }

    /// The card with this address.
    pub fn link(&self, mac: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.mac == mac)
    }

    /// `done`, `error`…
    pub fn cloud_init_status(&self) -> &str {
        self.cloud_init.lines().find_map(|line| line.strip_prefix("status: ")).unwrap_or("unknown")
    }
}

fn strings(list: &Value, field: &str) -> Vec<String> {
    let each = list.as_array().into_iter().flatten();
    each.filter_map(|item| item[field].as_str()).map(str::to_owned).collect()
}

fn links(list: &Value) -> Vec<Link> {
    let each = list.as_array().into_iter().flatten();
    each.filter(|link| link["link_type"] == "ether")
        .map(|link| Link {
            name: link["ifname"].as_str().unwrap_or_default().to_owned(),
            mac: link["address"].as_str().unwrap_or_default().to_owned(),
            addresses: link["addr_info"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|address| address["scope"] == "global")
                .filter_map(|address| {
                    Some(format!("{}/{}", address["local"].as_str()?, address["prefixlen"]))
                })
                .collect(),
        })
        .collect()
}

/// `Global: 9.9.9.9` and `Link 2 (enp0s3): 10.0.2.3 192.0.2.3`
fn name_servers(text: &str) -> Vec<String> {
    let mut all: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(_, servers)| servers.split_whitespace())
        .map(str::to_owned)
        .collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_said_is_read() {
        let text = "=== hostname\nnode-1\n=== system\nDebian GNU/Linux 12 (bookworm)\n=== kernel\n6.1.0-1\n\
            === firmware\nuefi\n=== links\n[{\"ifname\":\"lo\",\"link_type\":\"loopback\"},{\"ifname\":\"enp0s3\",\
            \"link_type\":\"ether\",\"address\":\"52:54:00:12:34:56\",\"addr_info\":[{\"local\":\"10.0.2.15\",\
            \"prefixlen\":24,\"scope\":\"global\"},{\"local\":\"fe80::1\",\"prefixlen\":64,\"scope\":\"link\"}]}]\n\
            === routes\n[{\"dst\":\"default\",\"gateway\":\"10.0.2.2\"}]\n\
            === name_servers\nGlobal:\nLink 2 (enp0s3): 10.0.2.3 192.0.2.3\n=== root_source\n/dev/nvme0n1p3\n\
            === root_kind\next4\n\
            === root_partition_sectors\n2048\n8192\n=== disk_sectors\n12288\n\
            === root_filesystem\nBlock count:              1024\nBlock size:               4096\n\
            === cloud_init\nstatus: done\nboot_status_code: x\n=== bootstrap\nabc\n\
            === written\n600 root /a\n=== netplan\n600 root /b\n=== seed\n=== failed_units\n";
        let node = Node::read(text).unwrap();
        let addresses = vec!["10.0.2.15/24".to_owned()];
        let link = Link { name: "enp0s3".into(), mac: "52:54:00:12:34:56".into(), addresses };
        assert_eq!(node.link("52:54:00:12:34:56"), Some(&link));
        assert_eq!(node.links.len(), 1);
        assert_eq!(node.name_servers, ["10.0.2.3", "192.0.2.3"]);
        assert_eq!(node.gateways, ["10.0.2.2"]);
        assert_eq!((node.after_root_bytes, node.root_filesystem_bytes), (2048 * 512, 4 << 20));
        assert_eq!(node.cloud_init_status(), "done");
        assert_eq!(node.files, ["600 root /a", "600 root /b"]);
        assert!(node.failed_units.is_empty());
    }

    #[test]
    fn a_node_that_says_too_little_is_an_error() {
        assert!(Node::read("=== hostname\nnode-1\n").is_err());
    }
}
