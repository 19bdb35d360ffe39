//! kexec-reboot in a guest, as an agent runs it.

use crate::binaries::binary;
use crate::outcome::Outcome;
use crate::vm::Guest;

/// Runs the action in `guest` with these variables, each `NAME=VALUE`, until its container would be gone. The machine goes
/// down later.
///
/// # Panics
/// When the guest cannot run it, or a line of its log is no JSON object.
#[track_caller]
pub fn in_guest(guest: &Guest, environment: &[&str]) -> Outcome {
    let exports: String = environment
        .iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').expect("NAME=VALUE");
            format!("export {name}='{value}'\n")
        })
        .collect();
    let script = script(guest, "");
    guest.run(&format!("{exports}{script}")).expect("the action's end").into()
}

/// Puts the action into `guest`, and gives the script that runs it with these arguments: with mounts and a control group of
/// its own, and the host's processes.
///
/// # Panics
/// When the guest does not take it.
#[track_caller]
pub fn script(guest: &Guest, arguments: &str) -> String {
    let action = "/usr/local/bin/kexec-reboot";
    guest.put(binary("kexec-reboot"), action).expect("the action");
    format!(
        "mkdir -p /sys/fs/cgroup/action
sh -c 'echo $$ >/sys/fs/cgroup/action/cgroup.procs; exec unshare --mount {action} {arguments}'
status=$?
rmdir /sys/fs/cgroup/action 2>/dev/null
exit $status"
    )
}
