//! Where a Template stands in its object, and what stands for what in it.

use super::System;
use super::lex::Substituted;
use crate::code::Code;
use crate::field::Field;
use crate::finding::Finding;
use crate::node::{Node, Plain, Position, Value, plain};

/// A Template as it is being read.
pub(super) struct Text<'a, 'b> {
    /// Where it stands.
    pub(super) field: Field<'a>,
    /// Who makes a Workflow of it.
    pub(super) system: System,
    source: Source<'b>,
}

enum Source<'b> {
    /// Text that is YAML only once it is rendered, with words for its expressions. Where it is a literal block, the file's line
    /// of its first one.
    Text { substituted: &'b Substituted<'b>, first_line: Option<u32> },
    /// YAML whose scalars may be expressions.
    Values,
}

impl<'a, 'b> Text<'a, 'b> {
    /// Of a field's text.
    pub(super) fn of(field: Field<'a>, system: System, substituted: &'b Substituted<'b>) -> Self {
        let first_line = match field.node() {
            Some(Node { value: Value::Scalar { text, literal: true, .. }, at }) => {
                // A literal block's place is that of its first line with something in it.
                let empty = text.lines().take_while(|l| l.trim().is_empty()).count();
                Some(at.line.saturating_sub(small(empty)))
            }
            _ => None,
        };
        Text { field, system, source: Source::Text { substituted, first_line } }
    }

    /// Of a field that is YAML itself.
    pub(super) fn values(field: Field<'a>, system: System) -> Self {
        Text { field, system, source: Source::Values }
    }

    /// A finding in a line of the Template's text, from 1.
    pub(super) fn in_line(&self, code: &'static Code, line: usize) -> Finding {
        let finding = self.field.finding(code);
        match self.source {
            Source::Text { first_line: Some(first), .. } => {
                finding.on_line(first.saturating_add(small(line)).saturating_sub(1))
            }
            _ => finding.note(format!("line {line} of it")),
        }
    }

    /// A finding about a value of what the text is as YAML.
    pub(super) fn at(&self, code: &'static Code, node: &Node, path: &str) -> Finding {
        match self.source {
            Source::Text { substituted, .. } => {
                let finding = self.in_line(code, substituted.line(node.at.line as usize));
                Finding { field: Some(path.to_owned()), ..finding }
            }
            Source::Values => self.here(code, node.at, Some(path)),
        }
    }

    /// A finding at a place of the object's own file.
    pub(super) fn here(&self, code: &'static Code, at: Position, path: Option<&str>) -> Finding {
        let finding = self.field.finding(code);
        let whole = finding.field.clone().unwrap_or_default();
        let field = path.map_or(whole.clone(), |path| format!("{whole}.{path}"));
        Finding { at: Some(at), field: Some(field), ..finding }
    }

    /// A finding with a scalar, as it stands in the Template.
    pub(super) fn value(&self, code: &'static Code, node: &Node, path: &str) -> Finding {
        let finding = self.at(code, node, path);
        match scalar(node) {
            Some(written) => finding.value(&self.shown(written)),
            None => finding,
        }
    }

    /// The text of a scalar, as it stands in the Template.
    pub(super) fn shown(&self, text: &str) -> String {
        match self.source {
            Source::Text { substituted, .. } => substituted.restore(text),
            Source::Values => text.to_owned(),
        }
    }

    /// Whether an expression is in a scalar's text: what it will be is not known.
    pub(super) fn is_open(&self, text: &str) -> bool {
        match self.source {
            Source::Text { substituted, .. } => substituted.is_open(text),
            Source::Values => text.contains("{{"),
        }
    }

    /// Whether a value is an expression, or has one in it.
    pub(super) fn is_open_node(&self, node: &Node) -> bool {
        scalar(node).is_some_and(|text| self.is_open(text))
    }
}

/// The text of a scalar that is not null.
pub(super) fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, plain: true, .. } if plain(text) == Plain::Null => None,
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
