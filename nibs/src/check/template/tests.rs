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
    said_in(name, &RIGHT.replacen(from, to, 1))
}

fn said_in(name: &str, text: &str) -> Vec<String> {
    let indented: String = text.lines().map(|l| format!("    {l}\n")).collect();
    let object = format!(
        "apiVersion: tinkerbell.org/v1alpha1\nkind: Template\nmetadata: {{name: {name}}}\nspec: {{}}\n"
    )
    .replace("spec: {}\n", &format!("spec:\n  data: |\n{indented}"));
    let mut findings = Findings::default();
    let mut reader = Reader::default();
    reader.read("f", &object, &mut findings);
    check(&reader.objects[0], false, &mut findings);
    places(findings)
}

/// Line and code of each finding.
fn places(mut findings: Findings) -> Vec<String> {
    findings.sort();
    findings.iter().map(|f| format!("{} {}", f.at.unwrap().line, f.code.id)).collect()
}

/// The same text with kexec-reboot as its last action.
fn with_last(from: &str, to: &str) -> String {
    let text = RIGHT.replace("r.example:5000/x/other@", "r.example/kexec-reboot@");
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn each_mistake_has_its_code_and_what_is_near_it_has_none() {
    for (from, wrong, expected, right) in [
        ("{{ .os_image | toJson }}", "{{ .os_image", &["17 N0601"][..], "{{ .os_image }}"),
        ("{{ .os_image | toJson }}", "'{ .os_image }}'", &["17 N0201", "17 N0602"], "'{ {{ .os_image }} }'"),
        ("{{ .os_image | toJson }}", "{{ }}", &["17 N0603"], "{{/* none */}}http://h/x"),
        ("{{ .os_image | toJson }}", "{{ .image | toJson }}", &["17 N0604"], "{{ .ns | toJson }}"),
        ("name: other", "name: [", &["21 N0606"], "name: '['"),
        ("        timeout: 60\n", "", &["19 N0608"], "        timeout: {{ .ns }}\n"),
        ("        timeout: 60\n", "        timeout: 0\n", &["21 N0608"], "        timeout: 61\n"),
        ("name: other", "name: stream", &["19 N0609"], "name: Stream"),
        (
            "r.example/stream-image@",
            "r.example/kexec-reboot@",
            &["13 N0610", "13 N0623", "17 N0616"],
            "r.example/stream-image@",
        ),
        (
            "stream-image@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "stream-image:1",
            &["14 N0611"],
            "{{ .ns }}:1",
        ),
        ("x/other@", "x/waitdaemon@", &["20 N0612"], "x/waitdaemons@"),
        ("r.example:5000/x/other@", "Other@", &["20 N0613"], "x/other@"),
        ("IMG_URL: {{ .os_image | toJson }}", "IMG_URL: [a]", &["17 N0615"], "IMG_URL: http://h/7"),
        ("IMG_URL:", "IMAGE_URL:", &["17 N0616"], "HTTPS_PROXY:"),
        ("name: other", "name: ''", &["19 N0617"], "name: o"),
        ("pid: host", "privileged: true", &["22 N0618"], "namespaces: {network: host}"),
        ("global_timeout: 600", "global_timeout: 300", &["8 N0620"], "global_timeout: 360"),
        ("worker: \"{{.device_1}}\"", "worker: ''", &["10 N0621"], "worker: {{.device_1}}"),
        ("version: \"0.1\"", "version: '1'", &["6 N0622"], "version: 0.1"),
        ("IMG_URL: {{ .os_image | toJson }}", "IMG_URL: oci://h/x", &["17 N0201"], "IMG_URL: http://h/x.raw"),
        (
            "IMG_URL: {{ .os_image | toJson }}",
            "IMG_URL: http://h/x.qcow2",
            &["17 N0202"],
            "IMG_URL: http://h/{{ .ns }}.qcow2",
        ),
        ("{{ index .Hardware.Disks 0 }}", "/dev/sda1", &["18 N0403"], "/dev/sda"),
        ("{{ index .Hardware.Disks 0 }}", "sda", &["18 N0402"], "serial:x"),
        (
            "IMG_URL: {{ .os_image | toJson }}",
            "IMG_DIGEST: sha256:1",
            &["17 N0624"],
            "IMG_DIGEST: http://h/x.sha256",
        ),
        ("IMG_URL: {{ .os_image | toJson }}", "COMPRESSED: yes", &["17 N0624"], "COMPRESSED: \"true\""),
        ("IMG_URL: {{ .os_image | toJson }}", "LOG_LEVEL: loud", &["17 N0624"], "LOG_LEVEL: debug"),
        (
            "IMG_URL: {{ .os_image | toJson }}",
            "STALL_TIMEOUT_SECONDS: 1m",
            &["17 N0624"],
            "STALL_TIMEOUT_SECONDS: 0.5",
        ),
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
    check(&reader.objects[0], false, &mut findings);
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
    let branch = "{{ if .ns }}http://h/a{{ else }}http://h/b{{ end }}";
    assert_eq!(said_of("own", "{{ .os_image | toJson }}", branch), ["6 N0607"]);
    assert_eq!(said_of("own", "        pid: host\n", "        {{ toYaml .ns | nindent 2 }}\n"), ["22 N0607"]);
}

#[test]
fn what_takes_the_machine_down_needs_its_processes_and_comes_last() {
    for (pid, expected) in [
        ("pid: host", &[][..]),
        ("namespaces: {pid: host, network: host}", &[]),
        ("pid: {{ .ns }}", &[]),
        ("pid: private", &["22 N0623"]),
        ("namespaces: {network: host}", &["19 N0623"]),
    ] {
        assert_eq!(said_in("provision-worker-node", &with_last("pid: host", pid)), expected, "{pid}");
    }
    for (variables, expected) in [
        (
            "{REBOOT_MODE: kexec, WAIT_SECONDS: 5, SET_BOOT_NEXT: auto, VERIFY_BOOT: true, DEST_DISK: /dev/sda3}",
            &[][..],
        ),
        (
            "{KERNEL_PATH: /vmlinuz, INITRD_PATH: /initrd.img, CMD_LINE: ro, GRUBCFG_PATH: /x, BLOCK_DEVICE: /dev/sda1, FS_TYPE: ext4}",
            &[],
        ),
        ("{REBOOT_MODE: fast}", &["23 N0624"]),
        ("{WAIT_SECONDS: 4.9}", &["23 N0624"]),
        ("{VERIFY_BOOT: yes}", &["23 N0624"]),
        ("{IMAGE: alpine}", &["23 N0616"]),
    ] {
        let text = with_last("pid: host", &format!("pid: host\n        environment: {variables}"));
        assert_eq!(said_in("provision-worker-node", &text), expected, "{variables}");
    }
    let again = |worker: &str| {
        let more = format!(
            "pid: host\n  - name: u\n    worker: {worker}\n    actions: [{{name: a, image: 'x@sha256:{}', timeout: 1}}]",
            "a".repeat(64)
        );
        said_in("provision-worker-node", &with_last("pid: host", &more))
    };
    assert_eq!(again("\"{{.device_1}}\""), ["23 N0610"]);
    assert_eq!(again("02:00:00:00:00:01"), [""; 0]);
}

/// One way of several is never an error by itself, whichever the branches are.
#[test]
fn branches_exclude_each_other() {
    let text = |actions: &str| {
        let at = RIGHT.find("      - name: stream\n").unwrap();
        format!("{}{}", &RIGHT[..at], actions.replace("@D", &format!("@sha256:{}", "a".repeat(64))))
    };
    let one = "      - {name: a, image: 'x@D', timeout: 1}\n";
    let last = "      - {name: k, image: 'r/kexec-reboot@D', timeout: 1, pid: host}\n";
    let untimed = "      - {name: b, image: 'x@D'}\n";
    let general = "6 N0607";
    for (actions, expected) in [
        // The same key, name or last action in both.
        ("      - name: a\n        image: 'x@D'\n        {{ if .ns }}\n        timeout: 1\n        {{ else }}\n        timeout: 2\n        {{ end }}\n".to_owned(), &[general][..]),
        (format!("      {{{{- if .ns }}}}\n{one}      {{{{- else }}}}\n{one}      {{{{- end }}}}\n"), &[general]),
        (format!("      {{{{- if .ns }}}}\n{last}      {{{{- else }}}}\n{last}      {{{{- end }}}}\n"), &[general]),
        // Two conditions, of which a reader knows that one excludes the other.
        (
            format!("{one}      {{{{- if .ns }}}}\n{last}      {{{{- end }}}}\n      {{{{- if not .ns }}}}\n{last}      {{{{- end }}}}\n"),
            &[general, "15 N0607", "18 N0607"],
        ),
        // A timeout that is there one way alone.
        (
            "      - name: a\n        image: 'x@D'\n        {{- if .ns }}\n        timeout: 1\n        {{- end }}\n".to_owned(),
            &[general, "13 N0607"],
        ),
        // What is wrong both ways is wrong.
        (format!("{untimed}      {{{{- if .ns }}}}\n{one}      {{{{- end }}}}\n"), &[general, "13 N0608"]),
        (format!("      {{{{- if .ns }}}}\n{untimed}      {{{{- else }}}}\n{one}      {{{{- end }}}}\n"), &[general, "14 N0607"]),
        // A loop's body is taken for certain.
        (format!("      {{{{- range .Hardware.Disks }}}}\n{untimed}      {{{{- end }}}}\n"), &[general, "14 N0608"]),
    ] {
        assert_eq!(said_in("provision-worker-node", &text(&actions)), expected, "{actions}");
    }
}

fn said_of_object(object: &str) -> Vec<String> {
    let mut findings = Findings::default();
    let mut reader = Reader::default();
    reader.read("f", object, &mut findings);
    check(&reader.objects[0], false, &mut findings);
    places(findings)
}

#[test]
fn what_cluster_api_makes_a_template_of() {
    let indented: String = with_last("{{ .os_image | toJson }}", "http://h/x.raw")
        .lines()
        .map(|l| format!("        {l}\n"))
        .collect();
    let object = format!(
        "apiVersion: infrastructure.cluster.x-k8s.io/v1beta1\nkind: TinkerbellMachineTemplate\nmetadata: {{name: w}}\nspec:\n  template:\n    spec:\n      templateOverride: |\n{indented}"
    );
    assert_eq!(said_of_object(&object), [""; 0]);
    assert_eq!(said_of_object(&object.replace("http://h/x.raw", "{{ .os_image }}")), ["19 N0604"]);
    assert_eq!(said_of_object(&object.replace("pid: host", "")), ["21 N0623"]);
    let at = object.find("templateOverride").unwrap();
    assert_eq!(said_of_object(&format!("{}bootOptions: {{}}\n", &object[..at])), [""; 0]);
}

#[test]
fn what_eks_anywhere_makes_a_template_of() {
    let right = "apiVersion: anywhere.eks.amazonaws.com/v1alpha1\nkind: TinkerbellTemplateConfig\nmetadata: {name: w}\nspec:\n  template:\n    version: '0.1'\n    \
        id: ''\n    name: w\n    global_timeout: 600\n    tasks:\n    - name: w\n      worker: '{{.device_1}}'\n      actions:\n      - name: stream-image\n        image: r/stream-image@D\n        \
        timeout: 300\n        environment:\n          IMG_URL: http://h/x.raw\n          DEST_DISK: '{{ index .Hardware.Disks 0 }}'\n          COMPRESSED: 'true'\n      \
        - name: reboot\n        image: r/kexec-reboot@D\n        timeout: 60\n        pid: host\n"
        .replace("@D", &format!("@sha256:{}", "a".repeat(64)));
    assert_eq!(said_of_object(&right), [""; 0]);
    for (from, to, expected) in [
        ("name: reboot", "name: kexec-reboot", &["21 N0625"][..]),
        ("        pid: host\n", "", &["21 N0623"]),
        ("        pid: host\n", "        namespaces: {pid: host}\n", &["21 N0623", "24 N0618"]),
        ("http://h/x.raw", "'{{ .os_image }}'", &["18 N0604"]),
        ("http://h/x.raw", "'{{ .Hardware '", &["18 N0601"]),
        ("COMPRESSED: 'true'", "COMPRESSED: true", &["20 N0107"]),
        ("timeout: 300", "timeout: 0", &["16 N0608"]),
        ("version: '0.1'", "version: '1'", &["6 N0622"]),
        ("/dev/sda", "/dev/sda", &[]),
    ] {
        assert_eq!(said_of_object(&right.replacen(from, to, 1)), expected, "{to}");
    }
}

#[test]
fn what_is_larger_than_what_is_rendered() {
    let long = format!("version: \"0.1\"\n# {}", "x".repeat(MOST_RENDERED_BYTES));
    assert_eq!(said_of("own", "version: \"0.1\"", &long), ["6 N0626"]);
    // A comment of the engine's is not printed.
    let long = format!("version: \"0.1\"\n{{{{/* {} */}}}}", "x".repeat(MOST_RENDERED_BYTES));
    assert_eq!(said_of("own", "version: \"0.1\"", &long), [""; 0]);
    assert_eq!(said_in("own", &"}}\n".repeat(1_000_000)), ["6 N0626"]);
    assert_eq!(said_in("own", &"}}\n".repeat(1000)).len(), MOST_PROBLEMS + 1);
    let lexed = lex("a: {{ .x }}{{ .x | toJson }}{{ .x | b64dec }}\n");
    assert_eq!(printed_bytes(&lexed, |key| (key == "x").then_some(10)), 4 + 20);
}
