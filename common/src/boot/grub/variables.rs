//! GRUB's variables. A submenu and a `configfile` see only those that were exported.

use std::collections::HashMap;

use crate::boot::Firmware;
use crate::boot::Machine;

/// Variables at most.
const MOST: usize = 4096;

/// A value at most.
pub(super) const LONGEST_BYTES: usize = 64 * 1024;

/// All names and values together.
const ALL_BYTES: usize = 1 << 20;

/// What GRUB 2.06 and later say that they can, each set to `y`.
const FEATURES: [&str; 10] = [
    "200_final",
    "all_video_module",
    "chainloader_bpb",
    "default_font_path",
    "menuentry_id",
    "menuentry_options",
    "nativedisk_cmd",
    "ntldr",
    "platform_search_hint",
    "timeout_style",
];

#[derive(Debug, Clone)]
struct Value {
    text: String,
    exported: bool,
}

/// Variables and their values.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    values: HashMap<String, Value>,
    bytes: usize,
}

impl Variables {
    /// Those that GRUB begins with.
    pub(super) fn of_grub(firmware: Firmware, machine: Machine) -> Self {
        let mut variables = Self::default();
        let (cpu, platform) = match (firmware, machine) {
            (Firmware::Bios, _) => ("i386", "pc"),
            (Firmware::Uefi, Machine::X86_64) => ("x86_64", "efi"),
            (Firmware::Uefi, Machine::Aarch64) => ("arm64", "efi"),
        };
        let own =
            [("grub_cpu", cpu), ("grub_platform", platform), ("root", ""), ("prefix", ""), ("cmdpath", "")];
        for (name, value) in own {
            variables.set(name, value);
            variables.export(name);
        }
        for feature in FEATURES {
            let name = format!("feature_{feature}");
            variables.set(&name, "y");
            variables.export(&name);
        }
        variables
    }

    /// The value; nothing where it is not set.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.text.as_str())
    }

    /// Sets a variable. Says whether there was room for it.
    pub(super) fn set(&mut self, name: &str, text: &str) -> bool {
        let before = self.values.get(name).map_or(0, |value| name.len() + value.text.len());
        let after = self.bytes - before + name.len() + text.len();
        let fits =
            text.len() <= LONGEST_BYTES && after <= ALL_BYTES && (before > 0 || self.values.len() < MOST);
        if fits {
            self.bytes = after;
            let exported = self.values.get(name).is_some_and(|value| value.exported);
            self.values.insert(name.to_owned(), Value { text: text.to_owned(), exported });
        }
        fits
    }

    pub(super) fn unset(&mut self, name: &str) {
        if let Some(value) = self.values.remove(name) {
            self.bytes -= name.len() + value.text.len();
        }
    }

    /// Lets submenus and further files see it. A variable that is not set becomes an empty one, as in GRUB.
    pub(super) fn export(&mut self, name: &str) {
        if !self.values.contains_key(name) && !self.set(name, "") {
            return;
        }
        if let Some(value) = self.values.get_mut(name) {
            value.exported = true;
        }
    }

    /// How much room they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those that a submenu or another file sees.
    pub(super) fn exported(&self) -> Self {
        let values: HashMap<String, Value> = self
            .values
            .iter()
            .filter(|(_, value)| value.exported)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let bytes = values.iter().map(|(name, value)| name.len() + value.text.len()).sum();
        Self { values, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_exported_is_seen_elsewhere() {
        let mut variables = Variables::of_grub(Firmware::Uefi, Machine::X86_64);
        variables.set("a", "1");
        variables.set("b", "2");
        variables.export("b");
        variables.set("b", "3");
        let elsewhere = variables.exported();
        assert_eq!((elsewhere.get("a"), elsewhere.get("b")), (None, Some("3")));
        assert_eq!(
            (elsewhere.get("feature_menuentry_id"), elsewhere.get("grub_platform")),
            (Some("y"), Some("efi"))
        );
        variables.unset("b");
        assert_eq!(variables.get("b"), None);
    }

    #[test]
    fn room_is_bounded() {
        let mut variables = Variables::default();
        assert!(!variables.set("a", &"x".repeat(LONGEST_BYTES + 1)));
        let fit = (0..1000).filter(|n| variables.set(&format!("v{n}"), &"x".repeat(LONGEST_BYTES))).count();
        assert_eq!(fit, 15);
        assert!(variables.set("v0", ""));
        assert!(variables.set("again", "x"));
        let mut variables = Variables::default();
        assert_eq!((0..10_000).filter(|n| variables.set(&format!("v{n}"), "")).count(), MOST);
    }
}
