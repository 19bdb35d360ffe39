//! Whether this container can take its host down.

use std::fs;

use anyhow::Context;
use common::cause::Cause;
use common::failure::{Because, Failure};

/// Bits of linux/capability.h: the first two to enter the host's namespaces (setns(2)), the last to take it down.
const NEEDED: [(u32, &str); 3] = [(18, "CAP_SYS_CHROOT"), (21, "CAP_SYS_ADMIN"), (22, "CAP_SYS_BOOT")];

/// What this process sees of itself and of the first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The own process number.
    pub pid: u32,
    /// The own mount namespace.
    pub own_mounts: String,
    /// The mount namespace of process 1; nothing where it cannot be read.
    pub first_mounts: Option<String>,
    /// The effective capabilities as a bit set.
    pub capabilities: u64,
}

impl Seen {
    /// Looks.
    ///
    /// # Errors
    /// [`Cause::Internal`] when /proc does not say.
    pub fn look() -> Result<Self, Failure> {
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt"));
        let own_mounts =
            namespace("self").context("reading the own mount namespace").because(Cause::Internal)?;
        let status = fs::read_to_string("/proc/self/status")
            .context("reading the own capabilities")
            .because(Cause::Internal)?;
        Ok(Self {
            pid: std::process::id(),
            own_mounts: own_mounts.to_string_lossy().into_owned(),
            first_mounts: namespace("1").ok().map(|link| link.to_string_lossy().into_owned()),
            capabilities: effective_capabilities(&status),
        })
    }
}

/// Fails where the hand-over cannot work, and says what to add to the Template.
///
/// # Errors
/// [`Cause::PidHost`] or [`Cause::Privilege`].
pub fn check(seen: &Seen) -> Result<(), Failure> {
    for (bit, name) in NEEDED {
        if seen.capabilities & (1 << bit) == 0 {
            return Err(Failure::new(
                Cause::Privilege,
                format_args!(
                    "the container lacks {name}; agents run actions privileged, so run this one as they do"
                ),
            ));
        }
    }
    // With `pid: host` process 1 is the in-memory OS's, which has mounts of its own.
    let sees_host =
        seen.pid != 1 && seen.first_mounts.as_ref().is_some_and(|first| *first != seen.own_mounts);
    if sees_host {
        return Ok(());
    }
    Err(Failure::new(
        Cause::PidHost,
        "process 1 is in this container, so the machine cannot be taken down from here; add `pid: host` to this action in the Template",
    ))
}

fn effective_capabilities(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_container() -> Seen {
        Seen {
            pid: 812,
            own_mounts: "mnt:[4026532650]".into(),
            first_mounts: Some("mnt:[4026531841]".into()),
            capabilities: effective_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n"),
        }
    }

    #[test]
    fn a_privileged_container_with_the_hosts_processes_can() {
        check(&in_container()).unwrap();
    }

    #[test]
    fn without_the_hosts_processes_it_says_what_to_add() {
        let alone = Seen { pid: 1, ..in_container() };
        let second = Seen { first_mounts: Some(in_container().own_mounts), ..in_container() };
        let blind = Seen { first_mounts: None, ..in_container() };
        for seen in [alone, second, blind] {
            let failure = check(&seen).unwrap_err();
            assert_eq!(failure.cause, Cause::PidHost);
            assert!(failure.to_string().contains("add `pid: host`"), "{failure}");
        }
    }

    #[test]
    fn without_privilege_it_names_what_is_missing() {
        let failure = check(&Seen { capabilities: 1 << 18 | 1 << 21, ..in_container() }).unwrap_err();
        assert_eq!(failure.cause, Cause::Privilege);
        assert!(failure.to_string().contains("CAP_SYS_BOOT"), "{failure}");
    }
}
