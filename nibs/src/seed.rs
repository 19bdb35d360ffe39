//! The Seed: which operating system images there are.

use crate::field::Field;
use crate::finding::{Findings, show_url};
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
pub fn images<'a>(seeds: &'a [Object], datacenter: Option<&str>, findings: &mut Findings) -> Vec<Image<'a>> {
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
                for (version, url) in versions.entries(findings) {
                    const ACCEPTED: &str = "an http:// or https:// URL";
                    let Some(text) = url.required(findings, ACCEPTED) else { continue };
                    if is_url(text) {
                        images.push(Image { datacenter: name, operating_system, version, url: text });
                    } else {
                        url.error(findings, format!("{}; {ACCEPTED} is accepted", show_url(text)));
                    }
                }
            }
        }
    }
    if let Some(wanted) = datacenter
        && !datacenters.contains(&wanted)
    {
        let there = if datacenters.is_empty() { "none".to_owned() } else { datacenters.join(", ") };
        findings.error(format!(
            "--datacenter {wanted:?}: no datacenter with Tinkerbell's images; there are: {there}"
        ));
    }
    images
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
    use crate::object;

    const SEED: &str = "apiVersion: kubermatic.k8c.io/v1\nkind: Seed\nmetadata: {name: s, namespace: kubermatic}\nspec:\n  \
                        datacenters:\n    aws: {spec: {aws: {}}}\n    dc-1: {spec: {baremetal: {tinkerbell: {images: {http: \
                        {operatingSystems: {ubuntu: {22.04: 'http://h/u', 24.04: 'ftp://u:p@h/n'}, rhel: {9: 'https://h/r'}}}}}}}}\n";

    #[test]
    fn images_by_system_and_version() {
        let mut findings = Findings::default();
        let mut seeds = Vec::new();
        object::read("s", SEED, &mut seeds, &mut findings);
        let images = images(&seeds, None, &mut findings);
        assert_eq!(operating_systems(&images), "rhel, ubuntu");
        assert_eq!(versions(&images, "ubuntu"), "22.04 \"http://h/u\"");
        assert_eq!(images[0].datacenter, "dc-1");
        let said = findings.report();
        assert!(
            said.contains("operatingSystems.ubuntu[\"24.04\"]: \"ftp://…@h/n\"; an http:// or"),
            "{said}"
        );
    }

    #[test]
    fn a_datacenter_that_is_none() {
        let mut findings = Findings::default();
        let mut seeds = Vec::new();
        object::read("s", SEED, &mut seeds, &mut findings);
        assert!(images(&seeds, Some("aws"), &mut findings).is_empty());
        assert!(
            findings
                .report()
                .contains("--datacenter \"aws\": no datacenter with Tinkerbell's images; there are: dc-1")
        );
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
