//! A container registry: Debian's `docker-registry`, plain HTTP on a port of 127.0.0.1 that the kernel chose.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::vm::process::spawn_bound;

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);

/// A registry with a storage of its own. Both go away when it is dropped, and it ends with the process that started
/// it, however that ends.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    address: SocketAddr,
    _storage: TempDir,
}

impl Registry {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// When `docker-registry` cannot be started, or is not up in time.
    pub fn start() -> Result<Self> {
        let storage = tempfile::Builder::new()
            .prefix("nibs-registry-")
            .tempdir()
            .context("a folder for the registry")?;
        let (configuration, log) = (storage.path().join("config.yml"), storage.path().join("log"));
        fs::write(
            &configuration,
            format!(
                "version: 0.1\nlog: {{formatter: json}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
                 http: {{addr: '127.0.0.1:0'}}\n",
                storage.path().join("blobs").display()
            ),
        )?;
        let arguments = ["serve".to_owned(), configuration.display().to_string()];
        let out = fs::File::create(&log)?;
        let mut child = spawn_bound("docker-registry", &arguments, |command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        })?;
        let address = match listening(&mut child, &log) {
            Ok(address) => address,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self { child, address, _storage: storage })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Pushes every image of an index file (`target/oci/index.json`), each under its name and the index's version,
    /// unchanged: what is pulled has the digest that the index says. Gives the names.
    ///
    /// # Errors
    /// When the index or a layout is not there, or skopeo fails.
    pub fn push(&self, index: &Path) -> Result<Vec<String>> {
        let text = fs::read(index)
            .with_context(|| format!("reading {}; `make images` makes it", index.display()))?;
        let index_json: Value =
            serde_json::from_slice(&text).with_context(|| format!("reading {}", index.display()))?;
        let field = |value: &Value, name: &str| -> Result<String> {
            let found = value[name].as_str().with_context(|| format!("{}: no {name:?}", index.display()))?;
            Ok(found.to_owned())
        };
        let folder = index.parent().context("an index file lies in a folder")?;
        let version = field(&index_json, "version")?;
        let images =
            index_json["images"].as_array().with_context(|| format!("{}: no images", index.display()))?;
        images
            .iter()
            .map(|image| {
                let name = field(image, "name")?;
                self.push_layout(&folder.join(field(image, "layout")?), &name, &version)?;
                Ok(name)
            })
            .collect()
    }

    /// Pushes the one image of an OCI layout as `NAME:TAG`, unchanged and with all its platforms.
    ///
    /// # Errors
    /// When skopeo fails.
    pub fn push_layout(&self, layout: &Path, name: &str, tag: &str) -> Result<()> {
        let output = Command::new("skopeo")
            .args([
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
                "--insecure-policy",
                "--dest-tls-verify=false",
            ])
            .arg(format!("oci:{}", layout.display()))
            .arg(format!("docker://{}/{name}:{tag}", self.address))
            .output()
            .context("starting skopeo")?;
        ensure!(
            output.status.success(),
            "pushing {} as {name}:{tag}: {}",
            layout.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// The bytes of a manifest by its digest or tag, as the registry serves them.
    ///
    /// # Errors
    /// When it has no such manifest.
    pub fn manifest(&self, name: &str, reference: &str) -> Result<Vec<u8>> {
        let separator = if reference.contains(':') { '@' } else { ':' };
        let output = Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false"])
            .arg(format!("docker://{}/{name}{separator}{reference}", self.address))
            .output()
            .context("starting skopeo")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(output.stdout)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the line of the registry's log that says which port it has.
fn listening(child: &mut Child, log: &Path) -> Result<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(log)?;
        let said = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find_map(|line| line["msg"].as_str()?.strip_prefix("listening on ")?.parse().ok());
        if let Some(address) = said {
            return Ok(address);
        }
        if let Some(status) = child.try_wait()? {
            bail!("docker-registry ended ({status}): {text}");
        }
        ensure!(
            Instant::now() < deadline,
            "docker-registry is not up after {} s: {text}",
            PATIENCE.as_secs()
        );
        thread::sleep(POLL);
    }
}
