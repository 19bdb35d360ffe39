//! Tinkerbell's objects beside Hardware and Template: Workflow, WorkflowRuleSet, and the Machine of a BMC.

use std::collections::{BTreeSet, HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::template::lex::Role;
use super::template::{ALWAYS_GIVEN, MOST_RENDERED_BYTES, lex, printed_bytes};
use crate::code;
use crate::field::Field;
use crate::finding::Findings;
use crate::object::Object;
use crate::user_data;

/// The objects of one kind, by namespace and name.
pub(super) struct ByName<'a>(HashMap<(&'a str, &'a str), &'a Object>);

impl<'a> ByName<'a> {
    /// Of these.
    pub(super) fn of(objects: &[&'a Object]) -> Self {
        ByName(objects.iter().map(|o| ((&*o.namespace, &*o.name), *o)).collect())
    }

    /// The one of that name in the namespace of another object.
    fn find(&self, like: &'a Object, name: &'a str) -> Option<&'a Object> {
        self.0.get(&(&*like.namespace, name)).copied()
    }
}

/// What each Template cannot be rendered without, by its namespace and name, sorted.
pub(super) type Asked<'a> = HashMap<(&'a str, &'a str), Vec<&'a str>>;

fn asked_of(template: &Object) -> Vec<&str> {
    let data = Field::root(template).dig("spec.data");
    let keys: BTreeSet<&str> = lex(data.quiet().unwrap_or_default())
        .keys()
        .filter(|key| !key.conditional && !ALWAYS_GIVEN.contains(&key.name))
        .map(|key| key.name)
        .collect();
    keys.into_iter().collect()
}

/// Checks what a Workflow refers to, and whether it has what its Template asks for.
pub(super) fn check_workflow<'a>(
    object: &'a Object,
    templates: &ByName<'a>,
    servers: &ByName<'a>,
    asked: &mut Asked<'a>,
    findings: &mut Findings,
) {
    let root = Field::root(object);
    let map = root.dig("spec.hardwareMap");
    let given: HashSet<&str> = map.entries(findings).into_iter().map(|(key, _)| key).collect();
    let script = map.get("cloud_init_script");
    if let Some(text) = script.quiet() {
        match STANDARD.decode(text) {
            Ok(bytes) => {
                user_data::check_field(&script, &bytes, findings);
            }
            Err(_) => findings.push(script.finding(&code::USER_DATA_BASE64).shown("(not shown)")),
        }
    }
    let reference = root.dig("spec.hardwareRef");
    if let Some(name) = reference.text(findings).filter(|n| !n.is_empty())
        && servers.find(object, name).is_none()
    {
        findings.push(reference.finding(&code::WORKFLOW_HARDWARE).value(name));
    }
    let reference = root.dig("spec.templateRef");
    let Some(name) = reference.text(findings) else {
        findings.push(reference.finding(&code::TEMPLATE_REF).note("missing"));
        return;
    };
    let Some(template) = templates.find(object, name) else {
        findings.push(reference.finding(&code::TEMPLATE_REF).value(name));
        return;
    };
    let bytes = map_bytes(&map, Field::root(template).dig("spec.data").quiet().unwrap_or_default());
    if bytes > MOST_RENDERED_BYTES {
        let note = format!("with {} it is {bytes} bytes, of at most {MOST_RENDERED_BYTES}", template.label());
        findings.push(map.finding(&code::TEMPLATE_LARGE).note(note));
    }
    let keys = asked.entry((&*template.namespace, &*template.name)).or_insert_with(|| asked_of(template));
    for key in keys.iter().filter(|key| !given.contains(*key)) {
        let finding = map.finding(&code::HARDWARE_MAP).value(key);
        findings.push(finding.note(format!("{} asks for it", template.label())));
    }
}

/// How much is rendered at least; 0 where the values are too small to matter, or nothing is known of it.
fn map_bytes(map: &Field<'_>, data: &str) -> usize {
    let value = |key: &str| map.get(key).quiet().map(str::len);
    if value("cloud_init_script").is_none_or(|bytes| bytes < MOST_RENDERED_BYTES / 4) {
        return 0;
    }
    let lexed = lex(data);
    if lexed.actions.iter().any(|a| a.role == Role::Open) { 0 } else { printed_bytes(&lexed, value) }
}

/// Checks that a rule set has rules, and its Template.
pub(super) fn check_rule_set<'a>(object: &'a Object, templates: &ByName<'a>, findings: &mut Findings) {
    let root = Field::root(object);
    let rules = root.dig("spec.rules");
    if rules.items(findings).is_empty() {
        rules.missing(findings, &code::NO_RULES, "a list of patterns");
    }
    let reference = root.dig("spec.workflow.template.ref");
    if let Some(name) = reference.quiet()
        && templates.find(object, name).is_none()
    {
        findings.push(reference.finding(&code::TEMPLATE_REF).value(name));
    }
}

/// Checks that a BMC can be reached: by its address and the Secret with its credentials.
pub(super) fn check_bmc(object: &Object, findings: &mut Findings) {
    let connection = Field::root(object).dig("spec.connection");
    for path in ["host", "authSecretRef.name"] {
        // A provider with options of its own (as the IntelAMT one) may do without the Secret.
        if path != "host" && connection.get("providerOptions").exists() {
            continue;
        }
        connection.dig(path).required(findings, &code::BMC_CONNECTION, "text");
    }
}
