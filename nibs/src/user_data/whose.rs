//! Whose a user-data is: one for all machines, one of a file for each, or the one that KKP keeps in a Secret for each.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{UserData, check, check_field};
use crate::code;
use crate::field::Field;
use crate::finding::{Finding, Findings};
use crate::object::{Object, SECRET};
use crate::template::check_name;

/// Where machine-controller looks for the Secret with a MachineDeployment's user-data, which operating-system-manager makes
/// (machine-controller, pkg/bootstrap/types.go), and its key.
const SECRET_NAMESPACE: &str = "cloud-init-settings";
const SECRET_KEY: &str = "cloud-config";

/// A MachineDeployment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its namespace, where only one of several is meant.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What `--user-data` was given: a file for all, for one, or a folder with one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Whose it is; of none everybody's.
    pub owner: Option<Owner>,
    /// The file.
    pub path: PathBuf,
}

impl Named {
    /// Reads `FILE`, `NAME=FILE` or `NAMESPACE/NAME=FILE`. A file with `=` in its name can be given as `./a=b`.
    pub fn parse(argument: &Path) -> Self {
        let owned = argument.to_str().and_then(|text| text.split_once('=')).and_then(|(owner, path)| {
            let (namespace, name) = match owner.split_once('/') {
                Some((namespace, name)) => (Some(check_name(namespace).ok()?), name),
                None => (None, owner),
            };
            let owner = Owner { namespace, name: check_name(name).ok()? };
            (!path.is_empty()).then(|| Named { owner: Some(owner), path: path.into() })
        });
        owned.unwrap_or_else(|| Named { owner: None, path: argument.to_owned() })
    }
}

/// A machine's own user-data, as it was read.
#[derive(Clone)]
pub struct Own {
    /// Whose it is.
    pub owner: Owner,
    /// The file's name as it was given.
    pub file: String,
    /// Whether it was asked for by its owner's name; those of a folder may be for others.
    pub is_asked_for: bool,
    /// What is in it: a secret.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Own {{ owner: {:?}, file: {:?}, {} bytes }}", self.owner, self.file, self.bytes.len())
    }
}

/// The user-data of a machine.
#[derive(Debug)]
pub enum Found<'a> {
    /// This.
    Data(Cow<'a, UserData>),
    /// Something that is none, which was said.
    Broken,
    /// Nobody has given one.
    Nothing,
}

impl Found<'_> {
    /// The user-data, if there is one that is one.
    pub fn data(&self) -> Option<&UserData> {
        match self {
            Self::Data(data) => Some(data),
            Self::Broken | Self::Nothing => None,
        }
    }
}

/// All user-data that was given.
#[derive(Debug)]
pub struct Whose<'a> {
    for_all: Option<&'a UserData>,
    own: HashMap<(Option<&'a str>, &'a str), &'a Own>,
    secrets: HashMap<&'a str, &'a Object>,
}

impl<'a> Whose<'a> {
    /// Sorts what was given by its owner.
    pub fn new(
        for_all: Option<&'a UserData>,
        own: &'a [Own],
        objects: &'a [Object],
        findings: &mut Findings,
    ) -> Self {
        let mut by_owner: HashMap<_, &Own> = HashMap::new();
        for one in own {
            let key = (one.owner.namespace.as_deref(), one.owner.name.as_str());
            if let Some(first) = by_owner.get(&key) {
                let finding = Finding::in_file(&code::USER_DATA_TWICE, &one.file, None);
                findings.push(finding.note(format!("first {}, for {}", first.file, one.owner.name)));
            } else {
                by_owner.insert(key, one);
            }
        }
        let secrets = objects
            .iter()
            .filter(|o| o.kind == SECRET && &*o.namespace == SECRET_NAMESPACE)
            .map(|o| (&*o.name, o))
            .collect();
        Whose { for_all, own: by_owner, secrets }
    }

    /// Whether there is any at all.
    pub fn is_any(&self) -> bool {
        self.for_all.is_some() || !self.own.is_empty() || !self.secrets.is_empty()
    }

    /// Says which files were given for a MachineDeployment that is not there.
    pub fn check_owners(&self, deployments: &[&Object], findings: &mut Findings) {
        let there: HashSet<(&str, &str)> = deployments.iter().map(|d| (&*d.namespace, &*d.name)).collect();
        let names: HashSet<&str> = there.iter().map(|(_, name)| *name).collect();
        for one in self.own.values().filter(|one| one.is_asked_for) {
            let Owner { namespace, name } = &one.owner;
            let (is_there, shown) = match namespace {
                Some(namespace) => {
                    (there.contains(&(namespace.as_str(), name.as_str())), format!("{namespace}/{name}"))
                }
                None => (names.contains(name.as_str()), name.clone()),
            };
            if !is_there {
                let finding = Finding::in_file(&code::USER_DATA_OWNER, &one.file, None);
                findings.push(finding.value(&shown));
            }
        }
    }

    /// The user-data of a MachineDeployment: its own, else the one for all, else the Secret's, as the command line says more
    /// about what is wanted than what is in the cluster.
    pub fn of(&self, deployment: &Object, findings: &mut Findings) -> Found<'a> {
        let own = self.own.get(&(Some(&*deployment.namespace), &*deployment.name));
        if let Some(own) = own.or_else(|| self.own.get(&(None, &*deployment.name))) {
            return found(check(&own.file, own.bytes.clone(), findings));
        }
        if let Some(data) = self.for_all {
            return Found::Data(Cow::Borrowed(data));
        }
        match self.secrets.get(secret_name(deployment).as_str()) {
            Some(secret) => found(of_secret(secret, findings)),
            None => Found::Nothing,
        }
    }
}

fn found<'a>(data: Option<UserData>) -> Found<'a> {
    data.map_or(Found::Broken, |data| Found::Data(Cow::Owned(data)))
}

/// Namespace and name of the Secret that KKP keeps a MachineDeployment's user-data in.
pub fn secret_label(deployment: &Object) -> String {
    format!("{SECRET_NAMESPACE}/{}", secret_name(deployment))
}

fn secret_name(deployment: &Object) -> String {
    format!("{}-{}-bootstrap-config", deployment.name, deployment.namespace)
}

fn of_secret(secret: &Object, findings: &mut Findings) -> Option<UserData> {
    let root = Field::root(secret);
    let (plain, packed) = (root.get("stringData").get(SECRET_KEY), root.get("data").get(SECRET_KEY));
    let (field, bytes) = match (plain.quiet(), packed.quiet()) {
        (Some(text), _) => (plain, text.as_bytes().to_vec()),
        (None, Some(text)) => match STANDARD.decode(text.split_whitespace().collect::<String>()) {
            Ok(bytes) => (packed, bytes),
            Err(_) => {
                findings.push(packed.finding(&code::USER_DATA_BASE64).shown("(not shown)"));
                return None;
            }
        },
        (None, None) => {
            findings.push(packed.finding(&code::NO_SUCH_KEY).note("the user-data is looked for there"));
            return None;
        }
    };
    let form = check_field(&field, &bytes, findings)?;
    Some(UserData::new(secret.label(), form, without_blank_lines(bytes)))
}

/// machine-controller empties lines that have only white space.
fn without_blank_lines(bytes: Vec<u8>) -> Vec<u8> {
    let is_blank = |line: &[u8]| !line.is_empty() && line.iter().all(|b| matches!(b, b' ' | b'\t'));
    let lines: Vec<&[u8]> =
        bytes.split(|b| *b == b'\n').map(|line| if is_blank(line) { &[][..] } else { line }).collect();
    lines.join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Reader;

    #[test]
    fn what_the_option_takes() {
        let parsed = |text: &str| {
            let Named { owner, path } = Named::parse(Path::new(text));
            let owner = owner.map(|o| format!("{} {}", o.namespace.unwrap_or_default(), o.name));
            (owner.unwrap_or_default(), path.display().to_string())
        };
        assert_eq!(parsed("user-data"), (String::new(), "user-data".into()));
        assert_eq!(parsed("worker-9=a=b"), (" worker-9".into(), "a=b".into()));
        assert_eq!(parsed("kube-system/w=x/y"), ("kube-system w".into(), "x/y".into()));
        for file in ["./a=b", "A=b", "a=", "=b", "a/b/c=d"] {
            assert_eq!(parsed(file), (String::new(), file.into()));
        }
    }

    fn objects(secret_data: &str) -> Vec<Object> {
        let text = format!(
            "apiVersion: cluster.k8s.io/v1alpha1\nkind: MachineDeployment\nmetadata: {{name: w, namespace: kube-system}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: w-kube-system-bootstrap-config, namespace: cloud-init-settings}}\n{secret_data}\n"
        );
        let mut reader = Reader::default();
        reader.read("f", &text, &mut Findings::default());
        reader.objects
    }

    fn own(namespace: Option<&str>, name: &str, bytes: &str) -> Own {
        let owner = Owner { namespace: namespace.map(str::to_owned), name: name.into() };
        Own { owner, file: format!("{name}.cfg"), is_asked_for: true, bytes: bytes.into() }
    }

    /// The first line of the user-data, and the findings' codes.
    fn of(for_all: Option<&str>, own: &[Own], secret_data: &str) -> (String, Vec<&'static str>) {
        let mut findings = Findings::default();
        let objects = objects(secret_data);
        let for_all = for_all.and_then(|text| check("all", text.into(), &mut findings));
        let whose = Whose::new(for_all.as_ref(), own, &objects, &mut findings);
        whose.check_owners(&[&objects[0]], &mut findings);
        let text = match whose.of(&objects[0], &mut findings) {
            Found::Data(data) => String::from_utf8(data.bytes.clone()).unwrap(),
            other => format!("{other:?}"),
        };
        (text, findings.codes())
    }

    #[test]
    fn each_machine_has_its_own_before_that_of_all_before_the_secret() {
        const SECRET: &str = "data: {cloud-config: IyEvYmluL3NlY3JldAogIAo=}";
        let both = [own(None, "w", "#!own"), own(Some("kube-system"), "w", "#!nearer")];
        assert_eq!(of(Some("#!all"), &both, SECRET), ("#!nearer".into(), vec![]));
        assert_eq!(of(Some("#!all"), &both[..1], SECRET), ("#!own".into(), vec![]));
        assert_eq!(of(Some("#!all"), &[], SECRET), ("#!all".into(), vec![]));
        assert_eq!(of(None, &[], SECRET), ("#!/bin/secret\n\n".into(), vec![]));
        assert_eq!(of(None, &[], "stringData: {cloud-config: '#!plain'}"), ("#!plain".into(), vec![]));
        assert_eq!(of(None, &[], "metadata: {}"), ("Broken".into(), vec!["N0110"]));
        assert_eq!(of(None, &[], "data: {cloud-config: '!'}"), ("Broken".into(), vec!["N0511"]));
        assert_eq!(of(None, &[], "data: {cloud-config: aGVsbG8=}"), ("Broken".into(), vec!["N0502"]));
        assert_eq!(of(None, &[own(None, "w", "hello")], SECRET), ("Broken".into(), vec!["N0502"]));
    }

    #[test]
    fn what_belongs_to_nobody_and_what_belongs_twice() {
        let all = Some("#!all");
        assert_eq!(of(all, &[own(None, "x", "#!x")], "").1, ["N0512"]);
        assert_eq!(of(all, &[own(Some("other"), "w", "#!x")], "").1, ["N0512"]);
        assert_eq!(of(all, &[own(None, "w", "#!x"), own(None, "w", "#!y")], "").1, ["N0510"]);
        let of_folder = Own { is_asked_for: false, ..own(None, "x", "secret") };
        assert_eq!(of(all, &[of_folder], "").1, [""; 0]);
    }
}
