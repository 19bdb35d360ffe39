//! The server that stands in for Tinkerbell, with the real agent at its other end; and the registry. No root needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nibs_tests::binaries::top;
use nibs_tests::registry::Registry;
use nibs_tests::tinkerbell::{self, Server, State};
use serde_json::Value;

const AGENT: &str = "02:00:00:00:00:09";
const LIMIT: Duration = Duration::from_secs(60);

fn golden(name: &str) -> PathBuf {
    top().join("tests/fixtures/golden").join(name)
}

/// A Workflow that names the recorded Template `template`.
fn workflow(folder: &Path, template: &str) -> PathBuf {
    let path = folder.join("workflow.yaml");
    let text = format!(
        "apiVersion: tinkerbell.org/v1alpha1\nkind: Workflow\nmetadata: {{name: {template}}}\n\
         spec:\n  templateRef: {template}\n  hardwareRef: node-1\n  hardwareMap:\n    device_1: \"{AGENT}\"\n    \
         hardware_name: node-1\n    partition_number: \"3\"\n"
    );
    fs::write(&path, text).unwrap();
    path
}

fn serve(folder: &Path, template: &str) -> anyhow::Result<Server> {
    let files =
        [workflow(folder, template), golden(&format!("{template}.template.yaml")), golden("hardware.yaml")];
    Server::start(folder, &files.each_ref().map(PathBuf::as_path))
}

/// The real agent, with a container runtime that is not there.
struct Agent(Child);

impl Agent {
    fn start(server: &Server) -> Self {
        let child = Command::new(tinkerbell::agent().unwrap())
            .args([
                "--transport",
                "grpc",
                "--runtime",
                "docker",
                "--docker-socket",
                "/nonexistent/docker.sock",
            ])
            .args(["--attribute-detection=false", "--backoff-max-interval", "500ms", "--id", AGENT])
            .args(["--grpc-server", &server.address().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn the_real_agent_takes_an_action_and_its_failure_ends_the_workflow() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(folder.path(), "lower").unwrap();
    let _agent = Agent::start(&server);
    let failed = server.wait_for("one", State::Failed, LIMIT).unwrap();
    assert_eq!(failed.message, "action completed");
    assert_eq!(failed.workflow, State::Failed);
    assert!(failed.execution_secs.is_some(), "{failed:?}");
    let states: Vec<State> = server.reports().unwrap().iter().map(|report| report.state).collect();
    assert_eq!(states, [State::Running, State::Failed]);
    let error = server.wait_for("one", State::Success, LIMIT).unwrap_err();
    assert!(format!("{error:#}").contains("the Workflow ended before one was Success"), "{error:#}");
}

#[test]
fn the_states_file_holds_no_user_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(folder.path(), "lower").unwrap();
    let _agent = Agent::start(&server);
    server.wait_for("one", State::Failed, LIMIT).unwrap();
    for name in ["states.jsonl", "tinkerbell-server.log"] {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        for secret in ["cloud-config", "I2Nsb3VkLWNvbmZpZwp"] {
            assert!(!text.contains(secret), "{secret} in {name}: {text}");
        }
    }
}

#[test]
fn a_rendering_that_fails_says_what_tinkerbell_says() {
    let folder = tempfile::tempdir().unwrap();
    let error = serve(folder.path(), "missing-key").unwrap_err();
    assert!(format!("{error:#}").contains("map has no entry for key \"no_such_key\""), "{error:#}");
    let files =
        [workflow(folder.path(), "bad-image"), golden("bad-image.template.yaml"), golden("hardware.yaml")];
    let got = tinkerbell::render(&files.each_ref().map(PathBuf::as_path)).unwrap();
    let want: Value = serde_json::from_slice(&fs::read(golden("bad-image.expected.json")).unwrap()).unwrap();
    assert_eq!(got, want);
}

#[test]
fn validation_is_stricter_than_tinkerbell() {
    let folder = tempfile::tempdir().unwrap();
    let with = |template: &str| {
        let files = [
            workflow(folder.path(), template),
            golden(&format!("{template}.template.yaml")),
            golden("hardware.yaml"),
        ];
        tinkerbell::validate(&files.each_ref().map(PathBuf::as_path)).map_err(|error| error.to_string())
    };
    assert_eq!(with("interfaces"), Ok(()));
    for (template, expected) in
        [("unknown-field", "field privileged not found"), ("no-timeout", "action one: timeout: 0, expected")]
    {
        let error = with(template).unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
    }
}

#[test]
fn the_server_ends_with_its_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), "lower").unwrap();
    let began = Instant::now();
    assert!(server.stop().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn the_registry_serves_what_the_index_says() {
    let index = top().join("target/oci/index.json");
    let registry = Registry::start().unwrap();
    let names = registry.push(&index).unwrap();
    assert_eq!(names.len(), 6, "{names:?}");
    let listed: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    for image in listed["images"].as_array().unwrap() {
        let (name, digest) = (image["name"].as_str().unwrap(), image["digest"].as_str().unwrap());
        let by_digest = registry.manifest(name, digest).unwrap();
        assert_eq!(
            by_digest,
            registry.manifest(name, listed["version"].as_str().unwrap()).unwrap(),
            "{name}"
        );
        assert!(String::from_utf8_lossy(&by_digest).contains("amd64"), "{name}");
    }
    let absent = format!("sha256:{}", "0".repeat(64));
    assert!(registry.manifest("wipe-disk", &absent).is_err());
}
