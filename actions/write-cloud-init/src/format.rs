//! Which of cloud-init's formats a document is in. What cloud-init does not know it leaves out with a word in its log,
//! and the node never joins; so it is refused here.
//!
//! The rules are those of cloud-init's `convert_string` (user_data.py) and `type_from_starts_with`
//! (handlers/__init__.py): gzip is taken off, a MIME message is told by `MIME-Version:` in its first 4096 bytes, the rest
//! by how it begins, whatever the case and the white space before.

use std::io::Read;

use common::cause::Cause;
use common::failure::Failure;
use common::yaml;
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::payload::{Payload, decodes_to};

/// The beginnings, longest first where one begins with another.
const BEGINNINGS: &[(&str, Format)] = &[
    ("#cloud-config-archive", Format::Archive),
    ("#cloud-config-jsonp", Format::JsonPatch),
    ("#cloud-config", Format::CloudConfig),
    ("#cloud-boothook", Format::Boothook),
    ("#part-handler", Format::PartHandler),
    ("#include-once", Format::Include),
    ("#include", Format::Include),
    ("## template: jinja", Format::Jinja),
    ("#!", Format::Script),
];
/// The formats, for an error.
const ACCEPTED: &str = "what begins with #cloud-config, #!, #include, #cloud-boothook, #part-handler, \
                        #cloud-config-archive or ## template: jinja, a MIME message, or gzip of one of these";
/// gzip can hold a thousand times its size.
const UNPACKED_LIMIT_BYTES: u64 = 16 << 20;
/// cloud-init looks no further for `MIME-Version:`.
const MIME_HEAD_BYTES: usize = 4096;

/// A format that cloud-init knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `#cloud-config`
    CloudConfig,
    /// `#cloud-config-archive`
    Archive,
    /// `#cloud-config-jsonp`
    JsonPatch,
    /// `#cloud-boothook`
    Boothook,
    /// `#part-handler`
    PartHandler,
    /// `#include` and `#include-once`
    Include,
    /// `## template: jinja`
    Jinja,
    /// `#!`
    Script,
    /// A MIME message.
    Mime,
}

impl Format {
    /// For a log line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudConfig => "cloud-config",
            Self::Archive => "cloud-config-archive",
            Self::JsonPatch => "cloud-config-jsonp",
            Self::Boothook => "boothook",
            Self::PartHandler => "part-handler",
            Self::Include => "include",
            Self::Jinja => "jinja template",
            Self::Script => "script",
            Self::Mime => "MIME message",
        }
    }

    /// What a document that begins so must be.
    fn accepted(self) -> &'static str {
        match self {
            Self::CloudConfig => "a YAML mapping below #cloud-config",
            Self::Archive => "a YAML list below #cloud-config-archive",
            Self::JsonPatch => "a JSON patch below #cloud-config-jsonp",
            Self::Jinja => "#cloud-config, #! or another beginning in the second line",
            Self::Mime => "a whole MIME message, as `cloud-init devel make-mime` writes it",
            Self::Boothook | Self::PartHandler | Self::Include | Self::Script => "anything",
        }
    }
}

/// Tells the format of a document, and checks what can be checked of it.
///
/// # Errors
/// [`Cause::Configuration`] when it is empty, in no format that cloud-init knows, or YAML that is broken. The message names
/// the line and repeats nothing.
pub fn check(payload: &Payload) -> Result<Format, Failure> {
    let unpacked;
    let mut content = payload.content.as_slice();
    let mut where_ = "";
    if content.starts_with(&[0x1f, 0x8b]) {
        unpacked = unpack(payload.variable, content)?;
        content = &unpacked;
        where_ = " (inside the gzip)";
    }
    let invalid = |why: &str| {
        Failure::new(Cause::Configuration, format_args!("{}{where_} is not valid: {why}", payload.variable))
    };
    if content.trim_ascii().is_empty() {
        return Err(invalid(&format!("it is empty; accepted: {ACCEPTED}")));
    }
    let Some(format) = recognise(content) else {
        return Err(invalid(&format!("{}; accepted: {ACCEPTED}", guess(payload.variable, content))));
    };
    match format {
        Format::CloudConfig => expect(content, "a mapping", |value| value.is_object() || value.is_null()),
        Format::Archive => expect(content, "a list", Value::is_array),
        Format::JsonPatch => {
            expect(content, "a list or a mapping", |value| value.is_array() || value.is_object())
        }
        Format::Jinja => rendered_format(content),
        Format::Mime => mime(content),
        Format::Boothook | Format::PartHandler | Format::Include | Format::Script => Ok(()),
    }
    .map_err(|why| invalid(&format!("{why}; accepted: {}", format.accepted())))?;
    Ok(format)
}

fn unpack(variable: &str, content: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(content).take(UNPACKED_LIMIT_BYTES + 1).read_to_end(&mut unpacked);
    let why = match read {
        Err(_) => "its gzip is broken or cut off".to_owned(),
        Ok(_) if unpacked.len() as u64 > UNPACKED_LIMIT_BYTES => {
            format!("it unpacks to more than {UNPACKED_LIMIT_BYTES} bytes")
        }
        Ok(_) => return Ok(unpacked),
    };
    Err(Failure::new(
        Cause::Configuration,
        format_args!("{variable} is not valid: {why}; accepted: {ACCEPTED}"),
    ))
}

fn recognise(content: &[u8]) -> Option<Format> {
    if let Some(format) = beginning(content) {
        return Some(format);
    }
    let head = &content[..content.len().min(MIME_HEAD_BYTES)];
    let said = head.to_ascii_lowercase().windows(13).any(|window| window == b"mime-version:");
    said.then_some(Format::Mime)
}

fn beginning(content: &[u8]) -> Option<Format> {
    let content = content.trim_ascii_start();
    let begins =
        |with: &str| content.get(..with.len()).is_some_and(|own| own.eq_ignore_ascii_case(with.as_bytes()));
    BEGINNINGS.iter().find(|(with, _)| begins(with)).map(|(_, format)| *format)
}

/// What a document of no format may have been meant to be.
fn guess(variable: &str, content: &[u8]) -> String {
    let text = content.trim_ascii_start();
    let begins =
        |with: &str| text.get(..with.len()).is_some_and(|own| own.eq_ignore_ascii_case(with.as_bytes()));
    let json: Option<Value> = serde_json::from_slice(content).ok();
    if json.is_some_and(|json| json.get("ignition").is_some()) {
        return "it is an Ignition configuration, which cloud-init does not read: the image needs one that does \
                (Flatcar, Fedora CoreOS), and this action is not for those"
            .into();
    }
    if content.starts_with(b"\xef\xbb\xbf")
        || content.starts_with(b"\xff\xfe")
        || content.starts_with(b"\xfe\xff")
    {
        return "it begins with a byte order mark; leave that out".into();
    }
    if begins("# cloud-config") {
        return "`# cloud-config` with a space is only a comment".into();
    }
    if begins("content-type:") {
        return "it is a MIME message without `MIME-Version: 1.0` in its first 4096 bytes, by which cloud-init tells one".into();
    }
    if decodes_to(content)
        .is_some_and(|decoded| recognise(&decoded).is_some() || decoded.starts_with(&[0x1f, 0x8b]))
    {
        return match variable.strip_suffix("_BASE64") {
            None => format!("it is base64; give it as {variable}_BASE64"),
            Some(_) => "it is base64 twice".into(),
        };
    }
    "it is in no format that cloud-init knows".into()
}

fn expect(content: &[u8], kind: &str, is: impl Fn(&Value) -> bool) -> Result<(), String> {
    match yaml::text(content).and_then(yaml::parse) {
        Err(broken) => Err(format!("its YAML is broken: {broken}")),
        Ok(value) if is(&value) => Ok(()),
        Ok(_) => Err(format!("its YAML is no {}", kind.trim_start_matches("a "))),
    }
}

/// A template can only be looked at: what it becomes depends on the machine.
fn rendered_format(content: &[u8]) -> Result<(), String> {
    let rest = content.trim_ascii_start().iter().position(|byte| *byte == b'\n');
    let rest = rest.map_or(&[][..], |end| &content.trim_ascii_start()[end..]);
    match beginning(rest) {
        Some(format) if format != Format::Jinja => Ok(()),
        _ => {
            Err(format!("after its first line a template must go on as another format; accepted: {ACCEPTED}"))
        }
    }
}

/// A message of several parts must have one that begins.
fn mime(content: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(content).replace("\r\n", "\n");
    let (headers, body) = text.split_once("\n\n").ok_or("its MIME headers do not end with an empty line")?;
    // A header goes on in the next line when that begins with white space.
    let headers = headers.replace("\n ", " ").replace("\n\t", " ");
    let header = headers.lines().find(|line| line.to_ascii_lowercase().starts_with("content-type:"));
    let Some(header) = header.filter(|header| header.to_ascii_lowercase().contains("multipart/")) else {
        return Ok(());
    };
    let at = header.to_ascii_lowercase().find("boundary=").ok_or("its MIME header has no boundary")?;
    let value = &header[at + "boundary=".len()..];
    let boundary = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split([';', ' ']).next(),
    };
    let begin = format!("--{}", boundary.unwrap_or_default());
    if body.lines().any(|line| line.trim_end() == begin) {
        Ok(())
    } else {
        Err("it is a MIME message without a part".into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn of(content: &[u8]) -> Result<Format, String> {
        check(&Payload { variable: "USER_DATA", content: content.into() }).map_err(|failure| {
            assert_eq!(failure.cause, Cause::Configuration);
            failure.to_string()
        })
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_format_is_known() {
        for (content, format) in [
            ("#cloud-config\nhostname: x\n", Format::CloudConfig),
            ("#cloud-config\n", Format::CloudConfig),
            ("\n \t#Cloud-Config\nhostname: x\n", Format::CloudConfig),
            ("#cloud-config-archive\n- type: text/cloud-config\n", Format::Archive),
            ("#cloud-config-jsonp\n[{\"op\": \"add\", \"path\": \"/x\", \"value\": 1}]\n", Format::JsonPatch),
            ("#!/bin/sh\n: [ {\n", Format::Script),
            ("#cloud-boothook\necho\n", Format::Boothook),
            ("#part-handler\n", Format::PartHandler),
            ("#include\nhttps://192.0.2.1/x\n", Format::Include),
            ("#include-once\nhttps://192.0.2.1/x\n", Format::Include),
            ("## template: jinja\n#cloud-config\n{% if x %}\na: [\n", Format::Jinja),
            (
                "Content-Type: multipart/mixed;\n boundary=\"x y\"\nMIME-Version: 1.0\n\n--x y\n\nhello\n--x y--\n",
                Format::Mime,
            ),
            (
                "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=xy\r\n\r\n--xy\r\n\r\n--xy--\r\n",
                Format::Mime,
            ),
            ("MIME-Version: 1.0\nContent-Type: text/cloud-config\n\n#cloud-config\n", Format::Mime),
        ] {
            assert_eq!(of(content.as_bytes()), Ok(format), "{content:?}");
            assert_eq!(of(&gzip(content.as_bytes())), Ok(format), "{content:?}");
        }
    }

    #[test]
    fn what_cloud_init_would_leave_out_is_refused() {
        for (content, why) in [
            ("", "it is empty"),
            (" \n\t", "it is empty"),
            ("hostname: x\n", "it is in no format that cloud-init knows"),
            ("{\"ignition\": {\"version\": \"2.3.0\"}}", "it is an Ignition configuration"),
            ("{\"other\": 1}", "it is in no format"),
            ("\u{feff}#cloud-config\n", "it begins with a byte order mark"),
            ("# cloud-config\n", "`# cloud-config` with a space"),
            (
                "Content-Type: multipart/mixed; boundary=x\n\n--x\n",
                "it is a MIME message without `MIME-Version",
            ),
            (
                "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--y\n",
                "it is a MIME message without a part",
            ),
            ("MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--y\n", "its MIME header has no boundary"),
            ("MIME-Version: 1.0\n", "its MIME headers do not end"),
            ("I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogeAo=", "it is base64; give it as USER_DATA_BASE64"),
            ("## template: jinja\nhostname: x\n", "after its first line a template"),
            ("## template: jinja", "after its first line a template"),
            ("#cloud-config\n- a\n", "its YAML is no mapping"),
            ("#cloud-config-archive\na: 1\n", "its YAML is no list"),
        ] {
            let message = of(content.as_bytes()).unwrap_err();
            assert!(message.starts_with(&format!("USER_DATA is not valid: {why}")), "{content:?}: {message}");
        }
    }

    #[test]
    fn broken_yaml_is_named_by_its_line_alone() {
        for content in [
            "#cloud-config\nusers:\n  - name: a\n    token: hunter2: x\n",
            "#cloud-config\na: 1\nb: 2\nhunter2: 'x\n",
            "#cloud-config\na: 1\nb: 2\nc: *hunter2\n",
        ] {
            let message = of(content.as_bytes()).unwrap_err();
            assert!(
                message.starts_with("USER_DATA is not valid: its YAML is broken: line 4, column "),
                "{message}"
            );
            assert!(!message.contains("hunter2"), "{message}");
            let message = of(&gzip(content.as_bytes())).unwrap_err();
            assert!(
                message.starts_with("USER_DATA (inside the gzip) is not valid: its YAML is broken: line 4"),
                "{message}"
            );
        }
        let message = of(b"#cloud-config\na: \xff\n").unwrap_err();
        assert_eq!(
            message,
            "USER_DATA is not valid: its YAML is broken: line 2, column 4: this is no UTF-8; accepted: a YAML mapping below #cloud-config"
        );
    }

    #[test]
    fn gzip_is_bounded_and_whole() {
        let mut packed = gzip(b"#cloud-config\nhostname: x\n");
        packed.truncate(packed.len() - 5);
        assert!(of(&packed).unwrap_err().contains("its gzip is broken or cut off"));
        assert!(
            of(&gzip(&vec![b' '; (16 << 20) + 1]))
                .unwrap_err()
                .contains("it unpacks to more than 16777216 bytes")
        );
        assert!(of(&gzip(b"")).unwrap_err().contains("(inside the gzip) is not valid: it is empty"));
    }

    #[test]
    fn base64_twice_is_told() {
        let payload = Payload { variable: "USER_DATA_BASE64", content: b"IyEvYmluL3NoCg==".to_vec() };
        assert!(check(&payload).unwrap_err().to_string().contains("it is base64 twice"));
    }
}
