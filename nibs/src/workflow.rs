//! From KKP's objects to the Workflow that KKP would make of them.
//!
//! What machine-controller's provider for Tinkerbell does (pkg/cloudprovider/provider/baremetal/plugins/tinkerbell) is
//! done here the same way, but for the Workflow's name, which ends in a digest of its content instead of the time: the
//! same objects give the same Workflow.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use crate::code;
use crate::field::Field;
use crate::finding::{Finding, Findings};
use crate::hardware::{self, Machine};
use crate::machine_deployment::{self, Choice, Known};
use crate::object::{HARDWARE, Kind, MACHINE_DEPLOYMENT, Object, SEED};
use crate::reference::References;
use crate::scalar::scalar;
use crate::seed;
use crate::template;
use crate::user_data::whose::{self, Found, Own, Whose};
use crate::user_data::{Form, UserData, too_large};

/// The label by which KKP finds a Hardware's Workflows.
const HARDWARE_LABEL: &str = "app.kubernetes.io/hardware-reference";

/// The Workflow of one Hardware.
#[derive(Clone, PartialEq, Eq)]
pub struct Workflow {
    /// The Hardware's namespace, and its Template's.
    pub namespace: String,
    /// The Hardware's name.
    pub hardware: String,
    /// What the Template is rendered with. It holds the user-data: a secret.
    pub hardware_map: BTreeMap<&'static str, String>,
}

impl Workflow {
    /// As KKP names it, but for the end: a digest of the content and not the time.
    pub fn name(&self) -> String {
        format!("{}-{}-{}", self.hardware, template::KKP_NAME, digest(&self.hardware_map))
    }

    /// As a YAML document, as kubectl would print KKP's.
    pub fn yaml(&self) -> String {
        let hardware = scalar(&self.hardware);
        let map: String =
            self.hardware_map.iter().map(|(key, value)| format!("    {key}: {}\n", scalar(value))).collect();
        format!(
            "apiVersion: tinkerbell.org/v1alpha1\nkind: Workflow\nmetadata:\n  labels:\n    {HARDWARE_LABEL}: {hardware}\n  \
             name: {}\n  namespace: {}\nspec:\n  hardwareMap:\n{map}  hardwareRef: {hardware}\n  templateRef: {}\n",
            scalar(&self.name()),
            scalar(&self.namespace),
            template::KKP_NAME,
        )
    }
}

/// Everything that Workflows are made from.
#[derive(Debug, Default)]
pub struct Input {
    /// Seeds, Hardware and MachineDeployments.
    pub objects: Vec<Object>,
    /// The one user-data for all machines.
    pub user_data: Option<UserData>,
    /// That of one machine each.
    pub own_user_data: Vec<Own>,
    /// Whether something was wrong with the form of what was given, and that was said: what is missing may be there.
    pub is_broken: bool,
    /// Which image, where a MachineDeployment names none.
    pub choice: Choice,
    /// The one datacenter whose images count.
    pub datacenter: Option<String>,
}

impl Input {
    /// The objects of one kind.
    pub fn of(&self, kind: Kind) -> Vec<&Object> {
        self.objects.iter().filter(|o| o.kind == kind).collect()
    }
}

/// The Workflow of each MachineDeployment, in the order of the input. What is wrong is said, all of it.
pub fn workflows(input: &Input, findings: &mut Findings) -> Vec<Workflow> {
    let (seeds, servers) = (input.of(SEED), input.of(HARDWARE));
    let references = References::of(&input.objects);
    let deployments = baremetal(input.of(MACHINE_DEPLOYMENT), input.is_broken, findings);
    let images = seed::images(&seeds, input.datacenter.as_deref(), findings);
    let images = (!seeds.is_empty()).then_some(&images[..]);
    let whose = Whose::new(input.user_data.as_ref(), &input.own_user_data, &input.objects, findings);
    whose.check_owners(&input.of(MACHINE_DEPLOYMENT), findings);
    let needed =
        |what: &str, accepted: &str| Finding::new(&code::MISSING_INPUT).note(what).accepted(accepted);
    if servers.is_empty() && !input.is_broken {
        findings.push(needed("no Hardware", "at least one"));
    }
    if !whose.is_any() && !input.is_broken {
        findings.push(needed("no user-data", "a file of it, or --user-data FILE"));
    }
    let known = Known { images, references: &references, choice: Some(&input.choice) };
    let mut claims = Claims::new(&servers);
    let mut workflows = Vec::new();
    for deployment in deployments {
        let wish = machine_deployment::check(deployment, known, findings);
        let data = match whose.of(deployment, findings) {
            Found::Data(data) => Some(data),
            Found::Broken => None,
            Found::Nothing => {
                if whose.is_any() {
                    findings.push(no_user_data(deployment));
                }
                None
            }
        };
        if let (Some(system), Some(data)) = (&wish.operating_system, &data) {
            check_form(deployment, system, data, findings);
        }
        let Some((namespace, name, reference)) = wish.hardware else { continue };
        let Some(server) = claims.claim(namespace, name, reference, findings) else { continue };
        let machine = hardware::check(server, findings);
        let (Some(machine), Some(url), Some(data)) = (machine, wish.image_url, data) else { continue };
        match data.base64(&server.name) {
            Ok(packed) => workflows.push(workflow(server, &machine, &url, packed)),
            Err(bytes) => {
                let finding = Finding::in_file(&code::USER_DATA_LARGE, &data.file, None);
                let note = format!("with the name {}: {}", server.name, too_large(bytes));
                findings.push(finding.note(note));
            }
        }
    }
    check_addresses(&servers, |server| claims.is_taken(server), findings);
    workflows
}

/// There is user-data, but none for this machine.
fn no_user_data(deployment: &Object) -> Finding {
    let finding = Field::root(deployment).dig("metadata.name").finding(&code::MISSING_INPUT);
    let finding = finding.value(&deployment.name).note("no user-data for it");
    finding.accepted(format!(
        "--user-data {}=FILE, or the Secret {}",
        deployment.name,
        whose::secret_label(deployment)
    ))
}

/// Which server is wanted by whom.
pub struct Claims<'a> {
    servers: HashMap<(&'a str, &'a str), &'a Object>,
    /// The places of a name, for a wrong namespace.
    names: HashMap<&'a str, Vec<&'a Object>>,
    /// What there is, for a wrong name.
    there: String,
    taken: HashMap<(&'a str, &'a str), Field<'a>>,
}

impl<'a> Claims<'a> {
    /// None is taken yet.
    pub fn new(servers: &[&'a Object]) -> Self {
        let mut names: HashMap<&str, Vec<&Object>> = HashMap::new();
        for server in servers {
            names.entry(&server.name).or_default().push(server);
        }
        let mut all = servers.to_vec();
        all.sort_unstable_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let servers = servers.iter().map(|s| ((&*s.namespace, &*s.name), *s)).collect();
        Claims { servers, names, there: list(&all), taken: HashMap::new() }
    }

    /// Whether there is no server at all.
    pub fn has_none(&self) -> bool {
        self.servers.is_empty()
    }

    /// The server of that name, when it is there and nobody wanted it before; else that is said.
    pub fn claim(
        &mut self,
        namespace: &'a str,
        name: &'a str,
        reference: Field<'a>,
        findings: &mut Findings,
    ) -> Option<&'a Object> {
        let key = (namespace, name);
        let Some(server) = self.servers.get(&key) else {
            let wanted = format!("{namespace}/{name}");
            findings.push(match self.names.get(name) {
                Some(elsewhere) => {
                    let finding = reference.finding(&code::HARDWARE_NAMESPACE).value(&wanted);
                    finding.accepted(list(elsewhere))
                }
                None => {
                    let finding = reference.finding(&code::HARDWARE_REF).value(&wanted);
                    finding.note(format!("there are: {}", self.there))
                }
            });
            return None;
        };
        if let Some(first) = self.taken.get(&key) {
            let note = format!("{} wants it too, at {}", first.object().label(), first.place());
            let finding = reference.finding(&code::TWO_CLAIMS).value(&format!("{namespace}/{name}"));
            findings.push(finding.note(note));
            return None;
        }
        self.taken.insert(key, reference);
        Some(server)
    }

    /// Whether somebody wants it.
    pub fn is_taken(&self, server: &Object) -> bool {
        self.taken.contains_key(&(&*server.namespace, &*server.name))
    }
}

/// The first few of them, for a message.
fn list(servers: &[&Object]) -> String {
    const MOST: usize = 5;
    let mut names: Vec<_> =
        servers.iter().take(MOST).map(|s| format!("{}/{}", s.namespace, s.name)).collect();
    if servers.len() > MOST {
        names.push(format!("{} more", servers.len() - MOST));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The MachineDeployments for this provider. Those for another are passed over, unless there is no other.
fn baremetal<'a>(deployments: Vec<&'a Object>, is_broken: bool, findings: &mut Findings) -> Vec<&'a Object> {
    let (ours, others): (Vec<_>, Vec<_>) =
        deployments.into_iter().partition(|d| machine_deployment::is_baremetal(d));
    if ours.is_empty() {
        for other in &others {
            let field = machine_deployment::cloud_provider(other);
            if let Some(text) = field.required(findings, &code::PROVIDER, "baremetal") {
                field.wrong(findings, &code::PROVIDER, text, "baremetal");
            }
        }
        if others.is_empty() && !is_broken {
            let finding = Finding::new(&code::MISSING_INPUT).note("no MachineDeployment");
            findings.push(finding.accepted("at least one"));
        }
    }
    ours
}

/// Two servers with one MAC or address; those that no Workflow is made for count as well, since they are in the same
/// network. Of a pair one must be looked at.
pub fn check_addresses(servers: &[&Object], is_looked_at: impl Fn(&Object) -> bool, findings: &mut Findings) {
    let mut seen: HashMap<String, (&Object, hardware::Claim<'_>)> = HashMap::new();
    for server in servers {
        for claim in hardware::claims(server) {
            let Some((other, first)) = seen.get(&claim.value) else {
                seen.insert(claim.value.clone(), (server, claim));
                continue;
            };
            if is_looked_at(server) || is_looked_at(other) {
                let code = if claim.is_mac { &code::MAC_TWICE } else { &code::ADDRESS_TWICE };
                let note = format!("{} has it too, at {}", other.label(), first.field.place());
                findings.push(claim.field.finding(code).value(&claim.value).note(note));
            }
        }
    }
}

/// Whether the operating system can read that user-data.
pub fn check_form(deployment: &Object, system: &str, data: &UserData, findings: &mut Findings) {
    let field = machine_deployment::operating_system(deployment);
    let code = match (data.form, system) {
        (Form::Ignition, "flatcar") => &code::IGNITION_REFUSED,
        (Form::Ignition, _) => &code::USER_DATA_IGNITION,
        (_, "flatcar") => &code::USER_DATA_NO_IGNITION,
        _ => return,
    };
    findings.push(field.finding(code).value(system).note(format!("the user-data is {}", data.file)));
}

fn workflow(server: &Object, machine: &Machine<'_>, image_url: &str, user_data: String) -> Workflow {
    let hardware_map = BTreeMap::from([
        ("cidr", machine.cidr.clone()),
        ("cloud_init_script", user_data),
        ("default_route", machine.gateway.to_owned()),
        ("device_1", machine.mac.to_owned()),
        ("hardware_name", server.name.to_string()),
        ("interface_name", machine.interface_name.to_owned()),
        ("ns", machine.name_server.to_owned()),
        ("os_image", image_url.to_owned()),
        ("partition_number", machine.partition_number.to_owned()),
    ]);
    Workflow { namespace: server.namespace.to_string(), hardware: server.name.to_string(), hardware_map }
}

/// Fourteen digits, as many as KKP's time has, of all that the Workflow carries.
fn digest(hardware_map: &BTreeMap<&str, String>) -> String {
    let mut hasher = Sha256::new();
    for (key, value) in hardware_map {
        // Lengths keep values apart that would read the same one after another.
        hasher.update((key.len() as u64).to_be_bytes());
        hasher.update(key);
        hasher.update((value.len() as u64).to_be_bytes());
        hasher.update(value);
    }
    hasher.finalize().iter().take(7).map(|b| format!("{b:02x}")).collect()
}
