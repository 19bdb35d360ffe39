//! The command line of a kernel that no boot loader's configuration speaks of.

use std::collections::HashMap;

use super::grub::assignments;
use super::limits::SMALL_BYTES;
use super::volumes::{Volumes, clean};
use crate::cause::Cause;
use crate::failure::Failure;

/// Where kernel-install(8) takes the command line from, the first one wins.
const OF_KERNEL_INSTALL: [&str; 2] = ["/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"];

/// What grub-mkconfig makes the command line from.
const OF_GRUB: &str = "/etc/default/grub";

/// The command line that kernel-install(8) gives to a new kernel; nothing where there is none.
pub(super) fn of_kernel_install(volumes: &Volumes) -> Option<String> {
    OF_KERNEL_INSTALL.into_iter().find_map(|path| {
        let text = read(volumes, path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        Some(lines.collect::<Vec<_>>().join(" ").trim().to_owned()).filter(|text| !text.is_empty())
    })
}

/// The command line for a kernel of the installed system: that of kernel-install, or what grub-mkconfig would add, with the root.
///
/// # Errors
/// [`Cause::BootEntry`] when nothing is known that the root could be named by.
pub(super) fn make(volumes: &Volumes, with_initrd: bool) -> Result<String, Failure> {
    let text = of_kernel_install(volumes).or_else(|| of_grub(volumes)).unwrap_or_default();
    let text = text.replace(|c: char| c.is_control(), " ");
    if text.split_ascii_whitespace().any(|word| word.starts_with("root=")) {
        return Ok(text);
    }
    let root = volumes.get(volumes.root());
    // A kernel by itself knows partitions alone.
    let name = match (&root.uuid, &root.partition_uuid, &root.label) {
        (_, Some(uuid), _) if !with_initrd => format!("PARTUUID={uuid}"),
        (Some(uuid), ..) => format!("UUID={uuid}"),
        (_, Some(uuid), _) => format!("PARTUUID={uuid}"),
        (.., Some(label)) if !label.contains([' ', '"']) => format!("LABEL={label}"),
        _ => {
            let text =
                "the kernel's command line names no root, and the root has no UUID that it could be named by";
            return Err(Failure::new(Cause::BootEntry, text));
        }
    };
    let mut line = format!("root={name} ro");
    let subvolume = format!("{}/{}", root.at, root.subvolume);
    let subvolume = clean(&subvolume).trim_start_matches('/').to_owned();
    if !subvolume.is_empty() && !text.contains("rootflags=") {
        line += &format!(" rootflags=subvol={subvolume}");
    }
    Ok(format!("{line} {text}").trim_end().to_owned())
}

/// `GRUB_CMDLINE_LINUX` and `GRUB_CMDLINE_LINUX_DEFAULT` of /etc/default/grub and of the files in its folder.
fn of_grub(volumes: &Volumes) -> Option<String> {
    let folder = format!("{OF_GRUB}.d");
    let inside = volumes.of_system(&folder);
    let names = volumes.get(inside.volume).dir.list(&inside.path).unwrap_or_default();
    let further = names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".cfg"))
        .take(64);
    let mut values = HashMap::new();
    for path in std::iter::once(OF_GRUB.to_owned()).chain(further.map(|name| format!("{folder}/{name}"))) {
        if let Some(text) = read(volumes, &path) {
            assignments(&text, &mut values);
        }
    }
    let value = |name: &str| values.get(name).cloned().unwrap_or_default();
    let line = format!("{} {}", value("GRUB_CMDLINE_LINUX"), value("GRUB_CMDLINE_LINUX_DEFAULT"));
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

fn read(volumes: &Volumes, path: &str) -> Option<String> {
    let file = volumes.of_system(path);
    let content = volumes.get(file.volume).dir.read(&file.path, SMALL_BYTES).ok().flatten()?;
    Some(String::from_utf8_lossy(&content).into_owned())
}
