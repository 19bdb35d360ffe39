//! Kubernetes objects as they come: several documents in a file, lists of them, kinds that are none of our business.

use std::rc::Rc;

use crate::finding::Findings;
use crate::node::{self, Node, Value};

/// A kind that is read, and the API version it is read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `Hardware`
    pub name: &'static str,
    /// `tinkerbell.org/v1alpha1`
    pub api_version: &'static str,
}

/// Tinkerbell's Hardware: one server.
pub const HARDWARE: Kind = Kind { name: "Hardware", api_version: "tinkerbell.org/v1alpha1" };
/// machine-controller's MachineDeployment: with this provider, one machine.
pub const MACHINE_DEPLOYMENT: Kind =
    Kind { name: "MachineDeployment", api_version: "cluster.k8s.io/v1alpha1" };
/// KKP's Seed: its datacenters know the operating systems' images.
pub const SEED: Kind = Kind { name: "Seed", api_version: "kubermatic.k8c.io/v1" };

const KINDS: [Kind; 3] = [HARDWARE, MACHINE_DEPLOYMENT, SEED];

/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// An object of a kind that is read.
#[derive(Debug, Clone)]
pub struct Object {
    /// The file's name as it was given.
    pub file: Rc<str>,
    /// What it is.
    pub kind: Kind,
    /// Its namespace, or the default one.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// All of it.
    pub node: Node,
}

impl Object {
    /// `Hardware default/node9`
    pub fn label(&self) -> String {
        format!("{} {}/{}", self.kind.name, self.namespace, self.name)
    }
}

/// Adds the objects of the kinds that are read in one file's text. Others are passed over.
pub fn read(file: &str, text: &str, objects: &mut Vec<Object>, findings: &mut Findings) {
    let parsed = node::parse(text);
    for (at, message) in parsed.problems {
        findings.in_file(file, Some(at), message);
    }
    let file: Rc<str> = file.into();
    for document in parsed.documents {
        collect(&file, document, findings, objects);
    }
}

fn collect(file: &Rc<str>, node: Node, findings: &mut Findings, objects: &mut Vec<Object>) {
    let at = node.at;
    let Some(kind) = scalar(&node, "kind") else {
        let message = match node.value {
            Value::Map(_) => {
                "an object without kind; Seed, Hardware, MachineDeployment and lists of them are accepted"
            }
            _ => "no object; a mapping with apiVersion, kind and metadata is accepted",
        };
        findings.in_file(file, Some(at), message);
        return;
    };
    if kind.ends_with("List") {
        let items = match node.value {
            Value::Map(entries) => entries.into_iter().find(|e| e.key == "items").map(|e| e.node),
            _ => None,
        };
        match items {
            Some(Node { value: Value::List(items), .. }) => {
                for item in items {
                    collect(file, item, findings, objects);
                }
            }
            Some(node) if node.is_null() => {}
            _ => findings.in_file(file, Some(at), format!("{kind} without a list of items")),
        }
        return;
    }
    let Some(kind) = KINDS.into_iter().find(|k| k.name == kind) else { return };
    let api_version = scalar(&node, "apiVersion").unwrap_or_default();
    if api_version != kind.api_version {
        let message = format!("{}: apiVersion: {api_version:?}; {} is accepted", kind.name, kind.api_version);
        findings.in_file(file, Some(node.get("apiVersion").map_or(at, |e| e.node.at)), message);
        return;
    }
    let metadata = node.get("metadata").map(|e| &e.node);
    let Some(name) = metadata.and_then(|m| scalar(m, "name")) else {
        let message = format!("{}: metadata.name: missing; a name is accepted", kind.name);
        findings.in_file(file, Some(metadata.map_or(at, |m| m.at)), message);
        return;
    };
    let namespace =
        metadata.and_then(|m| scalar(m, "namespace")).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let object = Object { file: file.clone(), kind, namespace, name, node };
    let twin =
        objects.iter().find(|o| o.kind == kind && o.namespace == object.namespace && o.name == object.name);
    if let Some(twin) = twin {
        let message =
            format!("{} is there twice, first at {}:{}", object.label(), twin.file, twin.node.at.line);
        findings.in_file(file, Some(at), message);
    } else {
        objects.push(object);
    }
}

/// The text of a scalar field that is there and not null.
fn scalar(node: &Node, key: &str) -> Option<String> {
    let node = &node.get(key)?.node;
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() && !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<String>, String) {
        let mut findings = Findings::default();
        let mut objects = Vec::new();
        read("f", text, &mut objects, &mut findings);
        (objects.iter().map(Object::label).collect(), findings.report())
    }

    #[test]
    fn documents_lists_and_other_kinds() {
        let text = "kind: Secret\nmetadata: {name: s}\n---\napiVersion: v1\nkind: List\nitems:\n\
                    - {apiVersion: tinkerbell.org/v1alpha1, kind: Hardware, metadata: {name: a, namespace: t}}\n\
                    - {kind: HardwareList, items: [{apiVersion: tinkerbell.org/v1alpha1, kind: Hardware, metadata: {name: b}}]}\n";
        let (labels, said) = read_text(text);
        assert_eq!(labels, ["Hardware t/a", "Hardware default/b"]);
        assert_eq!(said, "");
    }

    #[test]
    fn what_is_no_object_is_told() {
        let text = "- a\n---\nmetadata: {name: x}\n---\nkind: Hardware\napiVersion: v1\n---\n\
                    kind: Hardware\napiVersion: tinkerbell.org/v1alpha1\n---\nkind: List\n";
        let (labels, said) = read_text(text);
        assert!(labels.is_empty());
        assert_eq!(
            said,
            "f:1:1: error: no object; a mapping with apiVersion, kind and metadata is accepted\n\
             f:3:1: error: an object without kind; Seed, Hardware, MachineDeployment and lists of them are accepted\n\
             f:6:13: error: Hardware: apiVersion: \"v1\"; tinkerbell.org/v1alpha1 is accepted\n\
             f:8:1: error: Hardware: metadata.name: missing; a name is accepted\n\
             f:11:1: error: List without a list of items\n\
             5 errors, 0 warnings\n"
        );
    }
}
