//! The images in the runtimes that Tinkerbell's agents use, and in podman. Needs root, dockerd, containerd, podman,
//! runc, skopeo and docker-registry.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use images::layout::Index;
use nibs_tests::binaries::{binary, top};
use nibs_tests::outcome::Outcome;
use nibs_tests::registry::Registry;
use nibs_tests::runtime::{Containerd, Docker, Podman, Runtime};
use serde_json::Value;

fn oci() -> PathBuf {
    top().join("target/oci")
}

fn index() -> Index {
    let text = fs::read(oci().join("index.json")).expect("run `make images`");
    serde_json::from_slice(&text).unwrap()
}

/// Runs an image whose entry point is an action: its help, and its refusal of a configuration that is none.
fn check_action(runtime: &dyn Runtime, image: &str, name: &str) {
    let help = runtime.run(image, &[], &["--help"]).unwrap();
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.status.success(), "{image}: {help:?}");
    assert!(text.contains(&format!("Usage: {name}")), "{image}: {text}");
    // An environment variable gets in, and the exit code and the log come out.
    let refused = unwrapped(runtime.run(image, &[("LOG_LEVEL", "loud")], &[]).unwrap());
    assert_eq!(refused.code, 2, "{image}: {}", refused.text);
    let said = refused.failed("configuration");
    assert!(said.contains("LOG_LEVEL") && said.contains("loud"), "{image}: {said}");
}

/// ctr and podman have words of their own on standard error; the action's are on standard output.
fn unwrapped(output: Output) -> Outcome {
    Outcome::read(&output)
}

/// Pulls every image by the digest that the index file has, and runs it.
fn check_all(runtime: &dyn Runtime) {
    let registry = Registry::start().unwrap();
    registry.push(&oci().join("index.json")).unwrap();
    for image in index().images {
        let by_digest = format!("{}/{}@{}", registry.address(), image.name, image.digest);
        runtime.pull(&by_digest).unwrap();
        check_action(runtime, &by_digest, &image.name);
    }
}

#[test]
fn docker_pulls_by_digest_and_runs() {
    check_all(&Docker::start().unwrap());
}

#[test]
fn docker_loads_an_archive() {
    let docker = Docker::start().unwrap();
    let image = format!("stream-image:{}", index().version);
    docker.load(&oci().join("stream-image"), &image).unwrap();
    check_action(&docker, &image, "stream-image");
}

#[test]
fn containerd_pulls_by_digest_and_runs() {
    check_all(&Containerd::start().unwrap());
}

#[test]
fn containerd_imports_a_layout() {
    let containerd = Containerd::start().unwrap();
    let index = index();
    for image in &index.images {
        let base = format!("registry.example/{}", image.name);
        containerd.import(&oci().join(&image.layout), &base).unwrap();
        let name = format!("{base}:{}", index.version);
        assert_eq!(containerd.digest(&name).unwrap(), image.digest);
        check_action(&containerd, &name, &image.name);
    }
}

#[test]
fn podman_pulls_by_digest_and_runs() {
    check_all(&Podman::start().unwrap());
}

#[test]
fn podman_pulls_a_layout() {
    let podman = Podman::start().unwrap();
    let index = index();
    let id = podman.pull_layout(&oci().join("write-netplan"), &index.version).unwrap();
    check_action(&podman, &id, "write-netplan");
}

/// What an image is, as `podman inspect` has it: entry point, folder and labels, without the builder's own label.
fn looks(podman: &Podman, image: &str) -> Value {
    let output = podman.podman().args(["inspect", "--type", "image", image]).output().unwrap();
    let text: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut config = text[0]["Config"].clone();
    config["Labels"].as_object_mut().unwrap().retain(|key, _| key.starts_with("org.opencontainers."));
    let mut labels: Vec<_> = config["Labels"].as_object().unwrap().clone().into_iter().collect();
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    serde_json::json!([config["Entrypoint"], config["Cmd"], config["WorkingDir"], labels])
}

/// Path, mode and content of everything in an image.
fn files(podman: &Podman, image: &str) -> Vec<(String, u32, Vec<u8>)> {
    let mounted = podman.podman().args(["image", "mount", image]).output().unwrap();
    let folder = PathBuf::from(String::from_utf8(mounted.stdout).unwrap().trim());
    assert!(folder.is_absolute(), "{}", String::from_utf8_lossy(&mounted.stderr));
    let mut found = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            let bytes = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            found.push((path.strip_prefix(&folder).unwrap().display().to_string(), mode, bytes));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    assert!(podman.podman().args(["image", "unmount", image]).output().unwrap().status.success());
    found
}

#[test]
fn the_containerfile_makes_the_same_image() {
    let podman = Podman::start().unwrap();
    let context = tempfile::tempdir().unwrap();
    let folder = context.path().join("binaries");
    fs::create_dir(&folder).unwrap();
    fs::copy(packer(), folder.join("images")).unwrap();
    let index = index();
    for image in &index.images {
        fs::copy(binary(&image.name), folder.join(&image.name)).unwrap();
        let arguments = [("ACTION", image.name.as_str()), ("SOURCE", "binaries"), ("BINARIES", "binaries")];
        let built = podman.build(&top().join("images/Containerfile"), context.path(), &arguments).unwrap();
        let packed = podman.pull_layout(&oci().join(&image.layout), &index.version).unwrap();
        assert_eq!(looks(&podman, &built), looks(&podman, &packed), "{}", image.name);
        assert!(files(&podman, &built) == files(&podman, &packed), "{}: the files differ", image.name);
        check_action(&podman, &built, &image.name);
    }
}

/// The packer itself, which `make images` builds and runs.
fn packer() -> PathBuf {
    let suites = std::env::current_exe().unwrap();
    let path = suites.parent().and_then(|deps| deps.parent()).unwrap().join("images");
    assert!(path.exists(), "{} is not there; run `make images`", path.display());
    path
}
