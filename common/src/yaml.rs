//! YAML that others wrote, read as its readers in the installed system (PyYAML, libyaml) would: as leniently, and with
//! nothing of the content in an error.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

/// Where YAML is broken. The text itself, which may hold secrets, is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct Broken {
    /// The line, from 1; 0 where it is not known.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong, in fixed words.
    pub what: &'static str,
}

/// Reads one YAML document. Of a key that is there twice the last one counts, as in PyYAML.
///
/// # Errors
/// Where the text is no YAML, or more than one document, or grows beyond reason by its aliases.
pub fn parse(text: &str) -> Result<Value, Broken> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        Broken {
            line: location.map_or(0, |location| location.line()),
            column: location.map_or(0, |location| location.column()),
            what: words(error.without_snippet()),
        }
    })
}

/// What the library says of the most frequent mistakes, and the words that stand for it.
const MISTAKES: &[(&str, &str)] = &[
    ("mapping values are not allowed", "a second `: ` on one line; quote the text"),
    ("illegal placement of ':'", "a `:` where none can be"),
    ("simple key expected", "a line without its `:`"),
    ("tabs disallowed", "a tab in the indentation"),
    ("unclosed quote", "a quote that does not end"),
    ("unexpected character", "a character that no plain text begins with; quote the text"),
    ("did not find expected key", "the indentation does not fit"),
];

/// The library's own words may repeat keys, tags and scalars.
fn words(error: &serde_saphyr::Error) -> &'static str {
    use serde_saphyr::Error;
    match error {
        Error::Eof { .. } => "it ends too early",
        Error::MultipleDocuments { .. } => "a second document begins",
        Error::UnknownAnchor { .. } => "an alias without its anchor",
        Error::Budget { .. }
        | Error::AliasError { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => "it is too large, or grows too large by its aliases",
        error => {
            let said = error.to_string();
            MISTAKES
                .iter()
                .find(|(theirs, _)| said.contains(theirs))
                .map_or("this is no YAML", |(_, ours)| ours)
        }
    }
}

/// Bytes as text.
///
/// # Errors
/// Where they are no UTF-8, which YAML must be.
pub fn text(content: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(content).map_err(|error| {
        let before = &content[..error.valid_up_to()];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Broken {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64,
            column: 1 + (before.len() - line_start) as u64,
            what: "this is no UTF-8",
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_pyyaml_reads() {
        for (text, value) in [
            ("", json!(null)),
            ("# only a comment\n", json!(null)),
            ("a: &x 1\nb: *x\n", json!({"a": 1, "b": 1})),
            ("a: 1\na: 2\n", json!({"a": 2})),
            ("a: 1\n1: 2\n", json!({"a": 1, "1": 2})),
            ("%YAML 1.1\n---\na: 0755\n", json!({"a": "0755"})),
            ("\u{feff}a: 1\r\nb: [\n1,\n2\n]\r\n...\n", json!({"a": 1, "b": [1, 2]})),
            ("<<: {a: 1}\nb: 2", json!({"b": 2, "a": 1})),
            ("mac: 52:54:00:12:34:56\n", json!({"mac": "52:54:00:12:34:56"})),
            ("a: !!binary aGk=\nb: .inf\n", json!({"a": "aGk=", "b": ".inf"})),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text:?}");
        }
    }

    #[test]
    fn says_where_and_repeats_nothing() {
        for (text, line) in [
            ("a: 1\nhunter2: b: c\n", 2),
            ("a: [1\nhunter2: 2\n", 2),
            ("a:\n\t- hunter2\n", 2),
            ("a: 'hunter2\n", 1),
            ("a: 1\nb: *hunter2\n", 2),
            ("a: @hunter2", 1),
            ("a: |\n  hunter2\n hunter2\n", 3),
            ("a: hunter2\n---\nb: hunter2\n", 3),
            ("- hunter2\n-hunter2\n", 2),
        ] {
            let broken = parse(text).unwrap_err();
            assert!((line..=line + 1).contains(&broken.line), "{text:?}: {broken}");
            assert!(!format!("{broken} {broken:?}").contains("hunter2"), "{text:?}: {broken}");
        }
    }

    #[test]
    fn a_bomb_ends_soon() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..8 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(",");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let start = std::time::Instant::now();
        assert_eq!(parse(&bomb).unwrap_err().what, "it is too large, or grows too large by its aliases");
        assert!(start.elapsed().as_secs() < 10);
    }

    #[test]
    fn yaml_is_utf_8() {
        assert_eq!(text(b"a: \xc3\xa4").unwrap(), "a: \u{e4}");
        assert_eq!(
            text(b"a: 1\nbc: \xff").unwrap_err(),
            Broken { line: 2, column: 5, what: "this is no UTF-8" }
        );
    }
}
