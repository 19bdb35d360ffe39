//! Child processes that do not outlive this one, and waits that end.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Output;

/// How often a wait looks.
pub(super) const POLL: Duration = Duration::from_millis(50);

type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts `program` with `arguments`; the kernel kills it when this process ends, however it ends.
///
/// The kernel's signal comes when the *thread* ends that made the child (`PR_SET_PDEATHSIG`), and test threads are
/// short-lived: so one thread that never ends makes them all.
///
/// # Errors
/// When the process cannot be made. A program that is not there is seen as `setpriv` ending with 127.
pub(crate) fn spawn_bound(
    program: &str,
    arguments: &[String],
    set_up: impl FnOnce(&mut Command),
) -> Result<Child> {
    static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in receiver {
                // Nobody waits for the answer any more: dropping the child leaves it running, bound to this process.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).args(arguments);
    set_up(&mut command);
    let (answer, child) = channel();
    orders
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .context("handing a command to the thread that starts processes")?;
    child
        .recv()
        .context("waiting for the thread that starts processes")?
        .with_context(|| format!("starting {program} by setpriv"))
}

/// Waits until the child has ended, at most `limit`; `None` when it has not.
///
/// # Errors
/// When the child cannot be waited for.
pub(crate) fn wait_within(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("waiting for a process")? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Runs a program of the host to its end, at most `limit`, and takes its output.
///
/// # Errors
/// When it cannot be started, or has not ended in time (then it is killed).
pub(crate) fn output_within(program: &str, arguments: &[String], limit: Duration) -> Result<Output> {
    let folder = tempfile::tempdir().context("making a folder for a program's output")?;
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let (out_file, err_file) = (std::fs::File::create(&out)?, std::fs::File::create(&err)?);
    let mut child = spawn_bound(program, arguments, |command| {
        command.stdin(Stdio::null()).stdout(out_file).stderr(err_file);
    })?;
    let status = wait_within(&mut child, limit)?;
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = |file| std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (stdout, stderr) = (text(&out)?, text(&err)?);
    let command = format!("{program} {}", arguments.join(" "));
    let Some(status) = status else {
        bail!("not ended after {} s: {command}\n{stdout}\n{stderr}", limit.as_secs());
    };
    let status = status.code().unwrap_or_else(|| {
        use std::os::unix::process::ExitStatusExt;
        128 + status.signal().unwrap_or(0)
    });
    Ok(Output { command, status, stdout, stderr })
}
