//! What a virtual machine is made of, and one that runs.

use std::fs::{self, File};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::console::Console;
use super::process::{POLL, spawn_bound, wait_within};
use super::qmp::Qmp;
use super::{Accel, Disk, Nic};

pub(super) const QEMU: &str = "qemu-system-x86_64";

const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// What a virtual machine shall have. All setters return it.
///
/// Unless said otherwise: 1 GiB, 2 processors, BIOS, no disk, no network card, a random number generator, and a serial
/// console that is written to `console.log` in the machine's folder. A guest's reboot ends the machine.
#[derive(Clone, Debug)]
pub struct Vm {
    name: String,
    folder: PathBuf,
    memory_mib: u32,
    processors: u32,
    kernel: Option<(PathBuf, PathBuf, String)>,
    efi_variables: Option<PathBuf>,
    disks: Vec<Disk>,
    nics: Vec<Nic>,
    log_ports: Vec<(String, PathBuf)>,
    socket_ports: Vec<String>,
    share: Option<PathBuf>,
}

impl Vm {
    /// A machine with this name, which messages use. Its folder is `target/vm/NAME`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/vm").join(name),
            memory_mib: 1024,
            processors: 2,
            kernel: None,
            efi_variables: None,
            disks: Vec::new(),
            nics: Vec::new(),
            log_ports: Vec::new(),
            socket_ports: Vec::new(),
            share: None,
        }
    }

    /// The folder for what the machine writes: `console.log` and `qemu.log`. It is kept.
    pub fn folder(self, folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().to_owned(), ..self }
    }

    /// Memory in MiB.
    pub fn memory_mib(self, memory_mib: u32) -> Self {
        Self { memory_mib, ..self }
    }

    /// Number of processors.
    pub fn processors(self, processors: u32) -> Self {
        Self { processors, ..self }
    }

    /// Boots this kernel and initial RAM filesystem instead of a disk. `console=ttyS0 panic=-1 quiet loglevel=4` is
    /// put before `command_line`.
    pub fn kernel(self, kernel: &Path, initrd: &Path, command_line: &str) -> Self {
        let command_line = format!("console=ttyS0 panic=-1 quiet loglevel=4 {command_line}");
        Self { kernel: Some((kernel.to_owned(), initrd.to_owned(), command_line)), ..self }
    }

    /// UEFI (OVMF without Secure Boot) instead of BIOS (SeaBIOS). `variables` is the file of its variables: made when
    /// it is not there, and kept, so that boot entries outlive the machine.
    pub fn uefi(self, variables: impl AsRef<Path>) -> Self {
        Self { efi_variables: Some(variables.as_ref().to_owned()), ..self }
    }

    /// One more disk. Firmware tries them in this order.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// One more network card.
    pub fn nic(mut self, nic: Nic) -> Self {
        self.nics.push(nic);
        self
    }

    /// A virtio port with this name: what the guest writes to it lands in `file`.
    pub fn log_port(mut self, name: &str, file: impl AsRef<Path>) -> Self {
        self.log_ports.push((name.to_owned(), file.as_ref().to_owned()));
        self
    }

    /// A virtio port with this name, for [`Machine::take_port`].
    pub(super) fn socket_port(mut self, name: &str) -> Self {
        self.socket_ports.push(name.to_owned());
        self
    }

    /// A folder of the host, which the guest can mount by 9p under the tag `share`.
    pub(super) fn share(self, folder: &Path) -> Self {
        Self { share: Some(folder.to_owned()), ..self }
    }

    /// Where it writes what it says.
    pub(super) fn own_folder(&self) -> &Path {
        &self.folder
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it.
    ///
    /// # Errors
    /// When QEMU or the firmware is missing or refuses an argument: then with QEMU's own words. When another machine
    /// runs in its folder.
    pub fn start(&self) -> Result<Machine> {
        self.start_with(&[])
    }

    /// As [`start`](Self::start), with further arguments for QEMU.
    pub(super) fn start_with(&self, further: &[String]) -> Result<Machine> {
        fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))?;
        let lock = self.folder.join(".lock");
        let lock_file = File::create(&lock).with_context(|| format!("making {}", lock.display()))?;
        lock_file
            .try_lock()
            .with_context(|| format!("locking {}: another machine runs there", lock.display()))?;
        let console = Console::new(self.folder.join("console.log"));
        File::create(console.file()).with_context(|| format!("making {}", console.file().display()))?;
        let log = self.folder.join("qemu.log");
        let log_file = File::create(&log).with_context(|| format!("making {}", log.display()))?;

        // A socket's path has at most 107 bytes, so it cannot lie in the machine's folder. It goes once QEMU is there.
        let sockets = tempfile::tempdir().context("making a folder for sockets")?;
        let mut listeners = Vec::new();
        for (index, name) in self.socket_ports.iter().enumerate() {
            let path = sockets.path().join(index.to_string());
            listeners.push((name.clone(), UnixListener::bind(&path).context("listening for QEMU")?));
        }

        let mut arguments = self.arguments(console.file(), sockets.path())?;
        arguments.extend_from_slice(further);
        let mut child = spawn_bound(QEMU, &arguments, |command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_file);
        })?;
        let connected = Qmp::connect(&mut child).and_then(|qmp| Ok((qmp, accept(listeners)?)));
        match connected {
            Ok((qmp, ports)) => Ok(Machine {
                name: self.name.clone(),
                child: Mutex::new(child),
                qmp: Mutex::new(qmp),
                console,
                ports,
                _lock: lock_file,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let words = fs::read_to_string(&log).unwrap_or_default();
                Err(error.context(format!("starting the machine {}: {}", self.name, words.trim())))
            }
        }
    }

    fn arguments(&self, console: &Path, sockets: &Path) -> Result<Vec<String>> {
        let mut arguments: Vec<String> = Accel::detect()?.arguments().into();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["-machine", "q35", "-nodefaults", "-display", "none", "-no-reboot", "-qmp", "stdio"]);
        add(&["-smp", &self.processors.to_string(), "-m", &self.memory_mib.to_string()]);
        add(&["-serial", &format!("file:{}", escaped(console)), "-device", "virtio-rng-pci"]);
        if let Some((kernel, initrd, command_line)) = &self.kernel {
            let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
            add(&["-kernel", &kernel, "-initrd", &initrd, "-append", command_line]);
        }
        if let Some(variables) = &self.efi_variables {
            ensure!(Path::new(OVMF_CODE).exists(), "{OVMF_CODE} is missing (Debian package ovmf)");
            if !variables.exists() {
                fs::copy(OVMF_VARS, variables)
                    .with_context(|| format!("copying to {}", variables.display()))?;
            }
            add(&["-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}")]);
            add(&["-drive", &format!("if=pflash,format=raw,unit=1,file={}", escaped(variables))]);
        }
        if self.disks.iter().any(Disk::is_scsi) {
            add(&["-device", "virtio-scsi-pci,id=scsi"]);
        }
        if !self.log_ports.is_empty() || !self.socket_ports.is_empty() {
            add(&["-device", "virtio-serial-pci"]);
        }
        for (index, (name, file)) in self.log_ports.iter().enumerate() {
            add(&["-chardev", &format!("file,id=log{index},path={}", escaped(file))]);
            add(&["-device", &format!("virtserialport,chardev=log{index},name={name}")]);
        }
        for (index, name) in self.socket_ports.iter().enumerate() {
            let path = sockets.join(index.to_string());
            add(&["-chardev", &format!("socket,id=port{index},path={}", escaped(&path))]);
            add(&["-device", &format!("virtserialport,chardev=port{index},name={name}")]);
        }
        if let Some(share) = &self.share {
            let share = escaped(share);
            add(&["-virtfs", &format!("local,path={share},mount_tag=share,security_model=none")]);
        }
        let mut ahci_port = 0;
        for (index, disk) in self.disks.iter().enumerate() {
            arguments.extend(disk.arguments(index, &mut ahci_port));
        }
        for (index, nic) in self.nics.iter().enumerate() {
            arguments.extend(nic.arguments(index));
        }
        Ok(arguments)
    }
}

/// In QEMU's comma-separated options a comma is written twice.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// QEMU connects while it reads its arguments, before it greets: the connections are already there.
fn accept(listeners: Vec<(String, UnixListener)>) -> Result<Vec<(String, UnixStream)>> {
    listeners
        .into_iter()
        .map(|(name, listener)| {
            listener.set_nonblocking(true)?;
            let (stream, _) = listener.accept().with_context(|| format!("waiting for QEMU's port {name}"))?;
            stream.set_nonblocking(false)?;
            Ok((name, stream))
        })
        .collect()
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest asked for a reboot (a kernel that panics does, too: see the console).
    Reboot,
    /// The guest switched it off.
    PowerOff,
    /// QEMU ended otherwise; in its own words.
    Other(String),
}

/// A machine that runs. Dropping it ends it, as pulling the plug does.
pub struct Machine {
    name: String,
    child: Mutex<Child>,
    qmp: Mutex<Qmp>,
    console: Console,
    ports: Vec<(String, UnixStream)>,
    /// Held as long as the machine's folder is in use.
    _lock: File,
}

impl Machine {
    /// Waits until the machine ends by itself.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait_for_exit(&self, limit: Duration) -> Result<Exit> {
        let ended = wait_within(&mut self.child.lock().unwrap_or_else(PoisonError::into_inner), limit)?;
        let Some(status) = ended else {
            return Err(self.fault(anyhow!("still running after {} s", limit.as_secs())));
        };
        // The event was written before QEMU ended; its reader may be a moment behind.
        for _ in 0..20 {
            if let Some(shutdown) = self.qmp.lock().unwrap_or_else(PoisonError::into_inner).shutdown() {
                return Ok(match shutdown.reason.as_str() {
                    "guest-reset" => Exit::Reboot,
                    "guest-shutdown" => Exit::PowerOff,
                    _ => Exit::Other(shutdown.reason),
                });
            }
            thread::sleep(POLL);
        }
        Ok(Exit::Other(status.to_string()))
    }

    /// When the guest asked for its reboot or switched itself off, by the host's clock; `None` as long as it has not.
    pub fn went_down_at(&self) -> Option<SystemTime> {
        self.qmp.lock().unwrap_or_else(PoisonError::into_inner).shutdown().map(|shutdown| shutdown.at)
    }

    /// Waits until the console has shown `text`.
    ///
    /// # Errors
    /// When it has not after `limit`, or the machine has ended.
    pub fn wait_for_console(&self, text: &str, limit: Duration) -> Result<()> {
        self.wait_until(&format!("{text:?} on the console"), limit, || self.console.text().contains(text))
    }

    /// Waits until `there` says so; looks every half second. `what` names it for the message.
    ///
    /// # Errors
    /// When it has not after `limit`, or the machine has ended.
    pub fn wait_until(&self, what: &str, limit: Duration, mut there: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !there() {
            if !self.runs() {
                return Err(self.fault(anyhow!("ended while waiting for {what}")));
            }
            if Instant::now() >= deadline {
                return Err(self.fault(anyhow!("no {what} after {} s", limit.as_secs())));
            }
            thread::sleep(POLL * 10);
        }
        Ok(())
    }

    /// Whether it has not ended yet.
    pub fn runs(&self) -> bool {
        matches!(self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait(), Ok(None))
    }

    /// What the console has shown so far, without colours.
    pub fn console_text(&self) -> String {
        self.console.text()
    }

    /// The file of the console, as it came.
    pub fn console_file(&self) -> &Path {
        self.console.file()
    }

    /// The port of the host's 127.0.0.1 that leads to `port` of the guest; see [`Nic::forward`].
    ///
    /// # Errors
    /// When there is no such forward.
    pub fn forwarded_port(&self, port: u16) -> Result<u16> {
        let listing = self.qmp.lock().unwrap_or_else(PoisonError::into_inner).monitor("info usernet")?;
        // Protocol[State] FD Source-Address Port Dest.-Address Port RecvQ SendQ
        for line in listing.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["TCP[HOST_FORWARD]", _, "127.0.0.1", from, _, to, ..] = words[..]
                && to.parse() == Ok(port)
            {
                return from.parse().with_context(|| format!("reading QEMU's answer {line:?}"));
            }
        }
        bail!("the machine {} forwards no port to its port {port}:\n{listing}", self.name)
    }

    /// Asks the guest to switch itself off, by the ACPI power button.
    ///
    /// # Errors
    /// When QEMU does not take the command.
    pub fn press_power_button(&self) -> Result<()> {
        self.execute("system_powerdown", serde_json::Value::Null).map(|_| ())
    }

    /// Adds the machine's name and the end of its console to an error.
    pub fn fault(&self, error: anyhow::Error) -> anyhow::Error {
        anyhow!("the machine {}: {error:#}\n{}", self.name, self.console.tail())
    }

    /// Gives QEMU a command of its machine protocol.
    pub(super) fn execute(&self, command: &str, arguments: serde_json::Value) -> Result<serde_json::Value> {
        self.qmp.lock().unwrap_or_else(PoisonError::into_inner).execute(command, arguments)
    }

    pub(super) fn take_port(&mut self, name: &str) -> Result<UnixStream> {
        let index = self.ports.iter().position(|(each, _)| each == name);
        let index = index.ok_or_else(|| anyhow!("the machine {} has no port {name}", self.name))?;
        Ok(self.ports.swap_remove(index).1)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}
