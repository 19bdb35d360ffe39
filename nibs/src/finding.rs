//! What is wrong with the input, all of it at once.

use std::cmp::Ordering;
use std::fmt;

use crate::node::Position;

/// Whether the Workflow can be made all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No Workflow is printed.
    Error,
    /// Unusual; the Workflow is printed.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file's name as it was given, `-` for standard input; none where it is no file's fault.
    pub file: Option<String>,
    /// Where in the file.
    pub at: Option<Position>,
    /// `Hardware default/node9`
    pub object: Option<String>,
    /// `spec.interfaces[0].dhcp.mac`
    pub field: Option<String>,
    /// The value, what is wrong with it, and what would be accepted. Never a secret.
    pub message: String,
}

impl Finding {
    /// By place first, so that they read like the file.
    fn order(&self, other: &Self) -> Ordering {
        let key = |f: &Self| {
            (f.file.clone(), f.at, f.severity, f.object.clone(), f.field.clone(), f.message.clone())
        };
        key(self).cmp(&key(other))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(Position { line, column }) = self.at {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(match self.severity {
            Severity::Error => "error: ",
            Severity::Warning => "warning: ",
        })?;
        for part in [&self.object, &self.field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)
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

    /// Adds an error that belongs to no place in a file.
    pub fn error(&mut self, message: impl Into<String>) {
        let message = message.into();
        self.push(Finding {
            severity: Severity::Error,
            file: None,
            at: None,
            object: None,
            field: None,
            message,
        });
    }

    /// Adds an error of a file's form.
    pub fn in_file(&mut self, file: &str, at: Option<Position>, message: impl Into<String>) {
        let (file, message) = (Some(file.to_owned()), message.into());
        self.push(Finding { severity: Severity::Error, file, at, object: None, field: None, message });
    }

    /// Whether there is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|f| f.severity == Severity::Error)
    }

    /// All of them, sorted, each once, a line each, and a last line that counts them; nothing when there is none.
    pub fn report(mut self) -> String {
        self.0.sort_by(Finding::order);
        self.0.dedup();
        let mut text: String = self.0.iter().map(|finding| format!("{finding}\n")).collect();
        let count = |severity, one: &str| {
            let n = self.0.iter().filter(|f| f.severity == severity).count();
            format!("{n} {one}{}", if n == 1 { "" } else { "s" })
        };
        if !self.0.is_empty() {
            text +=
                &format!("{}, {}\n", count(Severity::Error, "error"), count(Severity::Warning, "warning"));
        }
        text
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

    fn finding(file: &str, line: usize, severity: Severity) -> Finding {
        Finding {
            severity,
            file: Some(file.into()),
            at: Some(Position { line, column: 3 }),
            object: Some("Hardware default/a".into()),
            field: Some("spec.disks".into()),
            message: "missing".into(),
        }
    }

    #[test]
    fn sorted_once_each_and_counted() {
        let mut findings = Findings::default();
        findings.push(finding("b", 1, Severity::Warning));
        findings.push(finding("a", 10, Severity::Error));
        findings.push(finding("a", 2, Severity::Error));
        findings.push(finding("a", 2, Severity::Error));
        findings.error("no Hardware");
        assert!(findings.has_errors());
        let expected = "error: no Hardware\n\
                        a:2:3: error: Hardware default/a: spec.disks: missing\n\
                        a:10:3: error: Hardware default/a: spec.disks: missing\n\
                        b:1:3: warning: Hardware default/a: spec.disks: missing\n\
                        3 errors, 1 warning\n";
        assert_eq!(findings.report(), expected);
        assert_eq!(Findings::default().report(), "");
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
    fn long_values_are_cut_and_stay_on_a_line() {
        assert_eq!(show("a\nb"), "\"a\\nb\"");
        assert!(show(&"ä".repeat(1000)).chars().count() < 110);
    }
}
