//! The Template that KKP takes in the place of its own.
//!
//! machine-controller makes a Template of the name [`NAME`] in the Hardware's namespace only when there is none. So
//! this one is found and used, and may ask for nothing but what machine-controller puts into a Workflow's
//! `hardwareMap`, and for `.Hardware`. Rendering ends at the first missing key, and says so only in the Workflow's
//! conditions.

use std::fmt::Write;

use common::variables::{
    ActionSpec, DEST_DISK, DISKS, GROW_PARTITION, IMG_DIGEST, IMG_URL, INSTANCE_ID, INTERFACES, KEXEC_REBOOT,
    LOCAL_HOSTNAME, STREAM_IMAGE, USER_DATA_BASE64, Variable, WIPE_DISK, WRITE_CLOUD_INIT, WRITE_NETPLAN,
};

use crate::image_names::ImageNames;
use crate::scalar::scalar;

/// The name that machine-controller looks for, in the Hardware's namespace.
pub const NAME: &str = "provision-worker-node";

/// Seconds for the whole Workflow; more than all actions together may take.
const GLOBAL_TIMEOUT_SECS: u32 = 7200;

/// What KKP binds into every action of its own Template.
const VOLUMES: [&str; 3] = ["/dev:/dev", "/dev/console:/dev/console", "/lib/firmware:/lib/firmware:ro"];

/// Go templates that give one YAML scalar whatever the value: sprig's `toJson` writes a double-quoted string, and
/// is in every version of Tinkerbell that KKP works with.
mod expression {
    pub(super) const FIRST_DISK: &str = "{{ index .Hardware.Disks 0 | toJson }}";
    pub(super) const ALL_DISKS: &str = r#"{{ join "," .Hardware.Disks | toJson }}"#;
    pub(super) const INTERFACES: &str = "{{ toJson .Hardware.Interfaces | toJson }}";
    pub(super) const IMAGE: &str = "{{ .os_image | toJson }}";
    pub(super) const USER_DATA: &str = "{{ .cloud_init_script | toJson }}";
    pub(super) const NAME: &str = "{{ .hardware_name | toJson }}";
}

/// What can be chosen about the Template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The Hardware's namespace.
    pub namespace: String,
    /// Where the images are pulled from.
    pub images: ImageNames,
    /// What is appended to the image's URL to get the URL of its digest, as `.sha256`; none means that no digest is
    /// looked at.
    pub image_digest_suffix: Option<String>,
}

/// One action of the Template.
struct Step {
    spec: &'static ActionSpec,
    timeout_secs: u32,
    /// What the container shares with the host, as it stands in the Template.
    shares: Option<&'static str>,
    environment: Vec<(Variable, String)>,
}

/// The actions in their order.
fn steps(image_digest_suffix: Option<&str>) -> Vec<Step> {
    let first_disk = || (DEST_DISK, expression::FIRST_DISK.to_owned());
    let mut image = vec![(IMG_URL, expression::IMAGE.to_owned()), first_disk()];
    if let Some(suffix) = image_digest_suffix {
        image.push((IMG_DIGEST, format!(r#"{{{{ printf "%s{suffix}" .os_image | toJson }}}}"#)));
    }
    vec![
        Step {
            spec: &WIPE_DISK,
            timeout_secs: 1200,
            shares: None,
            environment: vec![(DISKS, expression::ALL_DISKS.to_owned())],
        },
        Step {
            spec: &STREAM_IMAGE,
            timeout_secs: 3600,
            // A containerd agent without CNI gives an action no network otherwise.
            shares: Some("namespaces: {network: host}"),
            environment: image,
        },
        Step { spec: &GROW_PARTITION, timeout_secs: 600, shares: None, environment: vec![first_disk()] },
        Step {
            spec: &WRITE_NETPLAN,
            timeout_secs: 300,
            shares: None,
            environment: vec![first_disk(), (INTERFACES, expression::INTERFACES.to_owned())],
        },
        Step {
            spec: &WRITE_CLOUD_INIT,
            timeout_secs: 300,
            shares: None,
            environment: vec![
                first_disk(),
                // Mentioned once: it is most of what a rendered Template may weigh.
                (USER_DATA_BASE64, expression::USER_DATA.to_owned()),
                (INSTANCE_ID, expression::NAME.to_owned()),
                (LOCAL_HOSTNAME, expression::NAME.to_owned()),
            ],
        },
        Step {
            spec: &KEXEC_REBOOT,
            timeout_secs: 600,
            // The process that takes the machine down outlives its container, and waits for the success report.
            shares: Some("pid: host"),
            environment: vec![first_disk()],
        },
    ]
}

/// The Template as a YAML document.
///
/// # Errors
/// An action has no image.
pub fn kkp(options: &Options) -> Result<String, String> {
    let mut text = format!(
        "apiVersion: tinkerbell.org/v1alpha1\nkind: Template\nmetadata:\n  name: {NAME}\n  namespace: {}\nspec:\n  data: |\n",
        scalar(&options.namespace)
    );
    for line in data(options)?.lines() {
        writeln!(text, "    {line}").expect("a String takes everything");
    }
    Ok(text)
}

/// The Template's data: YAML with expressions, which only Tinkerbell turns into values.
fn data(options: &Options) -> Result<String, String> {
    let mut text = format!(
        "version: \"0.1\"\nname: {NAME}\nglobal_timeout: {GLOBAL_TIMEOUT_SECS}\ntasks:\n  - name: {NAME}\n    \
         worker: \"{{{{.device_1}}}}\"\n    volumes:\n"
    );
    let mut line = |indent: usize, line: &str| {
        writeln!(text, "{:indent$}{line}", "").expect("a String takes everything");
    };
    for volume in VOLUMES {
        line(6, &format!("- {volume}"));
    }
    line(4, "actions:");
    for Step { spec, timeout_secs, shares, environment } in steps(options.image_digest_suffix.as_deref()) {
        line(6, &format!("- name: {}", spec.name));
        line(8, &format!("image: {}", options.images.of(spec.name)?));
        line(8, &format!("timeout: {timeout_secs}"));
        if let Some(shares) = shares {
            line(8, shares);
        }
        if !environment.is_empty() {
            line(8, "environment:");
        }
        for (variable, expression) in environment {
            line(10, &format!("{}: {expression}", variable.name));
        }
    }
    Ok(text)
}

/// Checks what is to be appended to an image's URL: it goes into a Go template's string.
///
/// # Errors
/// It is empty, or holds what a URL's path does not.
pub fn check_digest_suffix(suffix: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !suffix.is_empty() && suffix.bytes().all(fits) {
        Ok(suffix.to_owned())
    } else {
        Err(format!("{suffix:?}: letters, digits, '.', '_' and '-' are accepted, as .sha256"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        let images = ImageNames::tagged("registry.example/nibs").unwrap();
        Options { namespace: "default".into(), images, image_digest_suffix: Some(".sha256".into()) }
    }

    #[test]
    fn every_variable_is_one_that_its_action_takes() {
        for step in steps(Some(".sha256")) {
            for (variable, _) in &step.environment {
                let taken: Vec<_> = step.spec.all_variables().map(|v| v.name).collect();
                assert!(taken.contains(&variable.name), "{}: {} in {taken:?}", step.spec.name, variable.name);
            }
        }
    }

    #[test]
    fn every_action_in_its_order_and_within_the_whole_time() {
        let names: Vec<_> = steps(None).iter().map(|s| s.spec.name).collect();
        assert_eq!(names, common::variables::ACTIONS.map(|a| a.name));
        assert!(steps(None).iter().all(|s| s.timeout_secs > 0));
        assert!(steps(None).iter().map(|s| s.timeout_secs).sum::<u32>() <= GLOBAL_TIMEOUT_SECS);
    }

    #[test]
    fn user_data_is_mentioned_once_and_the_digest_when_asked_for() {
        let text = kkp(&options()).unwrap();
        assert_eq!(text.matches("cloud_init_script").count(), 1);
        assert!(text.contains("IMG_DIGEST: {{ printf \"%s.sha256\" .os_image | toJson }}\n"), "{text}");
        let without = kkp(&Options { image_digest_suffix: None, ..options() }).unwrap();
        assert!(!without.contains("IMG_DIGEST"));
    }

    #[test]
    fn only_keys_that_kkp_provides() {
        let text = kkp(&options()).unwrap();
        let given = ["device_1", "hardware_name", "cloud_init_script", "os_image", "Hardware"];
        for expression in text.split("{{").skip(1).map(|e| e.split("}}").next().unwrap()) {
            for word in expression.split(' ').filter_map(|w| w.strip_prefix('.')) {
                assert!(given.contains(&word.split('.').next().unwrap()), "{expression}");
            }
        }
    }

    #[test]
    fn a_suffix_cannot_end_the_string_it_stands_in() {
        assert_eq!(check_digest_suffix(".sha256").unwrap(), ".sha256");
        for wrong in ["", "\"", "%s", " ", "}}", "?x", "\\n"] {
            assert!(check_digest_suffix(wrong).unwrap_err().contains("as .sha256"), "{wrong}");
        }
    }
}
