//! Everything that is wrong with the objects that are given, each object by itself and with the others.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use crate::code::{self, Severity};
use crate::field::Field;
use crate::finding::{Finding, Findings};
use crate::input::Given;
use crate::machine_deployment::{self, Known};
use crate::object::{
    BMC_MACHINE, HARDWARE, Kind, MACHINE, MACHINE_DEPLOYMENT, Object, SEED, TEMPLATE, TEMPLATE_CONFIG,
    TINKERBELL_MACHINE_TEMPLATE, WORKFLOW, WORKFLOW_RULE_SET,
};
use crate::reference::References;
use crate::template::KKP_NAME;
use crate::user_data::whose::Whose;
use crate::user_data::{self, UserData};
use crate::workflow::{self, Claims};
use crate::{hardware, seed};

pub mod template;
mod tinkerbell;

use tinkerbell::ByName;

/// The findings, and how much was looked at.
#[derive(Debug)]
pub struct Report {
    /// Sorted.
    pub findings: Findings,
    objects: usize,
    user_data: usize,
    passed_over: Vec<(String, usize)>,
}

impl Report {
    /// Of what was given and found.
    pub fn of(given: &Given, mut findings: Findings) -> Self {
        findings.sort();
        let passed_over = given.passed_over.iter().map(|(kind, n)| (kind.clone(), *n)).collect();
        let user_data = given.user_data.len() + given.own_user_data.len();
        Report { findings, objects: given.objects.len(), user_data, passed_over }
    }

    /// For people: the findings and a line that counts.
    pub fn text(&self, colour: bool) -> String {
        let mut text: String = self.findings.iter().map(|f| f.text(colour)).collect();
        let plural = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        text += &format!("{} in {}", self.findings.counts(), plural(self.objects, "object"));
        if self.user_data > 0 {
            text += &format!(" and {} of user-data", plural(self.user_data, "file"));
        }
        if !self.passed_over.is_empty() {
            let kinds: Vec<_> = self.passed_over.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
            text += &format!("; passed over: {}", kinds.join(", "));
        }
        text + "\n"
    }

    /// For machines: one JSON object.
    pub fn json(&self) -> String {
        let passed_over: serde_json::Map<_, _> =
            self.passed_over.iter().map(|(kind, n)| (kind.clone(), json!(n))).collect();
        let value = json!({
            "errors": self.findings.count(Severity::Error),
            "warnings": self.findings.count(Severity::Warning),
            "objects": self.objects,
            "user_data": self.user_data,
            "passed_over": passed_over,
            "findings": self.findings.iter().map(Finding::json).collect::<Vec<_>>(),
        });
        format!("{value:#}\n")
    }
}

/// Everything that is wrong, after what was found while reading.
pub fn all(given: &Given, mut findings: Findings) -> Findings {
    let of = |kind: Kind| -> Vec<&Object> { given.objects.iter().filter(|o| o.kind == kind).collect() };
    let (seeds, servers, templates) = (of(SEED), of(HARDWARE), of(TEMPLATE));
    if given.is_nothing() && findings.count(Severity::Error) == 0 {
        let finding = Finding::new(&code::MISSING_INPUT).note("no object and no user-data");
        findings.push(finding.accepted("YAML or JSON with at least one object, or user-data"));
    }
    let images = seed::images(&seeds, None, &mut findings);
    let references = References::of(&given.objects);
    let known =
        Known { images: (!seeds.is_empty()).then_some(&images[..]), references: &references, choice: None };
    // With one user-data it is everyone's; of several it is not known whose each is.
    let for_all = match &given.user_data[..] {
        [one] => Some(one),
        _ => None,
    };
    let whose = Whose::new(for_all, &given.own_user_data, &given.objects, &mut findings);
    whose.check_owners(&of(MACHINE_DEPLOYMENT), &mut findings);
    let rendered = Rendered::of(&templates);
    // A Machine is made for a MachineDeployment, and wants the same Hardware.
    for kind in [MACHINE_DEPLOYMENT, MACHINE] {
        let mut claims = Claims::new(&servers);
        let wanting = of(kind).into_iter().filter(|o| machine_deployment::is_baremetal(o));
        for deployment in wanting {
            let data = whose.of(deployment, &mut findings);
            // A Machine's is its MachineDeployment's, which it does not name; of several files it is not known either.
            let is_unknown = kind == MACHINE && whose.is_any() || given.user_data.len() > 1;
            let has_login = data.data().map_or(is_unknown, |data| data.has_login);
            let data = (data.data(), has_login);
            check_deployment(deployment, known, data, &mut claims, &rendered, &mut findings);
        }
    }
    let is_kkp = !seeds.is_empty() || !of(MACHINE_DEPLOYMENT).is_empty() || !of(MACHINE).is_empty();
    let without = without_interface_name(&templates);
    for server in &servers {
        hardware::check(server, &mut findings);
        let root = Field::root(server);
        if is_kkp && !without.contains(&*server.namespace) {
            check_interface_name(&root, &mut findings);
        }
        for key in ["userData", "vendorData"] {
            let field = root.get("spec").get(key);
            if let Some(text) = field.quiet() {
                user_data::check_field(&field, text.as_bytes(), &mut findings);
            }
        }
    }
    workflow::check_addresses(&servers, |_| true, &mut findings);
    let workflows = of(WORKFLOW);
    let rendered_names: HashSet<_> = workflows
        .iter()
        .filter_map(|w| Some((&*w.namespace, Field::root(w).dig("spec.templateRef").quiet()?)))
        .collect();
    for kind in [TEMPLATE, TINKERBELL_MACHINE_TEMPLATE, TEMPLATE_CONFIG] {
        for object in of(kind) {
            let is_rendered =
                kind == TEMPLATE && rendered_names.contains(&(&*object.namespace, &*object.name));
            template::check(object, is_rendered, &mut findings);
        }
    }
    let (servers, templates) = (ByName::of(&servers), ByName::of(&templates));
    let mut asked = HashMap::new();
    for object in &workflows {
        tinkerbell::check_workflow(object, &templates, &servers, &mut asked, &mut findings);
    }
    for object in of(WORKFLOW_RULE_SET) {
        tinkerbell::check_rule_set(object, &templates, &mut findings);
    }
    for object in of(BMC_MACHINE) {
        tinkerbell::check_bmc(object, &mut findings);
    }
    findings
}

fn check_deployment<'a>(
    deployment: &'a Object,
    known: Known<'a, '_>,
    (data, has_login): (Option<&UserData>, bool),
    claims: &mut Claims<'a>,
    rendered: &Rendered<'_>,
    findings: &mut Findings,
) {
    let wish = machine_deployment::check(deployment, known, findings);
    if let (Some(system), Some(data)) = (&wish.operating_system, data) {
        workflow::check_form(deployment, system, data, findings);
    }
    if !wish.has_ssh_key && !has_login {
        let path = if deployment.kind == MACHINE { "spec" } else { "spec.template.spec" };
        let keys = Field::root(deployment).dig(path).dig("providerSpec.value.sshPublicKeys");
        findings.push(keys.finding(&code::NO_LOGIN));
    }
    let Some((namespace, name, reference)) = wish.hardware else { return };
    if claims.has_none() {
        let finding = reference.finding(&code::UNRESOLVED);
        findings.push(finding.shown(format!("Hardware {namespace}/{name}")));
        return;
    }
    let Some(server) = claims.claim(namespace, name, reference.clone(), findings) else { return };
    if let Some(url) = &wish.image_url {
        check_architecture(server, url, findings);
    }
    if let Some(data) = data
        && let Some(bytes) = rendered.too_much(namespace, data)
    {
        let finding = reference.finding(&code::TEMPLATE_LARGE).value(&format!("{namespace}/{name}"));
        let most = template::MOST_RENDERED_BYTES;
        let note =
            format!("Template {namespace}/{KKP_NAME} with the user-data is {bytes} bytes, of at most {most}");
        findings.push(finding.note(note));
    }
}

/// For each namespace with a Template that KKP uses in place of its own: how often the user-data is in it, and how much
/// comes out besides.
struct Rendered<'a>(HashMap<&'a str, (usize, usize)>);

impl<'a> Rendered<'a> {
    fn of(templates: &[&'a Object]) -> Self {
        let own = templates.iter().filter(|t| t.kind == TEMPLATE && &*t.name == KKP_NAME);
        Rendered(
            own.filter_map(|t| Some((&*t.namespace, Self::of_text(template::text_of(t).quiet()?)?)))
                .collect(),
        )
    }

    fn of_text(text: &str) -> Option<(usize, usize)> {
        let lexed = template::lex(text);
        let has_branches = lexed.actions.iter().any(|a| a.role == template::lex::Role::Open);
        let bytes = |script: usize| {
            template::printed_bytes(&lexed, |key| (key == "cloud_init_script").then_some(script))
        };
        (!has_branches).then(|| (bytes(1) - bytes(0), bytes(0)))
    }

    /// How much comes out, when that is more than is rendered.
    fn too_much(&self, namespace: &str, data: &UserData) -> Option<usize> {
        let (times, besides) = self.0.get(namespace)?;
        let bytes = besides + times * data.packed_bytes();
        (bytes > template::MOST_RENDERED_BYTES).then_some(bytes)
    }
}

/// The architecture of the server, and the one that the image's URL names.
fn check_architecture(server: &Object, url: &str, findings: &mut Findings) {
    let Some(interface) =
        Field::root(server).dig("spec.interfaces").items(&mut Findings::default()).into_iter().next()
    else {
        return;
    };
    let field = interface.dig("dhcp.arch");
    let arch = match field.quiet() {
        Some("x86_64" | "amd64") | None => "x86_64",
        Some("aarch64" | "arm64") => "aarch64",
        Some(_) => return,
    };
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let words: Vec<&str> = path.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let has = |names: &[&str]| words.iter().any(|w| names.contains(w));
    let image = match (has(&["amd64", "x86_64"]), has(&["arm64", "aarch64"])) {
        (true, false) => "x86_64",
        (false, true) => "aarch64",
        _ => return,
    };
    if image != arch {
        let finding = field.finding(&code::ARCH_IMAGE).value(arch);
        findings.push(finding.note(format!("the image {} is for {image}", crate::finding::show_url(url))));
    }
}

/// The namespaces with a Template that KKP uses in place of its own, and that does without the interface's name.
fn without_interface_name<'a>(templates: &[&'a Object]) -> HashSet<&'a str> {
    let asks_for_it = |object: &Object| {
        let data = Field::root(object).dig("spec.data");
        data.quiet().is_some_and(|text| template::lex(text).keys().any(|key| key.name == "interface_name"))
    };
    let own = templates.iter().filter(|t| &*t.name == KKP_NAME);
    own.filter(|t| !asks_for_it(t)).map(|t| &*t.namespace).collect()
}

/// KKP's own Template needs the name. It makes that only when there is none.
fn check_interface_name(root: &Field<'_>, findings: &mut Findings) {
    let first = root.dig("spec.interfaces").items(&mut Findings::default()).into_iter().next();
    if let Some(dhcp) = first.map(|interface| interface.get("dhcp"))
        && dhcp.get("iface_name").quiet().is_none()
    {
        findings.push(dhcp.get("iface_name").finding(&code::NO_INTERFACE_NAME));
    }
}

#[cfg(test)]
mod tests;
