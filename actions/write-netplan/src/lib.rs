//! The action `write-netplan`: the installed system's network configuration, from the Hardware's interfaces.
#![forbid(unsafe_code)]

use common::cloud_init::{self, NETPLAN_FOLDERS};
use common::disk::System;
use common::failure::Failure;
use common::installed;
use common::root_dir::{Attributes, Kind, RootDir};
use common::stop;
use common::values::Values;
use common::variables::DEST_DISK_OR_PARTITION;
use tracing::{debug, info, warn};

use crate::image_files::ImageFile;
use crate::plan::{Found, NETWORKD_FOLDER, PROGRAMS, Plan};
use crate::wanted::Wanted;

pub mod document;
pub mod field;
pub mod image_files;
pub mod interfaces;
pub mod plan;
pub mod wanted;

/// No netplan file that a person or an installer wrote is near to this.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// Runs the action.
///
/// # Errors
/// Any of the action's causes.
pub fn run(values: &Values) -> Result<String, Failure> {
    let wanted = wanted::read(values)?;
    let selector = values.required(&DEST_DISK_OR_PARTITION)?;
    let cards = wanted.lines.len();
    for line in &wanted.lines {
        info!("configuring {line}");
    }
    installed::with_root(&System::default(), selector, |root, _| write(root, wanted))?;
    let interfaces = if cards == 1 { "interface" } else { "interfaces" };
    Ok(format!("wrote {}: {cards} {interfaces}", cloud_init::NETPLAN))
}

/// Does it, below a root.
fn write(root: &RootDir, wanted: Wanted) -> Result<(), Failure> {
    let plan = plan::plan(wanted, &look(root)?)?;
    stop::check()?;
    carry_out(root, &plan)
}

fn look(root: &RootDir) -> Result<Found, Failure> {
    let mut found = Found {
        cloud_init: cloud_init::is_installed(root)?,
        seed_network: root.exists(format!("{}/network-config", cloud_init::SEED_FOLDER))?,
        ..Found::default()
    };
    for program in PROGRAMS {
        found.netplan |= root.exists(program)?;
    }
    found.networkd =
        root.list(NETWORKD_FOLDER)?.into_iter().filter_map(|name| name.into_string().ok()).collect();
    for folder in NETPLAN_FOLDERS {
        for name in root.list(folder)? {
            // A name that is no UTF-8 is none that a person gave; netplan's own reader would not take it either.
            let Some(name) = name.to_str().filter(|name| name.ends_with(".yaml")) else { continue };
            let path = format!("{folder}/{name}");
            if root.kind(&path)? != Some(Kind::File) {
                debug!("{path} is no file, or a link to nowhere: left as it is");
                continue;
            }
            if let Some(content) = root.read(&path, FILE_LIMIT_BYTES)? {
                debug!("{path}, {} bytes", content.len());
                found.files.push(ImageFile { path, content });
            }
        }
    }
    Ok(found)
}

fn carry_out(root: &RootDir, plan: &Plan) -> Result<(), Failure> {
    for warning in &plan.warnings {
        warn!("{warning}");
    }
    root.create_dir_all(NETPLAN_FOLDERS[0], Attributes::of_root(0o755))?;
    // 0600, as netplan itself asks for: a document may hold passwords.
    root.write_atomic(cloud_init::NETPLAN, plan.netplan.as_bytes(), Attributes::of_root(0o600))?;
    for aside in &plan.aside {
        cloud_init::set_aside(root, &aside.path)?;
        info!("{path} is now {path}{}: {}", cloud_init::ASIDE, aside.why, path = aside.path);
    }
    if let Some(content) = plan.network_off {
        root.create_dir_all(cloud_init::CONFIG_FOLDER, Attributes::of_root(0o755))?;
        root.write_atomic(cloud_init::NETWORK_OFF, content.as_bytes(), Attributes::of_root(0o644))?;
        info!("cloud-init leaves the network alone: {}", cloud_init::NETWORK_OFF);
    }
    Ok(())
}
