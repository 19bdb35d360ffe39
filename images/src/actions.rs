//! Which actions there are, as far as packing them goes: names and descriptions are the actions' own.

use common::variables::{ACTIONS, ActionSpec, CA_CERT};

/// Whether the action speaks TLS and gets the trusted certificates: it is the one that takes more of them.
pub fn speaks_tls(action: &ActionSpec) -> bool {
    action.variables.contains(&CA_CERT)
}

/// The action of that name.
///
/// # Errors
/// There is none; the message lists those there are.
pub fn by_name(name: &str) -> anyhow::Result<&'static ActionSpec> {
    ACTIONS.into_iter().find(|a| a.name == name).ok_or_else(|| {
        let names: Vec<_> = ACTIONS.iter().map(|a| a.name).collect();
        anyhow::anyhow!("{name:?} is no action; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_action_speaks_tls() {
        let speaking: Vec<_> = ACTIONS.into_iter().filter(|a| speaks_tls(a)).map(|a| a.name).collect();
        assert_eq!(speaking, ["stream-image"]);
        assert!(by_name("wipe").unwrap_err().to_string().contains("there are wipe-disk, stream-image"));
    }
}
