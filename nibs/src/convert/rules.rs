//! Which action of Nibs takes the place of which, and what becomes of its variables.

use common::variables::{
    ACTIONS, ActionSpec, GROW_PARTITION, KEXEC_REBOOT, STREAM_IMAGE, WIPE_DISK, WRITE_CLOUD_INIT,
    WRITE_NETPLAN,
};

use super::block::{Block, Variable};

/// The place of what takes the machine down.
pub(super) const REBOOT: usize = 5;

/// What becomes of an action.
pub(super) enum Swap {
    /// One of ours takes its place.
    Ours {
        /// Which.
        spec: &'static ActionSpec,
        /// Its place in the order.
        rank: usize,
        /// Its variables.
        environment: Vec<Variable>,
        /// Those that it does not have.
        dropped: Vec<String>,
    },
    /// It is one of ours, with its place in the order.
    Already(usize),
    /// It stays, for this reason.
    None(String),
}

const FIRST_DISK: &str = " {{ index .Hardware.Disks 0 }}";

/// The last word of an image's name, without tag and digest.
fn word(image: &str) -> &str {
    let last = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

pub(super) fn swap(block: &Block) -> Swap {
    let image = block.value("image").unwrap_or_default();
    let Some(variables) = block.variables() else {
        return Swap::None(
            "its environment is not in lines of its own, and was not read; it stays as it is".into(),
        );
    };
    let get = |name: &str| variables.iter().find(|v| v.name == name).map(|v| v.value.join("\n"));
    let has = |name: &str, word: &str| get(name).is_some_and(|value| value.contains(word));
    let own = variables.clone();
    match word(&image) {
        name if ACTIONS.iter().any(|a| a.name == name) => {
            Swap::Already(ACTIONS.iter().position(|a| a.name == name).unwrap_or_default())
        }
        "image2disk" => ours(&STREAM_IMAGE, own),
        "oci2disk" | "qemuimg2disk" => Swap::None(format!(
            "stream-image takes a raw image from http:// or https://, not what {} takes; it stays as it is",
            word(&image)
        )),
        "disk-wipe" => ours(&WIPE_DISK, vec![all_disks()]),
        _ if block.text("command").contains("wipefs") => ours(&WIPE_DISK, vec![all_disks()]),
        "kexec" | "waitdaemon" => ours(&KEXEC_REBOOT, own),
        "reboot" => ours(&KEXEC_REBOOT, vec![variable("REBOOT_MODE", " reboot")]),
        "poweroff" => ours(&KEXEC_REBOOT, vec![variable("REBOOT_MODE", " poweroff")]),
        "cexec" if has("CMD_LINE", "growpart") || has("CMD_LINE", "resize2fs") => {
            ours(&GROW_PARTITION, renamed(own, &[("BLOCK_DEVICE", "DEST_DISK")]))
        }
        "cexec" if has("CMD_LINE", ".cloud_init_script") => {
            let mut environment = renamed(own, &[("BLOCK_DEVICE", "DEST_DISK")]);
            environment.push(variable("USER_DATA_BASE64", " {{ .cloud_init_script | toJson }}"));
            ours(&WRITE_CLOUD_INIT, environment)
        }
        "cexec" if has("CMD_LINE", "/var/lib/cloud/seed") => Swap::None(
            "write-cloud-init writes the whole seed; this action can go when nothing else is done in it"
                .into(),
        ),
        "writefile" if has("DEST_PATH", "/etc/netplan/") => {
            ours(&WRITE_NETPLAN, renamed(own, &[("CONTENTS", "NETPLAN")]))
        }
        "writefile" if has("DEST_PATH", "/seed/nocloud") && has("DEST_PATH", "/user-data") => {
            ours(&WRITE_CLOUD_INIT, renamed(own, &[("CONTENTS", "USER_DATA")]))
        }
        "writefile" | "cexec" | "archive2disk" | "rootio" | "slurp" | "syslinux" | "grub2disk" => Swap::None(
            format!("Nibs has no action in the place of what this {} does; it stays as it is", word(&image)),
        ),
        name => Swap::None(format!("Nibs has no action in the place of {name}; it stays as it is")),
    }
}

fn all_disks() -> Variable {
    variable("DISKS", r#" {{ join "," .Hardware.Disks | toJson }}"#)
}

fn variable(name: &str, value: &str) -> Variable {
    Variable { name: name.to_owned(), value: vec![value.to_owned()] }
}

fn renamed(mut variables: Vec<Variable>, names: &[(&str, &str)]) -> Vec<Variable> {
    for variable in &mut variables {
        if let Some((_, to)) = names.iter().find(|(from, _)| *from == variable.name) {
            variable.name = (*to).to_owned();
        }
        // A partition's name that was put together is wrong for some disk; ours find the partition themselves.
        if variable.name == "DEST_DISK" && variable.value[0].contains("index .Hardware.Disks 0") {
            variable.value[0] = FIRST_DISK.to_owned();
        }
    }
    variables
}

fn ours(spec: &'static ActionSpec, variables: Vec<Variable>) -> Swap {
    let taken = |v: &Variable| spec.all_variables().any(|known| known.name == v.name);
    let (environment, dropped): (Vec<_>, Vec<_>) = variables.into_iter().partition(taken);
    let rank = ACTIONS.iter().position(|a| a.name == spec.name).unwrap_or_default();
    Swap::Ours { spec, rank, environment, dropped: dropped.into_iter().map(|v| v.name).collect() }
}
