//! `nibs check FILE…`

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};

use super::Failure;
use crate::check::{self, Report};
use crate::finding::Findings;
use crate::input;

/// The subcommand's arguments.
pub(super) fn command() -> Command {
    Command::new("check")
        .about("Says everything that is wrong with objects and user-data")
        .after_help(
            "Example:\n  kubectl get seed,hardware,template,machinedeployment -A -o yaml | nibs check -\n\n\
             Exit code: 0 without errors, 1 with errors, 2 for a wrong call. Every code of a finding is explained in \
             docs/findings.md.",
        )
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .num_args(1..)
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("YAML, JSON or user-data; folders of them; - for standard input"),
        )
        .arg(super::user_data_argument())
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("FORM")
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .default_value("text")
                .help("For people or for machines"),
        )
}

/// What is printed to standard output: nothing for people when nothing is wrong, but the counts.
pub(super) fn run(matches: &ArgMatches) -> Result<(String, bool), Failure> {
    let files: Vec<&PathBuf> = matches.get_many("files").expect("clap requires it").collect();
    let named = super::user_data(matches);
    let mut findings = Findings::default();
    let given = input::read(&files, &named, &mut findings).map_err(Failure::Usage)?;
    let report = Report::of(&given, check::all(&given, findings));
    let failed = report.findings.has_errors();
    let text = match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => report.json(),
        _ => report.text(std::io::stdout().is_terminal()),
    };
    Ok((text, failed))
}
