//! The Seed: which operating system images there are.

use crate::code;
use crate::field::Field;
use crate::finding::{Finding, Findings, show_url};
use crate::object::Object;

/// One image of one datacenter.
#[derive(Debug, Clone)]
pub struct Image<'a> {
    /// The datacenter's name.
    pub datacenter: &'a str,
    /// `ubuntu`
    pub operating_system: &'a str,
    /// `22.04`
    pub version: &'a str,
    /// Where it is.
    pub url: &'a str,
}

/// The images of the Seeds' datacenters for Tinkerbell; of one alone when it is named.
pub fn images<'a>(seeds: &[&'a Object], datacenter: Option<&str>, findings: &mut Findings) -> Vec<Image<'a>> {
    let mut images = Vec::new();
    let mut datacenters = Vec::new();
    for seed in seeds {
        for (name, field) in Field::root(seed).dig("spec.datacenters").entries(findings) {
            let systems = field.dig("spec.baremetal.tinkerbell.images.http.operatingSystems");
            if !systems.exists() {
                continue;
            }
            datacenters.push(name);
            if datacenter.is_some_and(|wanted| wanted != name) {
                continue;
            }
            for (operating_system, versions) in systems.entries(findings) {
                if !KNOWN.contains(&operating_system) {
                    let finding = versions.finding(&code::OS_UNKNOWN).value(operating_system);
                    findings.push(finding.accepted(KNOWN.join(", ")));
                }
                let entries = versions.entries(findings);
                if entries.is_empty() && (!versions.exists() || versions.is_map()) {
                    findings.push(versions.finding(&code::OS_WITHOUT_VERSION).value(operating_system));
                }
                for (version, url) in entries {
                    let Some(text) = check_url(&url, findings) else { continue };
                    images.push(Image { datacenter: name, operating_system, version, url: text });
                }
            }
        }
    }
    if let Some(wanted) = datacenter
        && !datacenters.contains(&wanted)
    {
        let there = if datacenters.is_empty() { "none".to_owned() } else { datacenters.join(", ") };
        let finding = Finding::new(&code::DATACENTER).value(wanted);
        findings.push(finding.accepted(format!("--datacenter with one of: {there}")));
    }
    images
}

/// The operating systems that KKP offers for bare metal, and that the actions were made for.
const KNOWN: [&str; 5] = ["ubuntu", "rhel", "rockylinux", "flatcar", "debian"];

fn check_url<'a>(url: &Field<'a>, findings: &mut Findings) -> Option<&'a str> {
    const ACCEPTED: &str = "an http:// or https:// URL";
    let text = url.required(findings, &code::IMAGE_URL, ACCEPTED)?;
    if !is_url(text) {
        findings.push(url.finding(&code::IMAGE_URL).url(text).accepted(ACCEPTED));
        return None;
    }
    if let Some(form) = other_form(text) {
        let finding = url.finding(&code::IMAGE_NOT_RAW).url(text);
        findings.push(finding.note(format!("{form} by its name")).accepted("a raw image, compressed or not"));
    }
    Some(text)
}

/// The form of an image that cannot be written to a disk as it is, by the name in its URL.
pub fn other_form(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let packed = [".gz", ".xz", ".zst", ".bz2", ".zstd"];
    let path = packed.iter().find_map(|p| path.strip_suffix(p)).unwrap_or(&path);
    [".qcow2", ".qcow", ".vmdk", ".vhd", ".vhdx", ".vdi", ".ova", ".iso"]
        .into_iter()
        .find(|form| path.ends_with(form))
}

/// Whether stream-image could fetch it: HTTP or HTTPS, a host, and nothing that ends a URL.
pub fn is_url(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        !host.is_empty() && !host.starts_with(':')
    }) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// The operating systems there are, each once, for a message.
pub fn operating_systems(images: &[Image<'_>]) -> String {
    let mut names: Vec<_> = images.iter().map(|i| i.operating_system).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The versions there are of one, and where, for a message.
pub fn versions(images: &[Image<'_>], operating_system: &str) -> String {
    let mut lines: Vec<_> = images
        .iter()
        .filter(|i| i.operating_system == operating_system)
        .map(|i| format!("{} {}", i.version, show_url(i.url)))
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Reader;

    const SEED: &str = "apiVersion: kubermatic.k8c.io/v1\nkind: Seed\nmetadata: {name: s, namespace: kubermatic}\nspec:\n  \
                        datacenters:\n    aws: {spec: {aws: {}}}\n    dc-1: {spec: {baremetal: {tinkerbell: {images: {http: \
                        {operatingSystems: {ubuntu: {22.04: 'http://h/u', 24.04: 'ftp://u:p@h/n'}, rhel: {9: 'https://h/r'}}}}}}}}\n";

    fn read(seed: &str, datacenter: Option<&str>) -> (Vec<String>, Vec<String>) {
        let mut findings = Findings::default();
        let mut reader = Reader::default();
        reader.read("s", seed, &mut findings);
        let seeds: Vec<_> = reader.objects.iter().collect();
        let images = images(&seeds, datacenter, &mut findings);
        let names = images.iter().map(|i| format!("{} {} {}", i.datacenter, i.operating_system, i.version));
        (names.collect(), findings.brief())
    }

    #[test]
    fn images_by_system_and_version() {
        let (names, said) = read(SEED, None);
        assert_eq!(names, ["dc-1 ubuntu 22.04", "dc-1 rhel 9"]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains("N0201") && said[0].contains("ubuntu[\"24.04\"]: \"ftp://…@h/n\""),
            "{said:?}"
        );
    }

    #[test]
    fn each_mistake_has_its_code_and_what_is_near_it_has_none() {
        for (wrong, code, right) in [
            ("{ubuntu: {22.04: h/u}}", "N0201", "{ubuntu: {22.04: http://h/u}}"),
            ("{ubuntu: {22.04: http://h/u.qcow2}}", "N0202", "{ubuntu: {22.04: http://h/qcow2.raw}}"),
            (
                "{ubuntu: {22.04: 'http://h/u.QCOW2.gz?x'}}",
                "N0202",
                "{ubuntu: {22.04: 'http://h/u.gz?a.iso'}}",
            ),
            ("{ubuntu: {}}", "N0203", "{}"),
            ("{ubuntu: }", "N0203", "{rhel: {9: http://h/r}}"),
            ("{plan9: {4: http://h/u}}", "N0204", "{flatcar: {4: http://h/u}}"),
        ] {
            let seed = |systems| {
                format!(
                    "apiVersion: kubermatic.k8c.io/v1\nkind: Seed\nmetadata: {{name: s}}\nspec: {{datacenters: {{d: {{spec: {{baremetal: {{tinkerbell: {{images: {{http: {{operatingSystems: {systems}}}}}}}}}}}}}}}}}\n"
                )
            };
            let (_, said) = read(&seed(wrong), None);
            assert!(said.len() == 1 && said[0].contains(code), "{wrong}: {said:?}");
            assert_eq!(read(&seed(right), None).1, [""; 0], "{right}");
        }
    }

    #[test]
    fn a_datacenter_that_is_none() {
        let (names, said) = read(SEED, Some("aws"));
        assert!(names.is_empty());
        assert_eq!(said, ["N0205 \"aws\""]);
        assert_eq!(read(SEED, Some("dc-1")).0.len(), 2);
    }

    #[test]
    fn urls() {
        for right in ["http://h", "HTTPS://u:p@h:8/x?y", "http://[2001:db8::1]/x"] {
            assert!(is_url(right), "{right}");
        }
        for wrong in [
            "",
            "http://",
            "http:///x",
            "h/x",
            "oci://h/x",
            "http://h/a b",
            "http://h/\n",
            "https://u@/x",
            "http://:80/",
        ] {
            assert!(!is_url(wrong), "{wrong}");
        }
    }
}
