//! What the actions know of the cloud-init in an installed system, and of the files with which they tell it what to do.
//! Two actions meet here: who writes the network configuration last decides whether it is netplan's or cloud-init's.
//!
//! cloud-init reads `cloud.cfg` and then `cloud.cfg.d/*.cfg` in the order of their bytes; what comes later wins, key by
//! key (`read_conf_d` and `mergemanydict` of cloudinit/util.py). Images and installers use names from `00-` to `99_`, so
//! ours begin with `zz-`. Nothing in `/etc` is touched by `cloud-init clean`, with which a node's bootstrap script may
//! begin, and the seed is touched only by `cloud-init clean --seed` (cloudinit/cmd/clean.py).

use crate::failure::Failure;
use crate::root_dir::RootDir;

/// The folder of the NoCloud seed.
pub const SEED_FOLDER: &str = "/var/lib/cloud/seed/nocloud";
/// The main configuration.
pub const CONFIG: &str = "/etc/cloud/cloud.cfg";
/// The folder of further configuration.
pub const CONFIG_FOLDER: &str = "/etc/cloud/cloud.cfg.d";
/// Says that cloud-init leaves the network alone. write-netplan writes it.
pub const NETWORK_OFF: &str = "/etc/cloud/cloud.cfg.d/zz-nibs-network.cfg";
/// Says that the seed is the only source. write-cloud-init writes it.
pub const DATASOURCE: &str = "/etc/cloud/cloud.cfg.d/zz-nibs-datasource.cfg";
/// A file with which an administrator switches cloud-init off.
pub const DISABLED: &str = "/etc/cloud/cloud-init.disabled";
/// An administrator's word on which sources there are, for cloud-init's `ds-identify`.
pub const DS_IDENTIFY: &str = "/etc/cloud/ds-identify.cfg";
/// Where netplan reads files from, the first one wins for files of the same name. (`/run/netplan` is empty at boot.)
pub const NETPLAN_FOLDERS: [&str; 2] = ["/etc/netplan", "/lib/netplan"];
/// The configuration that write-netplan writes.
pub const NETPLAN: &str = "/etc/netplan/90-nibs.yaml";
/// Added to the name of a file that must not count any more: netplan reads `*.yaml` only, cloud-init `*.cfg`.
pub const ASIDE: &str = ".nibs-aside";

/// The programs of cloud-init, one of which is there where it is installed.
const PROGRAMS: [&str; 3] = ["/usr/bin/cloud-init", "/usr/local/bin/cloud-init", "/usr/sbin/cloud-init"];

/// Whether cloud-init is installed: its program and its configuration are there.
///
/// # Errors
/// [`Cause::File`](crate::cause::Cause::File).
pub fn is_installed(root: &RootDir) -> Result<bool, Failure> {
    if !root.exists(CONFIG)? {
        return Ok(false);
    }
    for program in PROGRAMS {
        if root.exists(program)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What [`is_installed`] looked for, for an error.
pub fn looked_for() -> String {
    format!("{CONFIG} and {}", PROGRAMS.join(" or "))
}

/// Gives a file a name under which nobody reads it any more. One of an earlier run is replaced. Durable on return.
///
/// # Errors
/// [`Cause::File`](crate::cause::Cause::File).
pub fn set_aside(root: &RootDir, path: &str) -> Result<(), Failure> {
    root.rename(path, format!("{path}{ASIDE}"))
}
