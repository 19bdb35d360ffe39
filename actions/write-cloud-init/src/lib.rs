//! The action `write-cloud-init`: a NoCloud seed in the installed system. What it holds is secret: it is in no log line,
//! no argument, and no file but the seed's own.
#![forbid(unsafe_code)]

use common::cloud_init::{self, CONFIG, CONFIG_FOLDER, DS_IDENTIFY, SEED_FOLDER};
use common::disk::System;
use common::failure::Failure;
use common::installed;
use common::root_dir::{Attributes, Kind, RootDir};
use common::stop;
use common::values::Values;
use common::variables::DEST_DISK_OR_PARTITION;
use tracing::{debug, info, warn};

use crate::plan::{ConfigFile, Found, Step};
use crate::wanted::Wanted;

pub mod format;
pub mod meta_data;
pub mod payload;
pub mod plan;
pub mod wanted;

/// No fstab and no file of cloud-init's configuration is near to this.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// Runs the action.
///
/// # Errors
/// Any of the action's causes.
pub fn run(values: &Values) -> Result<String, Failure> {
    let wanted = wanted::read(values)?;
    let selector = values.required(&DEST_DISK_OR_PARTITION)?;
    info!("{}", wanted.description);
    installed::with_root(&System::default(), selector, |root, _| write(root, &wanted))?;
    let name = wanted.meta_data.local_hostname.map(|name| format!(", host name {name}")).unwrap_or_default();
    Ok(format!("wrote the NoCloud seed {SEED_FOLDER}: instance {}{name}", wanted.meta_data.instance_id))
}

/// Does it, below a root.
fn write(root: &RootDir, wanted: &Wanted) -> Result<(), Failure> {
    for step in plan::plan(wanted, &look(root)?)? {
        stop::check()?;
        debug!("{step:?}");
        carry_out(root, &step)?;
    }
    info!("the seed is the only source of data: {}", cloud_init::DATASOURCE);
    Ok(())
}

fn look(root: &RootDir) -> Result<Found, Failure> {
    let fstab = root.read("/etc/fstab", FILE_LIMIT_BYTES)?.unwrap_or_default();
    let mut found = Found {
        installed: cloud_init::is_installed(root)?,
        fstab: String::from_utf8_lossy(&fstab).into_owned(),
        seed_is_link: root.kind_of_link(SEED_FOLDER)? == Some(Kind::Link),
        ..Found::default()
    };
    for path in [cloud_init::DISABLED, DS_IDENTIFY, cloud_init::NETWORK_OFF, cloud_init::NETPLAN] {
        if root.kind_of_link(path)?.is_some() {
            found.there.push(path);
        }
    }
    let mut paths = vec![CONFIG.to_owned()];
    for name in root.list(CONFIG_FOLDER)? {
        if let Some(name) = name.to_str().filter(|name| name.ends_with(".cfg")) {
            paths.push(format!("{CONFIG_FOLDER}/{name}"));
        }
    }
    for path in paths {
        let ours = [cloud_init::NETWORK_OFF, cloud_init::DATASOURCE].contains(&path.as_str());
        if ours || root.kind(&path)? != Some(Kind::File) {
            continue;
        }
        if let Some(content) = root.read(&path, FILE_LIMIT_BYTES)? {
            found.config.push(ConfigFile { path, content });
        }
    }
    Ok(found)
}

fn carry_out(root: &RootDir, step: &Step) -> Result<(), Failure> {
    match step {
        Step::Remove(path) => {
            if root.remove(path)? {
                info!("removed {path}, of the image or an earlier run");
            }
        }
        Step::SetAside { path, why } => {
            cloud_init::set_aside(root, path)?;
            warn!("{path} is now {path}{}: {why}", cloud_init::ASIDE);
        }
        Step::Folder { path, mode } => {
            root.create_dir_all(path, Attributes::of_root(mode.unwrap_or(0o755)))?;
            if let Some(mode) = mode {
                root.set_attributes(path, Attributes::of_root(*mode))?;
            }
        }
        Step::Write { path, content, mode } => {
            root.write_atomic(path, content, Attributes::of_root(*mode))?
        }
    }
    Ok(())
}
