//! Tinkerbell's objects beside Hardware and Template: Workflow, WorkflowRuleSet, and the Machine of a BMC.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::template::lex;
use crate::code;
use crate::field::Field;
use crate::finding::Findings;
use crate::object::Object;
use crate::user_data;

/// The data that every Template can ask for without a hardwareMap.
pub(super) const ALWAYS_GIVEN: [&str; 2] = ["Hardware", "hardware"];

fn find<'a>(objects: &[&'a Object], like: &Object, name: &str) -> Option<&'a Object> {
    objects.iter().find(|o| o.namespace == like.namespace && &*o.name == name).copied()
}

/// Checks what a Workflow refers to, and whether it has what its Template asks for.
pub(super) fn check_workflow(
    object: &Object,
    templates: &[&Object],
    servers: &[&Object],
    findings: &mut Findings,
) {
    let root = Field::root(object);
    let map = root.dig("spec.hardwareMap");
    let given: Vec<&str> = map.entries(findings).into_iter().map(|(key, _)| key).collect();
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
        && find(servers, object, name).is_none()
    {
        findings.push(reference.finding(&code::WORKFLOW_HARDWARE).value(name));
    }
    let reference = root.dig("spec.templateRef");
    let Some(name) = reference.text(findings) else {
        findings.push(reference.finding(&code::TEMPLATE_REF).note("missing"));
        return;
    };
    let Some(template) = find(templates, object, name) else {
        findings.push(reference.finding(&code::TEMPLATE_REF).value(name));
        return;
    };
    let data = Field::root(template).dig("spec.data");
    let mut missing: Vec<_> = lex(data.quiet().unwrap_or_default())
        .keys()
        .filter(|key| !key.conditional && !ALWAYS_GIVEN.contains(&key.name) && !given.contains(&key.name))
        .map(|key| key.name.to_owned())
        .collect();
    missing.sort();
    missing.dedup();
    for key in missing {
        let finding = map.finding(&code::HARDWARE_MAP).value(&key);
        findings.push(finding.note(format!("{} asks for it", template.label())));
    }
}

/// Checks that a rule set has rules, and its Template.
pub(super) fn check_rule_set(object: &Object, templates: &[&Object], findings: &mut Findings) {
    let root = Field::root(object);
    let rules = root.dig("spec.rules");
    if rules.items(findings).is_empty() {
        rules.missing(findings, &code::NO_RULES, "a list of patterns");
    }
    let reference = root.dig("spec.workflow.template.ref");
    if let Some(name) = reference.quiet()
        && find(templates, object, name).is_none()
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
