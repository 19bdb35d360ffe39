//! The process that is left behind: it outlives its container and takes the machine down.
//!
//! A runtime kills what it finds in the container's control groups, so the process leaves them while the container
//! still runs; and it enters the host's mount namespace, since the container's root is empty once it is gone. All that
//! can fail is done before the action exits 0. From then on nobody reads its output: what goes wrong is said to the
//! kernel's log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use common::cause::Cause;
use common::failure::{Because, Failure};
use nix::sched::{CloneFlags, setns};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::SigSet;

use crate::cgroup;
use crate::plan::Going;
use crate::worker::Worker;

/// The argument with which the binary starts itself. It is no option of the action.
pub const ARGUMENT: &str = "--detached";

/// What the left process says when nothing can fail any more.
const READY: &str = "ready";

/// How long the end of the container is waited for: Docker gives a container 5 s to stop, and a loaded agent takes its
/// time to remove it (0.5 to 0.8 s were seen).
const CONTAINER_END: Duration = Duration::from_secs(60);

/// How long a reboot by the in-memory OS is waited for: HookOS looks for the file every second.
const WORKER_REBOOTS: Duration = Duration::from_secs(5);

/// Starts the process and returns when it is out of the container.
///
/// # Errors
/// [`Cause::HandOver`] with what the process said.
pub fn leave_behind(going: Going, wait: Duration) -> Result<(), Failure> {
    let mut child = Command::new("/proc/self/exe")
        .args([ARGUMENT, word(going), &wait.as_secs_f64().to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the process that takes the machine down")
        .because(Cause::HandOver)?;
    let mut said = String::new();
    let mut output = child.stdout.take().expect("stdout was piped");
    output
        .read_to_string(&mut said)
        .context("listening to the process left behind")
        .because(Cause::HandOver)?;
    if said.trim() == READY {
        return Ok(());
    }
    let status = child.wait().context("waiting for the process left behind").because(Cause::HandOver)?;
    let said = if said.trim().is_empty() { status.to_string() } else { said.trim().to_owned() };
    Err(Failure::new(Cause::HandOver, format_args!("{said}; the machine stays up")))
}

fn word(going: Going) -> &'static str {
    match going {
        Going::Kexec => "kexec",
        Going::Reboot => "reboot",
        Going::Poweroff => "poweroff",
        Going::Stay => "stay",
    }
}

/// The process that is left behind. `arguments` are `kexec`, `reboot` or `poweroff`, and seconds.
pub fn main(arguments: &[String]) -> ExitCode {
    // The container's own view is gone after it was left.
    let worker = Worker::find();
    let prepared = parse(arguments).and_then(|(going, wait)| Ok((going, wait, leave_container()?)));
    let (going, wait, groups) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            println!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    println!("{READY}");
    if let Err(error) = close_stdout() {
        kernel_log(2, &format!("closing stdout: {error}"));
    }
    let gone = wait_until_gone(&groups);
    kernel_log(5, &format!("the container {gone}; {} in {} s", going.words(), wait.as_secs_f64()));
    std::thread::sleep(wait);
    go_down(going, worker)
}

fn parse(arguments: &[String]) -> anyhow::Result<(Going, Duration)> {
    let [going, wait] = arguments else { bail!("{ARGUMENT} takes two words, given {}", arguments.len()) };
    let known = [Going::Kexec, Going::Reboot, Going::Poweroff];
    let Some(going) = known.into_iter().find(|known| word(*known) == going) else {
        bail!("{ARGUMENT} {going} is not known")
    };
    Ok((going, Duration::try_from_secs_f64(wait.parse().context("reading the wait")?)?))
}

/// Leaves the container's mounts and control groups, and gives the groups that go away with it.
fn leave_container() -> anyhow::Result<Vec<PathBuf>> {
    // Whoever asks the container to stop now does not mean this process.
    SigSet::all().thread_block().context("blocking signals")?;
    nix::unistd::setsid().context("starting a session of its own")?;
    let open = |kind: &str| File::open(format!("/proc/1/ns/{kind}"));
    let mounts = open("mnt").context("opening the host's mount namespace")?;
    let view = open("cgroup").ok();
    setns(mounts, CloneFlags::CLONE_NEWNS).context("entering the host's mount namespace")?;
    std::env::set_current_dir("/").context("leaving the container's folder")?;

    let pid = std::process::id();
    let mountinfo = fs::read_to_string("/proc/1/mountinfo").context("reading the host's mounts")?;
    let hierarchies = cgroup::hierarchies(&mountinfo);
    let mut left = Vec::new();
    for hierarchy in &hierarchies {
        let groups = cgroup::groups_with(hierarchy, pid);
        if groups.is_empty() {
            continue;
        }
        move_out(hierarchy, pid, view.as_ref())?;
        left.extend(groups);
    }
    for hierarchy in &hierarchies {
        if let Some(group) = cgroup::groups_with(hierarchy, pid).first() {
            bail!("this process is still in the control group {}", group.display());
        }
    }
    Ok(left)
}

fn move_out(hierarchy: &Path, pid: u32, view: Option<&File>) -> anyhow::Result<()> {
    let mut moved = cgroup::move_to_root(hierarchy, pid);
    if let (Err(error), Some(view)) = (&moved, view)
        && error.kind() == io::ErrorKind::NotFound
    {
        // cgroup2 mounted with nsdelegate hides its root from a process that sees it from inside a container.
        setns(view, CloneFlags::CLONE_NEWCGROUP).context("entering the host's view of control groups")?;
        moved = cgroup::move_to_root(hierarchy, pid);
    }
    moved.with_context(|| format!("leaving the container's control group below {}", hierarchy.display()))
}

/// An agent reads the container's output to its end, so nothing of it may stay open here.
fn close_stdout() -> io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(())
}

fn wait_until_gone(groups: &[PathBuf]) -> String {
    let start = Instant::now();
    while groups.iter().any(|group| group.exists()) {
        if start.elapsed() > CONTAINER_END {
            return format!("is still there after {} s", CONTAINER_END.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    format!("is gone after {:.1} s", start.elapsed().as_secs_f64())
}

/// Flushes everything and takes the machine down. It returns only when that is impossible.
fn go_down(going: Going, worker: Option<Worker>) -> ExitCode {
    nix::unistd::sync();
    if going == Going::Kexec {
        let Err(error) = reboot(RebootMode::RB_KEXEC);
        kernel_log(2, &format!("the kernel that was loaded does not start: {error}; the machine reboots"));
    }
    if let (Going::Kexec | Going::Reboot, Some(worker)) = (going, worker) {
        match worker.ask_for_reboot() {
            Ok(()) => {
                kernel_log(5, "asked the in-memory OS to reboot by /worker/reboot");
                std::thread::sleep(WORKER_REBOOTS);
            }
            Err(error) => kernel_log(4, &format!("writing /worker/reboot: {error}")),
        }
    }
    let (mode, key) = match going {
        Going::Poweroff => (RebootMode::RB_POWER_OFF, "o"),
        Going::Kexec | Going::Reboot | Going::Stay => (RebootMode::RB_AUTOBOOT, "b"),
    };
    // reboot(2) returns only when it failed.
    let Err(error) = reboot(mode);
    kernel_log(2, &format!("reboot(2) failed: {error}; asking by sysrq"));
    if let Err(error) = fs::write("/proc/sysrq-trigger", key) {
        kernel_log(2, &format!("sysrq failed too: {error}; the machine stays up"));
    }
    ExitCode::FAILURE
}

/// A line in the kernel's log, with its level (`<2>` is critical, printk). There is nobody else to tell.
fn kernel_log(level: u8, message: &str) {
    let line = format!("<{level}>kexec-reboot: {message}\n");
    let opened =
        OpenOptions::new().write(true).custom_flags(nix::fcntl::OFlag::O_CLOEXEC.bits()).open("/dev/kmsg");
    let _ = opened.and_then(|mut log| log.write_all(line.as_bytes()));
}
