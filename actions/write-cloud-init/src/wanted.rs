//! The seed that is to be written, from the action's variables.

use common::cause::Cause;
use common::failure::Failure;
use common::values::Values;
use common::variables::{
    META_DATA, META_DATA_BASE64, NETWORK_CONFIG, NETWORK_CONFIG_BASE64, USER_DATA, USER_DATA_BASE64,
    VENDOR_DATA, VENDOR_DATA_BASE64,
};
use common::yaml;

use crate::format;
use crate::meta_data::{self, MetaData};
use crate::payload::{self, Payload};

/// A seed, checked.
#[derive(Debug)]
pub struct Wanted {
    /// The user-data.
    pub user_data: Payload,
    /// The vendor-data, if any.
    pub vendor_data: Option<Payload>,
    /// The network configuration for cloud-init, if any.
    pub network_config: Option<Payload>,
    /// The meta-data.
    pub meta_data: MetaData,
    /// What is in it, for the log.
    pub description: String,
}

/// Reads the variables.
///
/// # Errors
/// [`Cause::Configuration`], with nothing of the content.
pub fn read(values: &Values) -> Result<Wanted, Failure> {
    let user_data = payload::read(values, &USER_DATA, &USER_DATA_BASE64)?.ok_or_else(|| {
        Failure::new(
            Cause::Configuration,
            format_args!(
                "neither {} nor {} is given; the second takes: {}",
                USER_DATA.name, USER_DATA_BASE64.name, USER_DATA_BASE64.doc
            ),
        )
    })?;
    let vendor_data = payload::read(values, &VENDOR_DATA, &VENDOR_DATA_BASE64)?;
    let network_config = payload::read(values, &NETWORK_CONFIG, &NETWORK_CONFIG_BASE64)?;
    let meta_data = payload::read(values, &META_DATA, &META_DATA_BASE64)?;

    let mut description =
        format!("user-data: {}, {} bytes", format::check(&user_data)?.name(), user_data.content.len());
    if let Some(payload) = &vendor_data {
        description +=
            &format!("; vendor-data: {}, {} bytes", format::check(payload)?.name(), payload.content.len());
    }
    if let Some(payload) = &network_config {
        check_network_config(payload)?;
        description += &format!("; network-config: {} bytes", payload.content.len());
    }
    let others = [Some(&user_data), vendor_data.as_ref(), network_config.as_ref()];
    let meta_data = meta_data::make(values, meta_data.as_ref(), &others)?;
    Ok(Wanted { user_data, vendor_data, network_config, meta_data, description })
}

/// Both shapes that cloud-init takes: with a `network:` around it and without.
fn check_network_config(payload: &Payload) -> Result<(), Failure> {
    let invalid = |why: &dyn std::fmt::Display| {
        let name = payload.variable;
        Failure::new(
            Cause::Configuration,
            format_args!(
                "{name} is not valid: {why}; accepted: cloud-init's network configuration, a mapping with `version: 1` or `version: 2`"
            ),
        )
    };
    let config = yaml::text(&payload.content).and_then(yaml::parse).map_err(|broken| invalid(&broken))?;
    let config = config.get("network").unwrap_or(&config);
    let version = config.get("version").and_then(serde_json::Value::as_u64);
    match version {
        Some(1 | 2) => Ok(()),
        Some(_) => Err(invalid(&"its version is neither 1 nor 2")),
        None => Err(invalid(&"it has no version")),
    }
}

#[cfg(test)]
mod tests {
    use common::variables::WRITE_CLOUD_INIT;

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Wanted, String> {
        read(&Values::from_pairs(&WRITE_CLOUD_INIT, pairs).unwrap()).map_err(|failure| {
            assert_eq!(failure.cause, Cause::Configuration);
            failure.to_string()
        })
    }

    const CLOUD_CONFIG: (&str, &str) = ("USER_DATA", "#cloud-config\n");

    #[test]
    fn user_data_must_be_given() {
        let message = of(&[("USER_DATA", "")]).unwrap_err();
        assert!(
            message.starts_with("neither USER_DATA nor USER_DATA_BASE64 is given; the second takes: "),
            "{message}"
        );
    }

    #[test]
    fn vendor_data_is_checked_like_user_data() {
        let message = of(&[CLOUD_CONFIG, ("VENDOR_DATA", "hunter2")]).unwrap_err();
        assert!(message.starts_with("VENDOR_DATA is not valid: it is in no format"), "{message}");
        let wanted = of(&[CLOUD_CONFIG, ("VENDOR_DATA_BASE64", "IyEvYmluL3NoCg==")]).unwrap();
        assert_eq!(wanted.description, "user-data: cloud-config, 14 bytes; vendor-data: script, 10 bytes");
    }

    #[test]
    fn a_network_configuration_has_a_version() {
        for good in
            ["version: 2\nethernets: {}\n", "network:\n  version: 1\n  config: []\n", "{\"version\": 2}"]
        {
            assert!(of(&[CLOUD_CONFIG, ("NETWORK_CONFIG", good)]).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("ethernets: {}\n", "it has no version"),
            ("network:\n", "it has no version"),
            ("version: 3\n", "its version is neither 1 nor 2"),
            ("a: [\n", "line 1"),
            ("- version: 1\n", "it has no version"),
        ] {
            let message = of(&[CLOUD_CONFIG, ("NETWORK_CONFIG", bad)]).unwrap_err();
            assert!(message.starts_with(&format!("NETWORK_CONFIG is not valid: {why}")), "{message}");
        }
    }

    #[test]
    fn nothing_secret_is_in_the_debug_form() {
        let wanted = of(&[("USER_DATA", "#!/bin/sh\nhunter2\n"), ("VENDOR_DATA", "#!hunter2")]).unwrap();
        assert!(!format!("{wanted:?}").contains("hunter2"), "{wanted:?}");
    }
}
