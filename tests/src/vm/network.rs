//! Network cards of a virtual machine.

/// One network card on a network of its own, which QEMU makes up without the host's: the guest has its address by DHCP
/// or sets one of the network, the host is `.2`, a name server `.3`, and the first lease `.15`.
///
/// What listens on the host's 127.0.0.1 is reached at the network's `.2`.
#[derive(Clone, Debug)]
pub struct Nic {
    mac: String,
    network: String,
    forwards: Vec<(String, u16)>,
    boots_first: bool,
}

impl Nic {
    /// A virtio card with this address, in lower case with colons, on 10.0.2.0/24.
    pub fn new(mac: &str) -> Self {
        Self {
            mac: mac.to_owned(),
            network: "10.0.2.0/24".to_owned(),
            forwards: Vec::new(),
            boots_first: false,
        }
    }

    /// Another network, as `ADDRESS/LENGTH`.
    pub fn network(self, network: &str) -> Self {
        Self { network: network.to_owned(), ..self }
    }

    /// Makes a TCP port of the guest reachable at a port of the host's 127.0.0.1 that the kernel chooses; see
    /// [`Machine::forwarded_port`](super::Machine::forwarded_port). `address` is the one that the guest will have.
    pub fn forward(mut self, address: &str, port: u16) -> Self {
        self.forwards.push((address.to_owned(), port));
        self
    }

    /// Firmware tries to start from this network before it looks at a disk. There is nothing to start from it.
    pub fn boots_first(self) -> Self {
        Self { boots_first: true, ..self }
    }

    pub(super) fn arguments(&self, index: usize) -> Vec<String> {
        let mut netdev = format!("user,id=net{index},net={}", self.network);
        for (address, port) in &self.forwards {
            netdev += &format!(",hostfwd=tcp:127.0.0.1:0-{address}:{port}");
        }
        // No option ROM: nothing boots from the network here, and looking for it takes the firmware seconds. UEFI has a
        // driver of its own, and looks when it is told to.
        let mut device = format!("virtio-net-pci,netdev=net{index},mac={},romfile=", self.mac);
        if self.boots_first {
            device += ",bootindex=1";
        }
        vec!["-netdev".into(), netdev, "-device".into(), device]
    }
}
