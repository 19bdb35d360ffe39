//! Tasks and actions of a Template.

use std::collections::HashSet;

use common::variables::KEXEC_REBOOT;

use super::text::{Text, scalar};
use super::{System, environment, image};
use crate::code;
use crate::convert::repository;
use crate::finding::Findings;
use crate::node::{Entry, Node, Value};

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
    "volumes",
    "environment",
    "pid",
    "on-finish",
    "namespaces",
];
/// Those that EKS Anywhere's CRD has too: the first ones.
const EKSA_ACTION_FIELDS: usize = 9;
/// The name by which EKS Anywhere knows the last action.
const EKSA_LAST_ACTION: &str = "reboot";

/// What is known from one task to the next.
#[derive(Default)]
struct Seen<'a> {
    names: HashSet<&'a str>,
    /// How long all actions may take together, while that is known.
    total_secs: Option<i64>,
    /// The worker that was taken down.
    down: Option<&'a str>,
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
        Some(node) if scalar(node).is_some_and(|v| v == "0.1" || text.is_open(v)) => {}
        node => findings.push(text.value(&code::TEMPLATE_VERSION, node.unwrap_or(document), "version")),
    }
    let tasks = match document.get("tasks").map(|e| &e.node) {
        Some(Node { value: Value::List(tasks), .. }) if !tasks.is_empty() => tasks,
        Some(node) if text.is_open_node(node) => return,
        other => {
            findings.push(text.at(&code::NO_ACTIONS, other.unwrap_or(document), "tasks"));
            return;
        }
    };
    let mut seen = Seen { total_secs: Some(0), ..Seen::default() };
    for (i, task) in tasks.iter().enumerate() {
        check_task(task, &format!("tasks[{i}]"), &mut seen, text, findings);
    }
    let global = document.get("global_timeout").map(|e| &e.node);
    if let (Some(total), Some(node)) = (seen.total_secs, global)
        && let Some(global) = scalar(node).and_then(|t| t.parse::<i64>().ok())
        && global < total
    {
        let finding = text.value(&code::TIMEOUT_SUM, node, "global_timeout");
        findings.push(finding.note(format!("the actions may take {total} seconds")));
    }
}

fn check_task<'a>(
    task: &'a Node,
    path: &str,
    seen: &mut Seen<'a>,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    if let Value::Map(fields) = &task.value {
        unknown_fields(fields, &TASK_FIELDS, path, text, findings);
    }
    check_name(task, path, &mut seen.names, text, findings);
    let worker = task.get("worker").and_then(|e| scalar(&e.node)).unwrap_or_default();
    if worker.is_empty() {
        findings.push(text.at(&code::WORKER, task, &format!("{path}.worker")).accepted("\"{{.device_1}}\""));
    }
    environment::check(task, path, None, text, findings);
    let actions = match task.get("actions").map(|e| &e.node) {
        Some(Node { value: Value::List(actions), .. }) if !actions.is_empty() => actions,
        Some(node) if text.is_open_node(node) => return,
        other => {
            findings.push(text.at(&code::NO_ACTIONS, other.unwrap_or(task), &format!("{path}.actions")));
            return;
        }
    };
    // Words for expressions differ, what they stand for may not.
    if let Some(down) = seen.down
        && text.shown(down) == text.shown(worker)
    {
        let finding = text.at(&code::NOT_LAST, task, path);
        findings
            .push(finding.note(format!("a task before it takes its worker down by {}", KEXEC_REBOOT.name)));
    }
    let mut names = HashSet::new();
    for (i, action) in actions.iter().enumerate() {
        let path = format!("{path}.actions[{i}]");
        if text.is_open_node(action) {
            seen.total_secs = None;
            continue;
        }
        let timeout = check_action(action, &path, &mut names, text, findings);
        seen.total_secs = seen.total_secs.zip(timeout).and_then(|(sum, one)| sum.checked_add(one));
        if is_last(action) {
            seen.down = Some(worker);
            if i + 1 < actions.len() {
                let finding = text.at(&code::NOT_LAST, action, &path);
                findings.push(finding.shown(format!(
                    "{} is {} of {}",
                    KEXEC_REBOOT.name,
                    i + 1,
                    actions.len()
                )));
            }
        }
    }
    if text.system == System::Eksa
        && let Some(action) = actions.last()
        && let Some(entry) = action.get("name")
        && !text.is_open_node(&entry.node)
        && scalar(&entry.node) != Some(EKSA_LAST_ACTION)
    {
        let path = format!("{path}.actions[{}].name", actions.len() - 1);
        findings.push(text.value(&code::EKSA_LAST_ACTION, &entry.node, &path).accepted(EKSA_LAST_ACTION));
    }
}

/// Checks one action, and says how many seconds it may take.
fn check_action<'a>(
    action: &'a Node,
    path: &str,
    names: &mut HashSet<&'a str>,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) -> Option<i64> {
    if let Value::Map(fields) = &action.value {
        let known = match text.system {
            System::Eksa => &ACTION_FIELDS[..EKSA_ACTION_FIELDS],
            _ => &ACTION_FIELDS[..],
        };
        unknown_fields(fields, known, path, text, findings);
    }
    check_name(action, path, names, text, findings);
    let image = image::check(action, path, text, findings);
    let timeout = check_timeout(action, path, text, findings);
    environment::check(action, path, image.map(repository), text, findings);
    if is_last(action) {
        check_pid(action, path, text, findings);
    }
    timeout
}

/// Whether it is the action that takes the machine down.
fn is_last(action: &Node) -> bool {
    action
        .get("image")
        .and_then(|e| scalar(&e.node))
        .is_some_and(|image| repository(image) == KEXEC_REBOOT.name)
}

/// What takes the machine down must outlive its container, and looks for it among the host's processes.
fn check_pid(action: &Node, path: &str, text: &Text<'_, '_>, findings: &mut Findings) {
    let own = action.get("pid").map(|e| &e.node);
    let newer = match text.system {
        System::Eksa => None,
        _ => action.get("namespaces").and_then(|e| e.node.get("pid")).map(|e| &e.node),
    };
    let nodes = [own, newer];
    let is_host = |node: &&Node| scalar(node) == Some("host") || text.is_open_node(node);
    if !nodes.iter().flatten().any(is_host)
        && !action.get("namespaces").is_some_and(|e| text.is_open_node(&e.node))
    {
        let path = format!("{path}.pid");
        let finding = match own.or(newer) {
            Some(node) => text.value(&code::PID_HOST, node, &path),
            None => text.at(&code::PID_HOST, action, &path).note("missing"),
        };
        findings.push(finding.accepted("host"));
    }
}

/// A name that is there, short enough and not yet taken.
fn check_name<'a>(
    node: &'a Node,
    path: &str,
    names: &mut HashSet<&'a str>,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    let path = format!("{path}.name");
    let Some(entry) = node.get("name") else {
        findings.push(text.at(&code::ACTION_NAME, node, &path).note("missing"));
        return;
    };
    let name = scalar(&entry.node).unwrap_or_default();
    let is_open = text.is_open(name);
    if name.is_empty() || (name.chars().count() >= 200 && !is_open) {
        findings.push(text.value(&code::ACTION_NAME, &entry.node, &path));
    } else if !names.insert(name) && !is_open {
        findings.push(text.value(&code::ACTION_TWICE, &entry.node, &path));
    }
}

fn check_timeout(action: &Node, path: &str, text: &Text<'_, '_>, findings: &mut Findings) -> Option<i64> {
    const ACCEPTED: &str = "seconds, as 600";
    let path = format!("{path}.timeout");
    let Some(entry) = action.get("timeout") else {
        findings.push(text.at(&code::NO_TIMEOUT, action, &path).note("missing").accepted(ACCEPTED));
        return None;
    };
    let written = scalar(&entry.node).unwrap_or_default();
    if text.is_open(written) {
        return None;
    }
    match written.parse::<i64>() {
        Ok(seconds) if seconds > 0 => Some(seconds),
        _ => {
            findings.push(text.value(&code::NO_TIMEOUT, &entry.node, &path).accepted(ACCEPTED));
            None
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
        if known.contains(&&**key) || text.is_open(key) {
            continue;
        }
        let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        findings.push(text.at(&code::UNKNOWN_FIELD, node, &path).accepted(known.join(", ")));
    }
}
