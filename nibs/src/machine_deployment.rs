//! A MachineDeployment: which Hardware it wants, and which operating system on it.

use crate::field::Field;
use crate::finding::{Findings, show, show_url};
use crate::object::Object;
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
    pub operating_system: Option<&'a str>,
    /// Where its image is.
    pub image_url: Option<&'a str>,
}

/// Whether the MachineDeployment is for this provider at all.
pub fn is_baremetal(deployment: &Object) -> bool {
    let field = Field::root(deployment).dig("spec.template.spec.providerSpec.value.cloudProvider");
    field.text(&mut Findings::default()) == Some("baremetal")
}

/// Checks all of a MachineDeployment for bare metal, with the Seeds' images when there are any.
pub fn check<'a>(
    deployment: &'a Object,
    images: Option<&[Image<'a>]>,
    choice: &Choice,
    findings: &mut Findings,
) -> Wish<'a> {
    let root = Field::root(deployment);
    check_replicas(&root.dig("spec.replicas"), findings);
    let value = root.dig("spec.template.spec.providerSpec.value");
    let spec = value.get("cloudProviderSpec");
    let driver = spec.get("driver");
    if let Some(text) = config_text(&driver, "tinkerbell", findings)
        && text != "tinkerbell"
    {
        driver.wrong(findings, text, "tinkerbell");
    }
    let system = value.get("operatingSystemSpec");
    if !system.exists() {
        system.missing(findings, "a mapping, which may be empty: KKP takes none without it; {}");
    }
    for key in value.get("sshPublicKeys").items(findings) {
        // Nothing is said of what it holds: a private key may have been pasted.
        if key.required(findings, "an SSH public key").is_some_and(|k| !is_public_key(k)) {
            key.error(
                findings,
                "not shown, but no SSH public key; one line as in authorized_keys is accepted",
            );
        }
    }
    let driver_spec = spec.get("driverSpec");
    let operating_system = check_operating_system(&value.get("operatingSystem"), images, findings);
    let image_url = match operating_system {
        Some(system) => check_image(&driver_spec.get("osImageUrl"), system, images, choice, findings),
        None => None,
    };
    if let Some(url) = image_url.filter(|url| choice.has_digest_suffix && url.contains(['?', '#'])) {
        let message =
            "has a query, and --image-digest-suffix would lengthen that; a URL without one is accepted";
        driver_spec.get("osImageUrl").error(findings, format!("{} {message}", show_url(url)));
    }
    let reference = driver_spec.get("hardwareRef");
    // The type has no names for JSON (apimachinery's types.NamespacedName): what KKP writes begins with a capital.
    let name = reference.get_any_case("name").required(findings, "the name of a Hardware");
    let namespace = reference.get_any_case("namespace").required(findings, "the namespace of a Hardware");
    let hardware = namespace.zip(name).map(|(namespace, name)| (namespace, name, reference));
    Wish { hardware, operating_system, image_url }
}

/// With this provider a MachineDeployment is one machine, since it names one Hardware.
fn check_replicas(field: &Field<'_>, findings: &mut Findings) {
    match field.integer(findings) {
        None | Some(1) => {}
        Some(0) => field.error(findings, "0; 1 is accepted: with 0 no machine is made"),
        Some(n) if n > 0 => {
            field.warning(findings, format!("{n}: makes one node, since it names one Hardware"))
        }
        Some(n) => field.wrong(findings, &n.to_string(), "1"),
    }
}

fn check_operating_system<'a>(
    field: &Field<'a>,
    images: Option<&[Image<'a>]>,
    findings: &mut Findings,
) -> Option<&'a str> {
    let there = images.map(seed::operating_systems);
    let accepted = there
        .as_ref()
        .map_or("an operating system, as ubuntu,".to_owned(), |t| format!("one of the Seed's ({t})"));
    let name = field.required(findings, &accepted)?;
    if images.is_some_and(|images| images.iter().all(|i| i.operating_system != name)) {
        field.wrong(findings, name, &accepted);
        return None;
    }
    Some(name)
}

/// The URL of the image: the MachineDeployment's own, which must be one of the Seed's, or that of the wanted version.
fn check_image<'a>(
    field: &Field<'a>,
    operating_system: &str,
    images: Option<&[Image<'a>]>,
    choice: &Choice,
    findings: &mut Findings,
) -> Option<&'a str> {
    const ANY: &str = "an http:// or https:// URL";
    let there = images.map(|images| {
        format!(
            "one of the Seed's URLs for {operating_system} ({})",
            seed::versions(images, operating_system)
        )
    });
    let accepted = there.as_deref().unwrap_or(ANY);
    let of_system = |images: &[Image<'a>]| -> Vec<Image<'a>> {
        images.iter().filter(|i| i.operating_system == operating_system).cloned().collect()
    };
    if !field.exists() {
        return match (&choice.os_version, images) {
            (Some(version), Some(images)) => {
                by_version(field, version, &of_system(images), accepted, findings)
            }
            (Some(version), None) => {
                field.missing(
                    findings,
                    &format!("{ANY}, since there is no Seed that knows version {version},"),
                );
                None
            }
            (None, _) => {
                field.missing(findings, &format!("{accepted}, or --os-version,"));
                None
            }
        };
    }
    let url = config_text(field, accepted, findings)?;
    if !seed::is_url(url) {
        field.error(findings, format!("{}; {accepted} is accepted", show_url(url)));
        return None;
    }
    if images.is_some_and(|images| of_system(images).iter().all(|i| i.url != url)) {
        field.error(findings, format!("{} is none of the Seed's; {accepted} is accepted", show_url(url)));
        return None;
    }
    Some(url)
}

fn by_version<'a>(
    field: &Field<'a>,
    version: &str,
    images: &[Image<'a>],
    accepted: &str,
    findings: &mut Findings,
) -> Option<&'a str> {
    let mut of_version = images.iter().filter(|i| i.version == version);
    let Some(first) = of_version.next() else {
        field.error(
            findings,
            format!("missing, and version {} is none of the Seed's; {accepted} is accepted", show(version)),
        );
        return None;
    };
    if let Some(other) = of_version.find(|i| i.url != first.url) {
        let message = format!(
            "missing, and the datacenters {} and {} have different images of version {version}; --datacenter is accepted",
            first.datacenter, other.datacenter
        );
        field.error(findings, message);
        return None;
    }
    Some(first.url)
}

/// A value that KKP takes plain, as `{value: …}`, or from a Secret or ConfigMap, which are not there to be read.
fn config_text<'a>(field: &Field<'a>, accepted: &str, findings: &mut Findings) -> Option<&'a str> {
    if !field.is_map() {
        return field.required(findings, accepted);
    }
    for key in ["secretKeyRef", "configMapKeyRef"] {
        let reference = field.get(key);
        if reference.exists() {
            reference.error(
                findings,
                format!("a reference that only the cluster can follow; as a value, {accepted} is accepted"),
            );
            return None;
        }
    }
    field.get("value").required(findings, accepted)
}

fn is_public_key(text: &str) -> bool {
    let text = text.trim();
    let kinds = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    !text.contains('\n') && text.split_whitespace().any(|word| kinds.iter().any(|k| word.starts_with(k)))
}
