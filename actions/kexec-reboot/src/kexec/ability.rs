//! Whether the running kernel can start another one, and why not.

use std::fs;
use std::io;
use std::path::Path;

use common::boot::Machine;
use common::disk::System;
use common::efi::{Firmware, Variables};
use common::sys;
use tracing::debug;

/// What was seen of the running kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The processor.
    pub machine: Machine,
    /// The error number of a call that loads nothing; nothing where the call is there and allowed.
    pub refused: Option<i32>,
    /// `/proc/sys/kernel/kexec_load_disabled`, which can be set and not be taken back.
    pub disabled: bool,
    /// `/proc/sys/kernel/kexec_load_limit_reboot` (Linux 6.3): how many kernels may still be loaded; -1 for any number.
    pub limit: Option<i64>,
    /// How far the kernel is locked down (kernel_lockdown(7)): `integrity` or `confidentiality`.
    pub lockdown: Option<String>,
    /// Whether the firmware starts signed programs alone.
    pub secure_boot: bool,
    /// Memory that can be had without swapping, in bytes.
    pub available_bytes: Option<u64>,
}

impl Seen {
    /// Looks.
    pub fn look(system: &System) -> Self {
        let sysctl = |name: &str| number(&system.proc.join("sys/kernel").join(name));
        // A container may lack the mount that its host has.
        let lockdown = [&system.sys, &system.proc.join("1/root/sys")]
            .into_iter()
            .find_map(|sys| fs::read_to_string(sys.join("kernel/security/lockdown")).ok());
        let memory = fs::read_to_string(system.proc.join("meminfo")).unwrap_or_default();
        Self {
            machine: Machine::OWN,
            refused: sys::kexec::probe().err().and_then(|error| error.raw_os_error()),
            disabled: sysctl("kexec_load_disabled") == Some(1),
            limit: sysctl("kexec_load_limit_reboot"),
            lockdown: lockdown.as_deref().and_then(locked_down),
            secure_boot: secure_boot(system),
            available_bytes: available_bytes(&memory),
        }
    }

    /// Why nothing can be loaded, whatever it is.
    pub fn refusal(&self) -> Option<String> {
        if self.disabled {
            return Some("it is switched off: /proc/sys/kernel/kexec_load_disabled is 1".into());
        }
        if self.limit == Some(0) {
            return Some(
                "no more kernels may be loaded: /proc/sys/kernel/kexec_load_limit_reboot is 0".into(),
            );
        }
        Some(match self.refused? {
            libc::ENOSYS if self.machine == Machine::Aarch64 => {
                "the running kernel has no kexec_file_load: for arm64 that has to be built in (CONFIG_KEXEC_FILE), and Debian's is not"
                    .into()
            }
            libc::ENOSYS => "the running kernel has no kexec_file_load (CONFIG_KEXEC_FILE)".into(),
            libc::EPERM => "this container may not call kexec_file_load (EPERM): it lacks CAP_SYS_BOOT, or a filter forbids it".into(),
            number => format!("kexec_file_load does not work: {}", io::Error::from_raw_os_error(number)),
        })
    }

    /// Why there is no room for so much, or nothing where there is.
    pub fn lacks_memory(&self, needed_bytes: u64) -> Option<String> {
        let available_bytes = self.available_bytes.filter(|bytes| *bytes < needed_bytes)?;
        Some(format!(
            "not enough memory: kernel and initrd take {needed_bytes} bytes while they are loaded, and {available_bytes} are available"
        ))
    }

    /// Why a kernel was not loaded.
    pub fn why_not_loaded(&self, error: &io::Error) -> String {
        let number = error.raw_os_error().unwrap_or_default();
        let secure_boot = if self.secure_boot { "; Secure Boot is on" } else { "" };
        match (number, &self.lockdown) {
            (libc::EPERM, Some(how)) => {
                format!("the running kernel is locked down ({how}) and starts no other one{secure_boot}")
            }
            (libc::EPERM, None) => format!("the running kernel does not allow it (EPERM){secure_boot}"),
            (libc::ENODATA, _) => {
                format!("it is not signed, and the running kernel starts signed ones alone{secure_boot}")
            }
            (libc::ENOKEY, _) => {
                format!("it is signed with a key that the running kernel does not trust{secure_boot}")
            }
            (
                libc::EKEYREJECTED
                | libc::EBADMSG
                | libc::ENOPKG
                | libc::EKEYEXPIRED
                | libc::EKEYREVOKED
                | libc::ELIBBAD,
                _,
            ) => format!("the running kernel rejects its signature ({error}){secure_boot}"),
            (libc::ENOMEM | libc::EADDRNOTAVAIL, _) => {
                format!("there is not enough memory for it and its initrd ({error})")
            }
            (libc::ENOEXEC, _) => "the running kernel takes it for none that it can start (ENOEXEC)".into(),
            (libc::ENOSYS, _) => "the running kernel has no kexec_file_load (CONFIG_KEXEC_FILE)".into(),
            (libc::EBUSY, _) => "another program is loading a kernel (EBUSY)".into(),
            _ => format!("the running kernel refuses it: {error}"),
        }
    }
}

fn number(path: &Path) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// `none [integrity] confidentiality`
fn locked_down(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    let (how, _) = rest.split_once(']')?;
    (how != "none").then(|| how.to_owned())
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn secure_boot(system: &System) -> bool {
    if Firmware::of(system) == Firmware::Bios {
        return false;
    }
    match Variables::mount().and_then(|variables| variables.secure_boot()) {
        Ok(on) => on.unwrap_or(false),
        Err(failure) => {
            debug!("whether Secure Boot is on is not known: {failure}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn able() -> Seen {
        Seen {
            machine: Machine::X86_64,
            refused: None,
            disabled: false,
            limit: Some(-1),
            lockdown: None,
            secure_boot: false,
            available_bytes: Some(1 << 30),
        }
    }

    #[test]
    fn each_reason_has_its_own_words() {
        assert_eq!(able().refusal(), None);
        assert_eq!(Seen { limit: None, ..able() }.refusal(), None);
        // Locked down, a signed kernel may still be loaded.
        assert_eq!(Seen { lockdown: Some("integrity".into()), secure_boot: true, ..able() }.refusal(), None);
        for (seen, word) in [
            (Seen { disabled: true, refused: Some(libc::EPERM), ..able() }, "kexec_load_disabled is 1"),
            (Seen { limit: Some(0), ..able() }, "kexec_load_limit_reboot is 0"),
            (Seen { refused: Some(libc::ENOSYS), ..able() }, "has no kexec_file_load (CONFIG_KEXEC_FILE)"),
            (
                Seen { refused: Some(libc::ENOSYS), machine: Machine::Aarch64, ..able() },
                "for arm64 that has to be built in",
            ),
            (Seen { refused: Some(libc::EPERM), ..able() }, "CAP_SYS_BOOT"),
            (Seen { refused: Some(libc::EIO), ..able() }, "does not work: Input/output error"),
        ] {
            let words = seen.refusal().unwrap();
            assert!(words.contains(word), "{words}");
        }
    }

    #[test]
    fn each_refusal_of_a_kernel_has_its_own_words() {
        let seen = Seen { secure_boot: true, lockdown: Some("integrity".into()), ..able() };
        let words = |seen: &Seen, number| seen.why_not_loaded(&io::Error::from_raw_os_error(number));
        for (number, word) in [
            (libc::EPERM, "locked down (integrity) and starts no other one; Secure Boot is on"),
            (libc::ENODATA, "not signed"),
            (libc::ENOKEY, "a key that the running kernel does not trust; Secure Boot is on"),
            (libc::EKEYREJECTED, "rejects its signature"),
            (libc::ENOMEM, "not enough memory"),
            (libc::EADDRNOTAVAIL, "not enough memory"),
            (libc::ENOEXEC, "ENOEXEC"),
            (libc::ENOSYS, "CONFIG_KEXEC_FILE"),
            (libc::EBUSY, "EBUSY"),
            (libc::EINVAL, "refuses it: Invalid argument"),
        ] {
            assert!(words(&seen, number).contains(word), "{}", words(&seen, number));
        }
        assert_eq!(words(&able(), libc::EPERM), "the running kernel does not allow it (EPERM)");
    }

    #[test]
    fn memory_is_counted_where_it_is_known() {
        assert_eq!(able().lacks_memory(1 << 30), None);
        assert!(able().lacks_memory((1 << 30) + 1).unwrap().starts_with("not enough memory"));
        assert_eq!(Seen { available_bytes: None, ..able() }.lacks_memory(u64::MAX), None);
        let text = "MemTotal:  8 kB\nMemAvailable:    123 kB\n";
        assert_eq!(available_bytes(text), Some(123 * 1024));
        assert_eq!(available_bytes("MemAvailable: much\n"), None);
    }

    #[test]
    fn what_the_kernel_shows_is_read() {
        assert_eq!(locked_down("[none] integrity confidentiality\n"), None);
        assert_eq!(locked_down("none integrity [confidentiality]\n").as_deref(), Some("confidentiality"));
        let folder = tempfile::tempdir().unwrap();
        let system = System {
            sys: folder.path().join("sys"),
            proc: folder.path().join("proc"),
            dev: folder.path().join("dev"),
        };
        fs::create_dir_all(system.proc.join("sys/kernel")).unwrap();
        fs::create_dir_all(system.proc.join("1/root/sys/kernel/security")).unwrap();
        fs::write(system.proc.join("sys/kernel/kexec_load_disabled"), "1\n").unwrap();
        fs::write(system.proc.join("sys/kernel/kexec_load_limit_reboot"), "-1\n").unwrap();
        fs::write(
            system.proc.join("1/root/sys/kernel/security/lockdown"),
            "none [integrity] confidentiality\n",
        )
        .unwrap();
        let seen = Seen::look(&system);
        assert_eq!((seen.disabled, seen.limit, seen.secure_boot), (true, Some(-1), false));
        assert_eq!(seen.lockdown.as_deref(), Some("integrity"));
        assert_eq!(seen.available_bytes, None);
    }
}
