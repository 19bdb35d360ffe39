//! `nibs template kkp`: what it prints, and what Tinkerbell makes of it with the keys that KKP gives. No root needed.

use std::fs;
use std::path::{Path, PathBuf};

use common::variables::ACTIONS;
use nibs_tests::binaries::{command, top};
use nibs_tests::tinkerbell;
use serde_json::{Value, json};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn golden(name: &str) -> PathBuf {
    top().join("tests/fixtures/golden/kkp").join(name)
}

fn template(folder: &Path, arguments: &[&str]) -> PathBuf {
    let mut command = command("nibs");
    let output = command
        .args(["template", "kkp", "--registry", "registry.example/nibs"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = folder.join("template.yaml");
    fs::write(&path, output.stdout).unwrap();
    path
}

fn index(folder: &Path) -> PathBuf {
    let path = folder.join("index.json");
    let images: Vec<Value> = ACTIONS
        .iter()
        .map(|a| json!({"name": a.name, "digest": DIGEST, "size_bytes": 1, "platforms": ["linux/amd64"], "layout": a.name}))
        .collect();
    fs::write(&path, json!({"version": "9.9.9", "images": images}).to_string()).unwrap();
    path
}

/// A Workflow as KKP would make it, with these values in the place of its own.
fn workflow(folder: &Path, changed: &[(&str, &str)]) -> PathBuf {
    let mut map = json!({
        "cidr": "192.0.2.19/26", "cloud_init_script": "I2Nsb3VkLWNvbmZpZwo=", "default_route": "192.0.2.1",
        "device_1": "02:00:00:00:00:09", "hardware_name": "node9", "interface_name": "enp1s0", "ns": "192.0.2.54",
        "os_image": "http://192.0.2.99/u.raw.gz", "partition_number": "3",
    });
    for (key, value) in changed {
        map[*key] = json!(value);
    }
    let path = folder.join("workflow.json");
    let object = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow",
        "metadata": {"name": "node9-provision-worker-node-1", "namespace": "default"},
        "spec": {"hardwareMap": map, "hardwareRef": "node9", "templateRef": "provision-worker-node"},
    });
    fs::write(&path, object.to_string()).unwrap();
    path
}

fn actions(rendered: &Value) -> &Vec<Value> {
    assert_eq!(rendered["templateRendering"], "successful", "{rendered:#}");
    rendered["tasks"][0]["actions"].as_array().unwrap()
}

fn environment<'a>(rendered: &'a Value, action: &str) -> &'a Value {
    &actions(rendered).iter().find(|a| a["name"] == action).unwrap()["environment"]
}

#[test]
fn it_is_exactly_this() {
    let folder = tempfile::tempdir().unwrap();
    let index = index(folder.path());
    let path = template(
        folder.path(),
        &[
            "--images",
            index.to_str().unwrap(),
            "--image-digest-suffix",
            ".sha256",
            "--namespace",
            "tink-system",
        ],
    );
    let expected = top().join("tests/fixtures/nibs/template-kkp.yaml");
    let text = fs::read_to_string(path).unwrap();
    if std::env::var_os("NIBS_BLESS").is_some() {
        fs::write(&expected, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(expected).unwrap());
}

#[test]
fn it_fits_the_crd_and_renders_with_what_kkp_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = template(folder.path(), &["--image-digest-suffix", ".sha256"]);
    tinkerbell::validate(&[&path]).unwrap();
    let rendered = tinkerbell::render(&[&path, &golden("workflow.yaml"), &golden("hardware.yaml")]).unwrap();
    let names: Vec<_> = actions(&rendered).iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names, ACTIONS.map(|a| a.name));
    for action in actions(&rendered) {
        assert!(action["timeout"].as_u64().unwrap() > 0, "{action}");
        let image = format!(
            "registry.example/nibs/{}:{}",
            action["name"].as_str().unwrap(),
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(action["image"], image);
    }
    assert_eq!(rendered["tasks"][0]["agentID"], "02:00:00:00:00:09");
    assert_eq!(
        rendered["tasks"][0]["volumes"],
        json!(["/dev:/dev", "/dev/console:/dev/console", "/lib/firmware:/lib/firmware:ro"])
    );
    let of = |name| environment(&rendered, name);
    assert_eq!(of("wipe-disk"), &json!({"DISKS": "/dev/nvme0n1,/dev/sda"}));
    assert_eq!(of("stream-image")["DEST_DISK"], "/dev/nvme0n1");
    assert_eq!(of("stream-image")["IMG_URL"], "http://192.0.2.99/u.raw.gz?a=b&c=d");
    assert_eq!(of("grow-partition"), &json!({"DEST_DISK": "/dev/nvme0n1"}));
    let interfaces: Value =
        serde_json::from_str(of("write-netplan")["INTERFACES"].as_str().unwrap()).unwrap();
    assert_eq!(interfaces[1]["dhcp"]["vlan_id"], "120");
    assert_eq!(interfaces[0]["dhcp"]["name_servers"], json!(["192.0.2.53", "192.0.2.54"]));
    assert_eq!(of("write-cloud-init")["USER_DATA_BASE64"], "I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogeAo=");
    assert_eq!(of("write-cloud-init")["LOCAL_HOSTNAME"], "node9");
    let by_name = |name: &str| actions(&rendered).iter().find(|a| a["name"] == name).unwrap().clone();
    assert_eq!(by_name("stream-image")["namespaces"], json!({"network": "host"}));
    assert_eq!(by_name("kexec-reboot")["pid"], "host");
    assert_eq!(of("kexec-reboot"), &json!({"DEST_DISK": "/dev/nvme0n1"}));
}

#[test]
fn every_variable_is_one_that_the_action_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = template(folder.path(), &["--image-digest-suffix", ".sha256"]);
    let rendered = tinkerbell::render(&[&path, &golden("workflow.yaml"), &golden("hardware.yaml")]).unwrap();
    for spec in ACTIONS {
        let taken: Vec<_> = spec.all_variables().map(|v| v.name).collect();
        let given = environment(&rendered, spec.name).as_object().cloned().unwrap_or_default();
        for name in given.keys() {
            assert!(taken.contains(&name.as_str()), "{}: {name}", spec.name);
        }
    }
}

#[test]
fn any_value_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = template(folder.path(), &["--image-digest-suffix", ".sha256"]);
    for nasty in [
        "http://h/a?b=c&d=<e>",
        "a: b # c",
        "'single' and \"double\"",
        "line\nline\n",
        "tab\tand \\ backslash",
        "{{ .device_1 }} }} {{",
        "52:54:00:12:34:56",
        "yes",
        "1e3",
        "",
        " leading",
        "- x",
        "üñí €",
        "\u{2028}",
        "%s%d",
    ] {
        let workflow = workflow(folder.path(), &[("os_image", nasty), ("cloud_init_script", nasty)]);
        let rendered = tinkerbell::render(&[&path, &workflow, &golden("hardware.yaml")]).unwrap();
        let stream = environment(&rendered, "stream-image");
        assert_eq!(stream["IMG_URL"], nasty);
        assert_eq!(stream["IMG_DIGEST"], format!("{nasty}.sha256"));
        assert_eq!(environment(&rendered, "write-cloud-init")["USER_DATA_BASE64"], nasty);
    }
}

#[test]
fn the_largest_user_data_still_renders() {
    let folder = tempfile::tempdir().unwrap();
    let path = template(folder.path(), &[]);
    let base64 = "A".repeat(nibs::user_data::MAX_BYTES / 3 * 4);
    let workflow = workflow(folder.path(), &[("cloud_init_script", &base64)]);
    let rendered = tinkerbell::render(&[&path, &workflow, &golden("hardware.yaml")]).unwrap();
    assert_eq!(environment(&rendered, "write-cloud-init")["USER_DATA_BASE64"], base64);
}

#[test]
fn without_a_digest_none_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = template(folder.path(), &[]);
    let rendered = tinkerbell::render(&[&path, &golden("workflow.yaml"), &golden("hardware.yaml")]).unwrap();
    assert_eq!(environment(&rendered, "stream-image").get("IMG_DIGEST"), None);
}
