//! A Template, checked without the engine that renders it: what cannot be decided so is a warning.

use std::collections::{BTreeSet, HashSet};

use crate::code::{self, Code, Severity};
use crate::field::Field;
use crate::finding::{Finding, Findings};
use crate::node::{self, Node, Value};
use crate::object::{Object, TEMPLATE_CONFIG, TINKERBELL_MACHINE_TEMPLATE};
use crate::template::KKP_NAME;

mod actions;
mod environment;
mod image;
pub mod lex;
mod text;

pub use lex::{Branches, Lexed, Substituted, lex};
use text::Text;

/// The most that Tinkerbell renders, of a Template and what is put into it (v0.25).
pub const MOST_RENDERED_BYTES: usize = 256 * 1024;
/// The largest object that etcd takes by default: no Template's text is longer, whatever is left of it.
const LARGEST_OBJECT_BYTES: usize = 1536 * 1024;
/// How many places of wrong braces are told: one may make all that follow it wrong.
const MOST_PROBLEMS: usize = 100;

/// The data that every Template can ask for without a hardwareMap.
pub(super) const ALWAYS_GIVEN: [&str; 2] = ["Hardware", "hardware"];

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
/// The one that Cluster API's provider does, and with it EKS Anywhere.
const CAPT_KEYS: [&str; 1] = ["device_1"];

/// Who makes a Workflow of a Template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    /// machine-controller.
    Kkp,
    /// Cluster API.
    Capt,
    /// EKS Anywhere, through Cluster API.
    Eksa,
    /// Whoever.
    Any,
}

impl System {
    fn of(object: &Object) -> Self {
        if object.kind == TINKERBELL_MACHINE_TEMPLATE {
            Self::Capt
        } else if object.kind == TEMPLATE_CONFIG {
            Self::Eksa
        } else if &*object.name == KKP_NAME {
            Self::Kkp
        } else {
            Self::Any
        }
    }

    /// The keys that it gives; of any other it is not known.
    fn keys(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Kkp => Some(&KKP_KEYS),
            Self::Capt | Self::Eksa => Some(&CAPT_KEYS),
            Self::Any => None,
        }
    }
}

/// The field with a Template's text.
pub(super) fn text_of(object: &Object) -> Field<'_> {
    let path = match System::of(object) {
        System::Capt => "spec.template.spec.templateOverride",
        System::Eksa => "spec.template",
        System::Kkp | System::Any => "spec.data",
    };
    Field::root(object).dig(path)
}

/// Checks a Template, or what another system makes one of. `is_rendered` says that a Workflow of it is given, of which
/// is said which keys it does not have.
pub(super) fn check(object: &Object, is_rendered: bool, findings: &mut Findings) {
    let (field, system) = (text_of(object), System::of(object));
    match system {
        System::Eksa => check_values(&field, findings),
        // Without one of its own, CAPT takes its default one.
        System::Capt if !field.exists() => {}
        _ => check_text(&field, system, is_rendered, findings),
    }
}

fn check_text(field: &Field<'_>, system: System, is_rendered: bool, findings: &mut Findings) {
    let Some(data) = field.required(findings, &code::NO_TEMPLATE_DATA, "a Template's text") else { return };
    if data.len() > LARGEST_OBJECT_BYTES {
        let note = format!("{} bytes; no object is larger than {LARGEST_OBJECT_BYTES}", data.len());
        findings.push(field.finding(&code::TEMPLATE_LARGE).note(note));
        return;
    }
    let lexed = lex(data);
    let substituted = lexed.substitute(Branches::Then);
    let text = Text::of(field.clone(), system, &substituted);
    let is_broken = check_problems(&lexed, |code, line| text.in_line(code, line), findings);
    if system == System::Any && is_rendered {
        // Said of each Workflow that does not have it.
    } else {
        check_keys(lexed.keys(), system, |code, line| text.in_line(code, line), findings);
    }
    if is_broken {
        // What an open brace swallows leaves no YAML to speak of.
        return;
    }
    if !substituted.has_branches {
        let printed = printed_bytes(&lexed, |_| Some(0));
        if printed > MOST_RENDERED_BYTES {
            let note = format!("{printed} bytes without any value; {MOST_RENDERED_BYTES} are rendered");
            findings.push(field.finding(&code::TEMPLATE_LARGE).note(note));
        }
        check_yaml(&text, &lexed, &substituted, findings);
        return;
    }
    findings.push(field.finding(&code::TEMPLATE_UNDECIDED));
    let (mut then, mut otherwise) = (Findings::default(), Findings::default());
    check_yaml(&text, &lexed, &substituted, &mut then);
    let other = lexed.substitute(Branches::Else);
    check_yaml(&Text::of(field.clone(), system, &other), &lexed, &other, &mut otherwise);
    merge(then, otherwise, findings);
}

/// What is found whichever branches are taken is certain; an error of one way alone cannot be decided.
fn merge(then: Findings, otherwise: Findings, findings: &mut Findings) {
    let place = |finding: &Finding| (finding.code.id, finding.at);
    let places = |findings: &Findings| findings.iter().map(place).collect::<HashSet<_>>();
    let (in_then, in_other) = (places(&then), places(&otherwise));
    for (own, others, is_first) in [(then, in_other, true), (otherwise, in_then, false)] {
        for finding in own {
            let is_certain = others.contains(&place(&finding));
            if finding.code.severity == Severity::Warning || (is_certain && is_first) {
                findings.push(finding);
            } else if !is_certain {
                let said = format!("{} ({}), if branches are taken so", finding.code.title, finding.code.id);
                let note = [Some(said), finding.note.clone()].into_iter().flatten().collect::<Vec<_>>();
                findings.push(Finding { code: &code::TEMPLATE_UNDECIDED, ..finding }.note(note.join("; ")));
            }
        }
    }
}

fn check_yaml(
    text: &Text<'_, '_>,
    lexed: &Lexed<'_>,
    substituted: &Substituted<'_>,
    findings: &mut Findings,
) {
    let parsed = node::parse(&substituted.text);
    if let Some((at, fault)) = parsed.problems.first() {
        let line = substituted.line(at.line as usize);
        // Branches may leave out what does not fit, and an expression may be more than a word.
        let is_open = substituted.has_branches || writes_yaml(lexed);
        let code = if is_open { &code::TEMPLATE_UNDECIDED } else { &code::TEMPLATE_YAML };
        let said = match fault {
            node::Fault::Form(said) => text.shown(said),
            node::Fault::Twice(key) => {
                format!("the key {} is there twice", crate::finding::show(&text.shown(key)))
            }
        };
        let finding = text.in_line(code, line);
        let note = [finding.note.clone(), Some(said)].into_iter().flatten().collect::<Vec<_>>().join("; ");
        findings.push(finding.note(note));
        if !matches!(fault, node::Fault::Twice(_)) {
            return;
        }
    }
    match parsed.documents.first() {
        Some(document) => actions::check(document, text, findings),
        None => findings.push(text.field.finding(&code::NO_ACTIONS)),
    }
}

/// EKS Anywhere's is YAML first: it reads it, writes it anew, and only then are its expressions worked out.
fn check_values(field: &Field<'_>, findings: &mut Findings) {
    let Some(node) = field.node() else {
        field.missing(findings, &code::NO_TEMPLATE_DATA, "a mapping with tasks and their actions");
        return;
    };
    let text = Text::values(field.clone(), System::Eksa);
    let mut scalars = Vec::new();
    collect(node, &mut scalars);
    let mut keys = Vec::new();
    for (scalar, at) in scalars {
        let lexed = lex(scalar);
        // In a block the expression stands in a line below.
        let here = |line: usize| {
            let line = at.line.saturating_add(u32::try_from(line - 1).unwrap_or(u32::MAX));
            node::Position { line, column: if line == at.line { at.column } else { 1 } }
        };
        check_problems(&lexed, |code, line| text.here(code, here(line), None), findings);
        keys.extend(lexed.keys().map(|key| (key.name, here(key.line), key.conditional)));
    }
    let mut said = HashSet::new();
    for (name, at, conditional) in keys {
        if said.insert(name) {
            let key = lex::Key { name, line: 1, conditional };
            check_keys(std::iter::once(key), System::Eksa, |code, _| text.here(code, at, None), findings);
        }
    }
    actions::check(node, &text, findings);
}

/// The scalars with expressions, and where they stand.
fn collect<'a>(node: &'a Node, into: &mut Vec<(&'a str, node::Position)>) {
    match &node.value {
        Value::Scalar { text, .. } if text.contains("{{") || text.contains("}}") => {
            into.push((text, node.at))
        }
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter().for_each(|item| collect(item, into)),
        Value::Map(entries) => entries.iter().for_each(|entry| collect(&entry.node, into)),
    }
}

/// Says what the engine would refuse, and whether there is such.
fn check_problems(
    lexed: &Lexed<'_>,
    in_line: impl Fn(&'static Code, usize) -> Finding,
    findings: &mut Findings,
) -> bool {
    let mut is_broken = false;
    for problem in lexed.problems.iter().take(MOST_PROBLEMS) {
        let code = match problem.kind {
            lex::ProblemKind::Unclosed => &code::UNCLOSED,
            lex::ProblemKind::StrayClose => &code::STRAY_BRACES,
            lex::ProblemKind::Empty | lex::ProblemKind::NoEnd | lex::ProblemKind::NoBranch => {
                &code::EXPRESSION
            }
        };
        is_broken |= code.severity == Severity::Error;
        findings.push(in_line(code, problem.line));
    }
    is_broken
}

/// Whether an expression prints more than a scalar.
fn writes_yaml(lexed: &Lexed<'_>) -> bool {
    lexed.actions.iter().any(|a| ["toYaml", "indent", "include"].iter().any(|word| a.code.contains(word)))
}

fn check_keys<'a>(
    keys: impl Iterator<Item = lex::Key<'a>>,
    system: System,
    in_line: impl Fn(&'static Code, usize) -> Finding,
    findings: &mut Findings,
) {
    let given = system.keys();
    let mut said = BTreeSet::new();
    for key in keys {
        let is_given = ALWAYS_GIVEN.contains(&key.name) || given.unwrap_or(&KKP_KEYS).contains(&key.name);
        if is_given || !said.insert(key.name) {
            continue;
        }
        let is_certain = given.is_some() && !key.conditional;
        let code = if is_certain { &code::KEY_NOT_GIVEN } else { &code::KEY_UNDECIDED };
        let finding = in_line(code, key.line).shown(format!(".{}", key.name));
        findings.push(match given {
            Some(given) => {
                let names: Vec<_> = given.iter().map(|k| format!(".{k}")).collect();
                finding.accepted(format!("{}, .Hardware", names.join(", ")))
            }
            None => finding,
        });
    }
}

/// How much comes out of a Template at least: what is printed as it stands, and for each expression that is nothing but
/// a key what `value_bytes` knows of it. Where there are branches it is not known.
pub fn printed_bytes(lexed: &Lexed<'_>, value_bytes: impl Fn(&str) -> Option<usize>) -> usize {
    let expressions: usize = lexed.actions.iter().map(|a| a.range.len()).sum();
    let values: usize = lexed
        .actions
        .iter()
        .filter(|a| a.role == lex::Role::Value)
        .filter_map(|a| {
            // Through a pipe it may become shorter: only JSON's quotes are known not to.
            let key = a.code.split('|').next().unwrap_or_default().trim().strip_prefix('.')?;
            let functions = a.code.split('|').skip(1).all(|f| ["toJson", "quote"].contains(&f.trim()));
            functions.then(|| value_bytes(key)).flatten()
        })
        .sum();
    lexed.text.len() - expressions + values
}

#[cfg(test)]
mod tests;
