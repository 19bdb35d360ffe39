//! The variables of an action: those of ours are known, and what they take.

use common::values::Values;
use common::variables::{
    ACTIONS, ActionSpec, IMG_DIGEST, IMG_URL, Kind, SHORTEST_WAIT_SECS, STREAM_IMAGE, Variable, WAIT_SECONDS,
    WIPE_DISK,
};

use super::System;
use super::text::{Text, scalar};
use crate::code;
use crate::finding::Findings;
use crate::node::{Entry, Node, Plain, Value, plain};
use crate::{hardware, seed, template};

/// Checks what a task or an action sets: values must be scalars, and of an action of Nibs those that it takes.
pub(super) fn check(
    node: &Node,
    path: &str,
    image: Option<&str>,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    let Some(Value::Map(entries)) = node.get("environment").map(|e| &e.node.value) else { return };
    let spec = ACTIONS.iter().find(|a| Some(a.name) == image).copied();
    for Entry { key, node, .. } in entries {
        let path = format!("{path}.environment.{}", text.shown(key));
        if matches!(node.value, Value::List(_) | Value::Map(_)) {
            let finding = text.at(&code::ENVIRONMENT, node, &path);
            findings.push(finding.note(format!("this is {}", node.kind())).accepted("text"));
        }
        if text.system == System::Eksa && is_no_text(node) {
            let finding = text.at(&code::WRONG_TYPE, node, &path).note(format!("this is {}", node.kind()));
            findings.push(finding.accepted("text, in quotes"));
        }
        let Some(spec) = spec.filter(|_| !text.is_open(key)) else { continue };
        if let Some(variable) = spec.all_variables().find(|v| v.name == &**key) {
            check_value(spec, variable, node, &path, text, findings);
        } else if !["http_proxy", "https_proxy", "no_proxy"].contains(&&*key.to_ascii_lowercase()) {
            let taken: Vec<_> = spec.variables.iter().map(|v| v.name).collect();
            let finding = text.at(&code::VARIABLE, node, &path);
            findings.push(finding.note(format!("{} reads {}", spec.name, taken.join(", "))));
        }
    }
}

/// Whether the API server would take a scalar for something else than text: a CRD's text must be quoted.
fn is_no_text(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar { text, plain: true, .. } if plain(text) != Plain::Text)
}

/// What the action would refuse at its start.
fn check_value(
    spec: &'static ActionSpec,
    variable: &Variable,
    node: &Node,
    path: &str,
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    let Some(value) = scalar(node).filter(|v| !v.is_empty() && !text.is_open(v)) else { return };
    if let Some(accepted) = refused(spec, variable, value) {
        findings.push(text.value(&code::VARIABLE_VALUE, node, path).accepted(accepted));
    }
    match variable.name {
        name if name == IMG_URL.name => {
            if !seed::is_url(value) {
                let finding = text.at(&code::IMAGE_URL, node, path).url(value);
                findings.push(finding.accepted("an http:// or https:// URL"));
            } else if let Some(form) = seed::other_form(value) {
                let finding =
                    text.at(&code::IMAGE_NOT_RAW, node, path).url(value).note(format!("{form} by its name"));
                findings.push(finding.accepted("a raw image, compressed or not"));
            }
        }
        name if name == IMG_DIGEST.name => {
            if let Err(accepted) = template::check_image_digest(value) {
                let accepted = accepted.trim_end_matches(" is accepted");
                findings.push(text.at(&code::VARIABLE_VALUE, node, path).url(value).accepted(accepted));
            }
        }
        // These two take whole disks alone.
        "DEST_DISK" | "DISKS" if [WIPE_DISK.name, STREAM_IMAGE.name].contains(&spec.name) => {
            for device in value.split(',').map(str::trim) {
                if let Err(code) = hardware::check_device(device) {
                    findings.push(text.at(code, node, path).value(device).accepted(hardware::DISK_ACCEPTED));
                }
            }
        }
        _ => {}
    }
}

/// What the action would accept in the place of a value that it refuses.
fn refused(spec: &'static ActionSpec, variable: &Variable, value: &str) -> Option<String> {
    let values = Values::from_pairs(spec, &[(variable.name, value)]).ok()?;
    let is_refused = match variable.kind {
        Kind::Text => false,
        Kind::Bool => values.boolean(variable).is_err(),
        Kind::Choice(_) => values.choice(variable).is_err(),
        Kind::Count => values.count(variable).is_err(),
        Kind::Seconds | Kind::Minutes => match values.duration(variable) {
            Ok(wait) if variable.name == WAIT_SECONDS.name && wait.as_secs() < SHORTEST_WAIT_SECS => {
                return Some(format!("a number of seconds from {SHORTEST_WAIT_SECS}"));
            }
            duration => duration.is_err(),
        },
    };
    is_refused.then(|| variable.kind.accepted())
}
