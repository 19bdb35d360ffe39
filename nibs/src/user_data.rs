//! The user-data: what it is, whether it fits, and never what it says. It holds the credential of a future node.

mod mime;
pub mod whose;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::variables::USER_DATA_BASE64;

use crate::code::{self, Code};
use crate::field::Field;
use crate::finding::{Finding, Findings};
use crate::node::{self, Position, Value};

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
    /// Whether it lets somebody log in.
    pub has_login: bool,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for UserData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserData {{ file: {:?}, form: {:?}, {} bytes }}", self.file, self.form, self.bytes.len())
    }
}

impl UserData {
    fn new(file: String, form: Form, bytes: Vec<u8>) -> Self {
        UserData { file, form, has_login: lets_log_in(&bytes), bytes }
    }

    /// How long it is in base64.
    pub fn packed_bytes(&self) -> usize {
        self.bytes.len().div_ceil(3) * 4
    }

    /// As KKP passes it to the machine of this name: in standard base64, with the name in the place of its placeholder
    /// (machine-controller, pkg/controller/machine/bootstrap.go).
    ///
    /// # Errors
    /// It is more than an action can be given, once the name is in it: the number of bytes.
    pub fn base64(&self, machine: &str) -> Result<String, usize> {
        const PLACEHOLDERS: [&str; 2] = ["<MACHINE_NAME>", "%3CMACHINE_NAME%3E"];
        let mut bytes = Cow::Borrowed(&self.bytes[..]);
        if let Ok(text) = std::str::from_utf8(&self.bytes)
            && PLACEHOLDERS.iter().any(|p| text.contains(p))
        {
            let named = PLACEHOLDERS.iter().fold(text.to_owned(), |text, p| text.replace(p, machine));
            bytes = Cow::Owned(named.into_bytes());
        }
        if bytes.len() > MAX_BYTES { Err(bytes.len()) } else { Ok(STANDARD.encode(bytes)) }
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
        // All but the one key is passed over, however much it is.
        #[derive(serde::Deserialize)]
        struct Probe {
            ignition: Option<serde::de::IgnoredAny>,
        }
        let probe: Probe = serde_json::from_str(text).ok()?;
        return probe.ignition.map(|_| Form::Ignition);
    }
    None
}

/// Something that is wrong with user-data, without anything that it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is.
    pub code: &'static Code,
    /// Where in the user-data.
    pub at: Option<Position>,
    /// How it is wrong.
    pub note: Option<String>,
}

impl Fault {
    fn new(code: &'static Code, at: Option<Position>, note: &str) -> Self {
        Fault { code, at, note: Some(note.to_owned()).filter(|n| !n.is_empty()) }
    }
}

/// What the bytes are as user-data, and what is wrong with them.
pub fn inspect(bytes: &[u8]) -> (Option<Form>, Vec<Fault>) {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return (None, vec![Fault::new(&code::USER_DATA_EMPTY, None, "")]);
    }
    let Some(form) = form(bytes) else {
        return (None, vec![Fault::new(&code::USER_DATA_FORM, Some(Position { line: 1, column: 1 }), "")]);
    };
    let mut faults = Vec::new();
    if bytes.len() > MAX_BYTES {
        let note = too_large(bytes.len());
        faults.push(Fault::new(&code::USER_DATA_LARGE, None, &note));
        // What is wrong inside is not looked for in what cannot be passed on.
        return (Some(form), faults);
    }
    let text = String::from_utf8_lossy(bytes);
    if form == Form::CloudConfig {
        check_cloud_config(&text, 0, &mut faults);
    } else if mime::is_mime(&text) {
        mime::check(&text, &mut faults);
    }
    (Some(form), faults)
}

/// What is said of too much.
pub fn too_large(bytes: usize) -> String {
    format!("{bytes} bytes; {} takes at most {MAX_BYTES}", USER_DATA_BASE64.name)
}

/// Takes a file's bytes as user-data, and says what is wrong with them.
pub fn check(file: &str, bytes: Vec<u8>, findings: &mut Findings) -> Option<UserData> {
    let (form, faults) = inspect(&bytes);
    for Fault { code, at, note } in faults {
        findings.push(Finding { note, ..Finding::in_file(code, file, at) });
    }
    Some(UserData::new(file.to_owned(), form?, bytes))
}

/// The same for user-data that an object carries.
pub fn check_field(field: &Field<'_>, bytes: &[u8], findings: &mut Findings) -> Option<Form> {
    let (form, faults) = inspect(bytes);
    for Fault { code, at, note } in faults {
        let line = at.map(|at| format!("line {} of it", at.line));
        let parts: Vec<String> = note.into_iter().chain(line).collect();
        let note = Some(parts.join("; ")).filter(|n| !n.is_empty());
        findings.push(Finding { note, ..field.finding(code).shown("(not shown)") });
    }
    form
}

/// cloud-init passes over a cloud-config that is no YAML mapping, and the machine comes up without it. `before` lines
/// are above the text.
fn check_cloud_config(text: &str, before: u32, faults: &mut Vec<Fault>) {
    let parsed = node::parse(text);
    let below = |at: Position| Some(Position { line: at.line + before, ..at });
    for (at, fault) in &parsed.problems {
        // A parser's words may repeat what stands there.
        let note = match fault {
            node::Fault::Form(_) => "no YAML from here on",
            node::Fault::Twice(_) => "a key is there twice in one mapping",
        };
        faults.push(Fault::new(&code::USER_DATA_YAML, below(*at), note));
    }
    match &parsed.documents[..] {
        [] if parsed.problems.is_empty() => {
            faults.push(Fault::new(&code::USER_DATA_MAPPING, None, "it has no content"));
        }
        [first, ..] if !matches!(first.value, Value::Map(_)) => {
            let note = format!("it is {}", first.kind());
            faults.push(Fault::new(&code::USER_DATA_MAPPING, below(first.at), &note));
        }
        _ => {}
    }
}

/// Whether the user-data lets somebody log in: by words that every form of it uses.
fn lets_log_in(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    // What is packed may have one.
    bytes.starts_with(&[0x1f, 0x8b])
        || ["ssh_authorized_keys", "ssh-authorized-keys", "sshAuthorizedKeys", "passwd", "password"]
            .iter()
            .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        let mut findings = Findings::default();
        check("u", bytes.to_vec(), &mut findings);
        findings.report(false)
    }

    fn codes(bytes: &[u8]) -> Vec<&'static str> {
        inspect(bytes).1.iter().map(|f| f.code.id).collect()
    }

    #[test]
    fn each_mistake_has_its_code_and_what_is_near_it_has_none() {
        for (wrong, code, right) in [
            (" \n", "N0501", "#!/bin/sh\n"),
            ("hostname: x\n", "N0502", "#cloud-config\nhostname: x\n"),
            ("#cloud-config\na: [\n", "N0503", "#cloud-config\na: []\n"),
            ("#cloud-config\na: 1\na: 2\n", "N0503", "#cloud-config\na: 1\nb: 2\n"),
            ("#cloud-config\n- a\n", "N0504", "#cloud-config\na: [a]\n"),
            ("#cloud-config\n", "N0504", "#cloud-config\n{}\n"),
            (
                "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n",
                "N0505",
                "Content-Type: text/plain\n\n#!/bin/sh\n",
            ),
        ] {
            assert_eq!(codes(wrong.as_bytes()), [code], "{wrong}");
            assert_eq!(codes(right.as_bytes()), [""; 0], "{right}");
        }
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
        assert!(said_of.contains("--> u:") && said_of.contains("no YAML from here on"), "{said_of}");
        assert!(!said_of.contains("secret"), "{said_of}");
        assert!(said(b"#cloud-config\n- secret\n").contains("  --> u:2:1\n   = it is a list\n"));
        assert!(said(b"secret\n").contains("N0502"));
        assert!(!said(b"secret\n").contains("secret"));
        let data = check("u", b"#cloud-config\nsecret: 1\n".to_vec(), &mut Findings::default());
        assert_eq!(format!("{data:?}"), "Some(UserData { file: \"u\", form: CloudConfig, 24 bytes })");
    }

    #[test]
    fn the_machines_name_takes_its_place() {
        let of = |text: &str, name: &str| {
            let data = check("u", text.into(), &mut Findings::default()).unwrap();
            data.base64(name).map(|packed| String::from_utf8(STANDARD.decode(packed).unwrap()).unwrap())
        };
        let text = "#cloud-config\nhostname: <MACHINE_NAME>\nx: data:,%3CMACHINE_NAME%3E\n";
        assert_eq!(of(text, "node9").unwrap(), "#cloud-config\nhostname: node9\nx: data:,node9\n");
        let longest = format!("#!{}<MACHINE_NAME>", " ".repeat(MAX_BYTES - 16));
        assert!(of(&longest, &"a".repeat(14)).is_ok());
        assert_eq!(of(&longest, &"a".repeat(15)), Err(MAX_BYTES + 1));
    }

    #[test]
    fn empty_ones_are_refused() {
        assert!(said(b" \n").contains("N0501"));
        assert!(said(b"#cloud-config\n").contains("no content"));
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
        assert!(
            "USER_DATA_BASE64=".len() + data.base64("x").unwrap().len() <= LONGEST_ENVIRONMENT_STRING_BYTES
        );
        assert!(said(&of(MAX_BYTES + 1)).contains("98290 bytes; USER_DATA_BASE64 takes at most 98289"));
    }
}
