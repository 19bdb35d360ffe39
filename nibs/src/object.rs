//! Kubernetes objects as they come: several documents in a file, lists of them, kinds that are none of our business.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::code;
use crate::finding::{Finding, Findings, ObjectName, show};
use crate::node::{self, Fault, Node, Value};

/// A kind that is read, and the API version it is read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// `Hardware`
    pub name: &'static str,
    /// `tinkerbell.org/v1alpha1`
    pub api_version: &'static str,
    /// Whether other API groups have a kind of that name too, which is then passed over.
    pub shares_name: bool,
}

const TINKERBELL: &str = "tinkerbell.org/v1alpha1";
const MACHINE_CONTROLLER: &str = "cluster.k8s.io/v1alpha1";

/// Tinkerbell's Hardware: one server.
pub const HARDWARE: Kind = Kind { name: "Hardware", api_version: TINKERBELL, shares_name: false };
/// Tinkerbell's Template.
pub const TEMPLATE: Kind = Kind { name: "Template", api_version: TINKERBELL, shares_name: true };
/// Tinkerbell's Workflow.
pub const WORKFLOW: Kind = Kind { name: "Workflow", api_version: TINKERBELL, shares_name: true };
/// Tinkerbell's WorkflowRuleSet: which Workflow a server gets that nobody made one for.
pub const WORKFLOW_RULE_SET: Kind =
    Kind { name: "WorkflowRuleSet", api_version: TINKERBELL, shares_name: false };
/// Tinkerbell's Machine: the management controller of a server.
pub const BMC_MACHINE: Kind =
    Kind { name: "Machine", api_version: "bmc.tinkerbell.org/v1alpha1", shares_name: true };
/// Cluster API's template of machines: it can have a Template in it.
pub const TINKERBELL_MACHINE_TEMPLATE: Kind = Kind {
    name: "TinkerbellMachineTemplate",
    api_version: "infrastructure.cluster.x-k8s.io/v1beta1",
    shares_name: true,
};
/// What EKS Anywhere makes a Template of.
pub const TEMPLATE_CONFIG: Kind = Kind {
    name: "TinkerbellTemplateConfig",
    api_version: "anywhere.eks.amazonaws.com/v1alpha1",
    shares_name: true,
};
/// machine-controller's MachineDeployment: with this provider, one machine.
pub const MACHINE_DEPLOYMENT: Kind =
    Kind { name: "MachineDeployment", api_version: MACHINE_CONTROLLER, shares_name: true };
/// machine-controller's Machine, which it makes for a MachineDeployment.
pub const MACHINE: Kind = Kind { name: "Machine", api_version: MACHINE_CONTROLLER, shares_name: true };
/// KKP's Seed: its datacenters know the operating systems' images.
pub const SEED: Kind = Kind { name: "Seed", api_version: "kubermatic.k8c.io/v1", shares_name: true };
/// A Secret, which others refer to.
pub const SECRET: Kind = Kind { name: "Secret", api_version: "v1", shares_name: true };
/// A ConfigMap, which others refer to.
pub const CONFIG_MAP: Kind = Kind { name: "ConfigMap", api_version: "v1", shares_name: true };

const KINDS: [Kind; 12] = [
    HARDWARE,
    TEMPLATE,
    WORKFLOW,
    WORKFLOW_RULE_SET,
    BMC_MACHINE,
    TINKERBELL_MACHINE_TEMPLATE,
    TEMPLATE_CONFIG,
    MACHINE_DEPLOYMENT,
    MACHINE,
    SEED,
    SECRET,
    CONFIG_MAP,
];

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
    pub namespace: Rc<str>,
    /// Its name.
    pub name: Rc<str>,
    /// All of it.
    pub node: Node,
}

impl Object {
    /// `Hardware default/node9`
    pub fn label(&self) -> String {
        self.object_name().to_string()
    }

    /// What a finding calls it.
    pub fn object_name(&self) -> ObjectName {
        ObjectName { kind: self.kind.name, namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// Reads files, and keeps the objects of the kinds that are known.
#[derive(Debug, Default)]
pub struct Reader {
    /// The objects, in the order of the files.
    pub objects: Vec<Object>,
    /// How many objects there were of each other kind.
    pub passed_over: BTreeMap<String, usize>,
    names: HashMap<(Kind, Rc<str>, Rc<str>), usize>,
    namespaces: BTreeMap<String, Rc<str>>,
}

impl Reader {
    /// Adds the objects in one file's text.
    pub fn read(&mut self, file: &str, text: &str, findings: &mut Findings) {
        let parsed = node::parse(text);
        for (at, fault) in parsed.problems {
            findings.push(match fault {
                Fault::Form(said) => Finding::in_file(&code::NOT_YAML, file, Some(at)).note(said),
                Fault::Twice(key) => Finding::in_file(&code::KEY_TWICE, file, Some(at)).value(&key),
            });
        }
        let file: Rc<str> = file.into();
        for document in parsed.documents {
            self.collect(&file, document, findings);
        }
    }

    fn collect(&mut self, file: &Rc<str>, node: Node, findings: &mut Findings) {
        let at = node.at;
        let no_object = |note: String| Finding::in_file(&code::NO_OBJECT, file, Some(at)).note(note);
        let Some(kind) = scalar(&node, "kind") else {
            findings.push(no_object(match node.value {
                Value::Map(_) => "no kind".into(),
                _ => format!("this is {}", node.kind()),
            }));
            return;
        };
        if kind.ends_with("List") {
            let items = match node.value {
                Value::Map(entries) => entries.into_iter().find(|e| &*e.key == "items").map(|e| e.node),
                _ => None,
            };
            match items {
                Some(Node { value: Value::List(items), .. }) => {
                    for item in items {
                        self.collect(file, item, findings);
                    }
                }
                Some(node) if node.is_null() => {}
                _ => findings.push(no_object(format!("{kind} without a list of items"))),
            }
            return;
        }
        let api_version = scalar(&node, "apiVersion").unwrap_or_default();
        let group = |v: &str| v.rsplit_once('/').map_or(String::new(), |(group, _)| group.to_owned());
        let known = KINDS
            .into_iter()
            .find(|k| k.name == &*kind && (!k.shares_name || group(k.api_version) == group(&api_version)));
        let Some(known) = known else {
            let is_odd = kind.len() > 100 || kind.contains(|c: char| c.is_control());
            let kind = if is_odd { show(&kind) } else { kind.into() };
            *self.passed_over.entry(kind).or_default() += 1;
            return;
        };
        if &*api_version != known.api_version {
            let at = node.get("apiVersion").map_or(at, |e| e.node.at);
            let finding = Finding::in_file(&code::API_VERSION, file, Some(at));
            findings.push(finding.value(&api_version).accepted(format!("{} for {kind}", known.api_version)));
            return;
        }
        let metadata = node.get("metadata").map(|e| &e.node);
        let Some(name) = metadata.and_then(|m| scalar(m, "name")) else {
            let at = metadata.map_or(at, |m| m.at);
            findings.push(Finding::in_file(&code::NO_NAME, file, Some(at)).note(format!("a {kind}")));
            return;
        };
        let namespace = metadata.and_then(|m| scalar(m, "namespace"));
        let namespace = namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let shared = self.namespaces.entry(namespace.to_owned()).or_insert_with(|| namespace.into());
        let object =
            Object { file: file.clone(), kind: known, namespace: shared.clone(), name: name.into(), node };
        let key = (known, object.namespace.clone(), object.name.clone());
        if let Some(first) = self.names.get(&key).map(|i| &self.objects[*i]) {
            let note = format!("first at {}:{}", first.file, first.node.at.line);
            let finding = Finding::in_file(&code::OBJECT_TWICE, file, Some(at)).note(note);
            findings.push(Finding { object: Some(object.object_name()), ..finding });
        } else {
            self.names.insert(key, self.objects.len());
            self.objects.push(object);
        }
    }
}

/// The text of a scalar field that is there and not null.
fn scalar(node: &Node, key: &str) -> Option<Box<str>> {
    let node = &node.get(key)?.node;
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() && !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<String>, BTreeMap<String, usize>, Vec<String>) {
        let mut findings = Findings::default();
        let mut reader = Reader::default();
        reader.read("f", text, &mut findings);
        (reader.objects.iter().map(Object::label).collect(), reader.passed_over, findings.brief())
    }

    #[test]
    fn documents_lists_and_other_kinds() {
        let text = "kind: Pod\nmetadata: {name: s}\n---\napiVersion: v1\nkind: List\nitems:\n\
                    - {apiVersion: tinkerbell.org/v1alpha1, kind: Hardware, metadata: {name: a, namespace: t}}\n\
                    - {apiVersion: cluster.x-k8s.io/v1beta1, kind: Machine, metadata: {name: other}}\n\
                    - {kind: HardwareList, items: [{apiVersion: tinkerbell.org/v1alpha1, kind: Hardware, metadata: {name: b}}]}\n";
        let (labels, passed_over, said) = read_text(text);
        assert_eq!(labels, ["Hardware t/a", "Hardware default/b"]);
        assert_eq!(passed_over, BTreeMap::from([("Machine".into(), 1), ("Pod".into(), 1)]));
        assert_eq!(said, [""; 0]);
    }

    #[test]
    fn what_is_no_object_is_told() {
        let text = "- a\n---\nmetadata: {name: x}\n---\nkind: Hardware\napiVersion: v1\n---\n\
                    kind: Hardware\napiVersion: tinkerbell.org/v1alpha1\n---\nkind: List\n---\n\
                    {kind: Seed, apiVersion: kubermatic.k8c.io/v1, metadata: {name: s}}\n---\n\
                    {kind: Seed, apiVersion: kubermatic.k8c.io/v1, metadata: {name: s}}\n---\na: 1\na: [\n";
        let (labels, _, said) = read_text(text);
        assert_eq!(labels, ["Seed default/s"]);
        let codes: Vec<_> = said.iter().map(|s| s.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            codes,
            ["1:1 N0103", "3:1 N0103", "6:13 N0104", "8:1 N0105", "11:1 N0103", "15:1 N0106", "18:4 N0101"]
        );
    }
}
