//! The rows of the matrix, as data.

use crate::cycle::{Firmware, Going, Setup};
use crate::os::{DebianKind, Engine, RootFs};
use crate::vm::Bus;

use super::disturbance::Disturbance;

/// One whole cycle.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it is called: the names of its files, and of `ONLY`.
    pub name: &'static str,
    /// The machine.
    pub setup: Setup,
    /// What goes wrong on the way.
    pub disturbance: Option<Disturbance>,
}

const fn image(root_fs: RootFs, logical_block_bytes: u32, separate_boot: bool) -> DebianKind {
    DebianKind { root_fs, separate_boot, logical_block_bytes, for_real_machines: true }
}

const fn row(
    name: &'static str,
    machine: (Firmware, Bus),
    image: DebianKind,
    how: (Going, Engine),
    older_system: bool,
) -> Row {
    let (firmware, bus) = machine;
    let (going, engine) = how;
    Row { name, setup: Setup { firmware, bus, engine, image, going, older_system }, disturbance: None }
}

/// The kinds of machines: every pair of two properties that can go together is in one of them at least. A BIOS reads blocks of
/// 512 bytes alone, and QEMU has AHCI with those alone.
pub fn machines() -> Vec<Row> {
    use Bus::{Ahci, Nvme, VirtioBlk, VirtioScsi};
    use Engine::{Containerd, Docker};
    use Firmware::{Bios, Uefi};
    use Going::{Kexec, Reboot};
    use RootFs::{Btrfs, Ext4, Xfs};
    vec![
        row("bios-virtio", (Bios, VirtioBlk), image(Ext4, 512, false), (Reboot, Containerd), true),
        row("uefi-nvme", (Uefi, Nvme), image(Xfs, 512, true), (Reboot, Docker), true),
        row("uefi-ahci", (Uefi, Ahci), image(Btrfs, 512, false), (Reboot, Containerd), false),
        row("bios-scsi", (Bios, VirtioScsi), image(Xfs, 512, false), (Reboot, Docker), false),
        row("uefi-nvme-4096", (Uefi, Nvme), image(Ext4, 4096, false), (Reboot, Containerd), false),
        row("uefi-virtio-4096", (Uefi, VirtioBlk), image(Btrfs, 4096, true), (Reboot, Docker), true),
        row("bios-nvme", (Bios, Nvme), image(Btrfs, 512, true), (Reboot, Containerd), true),
        row("bios-ahci", (Bios, Ahci), image(Ext4, 512, true), (Reboot, Docker), false),
        row("kexec-bios-virtio", (Bios, VirtioBlk), image(Xfs, 512, true), (Kexec, Containerd), false),
        row("kexec-uefi-scsi", (Uefi, VirtioScsi), image(Ext4, 512, false), (Kexec, Docker), false),
        row("kexec-bios-ahci", (Bios, Ahci), image(Xfs, 512, false), (Kexec, Docker), false),
        row("kexec-uefi-scsi-boot", (Uefi, VirtioScsi), image(Btrfs, 512, true), (Kexec, Containerd), false),
        row("kexec-uefi-virtio-4096", (Uefi, VirtioBlk), image(Xfs, 4096, false), (Kexec, Docker), false),
        row("kexec-bios-nvme", (Bios, Nvme), image(Ext4, 512, true), (Kexec, Containerd), true),
    ]
}

/// What can go wrong on the way, each on a machine of its own choice.
pub fn disturbed() -> Vec<Row> {
    use Disturbance::{
        ImageServerGone, PowerCutAtTheEnd, PowerCutInTheMiddle, RegistryGone, Timeout, WriteErrors,
    };
    let with = |name, firmware, bus, engine, disturbance| Row {
        name,
        setup: Setup { firmware, bus, engine, ..Setup::default() },
        disturbance: Some(disturbance),
    };
    use Bus::{Nvme, VirtioBlk};
    use Engine::{Containerd, Docker};
    use Firmware::{Bios, Uefi};
    vec![
        with("power-cut-in-the-middle", Uefi, Nvme, Containerd, PowerCutInTheMiddle),
        with("power-cut-at-the-end", Bios, VirtioBlk, Docker, PowerCutAtTheEnd),
        with("image-server-gone", Uefi, VirtioBlk, Containerd, ImageServerGone),
        with("registry-gone", Uefi, Nvme, Docker, RegistryGone),
        with("write-errors", Bios, VirtioBlk, Containerd, WriteErrors),
        with("timeout-sigterm", Bios, Nvme, Docker, Timeout),
        with("timeout-sigkill", Uefi, Nvme, Containerd, Timeout),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A property of a row and its value.
    fn properties(row: &Row) -> Vec<(&'static str, String)> {
        let Setup { firmware, bus, engine, image, going, older_system } = row.setup;
        vec![
            ("firmware", firmware.to_string()),
            ("bus", format!("{bus:?}")),
            ("blocks", image.logical_block_bytes.to_string()),
            ("going", format!("{going:?}")),
            ("engine", format!("{engine:?}")),
            ("root", image.root_fs.name().to_owned()),
            ("boot", image.separate_boot.to_string()),
            ("older", older_system.to_string()),
        ]
    }

    fn pairs(row: &Row) -> Vec<[(&'static str, String); 2]> {
        let all = properties(row);
        (0..all.len())
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| [all[b].clone(), all[a].clone()])
            .collect()
    }

    #[test]
    fn every_pair_that_can_be_is_in_a_row() {
        let rows = machines();
        assert!(rows.len() <= 14, "{}", rows.len());
        let values: BTreeSet<(&str, String)> = rows.iter().flat_map(properties).collect();
        let covered: BTreeSet<[(&str, String); 2]> = rows.iter().flat_map(pairs).collect();
        let order: Vec<&str> = properties(&rows[0]).into_iter().map(|(name, _)| name).collect();
        let at = |name: &str| order.iter().position(|each| *each == name).unwrap();
        let mut missing = Vec::new();
        for one in &values {
            for other in values.iter().filter(|other| at(one.0) < at(other.0)) {
                let pair = [one.clone(), other.clone()];
                if !covered.contains(&pair) && !is_impossible(&pair) {
                    missing.push(format!("{}={} with {}={}", one.0, one.1, other.0, other.1));
                }
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }

    fn is_impossible([one, other]: &[(&str, String); 2]) -> bool {
        let is = |pair: &(&str, String), name, value| pair.0 == name && pair.1 == value;
        is(other, "blocks", "4096") && (is(one, "firmware", "BIOS") || is(one, "bus", "Ahci") || is(one, "bus", "VirtioScsi"))
            // A SCSI disk's name may change from one boot to the next, so a second disk is on another bus.
            || is(other, "older", "true") && (is(one, "bus", "Ahci") || is(one, "bus", "VirtioScsi"))
    }

    #[test]
    fn names_differ() {
        let rows: Vec<Row> = machines().into_iter().chain(disturbed()).collect();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len());
    }
}
