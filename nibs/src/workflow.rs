//! From KKP's objects to the Workflow that KKP would make of them.
//!
//! What machine-controller's provider for Tinkerbell does (pkg/cloudprovider/provider/baremetal/plugins/tinkerbell) is
//! done here the same way, but for the Workflow's name, which ends in a digest of its content instead of the time: the
//! same objects give the same Workflow.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use crate::field::Field;
use crate::finding::{Findings, show};
use crate::hardware::{self, Machine};
use crate::machine_deployment::{self, Choice};
use crate::object::{HARDWARE, MACHINE_DEPLOYMENT, Object, SEED};
use crate::scalar::scalar;
use crate::seed;
use crate::template;
use crate::user_data::{Form, UserData};

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
    /// Whether something was wrong with the form of what was given, and that was said: what is missing may be there.
    pub is_broken: bool,
    /// Which image, where a MachineDeployment names none.
    pub choice: Choice,
    /// The one datacenter whose images count.
    pub datacenter: Option<String>,
}

impl Input {
    fn of(&self, kind: crate::object::Kind) -> Vec<Object> {
        self.objects.iter().filter(|o| o.kind == kind).cloned().collect()
    }
}

/// The Workflow of each MachineDeployment, in the order of the input. What is wrong is said, all of it.
pub fn workflows(input: &Input, findings: &mut Findings) -> Vec<Workflow> {
    let (seeds, servers) = (input.of(SEED), input.of(HARDWARE));
    let deployments = baremetal(input.of(MACHINE_DEPLOYMENT), input.is_broken, findings);
    let images = seed::images(&seeds, input.datacenter.as_deref(), findings);
    let images = (!seeds.is_empty()).then_some(&images[..]);
    if servers.is_empty() && !input.is_broken {
        findings.error("no Hardware; at least one is accepted");
    }
    if input.user_data.is_none() && !input.is_broken {
        findings.error("no user-data; a file of it, or --user-data FILE, is accepted");
    }
    let mut taken: Vec<(&Object, Field<'_>)> = Vec::new();
    let mut workflows = Vec::new();
    for deployment in &deployments {
        let wish = machine_deployment::check(deployment, images, &input.choice, findings);
        if let (Some(system), Some(data)) = (wish.operating_system, &input.user_data) {
            check_form(deployment, system, data, findings);
        }
        let Some((namespace, name, reference)) = wish.hardware else { continue };
        let Some(server) = servers.iter().find(|s| s.namespace == namespace && s.name == name) else {
            let there: Vec<_> = servers.iter().map(|s| format!("{}/{}", s.namespace, s.name)).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            reference.error(findings, format!("no Hardware {namespace}/{name}; there are: {there}"));
            continue;
        };
        if let Some((_, first)) = taken.iter().find(|(s, _)| std::ptr::eq(*s, server)) {
            let message = format!(
                "{} is claimed by {} too, at {}",
                server.label(),
                first.object().label(),
                first.place()
            );
            reference.error(findings, message);
            continue;
        }
        taken.push((server, reference));
        let machine = hardware::check(server, findings);
        if let (Some(machine), Some(url), Some(data)) = (machine, wish.image_url, &input.user_data) {
            workflows.push(workflow(server, &machine, url, data));
        }
    }
    let taken: Vec<_> = taken.into_iter().map(|(server, _)| server).collect();
    check_addresses(&servers, &taken, findings);
    workflows
}

/// The MachineDeployments for this provider. Those for another are passed over, unless there is no other.
fn baremetal(deployments: Vec<Object>, is_broken: bool, findings: &mut Findings) -> Vec<Object> {
    let (ours, others): (Vec<_>, Vec<_>) =
        deployments.into_iter().partition(machine_deployment::is_baremetal);
    if ours.is_empty() {
        for other in &others {
            let field = Field::root(other).dig("spec.template.spec.providerSpec.value.cloudProvider");
            if let Some(text) = field.required(findings, "baremetal") {
                field.wrong(findings, text, "baremetal");
            }
        }
        if others.is_empty() && !is_broken {
            findings.error("no MachineDeployment; at least one is accepted");
        }
    }
    ours
}

/// Two servers with one MAC or address; those that no Workflow is made for count as well, since they are in the same
/// network.
fn check_addresses(servers: &[Object], taken: &[&Object], findings: &mut Findings) {
    let is_taken = |server: &Object| taken.iter().any(|t| std::ptr::eq(*t, server));
    let mut seen: HashMap<String, (&Object, hardware::Claim<'_>)> = HashMap::new();
    for server in servers {
        for claim in hardware::claims(server) {
            let Some((other, first)) = seen.get(&claim.value) else {
                seen.insert(claim.value.clone(), (server, claim));
                continue;
            };
            if is_taken(server) || is_taken(other) {
                let message = format!(
                    "{}: {} has it too, at {}",
                    show(&claim.value),
                    other.label(),
                    first.field.place()
                );
                claim.field.error(findings, message);
            }
        }
    }
}

/// Whether the operating system can read that user-data.
fn check_form(deployment: &Object, system: &str, data: &UserData, findings: &mut Findings) {
    let field = Field::root(deployment).dig("spec.template.spec.providerSpec.value.operatingSystem");
    match (data.form, system) {
        (Form::Ignition, "flatcar") => field.warning(
            findings,
            "\"flatcar\" with Ignition: the Workflow is the one KKP makes, but write-cloud-init refuses Ignition",
        ),
        (Form::Ignition, _) => {
            let message = format!("{} does not read Ignition, which {} is; cloud-init's forms are accepted", show(system), data.file);
            field.error(findings, message);
        }
        _ => {}
    }
}

fn workflow(server: &Object, machine: &Machine<'_>, image_url: &str, user_data: &UserData) -> Workflow {
    let hardware_map = BTreeMap::from([
        ("cidr", machine.cidr.clone()),
        ("cloud_init_script", user_data.base64()),
        ("default_route", machine.gateway.to_owned()),
        ("device_1", machine.mac.to_owned()),
        ("hardware_name", server.name.clone()),
        ("interface_name", machine.interface_name.to_owned()),
        ("ns", machine.name_server.to_owned()),
        ("os_image", image_url.to_owned()),
        ("partition_number", machine.partition_number.to_owned()),
    ]);
    Workflow { namespace: server.namespace.clone(), hardware: server.name.clone(), hardware_map }
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
