//! `nibs template` for every system: what Tinkerbell makes of it with the keys that the system gives. No root needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::variables::ACTIONS;
use nibs_tests::binaries::{command, top};
use nibs_tests::tinkerbell;
use serde_json::{Value, json};

const URL: &str = "http://192.0.2.99/u.raw.gz?a=b&c=d";
const USER_DATA: &str = "#cloud-config\nhostname: 'it''s'\n";

fn call(form: &str, more: &[&str]) -> Output {
    command("nibs")
        .args(["template", form, "--registry", "registry.example/nibs"])
        .args(more)
        .output()
        .unwrap()
}

fn template(folder: &Path, form: &str, more: &[&str]) -> PathBuf {
    let output = call(form, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = folder.join("template.yaml");
    fs::write(&path, output.stdout).unwrap();
    path
}

/// The server of the recorded Hardware, with user-data, a host name and a quote where one may stand.
fn objects(folder: &Path, template: &str, keys: Value) -> PathBuf {
    let path = folder.join("objects.yaml");
    let hardware = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": "node9"},
        "spec": {
            "disks": [{"device": "/dev/nvme0n1"}, {"device": "/dev/sda"}],
            "userData": USER_DATA,
            "metadata": {"instance": {"id": "02:00:00:00:00:09"}},
            "interfaces": [{"dhcp": {
                "mac": "02:00:00:00:00:09", "hostname": "node9", "iface_name": "it's \\ \"x\"",
                "ip": {"address": "192.0.2.19", "netmask": "255.255.255.192", "gateway": "192.0.2.1"},
            }}],
        },
    });
    let workflow = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"},
        "spec": {"hardwareMap": keys, "hardwareRef": "node9", "templateRef": template},
    });
    fs::write(&path, format!("{hardware}\n---\n{workflow}\n")).unwrap();
    path
}

fn actions(rendered: &Value) -> &Vec<Value> {
    assert_eq!(rendered["templateRendering"], "successful", "{rendered:#}");
    rendered["tasks"][0]["actions"].as_array().unwrap()
}

#[test]
fn each_is_exactly_this() {
    for form in ["capt", "eksa", "plain"] {
        let output = call(form, &["--image-url", URL, "--name", "install", "--namespace", "tink-system"]);
        let expected = top().join(format!("tests/fixtures/nibs/template-{form}.yaml"));
        let text = String::from_utf8(output.stdout).unwrap();
        if std::env::var_os("NIBS_BLESS").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(expected).unwrap());
    }
}

#[test]
fn each_fits_its_crd_and_renders_with_its_systems_keys() {
    let folder = tempfile::tempdir().unwrap();
    for (form, keys) in [
        ("capt", json!({"device_1": "02:00:00:00:00:09"})),
        ("eksa", json!({"device_1": "02:00:00:00:00:09"})),
        ("plain", json!({})),
    ] {
        let path = template(folder.path(), form, &["--image-url", URL, "--name", "install"]);
        tinkerbell::validate(&[&path]).unwrap_or_else(|e| panic!("{form}: {e:#}"));
        let objects = objects(folder.path(), "install", keys);
        tinkerbell::validate(&[&path, &objects]).unwrap_or_else(|e| panic!("{form}: {e:#}"));
        let rendered = tinkerbell::render(&[&path, &objects]).unwrap();
        let mut names = ACTIONS.map(|a| a.name);
        if form == "eksa" {
            names[5] = "reboot";
        }
        let actions = actions(&rendered);
        assert_eq!(actions.iter().map(|a| a["name"].as_str().unwrap()).collect::<Vec<_>>(), names, "{form}");
        assert_eq!(rendered["tasks"][0]["agentID"], "02:00:00:00:00:09", "{form}");
        let of = |index: usize| &actions[index]["environment"];
        assert_eq!(of(0), &json!({"DISKS": "/dev/nvme0n1,/dev/sda"}), "{form}");
        assert_eq!(of(1), &json!({"IMG_URL": URL, "DEST_DISK": "/dev/nvme0n1"}), "{form}");
        let interfaces: Value = serde_json::from_str(of(3)["INTERFACES"].as_str().unwrap()).unwrap();
        assert_eq!(interfaces[0]["dhcp"]["iface_name"], "it's \\ \"x\"", "{form}");
        assert_eq!(of(4)["USER_DATA_BASE64"], "I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogJ2l0JydzJwo=", "{form}");
        assert_eq!(of(4)["LOCAL_HOSTNAME"], "node9", "{form}");
        assert_eq!(actions[5]["pid"], "host", "{form}");
        assert_eq!(of(5), &json!({"DEST_DISK": "/dev/nvme0n1"}), "{form}");
        assert!(actions[5]["image"].as_str().unwrap().contains("/kexec-reboot:"), "{form}");
        for (spec, action) in ACTIONS.iter().zip(actions) {
            assert!(action["timeout"].as_u64().unwrap() > 0, "{form}: {action}");
            let taken: Vec<_> = spec.all_variables().map(|v| v.name).collect();
            for name in action["environment"].as_object().into_iter().flat_map(|e| e.keys()) {
                assert!(taken.contains(&name.as_str()), "{form}: {}: {name}", spec.name);
            }
        }
    }
}

#[test]
fn what_is_chosen_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let digest = format!("sha256:{}", "a1".repeat(32));
    let path = template(
        folder.path(),
        "plain",
        &[
            "--image-url",
            URL,
            "--image-digest",
            &digest,
            "--without",
            "write-netplan,grow-partition",
            "--wipe-method",
            "zero",
            "--volume",
            "/etc/ssl/certs:/etc/ssl/certs:ro",
        ],
    );
    let rendered = tinkerbell::render(&[&path, &objects(folder.path(), "nibs", json!({}))]).unwrap();
    let actions = actions(&rendered);
    let names: Vec<_> = actions.iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["wipe-disk", "stream-image", "write-cloud-init", "kexec-reboot"]);
    assert_eq!(actions[0]["environment"]["WIPE_METHOD"], "zero");
    assert_eq!(actions[1]["environment"]["IMG_DIGEST"], digest);
    assert_eq!(rendered["tasks"][0]["volumes"][3], "/etc/ssl/certs:/etc/ssl/certs:ro");
}

#[test]
fn a_wrong_choice_is_exit_2() {
    for (form, arguments, expected) in [
        ("plain", &[][..], "--image-url is missing"),
        ("eksa", &["--image-url", "http://h/x", "--without", "kexec-reboot"], "EKS Anywhere's last action"),
        ("capt", &["--image-url", "http://h/{{ .x }}"], "without braces"),
        ("capt", &["--image-url", "http://user:secret-1@h/x"], "without credentials"),
        (
            "capt",
            &["--image-url", "http://h/x?y", "--image-digest-suffix", ".sha256"],
            "--image-digest is accepted",
        ),
        ("kkp", &["--image-url", "http://h/x"], "--image-url"),
        ("kkp", &["--wipe-method", "burn"], "secure-erase"),
        ("kkp", &["--without", "burn"], "write-netplan"),
        ("kkp", &["--volume", "etc"], "/source:/destination"),
    ] {
        let output = call(form, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{form} {arguments:?}: {said}");
        assert!(said.contains(expected), "{form} {arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{form} {arguments:?}");
    }
}

/// What is printed is checked like what people wrote: nothing is found.
#[test]
fn nothing_is_wrong_with_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index.json");
    let images: Vec<_> = ACTIONS
        .iter()
        .map(|a| json!({"name": a.name, "digest": format!("sha256:{}", "a1".repeat(32)), "size_bytes": 1}))
        .collect();
    fs::write(&index, json!({"version": "9.9.9", "images": images}).to_string()).unwrap();
    let index = index.to_str().unwrap();
    for form in ["kkp", "capt", "eksa", "plain"] {
        let url = if form == "kkp" { &[][..] } else { &["--image-url", URL] };
        let path = template(folder.path(), form, &[&["--images", index], url].concat());
        let output = command("nibs").arg("check").arg(&path).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "0 errors, 0 warnings in 1 object\n", "{form}");
    }
    for name in ["kkp", "capt", "eksa"] {
        let path = top().join(format!("tests/fixtures/nibs/convert/{name}.expected.yaml"));
        let output = command("nibs").arg("check").arg(&path).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("\n0 errors, "), "{name}: {said}");
    }
}
