//! Values that stand in another object: KKP takes one plain, as `{value: …}`, or from a Secret or ConfigMap.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::code::{Code, NO_SUCH_KEY, UNRESOLVED};
use crate::field::Field;
use crate::finding::{Finding, Findings};
use crate::object::{CONFIG_MAP, Object, SECRET};

/// The Secrets and ConfigMaps that are given.
#[derive(Debug, Default)]
pub struct References<'a>(HashMap<(&'static str, &'a str, &'a str), &'a Object>);

/// A value, wherever it stood.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// The value.
    pub text: Cow<'a, str>,
    /// Where it was asked for.
    pub field: Field<'a>,
    /// Whether it may be shown: one of a Secret may not.
    pub is_secret: bool,
}

impl Given<'_> {
    /// A finding about the value, which `show` adds to it if it may be shown.
    pub fn finding(&self, code: &'static Code, show: impl Fn(Finding, &str) -> Finding) -> Finding {
        let finding = self.field.finding(code);
        if self.is_secret { finding.shown("(of a Secret, not shown)") } else { show(finding, &self.text) }
    }
}

impl<'a> References<'a> {
    /// Those among the objects.
    pub fn of(objects: &'a [Object]) -> Self {
        let kept = objects.iter().filter(|o| o.kind == SECRET || o.kind == CONFIG_MAP);
        References(kept.map(|o| ((o.kind.name, &*o.namespace, &*o.name), o)).collect())
    }

    /// The value of a field; none when it is missing or empty, which `code` says, or cannot be found.
    pub fn text(
        &self,
        field: &Field<'a>,
        code: &'static Code,
        accepted: &str,
        findings: &mut Findings,
    ) -> Option<Given<'a>> {
        let plain = |field: Field<'a>, findings: &mut Findings| {
            let text = field.required(findings, code, accepted)?;
            Some(Given { text: text.into(), field, is_secret: false })
        };
        if !field.is_map() {
            return plain(field.clone(), findings);
        }
        for (key, kind) in [("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)] {
            let reference = field.get(key);
            if reference.exists() {
                return self.follow(&reference, kind.name, code, findings);
            }
        }
        plain(field.get("value"), findings)
    }

    fn follow(
        &self,
        reference: &Field<'a>,
        kind: &'static str,
        code: &'static Code,
        findings: &mut Findings,
    ) -> Option<Given<'a>> {
        let part = |name, findings: &mut Findings| reference.get(name).required(findings, code, "text");
        let namespace = reference.get("namespace").text(findings).unwrap_or(&reference.object().namespace);
        let (name, key) = (part("name", findings), part("key", findings));
        let (name, key) = (name?, key?);
        let Some(object) = self.0.get(&(kind, namespace, name)) else {
            findings.push(reference.finding(&UNRESOLVED).shown(format!("{kind} {namespace}/{name}")));
            return None;
        };
        let root = Field::root(object);
        let is_secret = kind == SECRET.name;
        let value = match (root.dig("stringData").get(key).quiet(), root.dig("data").get(key).quiet()) {
            (Some(text), _) if is_secret => Some(Cow::Borrowed(text)),
            (_, Some(text)) if is_secret => decode(text).map(Cow::Owned),
            (_, text) => text.map(Cow::Borrowed),
        };
        if value.is_none() {
            let at = format!("{kind} {namespace}/{name} at {}:{}", object.file, object.node.at.line);
            let finding = reference.get("key").finding(&NO_SUCH_KEY).value(key);
            findings.push(finding.note(format!("{at} has no such key with text in it")));
        }
        let text = value?;
        // A line's end comes easily into a Secret, and KKP takes it along.
        Some(Given { text, field: reference.clone(), is_secret })
    }
}

fn decode(text: &str) -> Option<String> {
    let packed: String = text.split_whitespace().collect();
    String::from_utf8(STANDARD.decode(packed).ok()?).ok().filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::DRIVER;
    use crate::object::Reader;

    const OBJECTS: &str = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, data: {url: aHR0cDovL2gvaQ==, bad: '!'}, stringData: {plain: p}}\n\
        ---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns}, data: {url: http://c/i}}\n---\n";

    fn value(text: &str) -> (Option<String>, Vec<String>) {
        let mut findings = Findings::default();
        let mut reader = Reader::default();
        let object = "apiVersion: cluster.k8s.io/v1alpha1\nkind: MachineDeployment\nmetadata: {name: a, namespace: ns}\n";
        reader.read("f", &format!("{OBJECTS}{object}v: {text}\n"), &mut findings);
        let references = References::of(&reader.objects);
        let field = Field::root(reader.objects.last().unwrap()).get("v");
        let given = references.text(&field, &DRIVER, "a driver", &mut findings);
        let given = given.map(|g| format!("{}{}", g.text, if g.is_secret { " secret" } else { "" }));
        (given, findings.codes().into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn every_form_of_a_value() {
        for (text, expected) in [
            ("plain", "plain"),
            ("{value: plain}", "plain"),
            ("{secretKeyRef: {namespace: ns, name: s, key: url}}", "http://h/i secret"),
            ("{secretKeyRef: {name: s, key: plain}}", "p secret"),
            ("{configMapKeyRef: {namespace: ns, name: c, key: url}}", "http://c/i"),
        ] {
            assert_eq!(value(text), (Some(expected.into()), vec![]), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_followed() {
        for (text, code) in [
            ("", "N0301"),
            ("{value: ''}", "N0301"),
            ("{secretKeyRef: {namespace: ns, name: s}}", "N0301"),
            ("{secretKeyRef: {namespace: other, name: s, key: url}}", "N0109"),
            ("{secretKeyRef: {namespace: ns, name: s, key: none}}", "N0110"),
            ("{secretKeyRef: {namespace: ns, name: s, key: bad}}", "N0110"),
            ("{configMapKeyRef: {namespace: ns, name: c, key: none}}", "N0110"),
        ] {
            assert_eq!(value(text), (None, vec![code.to_owned()]), "{text}");
        }
    }
}
