use super::*;

fn said(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let mut findings = Findings::default();
    let given = crate::input::read(&paths.iter().collect::<Vec<_>>(), &[], &mut findings).unwrap();
    let findings = all(&given, findings);
    findings.codes().into_iter().map(str::to_owned).collect()
}

fn hardware(name: &str, byte: u8) -> String {
    format!(
        "---\napiVersion: tinkerbell.org/v1alpha1\nkind: Hardware\nmetadata: {{name: {name}, namespace: t}}\nspec:\n  disks: [{{device: /dev/sda}}]\n  interfaces:\n  \
         - netboot: {{allowPXE: true, allowWorkflow: true}}\n    dhcp: {{mac: '02:00:00:00:00:{byte:02x}', arch: x86_64, iface_name: e0, name_servers: [192.0.2.53], ip: {{address: 192.0.2.{byte}, netmask: 255.255.255.0}}}}\n"
    )
}

fn deployment(name: &str, hardware: &str) -> String {
    format!(
        "---\napiVersion: cluster.k8s.io/v1alpha1\nkind: MachineDeployment\nmetadata: {{name: {name}, namespace: md}}\nspec: {{template: {{spec: {{providerSpec: {{value: {{cloudProvider: baremetal, \
         operatingSystem: ubuntu, operatingSystemSpec: {{}}, sshPublicKeys: [ssh-rsa A], cloudProviderSpec: {{driver: tinkerbell, driverSpec: {{osImageUrl: http://h/u-amd64.raw, hardwareRef: {{name: {hardware}, namespace: t}}}}}}}}}}}}}}}}\n"
    )
}

#[test]
fn what_is_wrong_between_objects() {
    let (a, b) = (hardware("a", 1), hardware("b", 2));
    let (wants_a, wants_b) = (deployment("wa", "a"), deployment("wb", "b"));
    let script = "#!/bin/sh\n";
    let right = [a.clone(), b.clone(), wants_a.clone(), wants_b.clone()].concat();
    assert_eq!(said(&[("f.yaml", &right), ("user-data", script)]), [""; 0]);
    for (from, to, codes) in [
        ("192.0.2.2,", "192.0.2.1,", &["N0412"][..]),
        ("02:00:00:00:00:02", "02:00:00:00:00:01", &["N0409"]),
        ("hardwareRef: {name: b, namespace: t}", "hardwareRef: {name: a, namespace: t}", &["N0308"]),
        ("hardwareRef: {name: b, namespace: t}", "hardwareRef: {name: c, namespace: t}", &["N0304"]),
        ("hardwareRef: {name: b, namespace: t}", "hardwareRef: {name: b, namespace: md}", &["N0307"]),
        ("iface_name: e0, ", "", &["N0422"]),
        ("arch: x86_64", "arch: aarch64", &["N0425"]),
        ("sshPublicKeys: [ssh-rsa A], ", "", &["N0309"]),
        ("operatingSystem: ubuntu", "operatingSystem: flatcar", &["N0508"]),
        ("cloudProvider: baremetal", "cloudProvider: aws", &[]),
    ] {
        assert!(right.contains(from), "{from}");
        let wrong = right.replacen(from, to, 1);
        assert_eq!(said(&[("f.yaml", &wrong), ("user-data", script)]), codes, "{to}");
    }
    let ignition = "{\"ignition\": {\"version\": \"2.3.0\"}}";
    assert_eq!(said(&[("f.yaml", &[a.clone(), wants_a.clone()].concat()), ("u.json", ignition)]), ["N0507"]);
    assert_eq!(said(&[("f.yaml", &wants_a)]), ["N0109"]);
    let flatcar = [a, wants_a].concat().replace("ubuntu", "flatcar");
    assert_eq!(said(&[("f.yaml", &flatcar), ("u.json", ignition)]), ["N0509"]);
}

#[test]
fn a_password_that_may_be_there() {
    let keyless = deployment("wa", "a").replace("sshPublicKeys: [ssh-rsa A], ", "");
    let objects = [hardware("a", 1), keyless.clone()].concat();
    assert_eq!(said(&[("f.yaml", &objects)]), ["N0309"]);
    let config = "#cloud-config\npassword: x\n";
    assert_eq!(said(&[("f.yaml", &objects), ("user-data", config)]), [""; 0]);
    // Whose each of several is, is not known.
    assert_eq!(
        said(&[("f.yaml", &objects), ("user-data-1", config), ("user-data-2", "#!/bin/sh\n")]),
        [""; 0]
    );
    let machine = keyless
        .replace("kind: MachineDeployment", "kind: Machine")
        .replace("spec: {template: {spec: {providerSpec", "spec: {providerSpec")
        .replace("}}}}}}}}\n", "}}}}}}\n");
    let of_machine = [hardware("a", 1), machine].concat();
    assert_eq!(said(&[("f.yaml", &of_machine)]), ["N0309"]);
    let secret = "---\n{apiVersion: v1, kind: Secret, metadata: {name: wa-md-bootstrap-config, namespace: cloud-init-settings}, stringData: {cloud-config: \"#cloud-config\\npassword: x\\n\"}}\n";
    assert_eq!(said(&[("f.yaml", &[&*of_machine, secret].concat())]), [""; 0]);
    assert_eq!(said(&[("f.yaml", &[&*objects, secret].concat())]), [""; 0]);
    assert_eq!(said(&[("f.yaml", &[&*objects, &secret.replace("password", "other")].concat())]), ["N0309"]);
}

const TEMPLATE: &str = "apiVersion: tinkerbell.org/v1alpha1\nkind: Template\nmetadata: {name: own, namespace: t}\nspec:\n  data: |\n    version: '0.1'\n    tasks:\n    \
    - name: t\n      worker: '{{ .device_1 }}'\n      actions: [{name: a, image: 'x@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', timeout: 1, command: ['{{ .mine }}']}]\n---\n";

#[test]
fn workflows_and_what_is_beside_them() {
    let workflow = "apiVersion: tinkerbell.org/v1alpha1\nkind: Workflow\nmetadata: {name: w, namespace: t}\nspec: {templateRef: own, hardwareRef: a, hardwareMap: {device_1: x, mine: y, cloud_init_script: IyEvYmluL3NoCg==}}\n";
    let right = [hardware("a", 1).as_str(), "---\n", TEMPLATE, workflow].concat();
    assert_eq!(said(&[("f.yaml", &right)]), [""; 0]);
    for (from, to, code) in [
        ("templateRef: own", "templateRef: other", &["N0605", "N0701"][..]),
        ("hardwareRef: a", "hardwareRef: b", &["N0703"]),
        (", mine: y", "", &["N0702"]),
        ("IyEvYmluL3NoCg==", "'!'", &["N0511"]),
        ("IyEvYmluL3NoCg==", "aGVsbG8=", &["N0502"]),
    ] {
        assert_eq!(said(&[("f.yaml", &right.replacen(from, to, 1))]), code, "{to}");
    }
    let rules = "{apiVersion: tinkerbell.org/v1alpha1, kind: WorkflowRuleSet, metadata: {name: r}, spec: {rules: ['{}']}}";
    assert_eq!(said(&[("f.yaml", rules)]), [""; 0]);
    assert_eq!(said(&[("f.yaml", &rules.replace("'{}'", ""))]), ["N0704"]);
    let bmc = "{apiVersion: bmc.tinkerbell.org/v1alpha1, kind: Machine, metadata: {name: r}, spec: {connection: {host: 192.0.2.3, authSecretRef: {name: s}}}}";
    assert_eq!(said(&[("f.yaml", bmc)]), [""; 0]);
    assert_eq!(said(&[("f.yaml", &bmc.replace("host: 192.0.2.3, ", ""))]), ["N0705"]);
}

#[test]
fn a_report_for_machines_and_for_people() {
    let mut findings = Findings::default();
    findings.push(Finding::in_file(&code::NOT_YAML, "f", None));
    let given = Given { passed_over: [("Pod".to_owned(), 2)].into(), ..Given::default() };
    let report = Report::of(&given, findings);
    assert!(report.text(false).ends_with("1 error, 0 warnings in 0 objects; passed over: 2 Pod\n"));
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!((&json["errors"], &json["findings"][0]["code"]), (&json!(1), &json!("N0101")));
    assert_eq!(json["passed_over"]["Pod"], 2);
}
