//! What is wrong with the input, all of it at once.

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::code::{Code, Severity};
use crate::node::Position;

/// What a finding calls an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// `Hardware`
    pub kind: &'static str,
    /// `tink-system`
    pub namespace: Rc<str>,
    /// `node9`
    pub name: Rc<str>,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no name may be anything.
        let shown = |name: &str| {
            let is_odd = name.len() > 253 || name.chars().any(|c| c.is_control() || c.is_whitespace());
            if is_odd { show(name) } else { name.to_owned() }
        };
        write!(f, "{} {}/{}", self.kind, shown(&self.namespace), shown(&self.name))
    }
}

/// One thing that is wrong. No part of it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which kind of finding, and how bad it is.
    pub code: &'static Code,
    /// The file's name as it was given, `-` for standard input; none where it is no file's fault.
    pub file: Option<Rc<str>>,
    /// Where in the file.
    pub at: Option<Position>,
    /// The object.
    pub object: Option<ObjectName>,
    /// `spec.interfaces[0].dhcp.mac`
    pub field: Option<String>,
    /// The value as it may be shown: see [`show`] and [`show_url`].
    pub value: Option<String>,
    /// What is wrong here, where the code alone does not say it.
    pub note: Option<String>,
    /// What would be accepted.
    pub accepted: Option<String>,
}

impl Finding {
    /// One that belongs to no place yet.
    pub fn new(code: &'static Code) -> Self {
        Finding {
            code,
            file: None,
            at: None,
            object: None,
            field: None,
            value: None,
            note: None,
            accepted: None,
        }
    }

    /// One of a file's form.
    pub fn in_file(code: &'static Code, file: &str, at: Option<Position>) -> Self {
        Finding { file: Some(file.into()), at, ..Self::new(code) }
    }

    /// With the value, quoted and cut.
    #[must_use]
    pub fn value(self, value: &str) -> Self {
        self.shown(show(value))
    }

    /// With the value of a URL, without its credentials.
    #[must_use]
    pub fn url(self, url: &str) -> Self {
        self.shown(show_url(url))
    }

    /// With a value that is already fit to be shown.
    #[must_use]
    pub fn shown(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// With what is wrong here.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// With what would be accepted.
    #[must_use]
    pub fn accepted(mut self, accepted: impl Into<String>) -> Self {
        self.accepted = Some(accepted.into());
        self
    }

    /// In the object's line `line` and no column: for a place within a literal block.
    #[must_use]
    pub fn on_line(mut self, line: u32) -> Self {
        self.at = Some(Position { line, column: 1 });
        self
    }

    /// By place first, so that they read like the file.
    fn order(&self, other: &Self) -> Ordering {
        let place = |f: &'_ Self| (f.at, f.code.severity, f.code.id);
        self.file
            .cmp(&other.file)
            .then_with(|| place(self).cmp(&place(other)))
            .then_with(|| self.object.cmp(&other.object))
            .then_with(|| self.field.cmp(&other.field))
            .then_with(|| (&self.value, &self.note).cmp(&(&other.value, &other.note)))
    }

    /// The finding for a machine.
    pub fn json(&self) -> Value {
        json!({
            "code": self.code.id,
            "severity": self.code.severity.word(),
            "title": self.code.title,
            "file": self.file.as_deref(),
            "line": self.at.map(|at| at.line),
            "column": self.at.map(|at| at.column),
            "object": self.object.as_ref().map(|o| json!({"kind": o.kind, "namespace": &*o.namespace, "name": &*o.name})),
            "field": self.field,
            "value": self.value,
            "note": self.note,
            "accepted": self.accepted,
            "help": self.code.why,
        })
    }

    /// The finding for a person, some lines each with its end.
    pub fn text(&self, colour: bool) -> String {
        let (strong, kind, dim, off) = if colour {
            let kind = if self.code.severity == Severity::Error { "\u{1b}[1;31m" } else { "\u{1b}[1;33m" };
            ("\u{1b}[1m", kind, "\u{1b}[1;34m", "\u{1b}[0m")
        } else {
            ("", "", "", "")
        };
        let Code { id, severity, title, why } = self.code;
        let mut text = format!("{kind}{}[{id}]{off}{strong}: {title}{off}\n", severity.word());
        let object = self.object.as_ref().map(ToString::to_string);
        let place = self.file.as_ref().map(|file| match self.at {
            Some(Position { line, column }) => format!("{file}:{line}:{column}"),
            None => file.to_string(),
        });
        if place.is_some() || object.is_some() {
            let parts: Vec<_> = place.into_iter().chain(object).collect();
            text += &format!("  {dim}-->{off} {}\n", parts.join("  "));
        }
        match (&self.field, &self.value) {
            (Some(field), Some(value)) => text += &format!("   {dim}|{off} {field}: {value}\n"),
            (Some(one), None) | (None, Some(one)) => text += &format!("   {dim}|{off} {one}\n"),
            (None, None) => {}
        }
        for line in self.note.iter().chain(&self.accepted.as_ref().map(|a| format!("accepted: {a}"))) {
            text += &format!("   {dim}={off} {line}\n");
        }
        text += &format!("   {dim}={off} help: {why}\n");
        text
    }
}

/// The findings of a run.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Whether there is an error.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Sorts them by place, and keeps each once.
    pub fn sort(&mut self) {
        self.0.sort_by(Finding::order);
        self.0.dedup();
    }

    /// How many there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|f| f.code.severity == severity).count()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// `2 errors, 1 warning`
    pub fn counts(&self) -> String {
        let count = |severity: Severity| {
            let n = self.count(severity);
            format!("{n} {}{}", severity.word(), if n == 1 { "" } else { "s" })
        };
        format!("{}, {}", count(Severity::Error), count(Severity::Warning))
    }

    /// All of them, sorted, each once, and a last line that counts them; nothing when there is none.
    pub fn report(mut self, colour: bool) -> String {
        self.sort();
        let mut text: String = self.0.iter().map(|finding| finding.text(colour)).collect();
        if !self.0.is_empty() {
            text += &format!("{}\n", self.counts());
        }
        text
    }

    /// Place, code, field and value of each in a line: for tests.
    #[cfg(test)]
    pub(crate) fn brief(mut self) -> Vec<String> {
        self.sort();
        let line = |f: &Finding| {
            let at = f.at.map_or(String::new(), |at| format!("{}:{} ", at.line, at.column));
            let parts = [f.field.clone(), f.value.clone()].into_iter().flatten();
            format!("{at}{} {}", f.code.id, parts.collect::<Vec<_>>().join(": ")).trim_end().to_owned()
        };
        self.0.iter().map(line).collect()
    }

    /// The codes alone, in the order of the places: for tests.
    #[cfg(test)]
    pub(crate) fn codes(mut self) -> Vec<&'static str> {
        self.sort();
        self.0.iter().map(|f| f.code.id).collect()
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A value for a message: quoted, on one line, and cut where it is long.
pub fn show(value: &str) -> String {
    const LONGEST: usize = 100;
    if value.chars().count() > LONGEST {
        let start: String = value.chars().take(LONGEST).collect();
        format!("{start:?}…")
    } else {
        format!("{value:?}")
    }
}

/// A URL for a message: without what may be a credential, which is its user part and the values of its query.
pub fn show_url(url: &str) -> String {
    let (scheme, rest) =
        url.split_once("://").map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 3], rest));
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
    let shown = &rest[host..];
    let end = shown.find(['?', '#']).unwrap_or(shown.len());
    let user = if host > 0 { "…@" } else { "" };
    let query = if end < shown.len() { "?…" } else { "" };
    show(&format!("{scheme}{user}{}{query}", &shown[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{ADDRESS_TWICE, GATEWAY_OUTSIDE, MISSING_INPUT};

    fn finding(file: &str, line: u32, code: &'static Code) -> Finding {
        let object = ObjectName { kind: "Hardware", namespace: "default".into(), name: "a".into() };
        Finding {
            object: Some(object),
            field: Some("spec.disks".into()),
            ..Finding::in_file(code, file, Some(Position { line, column: 3 }))
        }
        .value("x")
    }

    #[test]
    fn sorted_once_each_and_counted() {
        let mut findings = Findings::default();
        findings.push(finding("b", 1, &GATEWAY_OUTSIDE));
        findings.push(finding("a", 10, &ADDRESS_TWICE).note("b has it too").accepted("another"));
        findings.push(finding("a", 2, &ADDRESS_TWICE));
        findings.push(finding("a", 2, &ADDRESS_TWICE));
        findings.push(Finding::new(&MISSING_INPUT).note("no Hardware"));
        assert!(findings.has_errors());
        let report = findings.report(false);
        let places: Vec<_> = report.lines().filter(|l| l.contains("-->")).collect();
        assert_eq!(
            places,
            [
                "  --> a:2:3  Hardware default/a",
                "  --> a:10:3  Hardware default/a",
                "  --> b:1:3  Hardware default/a"
            ]
        );
        assert!(
            report.starts_with("error[N0111]: something that is needed was not given\n   = no Hardware\n")
        );
        let middle = "  --> a:10:3  Hardware default/a\n   | spec.disks: \"x\"\n   = b has it too\n   = accepted: another\n   = help: ";
        assert!(report.contains(middle), "{report}");
        assert!(report.ends_with("\n3 errors, 1 warning\n"), "{report}");
        assert_eq!(Findings::default().report(false), "");
    }

    #[test]
    fn colour_only_when_asked_for() {
        assert!(finding("a", 1, &ADDRESS_TWICE).text(true).contains('\u{1b}'));
        assert!(!finding("a", 1, &ADDRESS_TWICE).text(false).contains('\u{1b}'));
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = |url| show_url(url);
        assert_eq!(shown("http://u:p@h.example/i.raw?X-Amz-Signature=s"), "\"http://…@h.example/i.raw?…\"");
        assert_eq!(shown("http://h/a@b.raw"), "\"http://h/a@b.raw\"");
        assert_eq!(shown("u:p@h/x"), "\"…@h/x\"");
        assert_eq!(shown("http://u:p@h#x"), "\"http://…@h?…\"");
        assert_eq!(shown("h"), "\"h\"");
    }

    #[test]
    fn a_name_cannot_write_on_the_terminal() {
        let of = |name: &str| {
            ObjectName { kind: "Hardware", namespace: "default".into(), name: name.into() }.to_string()
        };
        assert_eq!(of("node-9.example"), "Hardware default/node-9.example");
        assert_eq!(of("a\u{1b}[2J\nb"), "Hardware default/\"a\\u{1b}[2J\\nb\"");
        assert!(of(&"a".repeat(10_000)).len() < 150);
    }

    #[test]
    fn long_values_are_cut_and_stay_on_a_line() {
        assert_eq!(show("a\nb"), "\"a\\nb\"");
        assert!(show(&"ä".repeat(1000)).chars().count() < 110);
    }
}
