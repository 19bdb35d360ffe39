//! The user-data: what it is, whether it fits, and never what it says. It holds the credential of a future node.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::variables::USER_DATA_BASE64;

use crate::finding::Findings;
use crate::node::{self, Value};

/// The longest environment string that Linux passes to a program, without the NUL at its end (MAX_ARG_STRLEN in
/// include/uapi/linux/binfmts.h, 32 pages).
const LONGEST_ENVIRONMENT_STRING_BYTES: usize = 32 * 4096 - 1;

/// The most user-data that an action can be given: in base64, with the variable's name before it.
pub const MAX_BYTES: usize = (LONGEST_ENVIRONMENT_STRING_BYTES - USER_DATA_BASE64.name.len() - 1) / 4 * 3;

/// How cloud-init or Ignition takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `#cloud-config`
    CloudConfig,
    /// Everything else that cloud-init takes: scripts, MIME, includes, gzip of any.
    OtherCloudInit,
    /// Ignition's JSON.
    Ignition,
}

/// User-data, as it was given.
#[derive(Clone)]
pub struct UserData {
    /// The file's name as it was given.
    pub file: String,
    /// What it is.
    pub form: Form,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for UserData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserData {{ file: {:?}, form: {:?}, {} bytes }}", self.file, self.form, self.bytes.len())
    }
}

impl UserData {
    /// As KKP passes it: standard base64.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }
}

/// What the bytes are, if they are user-data at all: by their beginning, as cloud-init looks at it.
pub fn form(bytes: &[u8]) -> Option<Form> {
    const BEGINNINGS: [&str; 9] = [
        "#!",
        "#include",
        "#cloud-boothook",
        "#cloud-config-archive",
        "#cloud-config-jsonp",
        "#part-handler",
        "## template: jinja",
        "content-type:",
        "mime-version:",
    ];
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Some(Form::OtherCloudInit);
    }
    let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
    let first_line = text.lines().next().unwrap_or_default().to_ascii_lowercase();
    if BEGINNINGS.iter().any(|b| first_line.starts_with(b)) {
        return Some(Form::OtherCloudInit);
    }
    if first_line.starts_with("#cloud-config") {
        return Some(Form::CloudConfig);
    }
    if text.starts_with('{') {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        return json.get("ignition").map(|_| Form::Ignition);
    }
    None
}

/// Takes the bytes as user-data, and says what is wrong with them.
pub fn check(file: &str, bytes: Vec<u8>, findings: &mut Findings) -> Option<UserData> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        findings.in_file(
            file,
            None,
            "user-data: empty; #cloud-config, a script, MIME or Ignition's JSON is accepted",
        );
        return None;
    }
    let Some(form) = form(&bytes) else {
        let message = "user-data: its first line is no beginning that cloud-init or Ignition knows; #cloud-config, #!, \
                       MIME headers, ## template: jinja, gzip or Ignition's JSON is accepted";
        findings.in_file(file, None, message);
        return None;
    };
    if bytes.len() > MAX_BYTES {
        let message = format!(
            "user-data: {} bytes; at most {MAX_BYTES} are accepted, since {} is one environment string; gzip of it is \
             accepted",
            bytes.len(),
            USER_DATA_BASE64.name
        );
        findings.in_file(file, None, message);
    }
    if form == Form::CloudConfig {
        check_cloud_config(file, &String::from_utf8_lossy(&bytes), findings);
    }
    Some(UserData { file: file.to_owned(), form, bytes })
}

/// cloud-init passes over a cloud-config that is no YAML mapping, and the machine comes up without it.
fn check_cloud_config(file: &str, text: &str, findings: &mut Findings) {
    let parsed = node::parse(text);
    for (at, _) in &parsed.problems {
        findings.in_file(file, Some(*at), "user-data: no YAML from here on; what it says is not shown");
    }
    match &parsed.documents[..] {
        [] if parsed.problems.is_empty() => {
            findings.in_file(file, None, "user-data: a cloud-config without content; a mapping is accepted");
        }
        [first, ..] if !matches!(first.value, Value::Map(_)) => {
            let message = format!("user-data: the cloud-config is {}; a mapping is accepted", first.kind());
            findings.in_file(file, Some(first.at), message);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        let mut findings = Findings::default();
        check("u", bytes.to_vec(), &mut findings);
        findings.report()
    }

    #[test]
    fn each_form_by_its_beginning() {
        for (bytes, expected) in [
            (&b"#cloud-config\nhostname: x\n"[..], Some(Form::CloudConfig)),
            (b"\n#Cloud-Config\n{}\n", Some(Form::CloudConfig)),
            (b"#!/bin/sh\n", Some(Form::OtherCloudInit)),
            (b"## template: jinja\n#cloud-config\n", Some(Form::OtherCloudInit)),
            (b"Content-Type: multipart/mixed; boundary=x\n", Some(Form::OtherCloudInit)),
            (b"#cloud-config-archive\n- x\n", Some(Form::OtherCloudInit)),
            (&[0x1f, 0x8b, 8], Some(Form::OtherCloudInit)),
            (b"{\"ignition\": {\"version\": \"2.3.0\"}}", Some(Form::Ignition)),
            (b"{\"kind\": \"Hardware\"}", None),
            (b"apiVersion: v1\n", None),
            (b"# a comment\nkind: Seed\n", None),
        ] {
            assert_eq!(form(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_it_says_is_never_shown() {
        let broken = b"#cloud-config\nusers:\n  - name: [secret-token\nb: }\n";
        let said_of = said(broken);
        assert!(said_of.starts_with("u:") && said_of.contains("no YAML from here on"), "{said_of}");
        assert!(!said_of.contains("secret"), "{said_of}");
        assert!(
            said(b"#cloud-config\n- secret\n")
                .contains("u:2:1: error: user-data: the cloud-config is a list")
        );
        assert!(said(b"secret\n").contains("no beginning that"));
        assert!(!said(b"secret\n").contains("secret"));
        let data = check("u", b"#cloud-config\nsecret: 1\n".to_vec(), &mut Findings::default());
        assert_eq!(format!("{data:?}"), "Some(UserData { file: \"u\", form: CloudConfig, 24 bytes })");
    }

    #[test]
    fn empty_ones_are_refused() {
        assert!(said(b" \n").contains("user-data: empty"));
        assert!(said(b"#cloud-config\n").contains("without content"));
    }

    #[test]
    fn as_much_as_one_environment_string_holds() {
        // Passed and failed when measured: 98,017 and 100,017 bytes.
        assert_eq!(MAX_BYTES, 98_289);
        let of = |bytes: usize| {
            let mut data = b"#cloud-config\n{a: ".to_vec();
            data.resize(bytes - 1, b'x');
            data.push(b'}');
            data
        };
        assert_eq!(said(&of(MAX_BYTES)), "");
        let data = check("u", of(MAX_BYTES), &mut Findings::default()).unwrap();
        assert!("USER_DATA_BASE64=".len() + data.base64().len() <= LONGEST_ENVIRONMENT_STRING_BYTES);
        assert!(said(&of(MAX_BYTES + 1)).contains("98290 bytes; at most 98289 are accepted"));
    }
}
