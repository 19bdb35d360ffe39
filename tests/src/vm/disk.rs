//! Disks of a virtual machine.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// How a disk is attached, and so what the guest's kernel calls it and what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// `/dev/vdX`.
    VirtioBlk,
    /// `/dev/nvmeXn1`.
    Nvme,
    /// `/dev/sdX`, by AHCI: 512-byte logical blocks only, at most six in a machine.
    Ahci,
    /// `/dev/sdX`. Its name may change from one boot to the next: find it by its serial.
    VirtioScsi,
}

/// An error that QEMU makes up on a range of a disk (its `blkdebug` driver).
#[derive(Clone, Debug)]
pub struct Fault {
    /// QEMU's name of the event: `read_aio`, `write_aio`, `flush_to_disk`, `pwritev`…
    pub event: String,
    /// The error that the guest's request ends with: 5 is EIO, 28 ENOSPC.
    pub errno: i32,
    /// Only requests that touch this 512-byte sector fail; all of them when it is `None`.
    pub sector: Option<u64>,
    /// So many of these events pass before it begins.
    pub after: u32,
    /// Only the first request fails.
    pub once: bool,
}

/// One disk: a file of the host on a bus. All setters return the disk.
#[derive(Clone, Debug)]
pub struct Disk {
    file: PathBuf,
    format: &'static str,
    bus: Bus,
    serial: Option<String>,
    logical_block_bytes: u32,
    physical_block_bytes: Option<u32>,
    discard: bool,
    read_only: bool,
    faults: Vec<Fault>,
    log: Option<PathBuf>,
}

impl Disk {
    /// A raw image, on virtio-blk with 512-byte logical blocks and discard unless said otherwise.
    pub fn raw(file: impl AsRef<Path>) -> Self {
        Self::of(file.as_ref(), "raw")
    }

    /// A qcow2 image; else as [`raw`](Self::raw).
    pub fn qcow2(file: impl AsRef<Path>) -> Self {
        Self::of(file.as_ref(), "qcow2")
    }

    fn of(file: &Path, format: &'static str) -> Self {
        Self {
            file: file.to_owned(),
            format,
            bus: Bus::VirtioBlk,
            serial: None,
            logical_block_bytes: 512,
            physical_block_bytes: None,
            discard: true,
            read_only: false,
            faults: Vec::new(),
            log: None,
        }
    }

    /// The bus that it is on.
    pub fn bus(self, bus: Bus) -> Self {
        Self { bus, ..self }
    }

    /// The serial number that the disk gives, at most 20 characters.
    pub fn serial(self, serial: &str) -> Self {
        Self { serial: Some(serial.to_owned()), ..self }
    }

    /// 512 or 4096 bytes. AHCI knows 512 only.
    pub fn logical_block_bytes(self, logical_block_bytes: u32) -> Self {
        Self { logical_block_bytes, ..self }
    }

    /// The physical block size that the disk gives, when it is not the logical one.
    pub fn physical_block_bytes(self, bytes: u32) -> Self {
        Self { physical_block_bytes: Some(bytes), ..self }
    }

    /// Whether the guest can discard blocks; what is discarded becomes a hole in the file.
    pub fn discard(self, discard: bool) -> Self {
        Self { discard, ..self }
    }

    /// The guest sees a write-protected disk (not on AHCI).
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Makes requests fail.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Writes down every write and every flush, in their order, for [`WriteLog`](super::WriteLog).
    pub fn log_writes(self, log: impl AsRef<Path>) -> Self {
        Self { log: Some(log.as_ref().to_owned()), ..self }
    }

    /// QEMU's arguments for the disk number `index` of a machine; `ahci_port` is the next free one.
    pub(super) fn arguments(&self, index: usize, ahci_port: &mut u32) -> Vec<String> {
        let discard = if self.discard { "unmap" } else { "ignore" };
        // Nothing here must survive a crash of the host; a flush that shall fail must reach its driver, though.
        let cache = json!({"direct": false, "no-flush": self.faults.is_empty() && self.log.is_none()});
        let file = json!({
            "driver": "file", "filename": self.file, "discard": discard, "cache": cache, "read-only": self.read_only,
        });
        let below = match &self.log {
            Some(log) => json!({
                "driver": "blklogwrites", "file": file, "log": {"driver": "file", "filename": log}, "discard": discard,
                "cache": cache,
            }),
            None if self.faults.is_empty() => file,
            None => self.blkdebug(file, discard),
        };
        let node = json!({
            "driver": self.format, "node-name": format!("disk{index}"), "file": below, "discard": discard,
            "cache": cache, "read-only": self.read_only,
        });
        vec!["-blockdev".into(), node.to_string(), "-device".into(), self.device(index, ahci_port)]
    }

    fn blkdebug(&self, file: Value, discard: &str) -> Value {
        // It counts nothing itself, but can be in as many states as there are events to let pass; it begins in 1.
        let mut steps: Vec<Value> = Vec::new();
        let mut errors: Vec<Value> = Vec::new();
        for Fault { event, errno, sector, after, once } in &self.faults {
            let mut error = json!({"event": event, "errno": errno, "once": once, "immediately": false});
            if let Some(sector) = sector {
                error["sector"] = json!(sector);
            }
            if *after > 0 {
                error["state"] = json!(after + 1);
            }
            errors.push(error);
            for state in 1..=*after {
                let step = json!({"event": event, "state": state, "new_state": state + 1});
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
        }
        let mut node =
            json!({"driver": "blkdebug", "image": file, "inject-error": errors, "discard": discard});
        // An empty list is none of its options.
        if !steps.is_empty() {
            node["set-state"] = json!(steps);
        }
        node
    }

    fn device(&self, index: usize, ahci_port: &mut u32) -> String {
        // A host without space is the guest's to hear of, as of any other fault: QEMU would stop the machine.
        let mut device = match self.bus {
            Bus::VirtioBlk => format!("virtio-blk-pci,drive=disk{index},werror=report"),
            Bus::Nvme => format!("nvme,drive=disk{index}"),
            Bus::Ahci => {
                *ahci_port += 1;
                format!("ide-hd,bus=ide.{},drive=disk{index},werror=report", *ahci_port - 1)
            }
            Bus::VirtioScsi => format!("scsi-hd,bus=scsi.0,drive=disk{index},werror=report"),
        };
        // NVMe does not work without one.
        let serial = self.serial.clone().unwrap_or_else(|| format!("DISK{index:04}"));
        let logical = self.logical_block_bytes;
        let physical = self.physical_block_bytes.unwrap_or(logical);
        // 0 is the kernel that a machine may be given, 1 a network that goes before the disks.
        device += &format!(
            ",serial={serial},logical_block_size={logical},physical_block_size={physical},bootindex={}",
            index + 2
        );
        device
    }

    pub(super) fn is_scsi(&self) -> bool {
        self.bus == Bus::VirtioScsi
    }
}
