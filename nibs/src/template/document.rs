//! A Template as the YAML document that its system takes.

use std::fmt::Write;

use super::step::{Setting, Shares, Step, steps};
use super::{Form, Options};
use crate::scalar::scalar;

/// Seconds for the whole Workflow; more than all actions together may take.
const GLOBAL_TIMEOUT_SECS: u32 = 7200;

/// What KKP, CAPT and EKS Anywhere bind into every action of their own Templates.
const VOLUMES: [&str; 3] = ["/dev:/dev", "/dev/console:/dev/console", "/lib/firmware:/lib/firmware:ro"];

/// The name by which EKS Anywhere knows the last action.
const EKSA_LAST_ACTION: &str = "reboot";

/// Text by lines, each with its indent in spaces.
struct Lines {
    text: String,
    indent: usize,
}

impl Lines {
    fn add(&mut self, more: usize, line: &str) {
        writeln!(self.text, "{:1$}{line}", "", self.indent + more).expect("a String takes everything");
    }
}

/// The Template, or what a system makes one of, as a YAML document.
///
/// # Errors
/// Choices that do not go together, or images whose index lacks an action.
pub fn document(options: &Options) -> Result<String, String> {
    options.check()?;
    let (api_version, kind) = match options.form {
        Form::Kkp | Form::Plain => ("tinkerbell.org/v1alpha1", "Template"),
        Form::Capt => ("infrastructure.cluster.x-k8s.io/v1beta1", "TinkerbellMachineTemplate"),
        Form::Eksa => ("anywhere.eks.amazonaws.com/v1alpha1", "TinkerbellTemplateConfig"),
    };
    let mut lines = Lines { text: String::new(), indent: 0 };
    for (more, line) in [
        (0, format!("apiVersion: {api_version}")),
        (0, format!("kind: {kind}")),
        (0, "metadata:".to_owned()),
        (2, format!("name: {}", scalar(&options.name))),
        (2, format!("namespace: {}", scalar(&options.namespace))),
        (0, "spec:".to_owned()),
    ] {
        lines.add(more, &line);
    }
    match options.form {
        Form::Kkp | Form::Plain => {
            lines.add(2, "data: |");
            lines.indent = 4;
        }
        Form::Capt => {
            lines.add(2, "template:");
            lines.add(4, "spec:");
            lines.add(6, "templateOverride: |");
            lines.indent = 8;
        }
        Form::Eksa => {
            lines.add(2, "template:");
            lines.indent = 4;
        }
    }
    workflow(options, &mut lines)?;
    Ok(lines.text)
}

/// What a Workflow is made of: YAML with expressions, which only Tinkerbell turns into values.
fn workflow(options: &Options, lines: &mut Lines) -> Result<(), String> {
    let name = scalar(&options.name);
    lines.add(0, "version: \"0.1\"");
    if options.form == Form::Eksa {
        // Its CRD asks for one; Tinkerbell looks at none.
        lines.add(0, "id: \"\"");
    }
    lines.add(0, &format!("name: {name}"));
    lines.add(0, &format!("global_timeout: {GLOBAL_TIMEOUT_SECS}"));
    lines.add(0, "tasks:");
    lines.add(2, &format!("- name: {name}"));
    lines.add(
        4,
        match options.form {
            Form::Plain => "worker: {{ (index .Hardware.Interfaces 0).DHCP.MAC | toJson }}",
            _ => "worker: \"{{.device_1}}\"",
        },
    );
    lines.add(4, "volumes:");
    for volume in VOLUMES.into_iter().chain(options.volumes.iter().map(String::as_str)) {
        lines.add(6, &format!("- {volume}"));
    }
    lines.add(4, "actions:");
    let steps = steps(options);
    for (index, step) in steps.iter().enumerate() {
        action(step, index + 1 == steps.len(), options, lines)?;
    }
    Ok(())
}

fn action(step: &Step, is_last: bool, options: &Options, lines: &mut Lines) -> Result<(), String> {
    let name = if options.form == Form::Eksa && is_last { EKSA_LAST_ACTION } else { step.spec.name };
    lines.add(6, &format!("- name: {name}"));
    lines.add(8, &format!("image: {}", options.images.of(step.spec.name)?));
    lines.add(8, &format!("timeout: {}", step.timeout_secs));
    match (step.shares, options.form) {
        // Its CRD knows no namespaces; its in-memory OS runs Docker, which needs none for a network.
        (Shares::Nothing, _) | (Shares::Network, Form::Eksa) => {}
        (Shares::Network, _) => lines.add(8, "namespaces: {network: host}"),
        (Shares::Processes, _) => lines.add(8, "pid: host"),
    }
    if !step.environment.is_empty() {
        lines.add(8, "environment:");
    }
    for (variable, setting) in &step.environment {
        lines.add(10, &format!("{}: {}", variable.name, value(setting, options.form)));
    }
    Ok(())
}

/// A setting as it stands behind its variable's name.
///
/// In a Template's text sprig's `toJson`, which is in every version of Tinkerbell, makes one double-quoted YAML scalar
/// of whatever comes. EKS Anywhere reads the YAML first and writes it anew before Tinkerbell renders it, with single quotes
/// around an expression: what comes must have no single quote in it, and JSON can say one by its number.
fn value(setting: &Setting, form: Form) -> String {
    match (setting, form) {
        (Setting::Text(text), _) => scalar(text),
        (Setting::Expression(text), Form::Eksa) => format!("'{{{{ {text} }}}}'"),
        (Setting::Json(text), Form::Eksa) => {
            format!(r#"'{{{{ {text} | replace "\u0027" "\\u0027" }}}}'"#)
        }
        (Setting::Expression(text), _) => format!("{{{{ {text} | toJson }}}}"),
        (Setting::Json(text), _) => format!("{{{{ {text} | toJson }}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::KKP_NAME;
    use crate::template::tests::options;

    #[test]
    fn the_whole_time_is_enough() {
        let all: u32 = steps(&options(Form::Kkp)).iter().map(|s| s.timeout_secs).sum();
        assert!(all <= GLOBAL_TIMEOUT_SECS);
    }

    #[test]
    fn eks_anywhere_reads_yaml_first_and_knows_no_namespaces() {
        let text = document(&options(Form::Eksa)).unwrap();
        assert_eq!(crate::node::parse(&text).problems, []);
        assert!(!text.contains("namespaces"), "{text}");
        let names: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("          - name: ")).collect();
        assert_eq!(names.last(), Some(&EKSA_LAST_ACTION), "{text}");
    }

    #[test]
    fn user_data_is_mentioned_once_and_volumes_go_last() {
        let text = document(&options(Form::Kkp)).unwrap();
        assert_eq!(text.matches("cloud_init_script").count(), 1);
        assert!(text.contains(&format!("name: {KKP_NAME}\n")));
        let volumes = vec!["/etc/ssl/certs:/etc/ssl/certs:ro".to_owned()];
        let text = document(&Options { volumes, ..options(Form::Plain) }).unwrap();
        assert!(
            text.contains("firmware:ro\n          - /etc/ssl/certs:/etc/ssl/certs:ro\n        actions:"),
            "{text}"
        );
    }
}
