//! `nibs convert`: a Template made for tinkerbell/actions.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::convert;

pub(super) fn command() -> Command {
    Command::new("convert")
        .about("Prints a Template made for tinkerbell/actions with the actions of Nibs")
        .after_help(
            "What Nibs has no action for stays, with a comment. Comments and formatting stay as they are.\n\n\
             Example:\n  nibs convert template.yaml --registry registry.example/nibs > new.yaml && diff template.yaml new.yaml",
        )
        .arg(
            Arg::new("file")
                .value_name("TEMPLATE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("A Template, or what CAPT or EKS Anywhere make one of; - for standard input"),
        )
        .args(super::template::arguments().into_iter().filter(|a| ["registry", "images"].contains(&a.get_id().as_str())))
        .mut_arg("registry", |a| a.required(true))
}

/// The converted Template, and a line that counts.
///
/// # Errors
/// A file that cannot be read, or that is no Template: a message for the user.
pub(super) fn run(matches: &ArgMatches) -> Result<(String, String), String> {
    let path: &PathBuf = matches.get_one("file").expect("clap requires it");
    let text = String::from_utf8(crate::input::content(path)?)
        .map_err(|_| format!("reading {}: it is no UTF-8", path.display()))?;
    let images = super::template::images(matches)?;
    let converted = convert::convert(&text, &images).map_err(|e| format!("{}: {e}", path.display()))?;
    let said = format!("{} actions swapped, {} kept\n", converted.swapped, converted.kept);
    Ok((converted.text, said))
}
