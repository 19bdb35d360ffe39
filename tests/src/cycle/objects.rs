//! What a KKP user has (`tests/fixtures/cycle/`), for one run; and what `nibs` makes of it.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::setup::{Firmware, Setup};
use crate::binaries::{command, top};
use crate::{tinkerbell, vm::SshKey};

/// What the fixtures say of the machine.
pub const NAME: &str = "node-1";
/// The first card's address, which is the agent's identity too.
pub const FIRST_MAC: &str = "52:54:00:12:34:56";
/// The first card's IP address.
pub const FIRST_ADDRESS: &str = "10.0.2.15/24";
/// The second card's address.
pub const SECOND_MAC: &str = "52:54:00:ab:cd:ef";
/// The second card's IP address.
pub const SECOND_ADDRESS: &str = "192.0.2.7/24";
/// Every name server.
pub const NAME_SERVERS: [&str; 2] = ["10.0.2.3", "192.0.2.3"];
/// The gateway.
pub const GATEWAY: &str = "10.0.2.2";

/// The objects of one run, in a folder that nobody else can read and that goes with them.
pub struct Objects {
    folder: TempDir,
    token: String,
    user_data: String,
    /// Seed, Hardware, MachineDeployment and user-data.
    inputs: Vec<PathBuf>,
}

impl Objects {
    /// Writes the four with what is particular to the run, and a token that was drawn for it.
    ///
    /// # Errors
    /// When a fixture cannot be read or a file cannot be written.
    pub fn write(image_url: &str, setup: &Setup, key: &SshKey) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("nibs-objects-").tempdir().context("a folder for the objects")?;
        let token = draw_token()?;
        let fill = |name: &str| -> Result<String> {
            let path = top().join("tests/fixtures/cycle").join(name);
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            Ok(text
                .replace("@IMAGE_URL@", image_url)
                .replace("@DISK@", setup.disk_node())
                .replace("@UEFI@", if setup.firmware == Firmware::Uefi { "true" } else { "false" })
                .replace("@SSH_KEY@", key.public())
                .replace("@TOKEN_BASE64@", &STANDARD.encode(&token))
                .replace("@TOKEN@", &token))
        };
        let names = ["seed.yaml", "hardware.yaml", "machinedeployment.yaml", "user-data"];
        let mut inputs = Vec::new();
        for name in names {
            let path = folder.path().join(name);
            write_private(&path, fill(name)?.as_bytes())?;
            inputs.push(path);
        }
        Ok(Self { user_data: fill("user-data")?, folder, token, inputs })
    }

    /// Has `nibs workflow` make the Template and the Workflow, with the images that the index lists, pulled from
    /// `registry`; makes the `changes` in it, as a user would; and checks it all against Tinkerbell's own schemas and
    /// rules. Gives every file that a server needs, and what `nibs` had to say. What was made before is written over.
    ///
    /// # Errors
    /// With what `nibs` or the validation said.
    pub fn make_workflow(
        &self,
        index: &Path,
        registry: &str,
        changes: &[Change],
    ) -> Result<(Vec<PathBuf>, String)> {
        let output = command("nibs")
            .args(["workflow", "--registry", registry, "--image-digest-suffix", ".sha256", "--images"])
            .arg(index)
            .args(&self.inputs)
            .output()
            .context("starting nibs")?;
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(output.status.success(), "nibs workflow ended with {}:\n{words}", output.status);
        let made = self.folder.path().join("workflow.yaml");
        let mut text = String::from_utf8(output.stdout).context("reading what nibs made")?;
        for change in changes {
            text = change.apply(&text)?;
        }
        if made.exists() {
            fs::remove_file(&made).with_context(|| format!("removing {}", made.display()))?;
        }
        write_private(&made, text.as_bytes())?;
        let files = vec![made, self.folder.path().join("hardware.yaml")];
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        tinkerbell::validate(&paths).context("what nibs made is not what Tinkerbell takes")?;
        Ok((files, words))
    }

    /// What may stand in no log: the token, the same in base64, and pieces of the user-data as it travels.
    pub fn secrets(&self) -> Vec<String> {
        // Long enough that no piece is anywhere by chance, short enough that a line that was cut has one whole.
        const PIECE: usize = 40;
        let mut secrets = vec![self.token.clone(), STANDARD.encode(&self.token)];
        let travelling = STANDARD.encode(&self.user_data);
        secrets.extend(
            travelling
                .as_bytes()
                .chunks_exact(PIECE)
                .map(|piece| String::from_utf8_lossy(piece).into_owned()),
        );
        secrets
    }

    /// What the bootstrap in the user-data leaves on the node: proof that it ran with the token.
    pub fn bootstrap_proof(&self) -> String {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(format!("Authorization: Bearer {}\n", self.token));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a user changes in the Template that `nibs` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A variable of an action that has an environment.
    Variable {
        /// The action's name.
        action: &'static str,
        /// The variable's name.
        name: &'static str,
        /// Its value, without what YAML would take for its own.
        value: String,
    },
    /// How long an action may take.
    Timeout {
        /// The action's name.
        action: &'static str,
        /// Seconds.
        secs: u32,
    },
}

impl Change {
    /// The Template's text with the change.
    fn apply(&self, text: &str) -> Result<String> {
        let (action, key) = match self {
            Self::Variable { action, .. } => (action, "environment:"),
            Self::Timeout { action, .. } => (action, "timeout:"),
        };
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let head = format!("- name: {action}");
        let begin = lines.iter().position(|line| line.trim_start() == head);
        let begin = begin.with_context(|| format!("the Template has no action {action}"))?;
        let next = lines[begin + 1..].iter().position(|line| line.trim_start().starts_with("- name: "));
        let end = next.map_or(lines.len(), |count| begin + 1 + count);
        let at = (begin..end).find(|&at| lines[at].trim_start().starts_with(key));
        let at = at.with_context(|| format!("{action} has no {key}"))?;
        let indent = lines[at].len() - lines[at].trim_start().len();
        match self {
            Self::Variable { name, value, .. } => {
                lines.insert(at + 1, format!("{:1$}{name}: \"{value}\"", "", indent + 2));
            }
            Self::Timeout { secs, .. } => lines[at] = format!("{:indent$}timeout: {secs}", ""),
        }
        Ok(lines.join("\n") + "\n")
    }
}

fn draw_token() -> Result<String> {
    let mut bytes = [0_u8; 24];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("drawing a token")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("making {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_land_in_their_action() {
        let text = "    actions:\n      - name: a\n        timeout: 1\n        environment:\n          X: 1\n      \
            - name: b\n        timeout: 2\n        environment:\n          X: 2\n";
        let timeout = Change::Timeout { action: "b", secs: 9 }.apply(text).unwrap();
        assert_eq!(timeout, text.replace("timeout: 2", "timeout: 9"));
        let variable = Change::Variable { action: "a", name: "Y", value: "z".into() }.apply(text).unwrap();
        assert_eq!(variable, text.replace("          X: 1\n", "          Y: \"z\"\n          X: 1\n"));
        let none = Change::Timeout { action: "c", secs: 9 }.apply(text).unwrap_err();
        assert_eq!(none.to_string(), "the Template has no action c");
    }
}
