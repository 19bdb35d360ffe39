//! The in-memory OS as a place to run commands in.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::{Machine, Output, Vm};
use crate::os;

/// How long a boot may take; it was seen to take 9 s emulated, and 60 s on a busy machine.
const BOOT: Duration = Duration::from_secs(180);
/// How long a command may take unless said otherwise.
const COMMAND: Duration = Duration::from_secs(60);
/// How much longer than the guest the host waits: the guest's own limit comes first.
const GRACE: Duration = Duration::from_secs(30);

type Waiting = Arc<Mutex<HashMap<u32, Sender<i32>>>>;

/// A booted guest. Commands go over a virtio port, files through a folder that host and guest share.
///
/// The guest has busybox and the host's disk tools (`tests/os/memory-os.sh` lists them), Debian's kernel with all that
/// a disk may need, and no network unless [`Vm::nic`] gives it one. It may be used from several threads; commands given
/// at the same time run at the same time. It switches itself off when the test's process is gone.
pub struct Guest {
    machine: Machine,
    share: PathBuf,
    port: Mutex<UnixStream>,
    waiting: Waiting,
    last_number: AtomicU32,
}

impl Guest {
    /// Boots `vm` into the guest OS. A boot that hangs is tried once more: one in about twenty does, emulated.
    ///
    /// # Errors
    /// When the OS cannot be made or the machine does not get ready; with the end of its console.
    pub fn boot(vm: Vm) -> Result<Self> {
        let os = os::guest()?;
        let vm = vm.kernel(&os.kernel, &os.initrd, "scsi_mod.scan=sync nibs.mode=guest");
        Self::try_boot(vm.clone()).or_else(|error| {
            eprintln!("vm: {error:#}\nvm: the guest did not get ready; booting it once more");
            Self::try_boot(vm)
        })
    }

    fn try_boot(vm: Vm) -> Result<Self> {
        // In the machine's own folder: a guest that is kept until its process ends leaves no other trace.
        let share = vm.own_folder().join("share");
        fs::create_dir_all(&share).with_context(|| format!("making {}", share.display()))?;
        let mut machine = vm.socket_port("nibs.guest").share(&share).start()?;
        // The folder is this machine's from here on, and the guest is not there yet: what a killed one left can go.
        for entry in fs::read_dir(&share)? {
            fs::remove_file(entry?.path())?;
        }
        let port = machine.take_port("nibs.guest")?;
        let waiting = Waiting::default();
        let (ready, is_ready) = channel();
        // Number 0 is the guest's own word that it is there.
        lock(&waiting).insert(0, ready);
        let answers = port.try_clone().context("sharing the guest's port")?;
        let table = Arc::clone(&waiting);
        thread::spawn(move || hand_out(answers, &table));
        is_ready
            .recv_timeout(BOOT)
            .map_err(|_| machine.fault(anyhow!("not ready after {} s", BOOT.as_secs())))?;
        Ok(Self { machine, share, port: Mutex::new(port), waiting, last_number: AtomicU32::new(0) })
    }

    /// Runs a shell script in the guest (dash, as `sh`), for 60 seconds at most.
    ///
    /// # Errors
    /// When it cannot be given to the guest or has not ended in time; a status other than 0 is no error.
    pub fn run(&self, script: &str) -> Result<Output> {
        self.run_within(script, COMMAND)
    }

    /// As [`run`](Self::run), with another limit, in whole seconds.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_within(&self, script: &str, limit: Duration) -> Result<Output> {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let file = |suffix: &str| self.share.join(format!("{number}.{suffix}"));
        fs::write(file("sh"), script).context("writing a script for the guest")?;
        let (sender, status) = channel();
        lock(&self.waiting).insert(number, sender);
        // In one piece: lines of several threads shall not mix.
        lock(&self.port)
            .write_all(format!("{number} {}\n", limit.as_secs().max(1)).as_bytes())
            .map_err(|error| self.machine.fault(anyhow!("giving the guest a command: {error}")))?;
        let status = status.recv_timeout(limit + GRACE).map_err(|error| {
            let why = match error {
                RecvTimeoutError::Timeout => format!("did not answer in {} s", (limit + GRACE).as_secs()),
                RecvTimeoutError::Disconnected => "ended".to_owned(),
            };
            self.machine.fault(anyhow!("the guest {why} while running: {script}"))
        })?;
        let text = |suffix| {
            fs::read(file(suffix))
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .context("reading output")
        };
        let output =
            Output { command: script.to_owned(), status, stdout: text("out")?, stderr: text("err")? };
        for suffix in ["sh", "out", "err"] {
            let _ = fs::remove_file(file(suffix));
        }
        Ok(output)
    }

    /// Copies a file of the host into the guest, with its permission bits. The folder in the guest is made.
    ///
    /// # Errors
    /// When it cannot be read, or the guest cannot write it.
    pub fn put(&self, local: impl AsRef<Path>, remote: &str) -> Result<()> {
        let local = local.as_ref();
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let passed = self.share.join(format!("{number}.put"));
        fs::copy(local, &passed).with_context(|| format!("copying {} for the guest", local.display()))?;
        let mode = fs::metadata(&passed)?.permissions().mode() & 0o7777;
        let folder = remote.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let copied = self.run(&format!(
            "mkdir -p '{folder}/' && cp /share/{number}.put '{remote}' && chmod {mode:o} '{remote}'"
        ));
        let _ = fs::remove_file(&passed);
        copied?.succeeded().with_context(|| format!("putting {} into the guest", local.display()))?;
        Ok(())
    }

    /// Copies a file of the guest to the host.
    ///
    /// # Errors
    /// When the guest cannot read it, or the host cannot write it.
    pub fn get(&self, remote: &str, local: impl AsRef<Path>) -> Result<()> {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let passed = self.share.join(format!("{number}.get"));
        self.run(&format!("cp '{remote}' /share/{number}.get"))?
            .succeeded()
            .with_context(|| format!("getting {remote} from the guest"))?;
        let copied = fs::copy(&passed, local.as_ref());
        let _ = fs::remove_file(&passed);
        copied.with_context(|| format!("writing {}", local.as_ref().display()))?;
        Ok(())
    }

    /// The machine that it runs on.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.share);
    }
}

/// Gives each answer, `NUMBER STATUS`, to the one who waits for it, until the machine ends.
fn hand_out(port: UnixStream, waiting: &Waiting) {
    for line in BufReader::new(port).lines().map_while(Result::ok) {
        let Some((number, status)) = line.split_once(' ') else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        if let Some(sender) = lock(waiting).remove(&number) {
            // 0 comes with a word instead of a status.
            let _ = sender.send(status.parse().unwrap_or(0));
        }
    }
    // Whoever still waits is told at once.
    lock(waiting).clear();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
