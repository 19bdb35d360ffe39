//! Tasks and actions of a Template.

use common::variables::ACTIONS;

use super::Text;
use crate::code::{self, Code};
use crate::finding::{Finding, Findings};
use crate::node::{Entry, Node, Plain, Value, plain};

/// Fields as Tinkerbell v0.25 and machine-controller know them.
const TEMPLATE_FIELDS: [&str; 5] = ["version", "name", "id", "global_timeout", "tasks"];
const TASK_FIELDS: [&str; 5] = ["name", "worker", "actions", "volumes", "environment"];
const ACTION_FIELDS: [&str; 11] = [
    "name",
    "image",
    "timeout",
    "command",
    "on-timeout",
    "on-failure",
    "on-finish",
    "volumes",
    "environment",
    "pid",
    "namespaces",
];

/// The last action: it takes the machine down.
const LAST: &str = "kexec-reboot";

/// What takes the place of an image of tinkerbell/actions, or of those that people use beside them.
pub fn replacement(image: &str) -> Option<&'static str> {
    Some(match repository(image) {
        "image2disk" | "oci2disk" | "qemuimg2disk" | "archive2disk" => "stream-image",
        "writefile" => "write-netplan for netplan, write-cloud-init for cloud-init's seed",
        "cexec" => "grow-partition for growpart and resize2fs, write-cloud-init for cloud-init's seed",
        "kexec" | "waitdaemon" | "reboot" => "kexec-reboot",
        "rootio" | "disk-wipe" => "wipe-disk",
        _ => return None,
    })
}

/// The last word of an image's name, without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default()
}

/// Checks all tasks of what the text is as YAML.
pub(super) fn check(document: &Node, text: &Text<'_, '_>, findings: &mut Findings) {
    let Value::Map(fields) = &document.value else {
        let finding = text.at(&code::TEMPLATE_YAML, document, "spec.data");
        findings.push(finding.note(format!("this is {}", document.kind())).accepted("a mapping"));
        return;
    };
    unknown_fields(fields, &TEMPLATE_FIELDS, "", text, findings);
    match document.get("version").map(|e| &e.node) {
        Some(node) if scalar(node).is_some_and(|v| v == "0.1" || text.substituted.is_open(v)) => {}
        node => findings.push(value(text, &code::TEMPLATE_VERSION, node.unwrap_or(document), "version")),
    }
    let tasks = match document.get("tasks").map(|e| &e.node) {
        Some(Node { value: Value::List(tasks), .. }) if !tasks.is_empty() => tasks,
        Some(node) if is_open(node, text) => return,
        other => {
            findings.push(text.at(&code::NO_ACTIONS, other.unwrap_or(document), "tasks"));
            return;
        }
    };
    let mut total = Some(0_i64);
    let mut names = Vec::new();
    for (i, task) in tasks.iter().enumerate() {
        check_task(task, &format!("tasks[{i}]"), &mut names, &mut total, text, findings);
    }
    let global = document.get("global_timeout").map(|e| &e.node);
    if let (Some(total), Some(node)) = (total, global)
        && let Some(global) = scalar(node).and_then(|t| t.parse::<i64>().ok())
        && global < total
    {
        let finding = value(text, &code::TIMEOUT_SUM, node, "global_timeout");
        findings.push(finding.note(format!("the actions may take {total} seconds")));
    }
}

fn check_task<'a>(
    task: &'a Node,
    path: &str,
    names: &mut Vec<&'a str>,
    total: &mut Option<i64>,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    if let Value::Map(fields) = &task.value {
        unknown_fields(fields, &TASK_FIELDS, path, text, findings);
    }
    check_name(task, path, names, text, findings);
    if task.get("worker").and_then(|e| scalar(&e.node)).is_none_or(str::is_empty) {
        findings.push(text.at(&code::WORKER, task, &format!("{path}.worker")).accepted("\"{{.device_1}}\""));
    }
    check_environment(task, path, None, text, findings);
    let actions = match task.get("actions").map(|e| &e.node) {
        Some(Node { value: Value::List(actions), .. }) if !actions.is_empty() => actions,
        Some(node) if is_open(node, text) => return,
        other => {
            findings.push(text.at(&code::NO_ACTIONS, other.unwrap_or(task), &format!("{path}.actions")));
            return;
        }
    };
    let mut names = Vec::new();
    for (i, action) in actions.iter().enumerate() {
        let path = format!("{path}.actions[{i}]");
        if is_open(action, text) {
            *total = None;
            continue;
        }
        if let Value::Map(fields) = &action.value {
            unknown_fields(fields, &ACTION_FIELDS, &path, text, findings);
        }
        check_name(action, &path, &mut names, text, findings);
        let image = check_image(action, &path, text, findings);
        let timeout = check_timeout(action, &path, text, findings);
        *total = total.zip(timeout).map(|(sum, one)| sum + one);
        check_environment(action, &path, image.map(repository), text, findings);
        if image.map(repository) == Some(LAST) && i + 1 < actions.len() {
            let finding = text.at(&code::NOT_LAST, action, &path);
            findings.push(finding.shown(format!("{LAST} is {} of {}", i + 1, actions.len())));
        }
    }
}

/// A name that is there, short enough and not yet taken.
fn check_name<'a>(
    node: &'a Node,
    path: &str,
    names: &mut Vec<&'a str>,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    let path = format!("{path}.name");
    let Some(entry) = node.get("name") else {
        findings.push(text.at(&code::ACTION_NAME, node, &path).note("missing"));
        return;
    };
    let name = scalar(&entry.node).unwrap_or_default();
    let is_open = text.substituted.is_open(name);
    if name.is_empty() || (name.chars().count() >= 200 && !is_open) {
        findings.push(value(text, &code::ACTION_NAME, &entry.node, &path));
    } else if names.contains(&name) && !is_open {
        findings.push(value(text, &code::ACTION_TWICE, &entry.node, &path));
    }
    names.push(name);
}

fn check_image<'a>(
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
    let is_open = text.substituted.is_open(image);
    if !is_open && !is_reference(image) {
        // What is no image's name may be a URL, and that may have a password in it.
        let finding = text.at(&code::ACTION_IMAGE, &entry.node, &path).url(image);
        findings.push(finding.accepted("HOST/NAME:TAG or HOST/NAME@sha256:…, in lower case"));
        return None;
    }
    if let Some(ours) = replacement(image) {
        findings.push(value(text, &code::OLD_IMAGE, &entry.node, &path).accepted(ours));
    }
    if !image.contains("@sha256:") && !is_open {
        findings.push(value(text, &code::NO_DIGEST, &entry.node, &path).accepted("NAME@sha256:…"));
    }
    Some(image)
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

fn check_timeout(action: &Node, path: &str, text: &Text<'_, '_>, findings: &mut Findings) -> Option<i64> {
    const ACCEPTED: &str = "seconds, as 600";
    let path = format!("{path}.timeout");
    let Some(entry) = action.get("timeout") else {
        findings.push(text.at(&code::NO_TIMEOUT, action, &path).note("missing").accepted(ACCEPTED));
        return None;
    };
    let written = scalar(&entry.node).unwrap_or_default();
    if text.substituted.is_open(written) {
        return None;
    }
    match written.parse::<i64>() {
        Ok(seconds) if seconds > 0 => Some(seconds),
        _ => {
            findings.push(value(text, &code::NO_TIMEOUT, &entry.node, &path).accepted(ACCEPTED));
            None
        }
    }
}

/// Values must be scalars, and of an action of Nibs its own.
fn check_environment(
    node: &Node,
    path: &str,
    image: Option<&str>,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    let Some(Value::Map(entries)) = node.get("environment").map(|e| &e.node.value) else { return };
    let spec = ACTIONS.iter().find(|a| Some(a.name) == image);
    for Entry { key, node, .. } in entries {
        let path = format!("{path}.environment.{}", text.shown(key));
        if matches!(node.value, Value::List(_) | Value::Map(_)) {
            let finding = text.at(&code::ENVIRONMENT, node, &path);
            findings.push(finding.note(format!("this is {}", node.kind())).accepted("text"));
        }
        let Some(spec) = spec.filter(|_| !text.substituted.is_open(key)) else { continue };
        let is_proxy = ["http_proxy", "https_proxy", "no_proxy"].contains(&&*key.to_ascii_lowercase());
        if !is_proxy && spec.all_variables().all(|v| v.name != &**key) {
            let taken: Vec<_> = spec.variables.iter().map(|v| v.name).collect();
            let finding = text.at(&code::VARIABLE, node, &path);
            findings.push(finding.note(format!("{} reads {}", spec.name, taken.join(", "))));
        }
    }
}

fn unknown_fields(
    fields: &[Entry],
    known: &[&str],
    path: &str,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    for Entry { key, node, .. } in fields {
        if known.contains(&&**key) || text.substituted.is_open(key) {
            continue;
        }
        let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        findings.push(text.at(&code::UNKNOWN_FIELD, node, &path).accepted(known.join(", ")));
    }
}

/// A finding with the scalar, as it stands in the Template.
fn value(text: &Text<'_, '_>, code: &'static Code, node: &Node, path: &str) -> Finding {
    let finding = text.at(code, node, path);
    match scalar(node) {
        Some(written) => finding.value(&text.shown(written)),
        None => finding,
    }
}

fn is_open(node: &Node, text: &Text<'_, '_>) -> bool {
    scalar(node).is_some_and(|t| text.substituted.is_open(t))
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, plain: true, .. } if plain(text) == Plain::Null => None,
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}
