//! The command line.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use common::variables::ACTIONS;

use crate::actions;
use crate::platform::{Binaries, Platform};
use crate::{binary, image, layout, rootfs};

/// Runs the command with the process' arguments: exit 0, 1 when it failed, 2 for wrong arguments.
pub fn main() -> ExitCode {
    match run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<clap::Error>() {
            Some(usage) => {
                // Nothing is left to tell when the terminal is gone.
                let _ = usage.print();
                ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
            }
            None => {
                eprintln!("images: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn command() -> Command {
    let out = |help| Arg::new("out").long("out").value_name("FOLDER").required(true).help(help);
    Command::new("images")
        .about("Packs the actions' binaries as OCI images")
        .version(image::VERSION)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("pack")
                .about("Writes an OCI layout for each action, and index.json with their digests and sizes")
                .arg(
                    Arg::new("platform")
                        .long("platform")
                        .value_name("PLATFORM=FOLDER")
                        .action(ArgAction::Append)
                        .required(true)
                        .value_parser(value_parser!(Binaries))
                        .help(
                            "The release binaries of a platform, as linux/amd64=target/release; one for each",
                        ),
                )
                .arg(
                    out("Where to: one folder an action, and index.json")
                        .value_parser(value_parser!(PathBuf)),
                )
                .arg(
                    Arg::new("source")
                        .long("source")
                        .value_name("URL")
                        .default_value(image::SOURCE)
                        .help("The label org.opencontainers.image.source"),
                ),
        )
        .subcommand(
            Command::new("rootfs")
                .about("Writes what lies in one action's image to a folder: for images/Containerfile")
                .arg(
                    Arg::new("action")
                        .value_name("ACTION")
                        .help("As wipe-disk; when it is not given, the environment variable ACTION"),
                )
                .arg(
                    Arg::new("binaries")
                        .long("binaries")
                        .value_name("FOLDER")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("Where the release binaries are"),
                )
                .arg(out("The folder to fill").value_parser(value_parser!(PathBuf))),
        )
}

/// Runs the command with these arguments, the first of which is its own name.
///
/// # Errors
/// Wrong arguments (a [`clap::Error`]), a missing or unfit binary, a file that cannot be written.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<()> {
    let matches = command().try_get_matches_from(arguments)?;
    match matches.subcommand() {
        Some(("pack", matches)) => pack(matches),
        Some((_, matches)) => {
            let given: Option<&String> = matches.get_one("action");
            let name = given.cloned().or_else(|| std::env::var("ACTION").ok()).unwrap_or_default();
            let folder: &PathBuf = matches.get_one("binaries").expect("clap requires it");
            let action = actions::by_name(&name)?;
            let bytes = read(folder, &name)?;
            rootfs::write(&rootfs::entries(action, &bytes), out(matches))
        }
        None => unreachable!("clap requires a subcommand"),
    }
}

fn pack(matches: &ArgMatches) -> Result<()> {
    let folders: Vec<&Binaries> = matches.get_many("platform").expect("clap requires it").collect();
    let source: &String = matches.get_one("source").expect("it has a default");
    let mut images = Vec::new();
    for action in ACTIONS {
        let mut binaries: Vec<(Platform, Vec<u8>)> = Vec::new();
        for Binaries { platform, folder } in &folders {
            anyhow::ensure!(
                binaries.iter().all(|(p, _)| p != platform),
                "--platform {platform} was given twice; give each platform once"
            );
            let bytes = read(folder, action.name)?;
            binary::check(&bytes, *platform)
                .with_context(|| format!("packing {}", folder.join(action.name).display()))?;
            binaries.push((*platform, bytes));
        }
        images.push(image::build(action, &binaries, source)?);
    }
    let index = layout::write(&images, out(matches))?;
    for image in &index.images {
        println!(
            "{:<17} {}  {:>9} bytes  {}",
            image.name,
            image.digest,
            image.size_bytes,
            image.platforms.join(",")
        );
    }
    let total: u64 = index.images.iter().map(|i| i.size_bytes).sum();
    println!(
        "{} images, {total} bytes together: {}",
        images.len(),
        out(matches).join("index.json").display()
    );
    Ok(())
}

fn out(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("out").expect("clap requires it")
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    fs::read(&path).with_context(|| format!("reading the binary {}", path.display()))
}
