//! The image of an action: whether a runtime would pull it, and whether ours could take its place.

use super::text::{Text, scalar};
use crate::code;
use crate::convert::{self, Seen};
use crate::finding::Findings;
use crate::node::{Node, Value};

/// Checks an action's image, and gives its name back when it is one.
pub(super) fn check<'a>(
    action: &'a Node,
    path: &str,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) -> Option<&'a str> {
    let path = format!("{path}.image");
    let Some(entry) = action.get("image") else {
        findings.push(text.at(&code::ACTION_IMAGE, action, &path).note("missing"));
        return None;
    };
    let image = scalar(&entry.node).unwrap_or_default();
    let is_open = text.is_open(image);
    if !is_open && !is_reference(image) {
        // What is no image's name may be a URL, and that may have a password in it.
        let finding = text.at(&code::ACTION_IMAGE, &entry.node, &path).url(image);
        findings.push(finding.accepted("HOST/NAME:TAG or HOST/NAME@sha256:…, in lower case"));
        return None;
    }
    if let Some(ours) = replacement(action, image, text) {
        findings.push(text.value(&code::OLD_IMAGE, &entry.node, &path).accepted(ours));
    }
    if !image.contains("@sha256:") && !is_open {
        findings.push(text.value(&code::NO_DIGEST, &entry.node, &path).accepted("NAME@sha256:…"));
    }
    Some(image)
}

/// What of ours takes its place, by what it does.
fn replacement(action: &Node, image: &str, text: &Text<'_, '_>) -> Option<&'static str> {
    let mut command = String::new();
    if let Some(entry) = action.get("command") {
        words(&entry.node, &mut command);
    }
    let variable = |name: &str| {
        let value = &action.get("environment")?.node.get(name)?.node;
        scalar(value).map(|value| text.shown(value))
    };
    let (image, command) = (text.shown(image), text.shown(&command));
    convert::replacement(&Seen { image: &image, command: &command, variable: &variable })
}

fn words(node: &Node, into: &mut String) {
    match &node.value {
        Value::Scalar { text, .. } => into.extend([&**text, "\n"]),
        Value::List(items) => items.iter().for_each(|item| words(item, into)),
        Value::Map(_) => {}
    }
}

/// Whether a container runtime would pull it: https://github.com/distribution/reference.
fn is_reference(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(n, d)| (n, Some(d)));
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match name[slash..].split_once(':') {
        Some((last, tag)) => (&name[..slash + last.len()], Some(tag)),
        None => (name, None),
    };
    let word = |w: &str, upper: bool| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || (upper && b.is_ascii_uppercase());
        w.bytes().next().is_some_and(fits)
            && w.bytes().last().is_some_and(fits)
            && w.bytes().all(|b| fits(b) || b"._-".contains(&b))
    };
    let mut parts: Vec<&str> = name.split('/').collect();
    let first = parts[0];
    if parts.len() > 1 && (first.contains(['.', ':']) || first == "localhost") {
        parts.remove(0);
        let (host, port) = first.split_once(':').unwrap_or((first, "0"));
        if !word(host, true) || port.parse::<u16>().is_err() {
            return false;
        }
    }
    let tag_fits = |t: &str| {
        (1..=128).contains(&t.len())
            && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && !t.starts_with(['.', '-'])
    };
    let digest_fits = |d: &str| {
        d.split_once(':')
            .is_some_and(|(_, hex)| hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    parts.iter().all(|p| word(p, false)) && tag.is_none_or(tag_fits) && digest.is_none_or(digest_fits)
}
