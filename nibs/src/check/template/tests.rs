use super::*;
use crate::finding::Findings;
use crate::object::Reader;

const RIGHT: &str = r#"version: "0.1"
name: t
global_timeout: 600
tasks:
  - name: t
    worker: "{{.device_1}}"
    actions:
      - name: stream
        image: r.example/stream-image@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        timeout: 300
        environment:
          IMG_URL: {{ .os_image | toJson }}
          DEST_DISK: {{ index .Hardware.Disks 0 }}
      - name: other
        image: r.example:5000/x/other@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        timeout: 60
        pid: host
"#;

/// Line and code of each finding; the Template's text begins in line 5.
fn said_of(name: &str, from: &str, to: &str) -> Vec<String> {
    assert!(RIGHT.contains(from), "{from}");
    let text = RIGHT.replacen(from, to, 1);
    let indented: String = text.lines().map(|l| format!("    {l}\n")).collect();
    let object = format!(
        "apiVersion: tinkerbell.org/v1alpha1\nkind: Template\nmetadata: {{name: {name}}}\nspec: {{}}\n"
    )
    .replace("spec: {}\n", &format!("spec:\n  data: |\n{indented}"));
    let mut findings = Findings::default();
    let mut reader = Reader::default();
    reader.read("f", &object, &mut findings);
    check(&reader.objects[0], &[], &mut findings);
    findings.sort();
    findings.iter().map(|f| format!("{} {}", f.at.unwrap().line, f.code.id)).collect()
}

#[test]
fn each_mistake_has_its_code_and_what_is_near_it_has_none() {
    for (from, wrong, expected, right) in [
        ("{{ .os_image | toJson }}", "{{ .os_image", &["17 N0601"][..], "{{ .os_image }}"),
        ("{{ .os_image | toJson }}", "'{ .os_image }}'", &["17 N0602"], "'{ {{ .os_image }} }'"),
        ("{{ .os_image | toJson }}", "{{ }}", &["17 N0603"], "{{/* none */}}x"),
        ("{{ .os_image | toJson }}", "{{ .image | toJson }}", &["17 N0604"], "{{ .ns | toJson }}"),
        ("name: other", "name: [", &["21 N0606"], "name: '['"),
        ("        timeout: 60\n", "", &["19 N0608"], "        timeout: {{ .ns }}\n"),
        ("        timeout: 60\n", "        timeout: 0\n", &["21 N0608"], "        timeout: 61\n"),
        ("name: other", "name: stream", &["19 N0609"], "name: Stream"),
        (
            "r.example/stream-image@",
            "r.example/kexec-reboot@",
            &["13 N0610", "17 N0616", "18 N0616"],
            "r.example/stream-image@",
        ),
        (
            "stream-image@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "stream-image:1",
            &["14 N0611"],
            "{{ .ns }}:1",
        ),
        ("x/other@", "x/cexec@", &["20 N0612"], "x/cexecs@"),
        ("r.example:5000/x/other@", "Other@", &["20 N0613"], "x/other@"),
        ("IMG_URL: {{ .os_image | toJson }}", "IMG_URL: [a]", &["17 N0615"], "IMG_URL: 7"),
        ("IMG_URL:", "IMAGE_URL:", &["17 N0616"], "HTTPS_PROXY:"),
        ("name: other", "name: ''", &["19 N0617"], "name: o"),
        ("pid: host", "privileged: true", &["22 N0618"], "namespaces: {network: host}"),
        ("global_timeout: 600", "global_timeout: 300", &["8 N0620"], "global_timeout: 360"),
        ("worker: \"{{.device_1}}\"", "worker: ''", &["10 N0621"], "worker: {{.device_1}}"),
        ("version: \"0.1\"", "version: '1'", &["6 N0622"], "version: 0.1"),
    ] {
        assert_eq!(said_of("provision-worker-node", from, wrong), expected, "{wrong}");
        assert_eq!(said_of("provision-worker-node", from, right), [""; 0], "{right}");
    }
}

#[test]
fn no_actions_and_no_data() {
    let at = RIGHT.find("tasks:").unwrap();
    assert_eq!(said_of("provision-worker-node", &RIGHT[at..], "tasks: []\n"), ["9 N0614"]);
    let mut findings = Findings::default();
    let mut reader = Reader::default();
    reader.read(
        "f",
        "{apiVersion: tinkerbell.org/v1alpha1, kind: Template, metadata: {name: a}}",
        &mut findings,
    );
    check(&reader.objects[0], &[], &mut findings);
    assert_eq!(findings.codes(), ["N0619"]);
}

#[test]
fn lines_below_a_block_that_begins_with_an_empty_one() {
    assert_eq!(said_of("provision-worker-node", "version: \"0.1\"", "\nversion: '1'"), ["7 N0622"]);
}

#[test]
fn what_cannot_be_decided_is_a_warning() {
    // Of another Template it is not known who renders it.
    assert_eq!(said_of("own", "{{ .os_image | toJson }}", "{{ .image }}"), ["17 N0605"]);
    let branch = "{{ if .ns }}a{{ else }}b{{ end }}";
    assert_eq!(said_of("own", "{{ .os_image | toJson }}", branch), ["6 N0607"]);
    assert_eq!(said_of("own", "        pid: host\n", "        {{ toYaml .ns | nindent 2 }}\n"), ["22 N0607"]);
}

#[test]
fn images_of_the_old_chain() {
    assert_eq!(replacement("quay.io/tinkerbell/actions/image2disk:latest"), Some("stream-image"));
    assert_eq!(replacement("r:5000/kexec@sha256:00"), Some("kexec-reboot"));
    assert_eq!(replacement("r/stream-image"), None);
}
