//! The meta-data: what is given, and on top of it the instance's id and the host's name.

use common::cause::Cause;
use common::failure::{Because, Failure};
use common::values::Values;
use common::variables::{INSTANCE_ID, LOCAL_HOSTNAME};
use common::yaml;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::payload::Payload;

/// The key of the instance's id, a change of which makes cloud-init run as if for the first time.
const ID: &str = "instance-id";
/// The key of the host's name.
const NAME: &str = "local-hostname";
/// Linux names a file in at most so many bytes, and cloud-init names a folder by the instance's id.
const ID_BYTES: usize = 255;

/// The meta-data as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaData {
    /// The content of the file.
    pub text: String,
    /// The instance's id.
    pub instance_id: String,
    /// The host's name, if one is given.
    pub local_hostname: Option<String>,
}

/// Makes the meta-data. Where nobody gives an instance's id, it is made from the content of all that is written, so that
/// a node whose user-data changed runs it.
///
/// # Errors
/// [`Cause::Configuration`] when something of it cannot be right.
pub fn make(
    values: &Values,
    given: Option<&Payload>,
    others: &[Option<&Payload>],
) -> Result<MetaData, Failure> {
    let mut map = given.map_or_else(|| Ok(Map::new()), read)?;
    if let Some(id) = values.given(&INSTANCE_ID) {
        if !is_instance_id(id) {
            return Err(Failure::configuration(
                &INSTANCE_ID,
                id,
                "1 to 255 visible ASCII characters without / (cloud-init names a folder by it)",
            ));
        }
        map.insert(ID.to_owned(), id.into());
    }
    if let Some(name) = values.given(&LOCAL_HOSTNAME) {
        if !is_host_name(name) {
            return Err(Failure::configuration(
                &LOCAL_HOSTNAME,
                name,
                "a DNS name: labels of 1 to 63 letters, digits and inner hyphens, joined by dots",
            ));
        }
        map.insert(NAME.to_owned(), name.into());
    }
    let instance_id = match text_of(&map, ID) {
        Some(id) => id,
        None => {
            let id = digest(&map, others);
            map.insert(ID.to_owned(), id.clone().into());
            id
        }
    };
    let local_hostname = text_of(&map, NAME);
    let text = serde_saphyr::to_string(&Value::Object(map)).because(Cause::Internal)?;
    Ok(MetaData { text, instance_id, local_hostname })
}

fn read(payload: &Payload) -> Result<Map<String, Value>, Failure> {
    let invalid = |why: &dyn std::fmt::Display| {
        let name = payload.variable;
        Failure::new(
            Cause::Configuration,
            format_args!("{name} is not valid: {why}; accepted: a YAML mapping"),
        )
    };
    match yaml::text(&payload.content).and_then(yaml::parse).map_err(|broken| invalid(&broken))? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(invalid(&"it is no mapping")),
    }
}

/// A scalar as a text; an empty one is none.
fn text_of(map: &Map<String, Value>, key: &str) -> Option<String> {
    match map.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

fn is_instance_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    (1..=ID_BYTES).contains(&id.len()) && id.bytes().all(plain) && !matches!(id, "." | "..")
}

/// RFC 1123, 2.1.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn digest(map: &Map<String, Value>, others: &[Option<&Payload>]) -> String {
    let mut hasher = Sha256::new();
    // Its keys have an order, so the text of one value is always the same.
    let meta_data = Value::Object(map.clone()).to_string();
    let contents = others.iter().map(|other| other.map_or(&[][..], |payload| &payload.content));
    for content in std::iter::once(meta_data.as_bytes()).chain(contents) {
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    let hex: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("nibs-{hex}")
}

#[cfg(test)]
mod tests {
    use common::variables::WRITE_CLOUD_INIT;

    use super::*;

    fn of(pairs: &[(&str, &str)], given: Option<&str>) -> Result<MetaData, Failure> {
        let values = Values::from_pairs(&WRITE_CLOUD_INIT, pairs).unwrap();
        let given = given.map(|text| Payload { variable: "META_DATA", content: text.into() });
        let user_data = Payload { variable: "USER_DATA", content: b"#cloud-config\n".to_vec() };
        make(&values, given.as_ref(), &[Some(&user_data), None])
    }

    #[test]
    fn what_is_named_goes_on_top() {
        let made = of(
            &[("INSTANCE_ID", "node-1"), ("LOCAL_HOSTNAME", "node-1.example")],
            Some("instance-id: other\nregion: here\npublic-keys: [a, b]\n"),
        )
        .unwrap();
        assert_eq!(
            made.text,
            "instance-id: node-1\nregion: here\npublic-keys:\n- a\n- b\nlocal-hostname: node-1.example\n"
        );
        assert_eq!(
            (made.instance_id.as_str(), made.local_hostname.as_deref()),
            ("node-1", Some("node-1.example"))
        );
    }

    #[test]
    fn what_is_given_stays() {
        let made = of(&[], Some("instance-id: 7\nlocal-hostname: x\n")).unwrap();
        assert_eq!(made.text, "instance-id: 7\nlocal-hostname: x\n");
        assert_eq!((made.instance_id.as_str(), made.local_hostname.as_deref()), ("7", Some("x")));
    }

    #[test]
    fn a_text_stays_a_text() {
        let made = of(&[("INSTANCE_ID", "52:54:00:12:34:56"), ("LOCAL_HOSTNAME", "1234")], None).unwrap();
        assert_eq!(made.text, "instance-id: \"52:54:00:12:34:56\"\nlocal-hostname: \"1234\"\n");
        let made = of(&[("INSTANCE_ID", "yes"), ("LOCAL_HOSTNAME", "0x1f")], None).unwrap();
        assert_eq!(made.text, "instance-id: \"yes\"\nlocal-hostname: \"0x1f\"\n");
    }

    #[test]
    fn an_id_is_made_from_the_content() {
        let id = |name: &str, given| of(&[("LOCAL_HOSTNAME", name)], given).unwrap().instance_id;
        assert_eq!(id("a", None), id("a", None));
        assert_eq!(id("a", None).len(), 37);
        assert_ne!(id("a", None), id("b", None));
        assert_ne!(id("a", None), id("a", Some("region: x")));
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        let long = "x".repeat(256);
        let label = "x".repeat(64);
        let name = ["x"; 128].join(".");
        for (variable, value) in [
            ("INSTANCE_ID", "a/b"),
            ("INSTANCE_ID", ".."),
            ("INSTANCE_ID", "a b"),
            ("INSTANCE_ID", "a\nb"),
            ("INSTANCE_ID", "\u{e4}"),
            ("INSTANCE_ID", &long),
            ("LOCAL_HOSTNAME", "a_b"),
            ("LOCAL_HOSTNAME", "-a"),
            ("LOCAL_HOSTNAME", "a-.b"),
            ("LOCAL_HOSTNAME", "a..b"),
            ("LOCAL_HOSTNAME", "a."),
            ("LOCAL_HOSTNAME", &label),
            ("LOCAL_HOSTNAME", &name),
        ] {
            let failure = of(&[(variable, value)], None).unwrap_err();
            assert_eq!(failure.cause, Cause::Configuration);
            assert!(
                failure.to_string().starts_with(&format!("{variable}={value:?} is not valid")),
                "{failure}"
            );
        }
        for (given, why) in [("- a\n", "it is no mapping"), ("a: b: hunter2\n", "line 1, column 5: a second")]
        {
            let failure = of(&[], Some(given)).unwrap_err().to_string();
            assert!(failure.starts_with(&format!("META_DATA is not valid: {why}")), "{failure}");
            assert!(!failure.contains("hunter2"));
        }
    }
}
