//! A MachineDeployment: which Hardware it wants, and which operating system on it.

use std::borrow::Cow;

use crate::code;
use crate::field::Field;
use crate::finding::{Findings, show, show_url};
use crate::object::{MACHINE, Object};
use crate::reference::{Given, References};
use crate::seed::{self, Image};

/// What was said about images on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The version of the operating system, for a MachineDeployment that names no image.
    pub os_version: Option<String>,
    /// Whether the URL of the image's digest is the image's own with something at its end.
    pub has_digest_suffix: bool,
}

/// What a MachineDeployment asks for. A part is missing where it was wrong.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Namespace and name of the Hardware, and where they are given.
    pub hardware: Option<(&'a str, &'a str, Field<'a>)>,
    /// The operating system.
    pub operating_system: Option<Cow<'a, str>>,
    /// Where its image is.
    pub image_url: Option<Cow<'a, str>>,
    /// Whether somebody could log in by an SSH key.
    pub has_ssh_key: bool,
}

/// What is known beside the MachineDeployment.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a, 'b> {
    /// The Seeds' images, when there is a Seed.
    pub images: Option<&'b [Image<'a>]>,
    /// Secrets and ConfigMaps.
    pub references: &'b References<'a>,
    /// What was said about images, when a Workflow is to be made: then the image must be known.
    pub choice: Option<&'b Choice>,
}

/// Where the part for the provider begins: a Machine has no template.
fn provider<'a>(object: &'a Object) -> Field<'a> {
    let path = if object.kind == MACHINE {
        "spec.providerSpec.value"
    } else {
        "spec.template.spec.providerSpec.value"
    };
    Field::root(object).dig(path)
}

/// The name of its operating system.
pub fn operating_system<'a>(object: &'a Object) -> Field<'a> {
    provider(object).get("operatingSystem")
}

/// The provider it is for.
pub fn cloud_provider<'a>(object: &'a Object) -> Field<'a> {
    provider(object).get("cloudProvider")
}

/// Whether the MachineDeployment is for this provider at all.
pub fn is_baremetal(deployment: &Object) -> bool {
    let field = cloud_provider(deployment);
    let value = if field.is_map() { field.get("value") } else { field };
    value.quiet() == Some("baremetal")
}

/// Checks all of a MachineDeployment, or Machine, for bare metal.
pub fn check<'a>(deployment: &'a Object, known: Known<'a, '_>, findings: &mut Findings) -> Wish<'a> {
    let root = Field::root(deployment);
    check_replicas(&root.dig("spec.replicas"), findings);
    let value = provider(deployment);
    let spec = value.get("cloudProviderSpec");
    let driver = known.references.text(&spec.get("driver"), &code::DRIVER, "tinkerbell", findings);
    if let Some(given) = driver.filter(|d| d.text != "tinkerbell") {
        findings.push(given.finding(&code::DRIVER, |f, text| f.value(text)).accepted("tinkerbell"));
    }
    let system = value.get("operatingSystemSpec");
    if !system.exists() {
        system.missing(findings, &code::NO_OS_SPEC, "a mapping, which may be empty: {}");
    }
    let has_ssh_key = check_keys(&value.get("sshPublicKeys"), known.references, findings);
    let driver_spec = spec.get("driverSpec");
    let operating_system = check_operating_system(&value.get("operatingSystem"), known, findings);
    let image_url = match &operating_system {
        Some(system) => check_image(&driver_spec.get("osImageUrl"), system, known, findings),
        None => None,
    };
    let has_suffix = known.choice.is_some_and(|c| c.has_digest_suffix);
    if let Some(given) = image_url.as_ref().filter(|g| has_suffix && g.text.contains(['?', '#'])) {
        let finding = given.finding(&code::DIGEST_SUFFIX, |f, url| f.url(url));
        findings.push(finding.accepted("a URL without a query"));
    }
    let reference = driver_spec.get("hardwareRef");
    // The type has no names for JSON (apimachinery's types.NamespacedName): what KKP writes begins with a capital.
    let part = |key: &str, accepted: &str, findings: &mut Findings| {
        reference.get_any_case(key).required(findings, &code::NO_HARDWARE_REF, accepted)
    };
    let name = part("name", "the name of a Hardware", findings);
    let namespace = part("namespace", "the namespace of a Hardware", findings);
    let hardware = namespace.zip(name).map(|(namespace, name)| (namespace, name, reference));
    let operating_system = operating_system.map(|s| s.text);
    Wish { hardware, operating_system, image_url: image_url.map(|g| g.text), has_ssh_key }
}

/// Whether there is a key. Nothing is said of what one holds: a private key may have been pasted.
fn check_keys<'a>(list: &Field<'a>, references: &References<'a>, findings: &mut Findings) -> bool {
    let keys = list.items(findings);
    for key in &keys {
        if key.quiet().is_some_and(|text| !is_public_key(text)) {
            findings.push(key.finding(&code::SSH_KEY).shown("(not shown)"));
            continue;
        }
        let given = references.text(key, &code::SSH_KEY, "one line as in authorized_keys", findings);
        if let Some(given) = given.filter(|g| !is_public_key(&g.text)) {
            findings.push(given.field.finding(&code::SSH_KEY).shown("(not shown)"));
        }
    }
    !keys.is_empty()
}

/// With this provider a MachineDeployment is one machine, since it names one Hardware.
fn check_replicas(field: &Field<'_>, findings: &mut Findings) {
    match field.integer(findings) {
        None | Some(1) => {}
        Some(n) if n < 1 => findings.push(field.finding(&code::NO_REPLICA).shown(n.to_string())),
        Some(n) => findings.push(field.finding(&code::REPLICAS).shown(n.to_string())),
    }
}

fn check_operating_system<'a>(
    field: &Field<'a>,
    known: Known<'a, '_>,
    findings: &mut Findings,
) -> Option<Given<'a>> {
    let there = known.images.map(seed::operating_systems);
    let accepted = there
        .as_ref()
        .map_or("an operating system, as ubuntu".to_owned(), |t| format!("one of the Seed's: {t}"));
    let name = known.references.text(field, &code::NO_OPERATING_SYSTEM, &accepted, findings)?;
    if known.images.is_some_and(|images| images.iter().all(|i| i.operating_system != name.text)) {
        findings.push(name.finding(&code::OPERATING_SYSTEM, |f, text| f.value(text)).accepted(accepted));
        return None;
    }
    Some(name)
}

/// The URL of the image: the MachineDeployment's own, which must be one of the Seed's, or that of the wanted version.
fn check_image<'a>(
    field: &Field<'a>,
    operating_system: &Given<'a>,
    known: Known<'a, '_>,
    findings: &mut Findings,
) -> Option<Given<'a>> {
    const ANY: &str = "an http:// or https:// URL";
    let system = &*operating_system.text;
    let there = known
        .images
        .map(|images| format!("one of the Seed's for {system}: {}", seed::versions(images, system)));
    let accepted = there.as_deref().unwrap_or(ANY);
    let of_system: Vec<&Image<'a>> =
        known.images.unwrap_or_default().iter().filter(|i| i.operating_system == system).collect();
    if !field.exists() {
        let version = known.choice.and_then(|c| c.os_version.as_deref());
        return match (version, known.images) {
            (Some(version), Some(_)) => by_version(field, version, &of_system, accepted, findings),
            (Some(version), None) => {
                let note = format!("missing, and there is no Seed that knows version {}", show(version));
                findings.push(field.finding(&code::NO_OS_IMAGE).note(note).accepted(ANY));
                None
            }
            (None, _) => {
                let or = if known.choice.is_some() { "; or --os-version" } else { "" };
                field.missing(findings, &code::NO_OS_IMAGE, &format!("{accepted}{or}"));
                None
            }
        };
    }
    let before = findings.iter().count();
    let Some(given) = known.references.text(field, &code::NO_OS_IMAGE, accepted, findings) else {
        // In a cluster the reference may lead somewhere; here no Workflow can be made.
        let is_said = findings.iter().skip(before).any(|f| f.code.severity == code::Severity::Error);
        if known.choice.is_some() && !is_said {
            let finding = field.finding(&code::MISSING_INPUT);
            findings.push(finding.note("the object that it refers to was not given").accepted(accepted));
        }
        return None;
    };
    if !seed::is_url(&given.text) {
        findings.push(given.finding(&code::IMAGE_URL, |f, url| f.url(url)).accepted(accepted));
        return None;
    }
    if known.images.is_some() && of_system.iter().all(|i| i.url != given.text) {
        let finding = given.finding(&code::OS_IMAGE, |f, url| f.url(url));
        let nearest = of_system.iter().min_by_key(|i| distance(i.url, &given.text));
        let finding = match nearest.filter(|_| !given.is_secret) {
            Some(image) => {
                finding.note(format!("the nearest is that of {}: {}", image.version, show_url(image.url)))
            }
            None => finding,
        };
        findings.push(finding.accepted(accepted));
        return None;
    }
    if known.images.is_none()
        && let Some(form) = seed::other_form(&given.text)
    {
        let finding = given.finding(&code::IMAGE_NOT_RAW, |f, url| f.url(url));
        findings.push(finding.note(format!("{form} by its name")).accepted("a raw image, compressed or not"));
    }
    Some(given)
}

/// How many characters must be changed, added or left out to make one of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(500).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(500).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn by_version<'a>(
    field: &Field<'a>,
    version: &str,
    images: &[&Image<'a>],
    accepted: &str,
    findings: &mut Findings,
) -> Option<Given<'a>> {
    let mut of_version = images.iter().filter(|i| i.version == version);
    let missing = |note: String| field.finding(&code::NO_OS_IMAGE).note(format!("missing, and {note}"));
    let Some(first) = of_version.next() else {
        let note = format!("version {} is none of the Seed's", show(version));
        findings.push(missing(note).accepted(accepted));
        return None;
    };
    if let Some(other) = of_version.find(|i| i.url != first.url) {
        let note = format!(
            "the datacenters {} and {} have different images of version {version}",
            first.datacenter, other.datacenter
        );
        findings.push(missing(note).accepted("--datacenter"));
        return None;
    }
    Some(Given { text: first.url.into(), field: field.clone(), is_secret: false })
}

fn is_public_key(text: &str) -> bool {
    let text = text.trim();
    let kinds = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    !text.contains('\n') && text.split_whitespace().any(|word| kinds.iter().any(|k| word.starts_with(k)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Reader;

    const RIGHT: &str = "apiVersion: cluster.k8s.io/v1alpha1\nkind: MachineDeployment\nmetadata: {name: a, namespace: n}\n\
        spec: {replicas: 1, template: {spec: {providerSpec: {value: {cloudProvider: baremetal, operatingSystem: ubuntu, operatingSystemSpec: {}, \
        sshPublicKeys: [ssh-ed25519 AAAA x], cloudProviderSpec: {driver: {value: tinkerbell}, driverSpec: {osImageUrl: http://h/u2404.raw, \
        hardwareRef: {name: h, namespace: t}}}}}}}}\n";

    fn said(from: &str, to: &str) -> (Vec<&'static str>, String) {
        assert!(RIGHT.contains(from), "{from}");
        let mut findings = Findings::default();
        let mut reader = Reader::default();
        reader.read("f", &RIGHT.replacen(from, to, 1), &mut findings);
        let references = References::of(&reader.objects);
        let image = |version, url| Image { datacenter: "d", operating_system: "ubuntu", version, url };
        let images = [image("24.04", "http://h/u2404.raw"), image("22.04", "http://h/x.raw")];
        let known = Known { images: Some(&images), references: &references, choice: None };
        check(&reader.objects[0], known, &mut findings);
        let text = findings.iter().map(|f| f.text(false)).collect();
        (findings.codes(), text)
    }

    #[test]
    fn each_mistake_has_its_code_and_what_is_near_it_has_none() {
        for (from, wrong, code, right) in [
            ("{value: tinkerbell}", "metal3", "N0301", "tinkerbell"),
            ("operatingSystem: ubuntu", "operatingSystem: rhel", "N0302", "operatingSystem: {value: ubuntu}"),
            ("http://h/u2404.raw", "http://h/u2304.raw", "N0303", "{value: http://h/x.raw}"),
            ("replicas: 1", "replicas: 3", "N0305", "paused: 1"),
            ("replicas: 1", "replicas: 0", "N0306", "replicas: "),
            ("ssh-ed25519 AAAA x", "secret-key", "N0310", "ecdsa-sha2-nistp256 AAAA"),
            ("ssh-ed25519 AAAA x", "1234567", "N0310", "{value: ssh-rsa AAAA}"),
            ("operatingSystemSpec: {}", "other: {}", "N0311", "operatingSystemSpec: {a: 1}"),
            ("{name: h, namespace: t}", "{name: h}", "N0312", "{Name: h, Namespace: t}"),
            ("operatingSystem: ubuntu, ", "", "N0315", "operatingSystem: ubuntu, "),
            ("osImageUrl: http://h/u2404.raw, ", "", "N0316", "osImageUrl: http://h/u2404.raw, "),
            ("http://h/u2404.raw", "h/u2404.raw", "N0201", "http://h/u2404.raw"),
        ] {
            let (codes, text) = said(from, wrong);
            assert_eq!(codes, [code], "{wrong}");
            assert!(!text.contains("secret-") && !text.contains("1234567"), "{text}");
            assert_eq!(said(from, right).0, [""; 0], "{right}");
        }
    }

    #[test]
    fn the_nearest_image_is_named() {
        let (_, text) = said("http://h/u2404.raw", "http://h/u2304.raw");
        assert!(text.contains("the nearest is that of 24.04: \"http://h/u2404.raw\""), "{text}");
        assert_eq!([distance("", "ab"), distance("kitten", "sitting"), distance("a", "a")], [2, 3, 0]);
    }
}
