//! A Template, checked without the engine that renders it: what cannot be decided so is a warning.

use std::collections::BTreeSet;

use super::tinkerbell::ALWAYS_GIVEN;
use crate::code::{self, Code};
use crate::field::Field;
use crate::finding::{Finding, Findings};
use crate::node::{self, Node, Value};
use crate::object::Object;
use crate::template::KKP_NAME;

mod actions;
pub mod lex;

pub use actions::replacement;
pub use lex::{Lexed, Substituted, lex};

/// The keys that machine-controller puts into a Workflow's `hardwareMap`: exactly these.
const KKP_KEYS: [&str; 9] = [
    "device_1",
    "hardware_name",
    "cloud_init_script",
    "interface_name",
    "cidr",
    "ns",
    "default_route",
    "partition_number",
    "os_image",
];

/// A Template's object, its text, and where that stands.
struct Text<'a, 'b> {
    field: Field<'a>,
    substituted: &'b Substituted<'a>,
    is_literal: bool,
}

impl Text<'_, '_> {
    /// A finding in a line of the Template's text, from 1.
    fn in_line(&self, code: &'static Code, line: usize) -> Finding {
        let finding = self.field.finding(code);
        if self.is_literal {
            // A literal block's place is that of its first line with something in it.
            let data = self.field.quiet().unwrap_or_default();
            let empty = data.lines().take_while(|l| l.trim().is_empty()).count();
            let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            finding
                .on_line((self.field.at().line.saturating_add(small(line))).saturating_sub(small(empty + 1)))
        } else {
            finding.note(format!("line {line} of it"))
        }
    }

    /// A finding about a value of what the text is as YAML.
    fn at(&self, code: &'static Code, node: &Node, path: &str) -> Finding {
        let finding = self.in_line(code, self.substituted.line(node.at.line as usize));
        Finding { field: Some(path.to_owned()), ..finding }
    }

    /// The text of a scalar, as it stands in the Template.
    fn shown(&self, text: &str) -> String {
        self.substituted.restore(text)
    }
}

/// Checks a Template; `workflows` say which keys one is given that KKP does not render.
pub(super) fn check(object: &Object, workflows: &[&Object], findings: &mut Findings) {
    let field = Field::root(object).dig("spec.data");
    let Some(data) = field.required(findings, &code::NO_TEMPLATE_DATA, "a Template's text") else { return };
    let lexed = lex(data);
    let substituted = lexed.substitute();
    let is_literal = matches!(field.node(), Some(Node { value: Value::Scalar { literal: true, .. }, .. }));
    let text = Text { field, substituted: &substituted, is_literal };
    let mut is_broken = false;
    for problem in &lexed.problems {
        let code = match problem.kind {
            lex::ProblemKind::Unclosed => &code::UNCLOSED,
            lex::ProblemKind::StrayClose => &code::STRAY_BRACES,
            lex::ProblemKind::Empty | lex::ProblemKind::NoEnd | lex::ProblemKind::NoBranch => {
                &code::EXPRESSION
            }
        };
        is_broken |= code.severity == code::Severity::Error;
        findings.push(text.in_line(code, problem.line));
    }
    check_keys(object, &lexed, workflows, &text, findings);
    if is_broken {
        // What an open brace swallows leaves no YAML to speak of.
        return;
    }
    if substituted.has_branches {
        findings.push(text.field.finding(&code::TEMPLATE_UNDECIDED));
    }
    let parsed = node::parse(&substituted.text);
    if let Some((at, fault)) = parsed.problems.first() {
        let line = substituted.line(at.line as usize);
        // Branches may leave out what does not fit, and an expression may be more than a word.
        let is_open = substituted.has_branches || writes_yaml(&lexed);
        let code = if is_open { &code::TEMPLATE_UNDECIDED } else { &code::TEMPLATE_YAML };
        let said = match fault {
            node::Fault::Form(said) => text.shown(said),
            node::Fault::Twice(key) => format!("the key {:?} is there twice", text.shown(key)),
        };
        let finding = text.in_line(code, line);
        let note = [finding.note.clone(), Some(said)].into_iter().flatten().collect::<Vec<_>>().join("; ");
        findings.push(finding.note(note));
        if !matches!(fault, node::Fault::Twice(_)) {
            return;
        }
    }
    match parsed.documents.first() {
        Some(document) => actions::check(document, &text, findings),
        None => findings.push(text.field.finding(&code::NO_ACTIONS)),
    }
}

/// Whether an expression prints more than a scalar.
fn writes_yaml(lexed: &Lexed<'_>) -> bool {
    lexed.actions.iter().any(|a| ["toYaml", "indent", "include"].iter().any(|word| a.code.contains(word)))
}

fn check_keys(
    object: &Object,
    lexed: &Lexed<'_>,
    workflows: &[&Object],
    text: &Text<'_, '_>,
    findings: &mut Findings,
) {
    let is_kkps = &*object.name == KKP_NAME;
    let is_rendered = workflows.iter().any(|w| {
        let reference = Field::root(w).dig("spec.templateRef");
        w.namespace == object.namespace && reference.quiet() == Some(&*object.name)
    });
    if !is_kkps && is_rendered {
        // Said of each Workflow that does not have it.
        return;
    }
    let mut said = BTreeSet::new();
    for key in lexed.keys() {
        let is_given = ALWAYS_GIVEN.contains(&key.name) || KKP_KEYS.contains(&key.name);
        if is_given || !said.insert(key.name) {
            continue;
        }
        let code = if is_kkps && !key.conditional { &code::KEY_NOT_GIVEN } else { &code::KEY_UNDECIDED };
        let finding = text.in_line(code, key.line).shown(format!(".{}", key.name));
        let accepted = KKP_KEYS.map(|k| format!(".{k}")).join(", ");
        findings.push(if is_kkps { finding.accepted(format!("{accepted}, .Hardware")) } else { finding });
    }
}

#[cfg(test)]
mod tests;
