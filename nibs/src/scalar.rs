//! Writing text as a YAML scalar that every reader takes for that text.
//!
//! Readers of YAML 1.1 (kubectl, cloud-init, netplan) know numbers that 1.2 does not: `52:54:00:12:34:56` is one, in
//! base 60. What could be taken for anything but text is quoted, and little else, much as kubectl does it.

use crate::node::{Plain, plain};

/// The text as it may stand after `key: `.
pub fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn is_plain(text: &str) -> bool {
    // A colon within a word is no mapping; one at its end is.
    let word = |b: u8| b.is_ascii_alphanumeric() || b"_./:?&=%+~@-".contains(&b);
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && !text.ends_with(':')
        && text.bytes().all(word)
        && plain(text) == Plain::Text
        && !is_base_60(text)
        && !is_date(text)
}

/// A number in base 60 (https://yaml.org/type/int.html, and float.html), and whatever else is digits and colons: a MAC
/// is quoted whether or not it has a letter in it.
fn is_base_60(text: &str) -> bool {
    text.contains(':') && text.bytes().all(|b| b.is_ascii_hexdigit() || b"_.:".contains(&b))
}

/// `2001-12-14`, https://yaml.org/type/timestamp.html
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_where_kubectl_writes_it_plain() {
        for text in [
            "node9",
            "192.0.2.19/26",
            "192.0.2.1",
            "http://192.0.2.99/u.raw.gz?a=b&c=d",
            "I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogeAo=",
            "enp1s0",
            "2001:db8::1/64",
        ] {
            assert_eq!(scalar(text), text);
        }
    }

    #[test]
    fn quoted_where_something_else_would_be_read() {
        for text in [
            "",
            "3",
            "02:00:00:00:00:09",
            "52:54:00:12:34:56",
            "de:ad:be:ef:00:01",
            "1:30",
            "1e3",
            "0x1f",
            "yes",
            "N",
            "null",
            "~",
            "2026-11-23",
            "-",
            "- a",
            "a: b",
            "a #b",
            "a:",
            "#a",
            "&a",
            "*a",
            "!a",
            "%a",
            "@a",
            "`a",
            "{a}",
            "[a]",
            "'a",
            "\"a",
            " a",
            "a ",
            "a\nb",
            "a\tb",
            "ä",
            "=",
            "<<",
            ".inf",
            "+1",
            "1_000",
            "a,b",
        ] {
            let written = scalar(text);
            assert!(written.starts_with('"'), "{written}");
            // JSON's escapes are YAML's.
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            let read: std::collections::BTreeMap<String, String> =
                serde_saphyr::from_str(&format!("k: {written}\n")).unwrap();
            assert_eq!(read["k"], text);
        }
    }
}
