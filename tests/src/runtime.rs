//! Container runtimes of the suites' own: Docker, containerd and podman, each with folders and sockets that nothing
//! else uses, and nothing left of them when they are dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::signal::{self, Signal};
use crate::vm::process::{spawn_bound, wait_within};

const POLL: Duration = Duration::from_millis(50);
/// Daemons are up in about a second; on a busy machine in some more.
const PATIENCE: Duration = Duration::from_secs(30);
/// For one command of a client: a pull, or a container's whole life.
const COMMAND_LIMIT_SECS: u64 = 120;

/// Something that pulls images and runs containers.
pub trait Runtime {
    /// Pulls an image from a registry on 127.0.0.1 that speaks plain HTTP.
    ///
    /// # Errors
    /// When the pull fails, with what the client said.
    fn pull(&self, image: &str) -> Result<()>;

    /// Runs a pulled image's own entry point to its end, with the host's network and without privileges.
    ///
    /// # Errors
    /// When the client cannot be started, or does not end in time. What the container did is in the output.
    fn run(&self, image: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Output>;
}

/// A folder with everything of one daemon in it. When it is dropped, whatever still runs on it is ended and whatever
/// is mounted in it is unmounted.
#[derive(Debug)]
struct Folder(TempDir);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let prefix = format!("nibs-{name}-");
        Ok(Self(
            tempfile::Builder::new().prefix(&prefix).tempdir().context("a folder for a container runtime")?,
        ))
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn display(&self, name: &str) -> String {
        self.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A container's shim outlives its daemon. The path is this process' own, so whoever names it was started here.
        let path = self.0.path().display().to_string();
        for pid in processes_naming(&path) {
            // It may have ended by itself.
            let _ = signal::send(pid, Signal::KILL);
        }
        for point in mounts_below(self.0.path()).iter().rev() {
            let _ = Command::new("umount").args(["--lazy", point]).stderr(Stdio::null()).status();
        }
    }
}

/// The processes that have `word` in their command line, but for this one.
fn processes_naming(word: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(word)
        })
        .collect()
}

/// What is mounted below a folder, in the order of mounting.
fn mounts_below(folder: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| Path::new(point).starts_with(folder)).map(str::to_owned).collect()
}

/// A daemon's process, ended gently, since it has children of its own to end.
#[derive(Debug)]
struct Daemon(Child);

impl Daemon {
    fn start(program: &str, arguments: &[String], log: &Path) -> Result<Self> {
        let out = fs::File::create(log).with_context(|| format!("making {}", log.display()))?;
        let err = out.try_clone()?;
        let child = spawn_bound(program, arguments, |command| {
            command.stdin(Stdio::null()).stdout(out).stderr(err);
        })?;
        Ok(Self(child))
    }

    /// Waits until `ready` succeeds.
    fn wait(&mut self, name: &str, log: &Path, ready: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let said = || fs::read_to_string(log).unwrap_or_default();
        while !ready() {
            if let Some(status) = self.0.try_wait()? {
                bail!("{name} ended ({status}): {}", said());
            }
            ensure!(Instant::now() < deadline, "{name} is not up after {} s: {}", PATIENCE.as_secs(), said());
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = signal::send(self.0.id(), Signal::TERM);
        if !matches!(wait_within(&mut self.0, Duration::from_secs(15)), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A client's command, bounded in time.
fn client(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &COMMAND_LIMIT_SECS.to_string(), program]).stdin(Stdio::null());
    command
}

fn finish(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.code() != Some(124), "{command:?} has not ended after {COMMAND_LIMIT_SECS} s");
    Ok(output)
}

fn succeed(command: &mut Command) -> Result<Output> {
    let output = finish(command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed ({}): {}", output.status, said.trim());
    Ok(output)
}

/// containerd, and `ctr` as its client.
#[derive(Debug)]
pub struct Containerd {
    // Dropped in this order.
    _daemon: Daemon,
    folder: Folder,
}

impl Containerd {
    /// Starts a containerd without images.
    ///
    /// # Errors
    /// When it cannot be started, or is not up in time.
    pub fn start() -> Result<Self> {
        let folder = Folder::new("containerd")?;
        let configuration = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
            folder.join("root"),
            folder.join("state"),
            folder.join("socket"),
            folder.join("socket.ttrpc"),
        );
        fs::write(folder.join("config.toml"), configuration)?;
        let log = folder.join("log");
        let mut daemon =
            Daemon::start("containerd", &["--config".into(), folder.display("config.toml")], &log)?;
        let up = || {
            let version = client("ctr").arg("--address").arg(folder.join("socket")).arg("version").output();
            version.is_ok_and(|output| output.status.success())
        };
        daemon.wait("containerd", &log, up)?;
        Ok(Self { _daemon: daemon, folder })
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    fn ctr(&self) -> Command {
        let mut command = client("ctr");
        command.arg("--address").arg(self.socket());
        command
    }

    /// Imports an OCI layout; its image gets the name `BASE:TAG`, the tag being the layout's own.
    ///
    /// # Errors
    /// When the layout cannot be packed, or the import fails.
    pub fn import(&self, layout: &Path, base: &str) -> Result<()> {
        let archive = self.folder.join("import.tar");
        succeed(
            client("tar").arg("--create").arg("--file").arg(&archive).arg("--directory").arg(layout).arg("."),
        )?;
        succeed(self.ctr().args(["images", "import", "--digests=false", "--base-name", base]).arg(&archive))?;
        Ok(())
    }

    /// The digest of an image that it has.
    ///
    /// # Errors
    /// When it has none of that name.
    pub fn digest(&self, image: &str) -> Result<String> {
        let output = succeed(self.ctr().args(["images", "list", &format!("name=={image}")]))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let word = text.split_whitespace().find(|word| word.starts_with("sha256:"));
        Ok(word.with_context(|| format!("no image {image}: {text}"))?.to_owned())
    }
}

impl Runtime for Containerd {
    fn pull(&self, image: &str) -> Result<()> {
        succeed(self.ctr().args(["images", "pull", "--plain-http", image])).map(drop)
    }

    fn run(&self, image: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Output> {
        // ctr replaces the whole command when it is given arguments: the entry point is looked up as an agent does.
        let entry_point = entry_point(image);
        let mut command = self.ctr();
        command.args(["run", "--rm", "--net-host"]);
        for (name, value) in environment {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.args([image, &unique("ctr")]);
        if !arguments.is_empty() {
            command.arg(entry_point).args(arguments);
        }
        finish(&mut command)
    }
}

/// `/wipe-disk` for `127.0.0.1:5000/wipe-disk:0.1.0`, as every image of Nibs has it.
fn entry_point(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    format!("/{}", name.split([':', '@']).next().unwrap_or(name))
}

/// A container's name that no other has.
fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("nibs-{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// dockerd on a containerd of its own, without bridge and iptables.
#[derive(Debug)]
pub struct Docker {
    // Dropped in this order.
    _daemon: Daemon,
    _containerd: Containerd,
    folder: Folder,
}

impl Docker {
    /// Starts a dockerd without images.
    ///
    /// # Errors
    /// When it cannot be started, or is not up in time.
    pub fn start() -> Result<Self> {
        // Given its own, dockerd need not start one: that would outlive it when it is killed.
        let containerd = Containerd::start()?;
        let folder = Folder::new("docker")?;
        let log = folder.join("log");
        fs::write(folder.join("daemon.json"), "{}")?;
        let arguments = [
            "--config-file".into(),
            folder.display("daemon.json"),
            "--data-root".into(),
            folder.display("data"),
            "--exec-root".into(),
            folder.display("exec"),
            "--pidfile".into(),
            folder.display("pid"),
            "--host".into(),
            format!("unix://{}", folder.display("socket")),
            "--containerd".into(),
            containerd.socket().display().to_string(),
            "--iptables=false".into(),
            "--ip6tables=false".into(),
            "--bridge=none".into(),
        ];
        let mut daemon = Daemon::start("dockerd", &arguments, &log)?;
        let host = format!("unix://{}", folder.display("socket"));
        let up = || {
            let version = client("docker").args(["--host", &host, "version"]).output();
            version.is_ok_and(|output| output.status.success())
        };
        daemon.wait("dockerd", &log, up)?;
        Ok(Self { _daemon: daemon, _containerd: containerd, folder })
    }

    /// Its client.
    pub fn docker(&self) -> Command {
        let mut command = client("docker");
        command.args(["--host", &format!("unix://{}", self.folder.display("socket"))]);
        // Nothing of the user's: neither credentials nor contexts.
        command.env("DOCKER_CONFIG", self.folder.join("client"));
        command
    }

    /// Loads an OCI layout's image as `NAME:TAG`, by an archive of the kind that `docker save` writes.
    ///
    /// # Errors
    /// When skopeo cannot make the archive, or Docker not read it.
    pub fn load(&self, layout: &Path, image: &str) -> Result<()> {
        let archive = self.folder.join("load.tar");
        succeed(
            client("skopeo")
                .args(["copy", "--quiet", "--insecure-policy"])
                .arg(format!("oci:{}", layout.display()))
                .arg(format!("docker-archive:{}:{image}", archive.display())),
        )?;
        succeed(self.docker().arg("load").arg("--input").arg(&archive))?;
        fs::remove_file(&archive)?;
        Ok(())
    }
}

impl Runtime for Docker {
    fn pull(&self, image: &str) -> Result<()> {
        succeed(self.docker().args(["pull", "--quiet", image])).map(drop)
    }

    fn run(&self, image: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Output> {
        let mut command = self.docker();
        command.args(["run", "--rm", "--network", "host"]);
        for (name, value) in environment {
            command.args(["--env", &format!("{name}={value}")]);
        }
        finish(command.arg(image).args(arguments))
    }
}

/// podman with a storage of its own, and runc.
#[derive(Debug)]
pub struct Podman {
    folder: Folder,
}

impl Podman {
    /// An empty storage.
    ///
    /// # Errors
    /// When podman does not run.
    pub fn start() -> Result<Self> {
        let podman = Self { folder: Folder::new("podman")? };
        fs::write(podman.folder.join("policy.json"), r#"{"default": [{"type": "insecureAcceptAnything"}]}"#)?;
        succeed(podman.podman().arg("info"))?;
        Ok(podman)
    }

    /// The client, which is all there is.
    pub fn podman(&self) -> Command {
        let mut command = client("podman");
        for (option, name) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(self.folder.join(name));
        }
        command.args(["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "none"]);
        command.env("TMPDIR", self.folder.0.path()).env("HOME", self.folder.0.path());
        command
    }

    /// Pulls an OCI layout's image of that tag, and gives its ID.
    ///
    /// # Errors
    /// When the pull fails, with what podman said.
    pub fn pull_layout(&self, layout: &Path, tag: &str) -> Result<String> {
        let policy = self.folder.join("policy.json");
        let layout = format!("oci:{}:{tag}", layout.display());
        let output =
            succeed(self.podman().args(["pull", "--quiet", "--signature-policy"]).arg(policy).arg(layout))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Builds a Containerfile in a context, and gives the image's ID.
    ///
    /// # Errors
    /// When the build fails, with what podman said.
    pub fn build(&self, containerfile: &Path, context: &Path, arguments: &[(&str, &str)]) -> Result<String> {
        let mut command = self.podman();
        command.args(["build", "--quiet", "--isolation", "chroot", "--signature-policy"]);
        command.arg(self.folder.join("policy.json")).arg("--file").arg(containerfile);
        for (name, value) in arguments {
            command.args(["--build-arg", &format!("{name}={value}")]);
        }
        let output = succeed(command.arg(context))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Runtime for Podman {
    fn pull(&self, image: &str) -> Result<()> {
        let policy = self.folder.join("policy.json");
        let mut command = self.podman();
        command.args(["pull", "--quiet", "--tls-verify=false", "--signature-policy"]).arg(policy).arg(image);
        succeed(&mut command).map(drop)
    }

    fn run(&self, image: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Output> {
        let mut command = self.podman();
        command.args(["run", "--rm", "--pull=never", "--network", "host", "--log-driver", "none"]);
        // podman asks for more than a process without CAP_SYS_RESOURCE may have.
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        for (name, value) in environment {
            command.args(["--env", &format!("{name}={value}")]);
        }
        finish(command.arg(image).args(arguments))
    }
}
