//! An installed system that booted by itself, looked at over ssh.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use super::process::output_within;
use super::{Machine, Output, Vm};

/// How long a command may take unless said otherwise.
const COMMAND: Duration = Duration::from_secs(60);
/// How long one attempt to log in may take; key exchange and PAM take seconds, emulated.
const ATTEMPT: Duration = Duration::from_secs(45);
/// How long firmware, bootloader and kernel may take; they take 12 s on a quiet machine, emulated.
const KERNEL: Duration = Duration::from_secs(150);

/// An ssh key pair of its own, which goes with the last copy of it.
#[derive(Clone)]
pub struct SshKey {
    folder: Arc<TempDir>,
    public: String,
}

impl SshKey {
    /// Draws one (Ed25519), with ssh-keygen.
    ///
    /// # Errors
    /// When ssh-keygen is missing or fails.
    pub fn generate() -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("nibs-key-").tempdir().context("making a folder for a key")?;
        let file = folder.path().join("id").display().to_string();
        let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "nibs-tests", "-f", &file].map(String::from);
        output_within("ssh-keygen", &arguments, Duration::from_secs(20))?.succeeded()?;
        let public = fs::read_to_string(folder.path().join("id.pub")).context("reading the new key")?;
        Ok(Self { folder: Arc::new(folder), public: public.trim().to_owned() })
    }

    /// The line for `ssh_authorized_keys`.
    pub fn public(&self) -> &str {
        &self.public
    }

    fn file(&self) -> String {
        self.folder.path().join("id").display().to_string()
    }
}

/// An installed system on its own disk, with an ssh server that knows the key.
pub struct Target {
    machine: Machine,
    key: SshKey,
    user: String,
    port: u16,
}

impl Target {
    /// Starts `vm`, which has a [`Nic`](super::Nic) that forwards port 22, and waits at most `limit` until `user` can
    /// log in with the key. When its kernel stands still before it has started a process, which one does now and then,
    /// emulated, the machine is started once more, and `tell` hears of it. Whatever happens later is the system's own.
    ///
    /// # Errors
    /// When the machine does not start, ends, or nobody can log in in time; with ssh's last word and the console's end.
    pub fn boot(
        vm: &Vm,
        key: &SshKey,
        user: &str,
        limit: Duration,
        tell: impl FnOnce(String),
    ) -> Result<Self> {
        let mut machine = vm.start()?;
        if let Err(error) = machine.wait_for_console("as init process", KERNEL)
            && machine.runs()
        {
            tell(format!("the kernel stands still, so the machine is started once more ({error:#})"));
            drop(machine);
            machine = vm.start()?;
        }
        Self::of(machine, key.clone(), user, limit)
    }

    /// As [`boot`](Self::boot), on a machine that runs already, and whose kernel was replaced.
    ///
    /// # Errors
    /// As [`boot`](Self::boot).
    pub fn of(machine: Machine, key: SshKey, user: &str, limit: Duration) -> Result<Self> {
        let port = machine.forwarded_port(22)?;
        let target = Self { machine, key, user: user.to_owned(), port };
        let deadline = Instant::now() + limit;
        let mut word = "never tried".to_owned();
        // QEMU's forward takes a connection before anybody listens behind it, so an attempt may hang until its limit.
        while Instant::now() < deadline {
            if !target.machine.runs() {
                return Err(target.machine.fault(anyhow!("ended while waiting for ssh")));
            }
            match target.ssh("true", ATTEMPT.min(deadline.saturating_duration_since(Instant::now()))) {
                Ok(output) if output.status == 0 => return Ok(target),
                Ok(output) => word = output.stderr.trim().to_owned(),
                Err(error) => word = format!("{error:#}"),
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        Err(target
            .machine
            .fault(anyhow!("nobody can log in by ssh after {} s; last: {word}", limit.as_secs())))
    }

    /// Runs a command in the user's shell, for 60 seconds at most.
    ///
    /// # Errors
    /// When ssh cannot reach the system, or the command has not ended in time; a status other than 0 is no error.
    pub fn run(&self, command: &str) -> Result<Output> {
        self.run_within(command, COMMAND)
    }

    /// As [`run`](Self::run), with another limit.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_within(&self, command: &str, limit: Duration) -> Result<Output> {
        let output = self.ssh(command, limit).map_err(|error| self.machine.fault(error))?;
        // ssh's own failures have this status (ssh(1)).
        if output.status == 255 {
            return Err(self.machine.fault(anyhow!("ssh failed: {}", output.stderr.trim())));
        }
        Ok(output)
    }

    /// Waits until cloud-init has ended its work, at most `limit`, and fails when it ended with an error.
    ///
    /// # Errors
    /// When it is not done in time, or says something else than `status: done`; with its own account.
    pub fn wait_for_cloud_init(&self, limit: Duration) -> Result<()> {
        let output = self.run_within("cloud-init status --wait --long", limit)?;
        if !output.stdout.lines().any(|line| line == "status: done") {
            bail!("cloud-init ended otherwise (exit {}):\n{}{}", output.status, output.stdout, output.stderr);
        }
        Ok(())
    }

    /// The machine that it runs on.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    fn ssh(&self, command: &str, limit: Duration) -> Result<Output> {
        let mut arguments: Vec<String> = [
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "IdentitiesOnly=yes",
        ]
        .map(String::from)
        .into();
        arguments.extend(["-o".into(), format!("ConnectTimeout={}", limit.as_secs().clamp(1, 30))]);
        arguments.extend(["-i".into(), self.key.file(), "-p".into(), self.port.to_string()]);
        arguments.extend([format!("{}@127.0.0.1", self.user), "--".into(), command.to_owned()]);
        let mut output = output_within("ssh", &arguments, limit)?;
        output.command = command.to_owned();
        Ok(output)
    }
}
