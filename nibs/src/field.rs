//! A field of an object: its value, its path and its place, so that everything said about it says where it is.

use crate::code::{Code, WRONG_TYPE};
use crate::finding::{Finding, Findings, show};
use crate::node::{Entry, Node, Plain, Position, Value, plain};
use crate::object::Object;

/// A field that an object has or could have.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    object: &'a Object,
    path: String,
    node: Option<&'a Node>,
    /// Where it stands, or the nearest thing above it that is there.
    at: Position,
}

impl<'a> Field<'a> {
    /// All of the object.
    pub fn root(object: &'a Object) -> Self {
        Field { object, path: String::new(), node: Some(&object.node), at: object.node.at }
    }

    /// The object it belongs to.
    pub fn object(&self) -> &'a Object {
        self.object
    }

    /// Where it stands, or the nearest thing above it that is there.
    pub fn at(&self) -> Position {
        self.at
    }

    /// Its value as it was read, if it is there.
    pub fn node(&self) -> Option<&'a Node> {
        self.node
    }

    /// The file's name, and the line: for a message about another field.
    pub fn place(&self) -> String {
        format!("{}:{}", self.object.file, self.at.line)
    }

    /// The field of that name below this one.
    pub fn get(&self, key: &str) -> Field<'a> {
        let path = self.path_of(key);
        match self.node.and_then(|n| n.get(key)) {
            Some(entry) => self.of_entry(path, entry),
            None => Field { object: self.object, path, node: None, at: self.at },
        }
    }

    fn of_entry(&self, path: String, entry: &'a Entry) -> Field<'a> {
        // A scalar is where its value is; what is larger, where its key is.
        let large = matches!(entry.node.value, Value::List(_) | Value::Map(_)) || entry.node.is_null();
        let at = if large { entry.at } else { entry.node.at };
        Field { object: self.object, path, node: Some(&entry.node).filter(|n| !n.is_null()), at }
    }

    /// The path of the field of that name below this one.
    fn path_of(&self, key: &str) -> String {
        let simple =
            key.len() < 100 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        match (self.path.as_str(), simple) {
            ("", true) => key.to_owned(),
            (path, true) => format!("{path}.{key}"),
            (path, false) => format!("{path}[{}]", show(key)),
        }
    }

    /// The field of that name in any case, where it is read by Go's encoding/json and not by the API server.
    pub fn get_any_case(&self, key: &str) -> Field<'a> {
        let entries = match self.node.map(|n| &n.value) {
            Some(Value::Map(entries)) => &entries[..],
            _ => &[],
        };
        // The exact name goes first, as it does there.
        let exact = entries.iter().any(|e| &*e.key == key);
        let other = entries.iter().find(|e| !exact && e.key.eq_ignore_ascii_case(key));
        self.get(other.map_or(key, |e| &*e.key))
    }

    /// The field at a path of simple names, as `spec.template.spec`.
    pub fn dig(&self, path: &str) -> Field<'a> {
        path.split('.').fold(self.clone(), |field, key| field.get(key))
    }

    /// Whether it is there and not null.
    pub fn exists(&self) -> bool {
        self.node.is_some()
    }

    /// Whether it is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.node, Some(Node { value: Value::Map(_), .. }))
    }

    /// The elements of a list; none when it is missing.
    pub fn items(&self, findings: &mut Findings) -> Vec<Field<'a>> {
        match self.node.map(|n| &n.value) {
            None => Vec::new(),
            Some(Value::List(items)) => {
                let item = |(i, node): (usize, &'a Node)| Field {
                    object: self.object,
                    path: format!("{}[{i}]", self.path),
                    node: Some(node).filter(|n| !n.is_null()),
                    at: node.at,
                };
                items.iter().enumerate().map(item).collect()
            }
            Some(_) => {
                self.wrong_kind(findings, "a list");
                Vec::new()
            }
        }
    }

    /// Names and fields of a mapping; none when it is missing.
    pub fn entries(&self, findings: &mut Findings) -> Vec<(&'a str, Field<'a>)> {
        match self.node.map(|n| &n.value) {
            None => Vec::new(),
            Some(Value::Map(entries)) => {
                entries.iter().map(|e| (&*e.key, self.of_entry(self.path_of(&e.key), e))).collect()
            }
            Some(_) => {
                self.wrong_kind(findings, "a mapping");
                Vec::new()
            }
        }
    }

    /// Its text. None when it is missing, and when it is something else, which is said.
    pub fn text(&self, findings: &mut Findings) -> Option<&'a str> {
        match &self.node?.value {
            Value::Scalar { text, plain: true, .. } if plain(text) != Plain::Text => {
                let kind = self.node?.kind();
                let finding = self.finding(&WRONG_TYPE).note(format!("this is {kind}"));
                let shown: String = text.chars().take(100).collect();
                findings.push(finding.accepted(format!("text, in quotes: {shown:?}")).shown(shown));
                None
            }
            Value::Scalar { text, .. } => Some(text),
            _ => {
                self.wrong_kind(findings, "text");
                None
            }
        }
    }

    /// Its text where that is nothing to complain of; nothing is said.
    pub fn quiet(&self) -> Option<&'a str> {
        match &self.node?.value {
            Value::Scalar { text, .. } if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Its text, which must be there and not be empty: else `code` says so, with what is accepted.
    pub fn required(&self, findings: &mut Findings, code: &'static Code, accepted: &str) -> Option<&'a str> {
        if self.node.is_none() {
            self.missing(findings, code, accepted);
            return None;
        }
        let text = self.text(findings)?;
        if text.is_empty() {
            findings.push(self.finding(code).note("empty").accepted(accepted));
            return None;
        }
        Some(text)
    }

    /// Its boolean. None when it is missing, and when it is something else, which is said.
    pub fn boolean(&self, findings: &mut Findings) -> Option<bool> {
        match &self.node?.value {
            Value::Scalar { text, plain: true, .. } if matches!(plain(text), Plain::Bool(_)) => {
                Some(plain(text) == Plain::Bool(true))
            }
            Value::Scalar { text, .. } => {
                let finding = self.finding(&WRONG_TYPE).value(text);
                findings.push(finding.accepted("true and false, without quotes"));
                None
            }
            _ => {
                self.wrong_kind(findings, "true or false");
                None
            }
        }
    }

    /// Its whole number. None when it is missing, and when it is something else, which is said.
    pub fn integer(&self, findings: &mut Findings) -> Option<i64> {
        match &self.node?.value {
            Value::Scalar { text, plain: true, .. } if text.parse::<i64>().is_ok() => text.parse().ok(),
            Value::Scalar { text, .. } => {
                let finding = self.finding(&WRONG_TYPE).value(text);
                findings.push(finding.accepted("a whole number, without quotes"));
                None
            }
            _ => {
                self.wrong_kind(findings, "a whole number");
                None
            }
        }
    }

    /// A finding about it.
    pub fn finding(&self, code: &'static Code) -> Finding {
        Finding {
            file: Some(self.object.file.clone()),
            at: Some(self.at),
            object: Some(self.object.object_name()),
            field: Some(self.path.clone()).filter(|p| !p.is_empty()),
            ..Finding::new(code)
        }
    }

    /// Says that it is missing.
    pub fn missing(&self, findings: &mut Findings, code: &'static Code, accepted: &str) {
        findings.push(self.finding(code).note("missing").accepted(accepted));
    }

    /// Says that its value is wrong.
    pub fn wrong(&self, findings: &mut Findings, code: &'static Code, value: &str, accepted: &str) {
        findings.push(self.finding(code).value(value).accepted(accepted));
    }

    fn wrong_kind(&self, findings: &mut Findings, accepted: &str) {
        let kind = self.node.map_or("nothing", Node::kind);
        findings.push(self.finding(&WRONG_TYPE).note(format!("this is {kind}")).accepted(accepted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::MAC;
    use crate::object;

    const TEXT: &str = "apiVersion: tinkerbell.org/v1alpha1\nkind: Hardware\nmetadata:\n  name: a\n  annotations:\n    \
                        x.io/p: 3\nspec:\n  n: 22.10\n  t: 'x'\n  b: yes\n  e: ''\n  none:\n  list: [a, {b: 1}]\n";

    fn with(check: impl Fn(Field<'_>, &mut Findings)) -> Vec<String> {
        let mut findings = Findings::default();
        let mut reader = object::Reader::default();
        reader.read("f", TEXT, &mut findings);
        check(Field::root(&reader.objects[0]), &mut findings);
        findings.brief()
    }

    #[test]
    fn values_of_each_kind() {
        let said = with(|root, findings| {
            let spec = root.get("spec");
            assert_eq!(spec.get("t").text(findings), Some("x"));
            assert_eq!(spec.get("b").boolean(findings), Some(true));
            assert_eq!(spec.get("list").items(findings).len(), 2);
            assert!(!spec.get("none").exists());
            assert_eq!(spec.get("none").text(findings), None);
            assert_eq!(spec.entries(findings).len(), 6);
            assert_eq!(spec.get("list").items(findings)[1].get("b").integer(findings), Some(1));
        });
        assert_eq!(said, [""; 0]);
    }

    #[test]
    fn each_wrong_value_says_where_it_is_and_what_would_do() {
        type Check = fn(Field<'_>, &mut Findings);
        let cases: [(Check, &str); 7] = [
            (|root, f| assert_eq!(root.dig("spec.n").text(f), None), "8:6 N0107 spec.n: 22.10"),
            (
                |root, f| assert_eq!(root.dig("metadata.annotations").get("x.io/p").text(f), None),
                "6:13 N0107 metadata.annotations[\"x.io/p\"]: 3",
            ),
            (|root, f| assert_eq!(root.dig("spec.t").boolean(f), None), "9:6 N0107 spec.t: \"x\""),
            (|root, f| assert_eq!(root.dig("spec.e").required(f, &MAC, "a name"), None), "11:6 N0406 spec.e"),
            (
                |root, f| assert_eq!(root.dig("spec.none.deeper").required(f, &MAC, "a name"), None),
                "12:3 N0406 spec.none.deeper",
            ),
            (|root, f| assert!(root.dig("spec.t").items(f).is_empty()), "9:6 N0107 spec.t"),
            (|root, f| assert_eq!(root.dig("spec.list").integer(f), None), "13:3 N0107 spec.list"),
        ];
        for (check, expected) in cases {
            assert_eq!(with(check), [expected]);
        }
    }
}
