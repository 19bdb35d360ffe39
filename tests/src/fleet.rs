//! A fleet of any size as files: a Seed, Hardware, a MachineDeployment for each, and user-data, as `kubectl get -o yaml`
//! prints them one after another. The same size always gives the same bytes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The file of the objects.
pub const OBJECTS: &str = "fleet.yaml";
/// The file of the user-data.
pub const USER_DATA: &str = "user-data";
/// As many as there are addresses for.
pub const MOST: u32 = 1_000_000;
/// As many as one network has.
const IN_A_RACK: u32 = 1000;
/// About as much as the operating-system-manager's bootstrap script has.
const USER_DATA_BYTES: usize = 3800;

/// Whether the objects fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fleet {
    /// There is nothing to find.
    Right,
    /// Each server has a MAC in upper case and its neighbour's address, and no MachineDeployment names one that is there.
    Wrong,
}

/// The operating systems of the Seed: name, version, and the image's URL.
const SYSTEMS: [(&str, &str, &str); 5] = [
    ("debian", "12", "https://images.example/debian-12-amd64.raw.zst"),
    ("rhel", "9.4", "https://images.example/rhel-9.4-x86_64.raw.xz"),
    ("rockylinux", "9", "https://images.example/rocky-9-x86_64.raw.gz"),
    ("ubuntu", "22.04", "https://images.example/ubuntu-22.04-amd64.raw.gz"),
    ("ubuntu", "24.04", "https://images.example/ubuntu-24.04-amd64.raw.zst"),
];

impl Fleet {
    /// Writes [`OBJECTS`] and [`USER_DATA`] into a folder.
    ///
    /// # Errors
    /// When they cannot be written, or more than [`MOST`] servers are wanted.
    pub fn write(self, folder: &Path, servers: u32) -> Result<()> {
        ensure!(servers <= MOST, "{servers} servers; accepted: at most {MOST}");
        let path = folder.join(OBJECTS);
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(&path)?);
            file.write_all(seed().as_bytes())?;
            list(&mut file, (0..servers).map(|index| self.hardware(index)))?;
            list(&mut file, (0..servers).map(|index| self.machine_deployment(index)))?;
            file.into_inner()?.sync_data()
        };
        write().with_context(|| format!("writing {}", path.display()))?;
        let path = folder.join(USER_DATA);
        std::fs::write(&path, user_data()).with_context(|| format!("writing {}", path.display()))
    }

    fn hardware(self, index: u32) -> String {
        let name = name("server", index);
        let mac = |interface: u32| {
            let [_, a, b, c] = index.to_be_bytes();
            let mac = format!("0a:00:{interface:02x}:{a:02x}:{b:02x}:{c:02x}");
            if self == Self::Wrong { mac.to_uppercase() } else { mac }
        };
        let at = |network: Ipv4Addr, host: u32| {
            Ipv4Addr::from(u32::from(network) + index / IN_A_RACK * 1024 + host)
        };
        // An even one and the odd one behind it are neighbours.
        let host = 2 + if self == Self::Wrong { index % IN_A_RACK / 2 } else { index % IN_A_RACK };
        let (public, storage) = (Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(172, 16, 0, 0));
        let (address, gateway, second) = (at(public, host), at(public, 1), at(storage, host));
        let [mac, second_mac] = [0, 1].map(mac);
        let disks = match index % 3 {
            0 => &["/dev/nvme0n1", "/dev/nvme1n1"][..],
            1 => &["/dev/sda", "/dev/sdb", "/dev/sdc"],
            _ => &["/dev/disk/by-id/wwn-0x5000c500a1b2c3d4"],
        };
        let devices: String = disks.iter().map(|disk| format!("    - device: {disk}\n")).collect();
        let metadata = metadata("Hardware", "tinkerbell.org/v1alpha1", "tink-system", &name, index);
        format!(
            "- apiVersion: tinkerbell.org/v1alpha1\n  kind: Hardware\n{metadata}  spec:\n    disks:\n{devices}    \
             interfaces:\n    \
             - dhcp:\n        arch: x86_64\n        hostname: {name}\n        iface_name: enp1s0\n        \
             ip:\n          address: {address}\n          gateway: {gateway}\n          netmask: 255.255.252.0\n        \
             lease_time: 86400\n        mac: {mac}\n        name_servers:\n        - 10.255.0.53\n        \
             - 10.255.1.53\n        uefi: true\n      netboot:\n        allowPXE: true\n        allowWorkflow: true\n    \
             - dhcp:\n        arch: x86_64\n        iface_name: enp2s0\n        ip:\n          address: {second}\n          \
             netmask: 255.255.252.0\n        mac: {second_mac}\n        vlan_id: \"120\"\n    \
             metadata:\n      facility:\n        facility_code: rack-{}\n        plan_slug: worker\n      \
             manufacturer:\n        slug: example\n  status: {{}}\n",
            index / IN_A_RACK
        )
    }

    fn machine_deployment(self, index: u32) -> String {
        let worker = name("worker", index);
        let server = name(if self == Self::Right { "server" } else { "gone" }, index);
        let (system, _, url) = SYSTEMS[index as usize % SYSTEMS.len()];
        let metadata =
            metadata("MachineDeployment", "cluster.k8s.io/v1alpha1", "kube-system", &worker, index);
        // KKP takes all of these forms.
        let (driver, url) = match index % 4 {
            0 => ("\n                value: tinkerbell".to_owned(), format!(" {url}")),
            1 => (" tinkerbell".to_owned(), format!("\n                  value: {url}")),
            _ => (" tinkerbell".to_owned(), format!(" {url}")),
        };
        format!(
            "- apiVersion: cluster.k8s.io/v1alpha1\n  kind: MachineDeployment\n{metadata}  spec:\n    \
             minReadySeconds: 0\n    progressDeadlineSeconds: 600\n    replicas: 1\n    revisionHistoryLimit: 1\n    \
             selector:\n      matchLabels:\n        machine: {worker}\n    \
             strategy:\n      rollingUpdate:\n        maxSurge: 1\n        maxUnavailable: 0\n      type: RollingUpdate\n    \
             template:\n      metadata:\n        creationTimestamp: null\n        labels:\n          machine: {worker}\n      \
             spec:\n        metadata:\n          creationTimestamp: null\n        providerSpec:\n          value:\n            \
             cloudProvider: baremetal\n            cloudProviderSpec:\n              driver:{driver}\n              \
             driverSpec:\n                auth:\n                  kubeconfig:\n                    secretKeyRef:\n                      \
             key: kubeconfig\n                      name: machine-controller-baremetal-tb\n                      \
             namespace: kube-system\n                clusterName: tinkerbell\n                hardwareRef:\n                  \
             name: {server}\n                  namespace: tink-system\n                osImageUrl:{url}\n            \
             operatingSystem: {system}\n            operatingSystemSpec:\n              distUpgradeOnBoot: false\n            \
             sshPublicKeys:\n            - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1Qb0m8vwmWQ0X0m3rR0tT1l1yq0mWcQ2hQq3Zt9q0A ops\n        \
             versions:\n          kubelet: 1.33.0\n  status:\n    availableReplicas: 1\n    observedGeneration: 1\n    \
             readyReplicas: 1\n    replicas: 1\n    updatedReplicas: 1\n"
        )
    }
}

/// Five digits or more.
fn name(what: &str, index: u32) -> String {
    format!("{what}-{index:05}")
}

/// What the API server and `kubectl apply` add to an object.
fn metadata(kind: &str, api_version: &str, namespace: &str, name: &str, index: u32) -> String {
    let applied = format!(
        r#"{{"apiVersion":"{api_version}","kind":"{kind}","metadata":{{"annotations":{{}},"name":"{name}","namespace":"{namespace}"}},"spec":{{}}}}"#
    );
    format!(
        "  metadata:\n    annotations:\n      kubectl.kubernetes.io/last-applied-configuration: |\n        {applied}\n    \
         creationTimestamp: \"2026-11-02T08:15:00Z\"\n    generation: 1\n    labels:\n      \
         app.kubernetes.io/part-of: fleet\n    name: {name}\n    namespace: {namespace}\n    \
         resourceVersion: \"{}\"\n    uid: 8f2c1d1e-4a7b-4c0e-9d35-{:012x}\n",
        2_000_000 + index,
        u64::from(index) * 2 + u64::from(kind == "Hardware"),
    )
}

/// A document that lists the items, and its end, as kubectl prints them.
fn list(file: &mut impl Write, items: impl Iterator<Item = String>) -> std::io::Result<()> {
    file.write_all(b"---\napiVersion: v1\nitems:\n")?;
    for item in items {
        file.write_all(item.as_bytes())?;
    }
    file.write_all(b"kind: List\nmetadata:\n  resourceVersion: \"\"\n")
}

fn seed() -> String {
    let mut text = "apiVersion: kubermatic.k8c.io/v1\nkind: Seed\nmetadata:\n  name: kubermatic\n  namespace: kubermatic\n\
                    spec:\n  country: DE\n  datacenters:\n    baremetal-tinkerbell:\n      country: DE\n      \
                    location: Hamburg\n      node: {}\n      spec:\n        baremetal:\n          tinkerbell:\n            \
                    images:\n              http:\n                operatingSystems:\n"
        .to_owned();
    let mut last = "";
    for (system, version, url) in SYSTEMS {
        if system != last {
            let _ = writeln!(text, "                  {system}:");
        }
        let _ = writeln!(text, "                    \"{version}\": {url}");
        last = system;
    }
    text
}

fn user_data() -> String {
    let mut text = "#cloud-config\nssh_pwauth: false\nssh_authorized_keys:\n- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1Qb0m8 ops\n\
                    write_files:\n- path: /opt/bin/bootstrap\n  permissions: \"0755\"\n  content: |\n    #!/bin/bash\n    \
                    set -euo pipefail\n"
        .to_owned();
    let end = "runcmd:\n- systemctl restart bootstrap.service\n";
    for step in 0.. {
        if text.len() + end.len() >= USER_DATA_BYTES {
            break;
        }
        let _ =
            writeln!(text, "    curl --fail --retry 5 https://api.example/bootstrap/step-{step:03} | bash");
    }
    text + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_macs_are_as_many_as_servers() {
        let mut seen = std::collections::HashSet::new();
        for index in [0, 1, 999, 1000, 1001, 65_535, 65_536, MOST - 1] {
            let text = Fleet::Right.hardware(index);
            for line in text.lines().filter(|line| line.contains(" mac: ") || line.contains(" address: ")) {
                assert!(seen.insert(line.to_owned()), "{index}: {line}");
            }
            assert!(!text.contains("172.32."), "{text}");
        }
        assert_eq!(seen.len(), 8 * 4);
    }

    #[test]
    fn too_many_are_refused() {
        assert!(Fleet::Right.write(Path::new("/nowhere"), MOST + 1).is_err());
    }
}
