//! Which actions there are, as far as packing them goes.

/// One action to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// The one name of folder, package, binary, image and entry point.
    pub name: &'static str,
    /// What it does, for the image's description label.
    pub description: &'static str,
    /// Whether it speaks TLS and gets the trusted certificates.
    pub tls: bool,
}

/// All of them, in the order in which a Workflow runs them.
pub const ACTIONS: [Action; 6] = [
    Action {
        name: "wipe-disk",
        description: "Tinkerbell action: erases every signature on the disks of a server, and discards them",
        tls: false,
    },
    Action {
        name: "stream-image",
        description: "Tinkerbell action: streams an operating system image from HTTP to a disk, and verifies it",
        tls: true,
    },
    Action {
        name: "grow-partition",
        description: "Tinkerbell action: grows the root partition and its filesystem to the end of the disk",
        tls: false,
    },
    Action {
        name: "write-netplan",
        description: "Tinkerbell action: writes the network configuration of the installed system",
        tls: false,
    },
    Action {
        name: "write-cloud-init",
        description: "Tinkerbell action: writes the cloud-init seed of the installed system",
        tls: false,
    },
    Action {
        name: "kexec-reboot",
        description: "Tinkerbell action: starts the installed system once the Workflow's success is reported",
        tls: false,
    },
];

/// The action of that name.
///
/// # Errors
/// There is none; the message lists those there are.
pub fn by_name(name: &str) -> anyhow::Result<Action> {
    ACTIONS.into_iter().find(|a| a.name == name).ok_or_else(|| {
        let names: Vec<_> = ACTIONS.iter().map(|a| a.name).collect();
        anyhow::anyhow!("{name:?} is no action; there are {}", names.join(", "))
    })
}
