//! The command line.

mod template;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::finding::Findings;
use crate::machine_deployment::Choice;
use crate::object;
use crate::user_data;
use crate::workflow::{self, Input};

/// How the command ended, when it did not end well.
#[derive(Debug)]
enum Failure {
    /// Wrong arguments, or a file that cannot be read: exit 2.
    Usage(String),
    /// Clap's own, which knows its exit code.
    Arguments(clap::Error),
    /// The objects are wrong, and that was said: exit 1.
    Findings,
    /// Anything else: exit 1.
    Other(String),
}

/// Runs the command with the process' arguments: 0, or 1 when the objects are wrong, or 2 for a wrong call.
pub fn main() -> ExitCode {
    let (code, message) = match run(std::env::args_os()) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Arguments(error)) => {
            // Nothing is left to tell when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        Err(Failure::Findings) => return ExitCode::FAILURE,
        Err(Failure::Usage(message)) => (2, message),
        Err(Failure::Other(message)) => (1, message),
    };
    eprintln!("nibs: {message}");
    ExitCode::from(code)
}

fn command() -> Command {
    let version = env!("CARGO_PKG_VERSION");
    Command::new("nibs")
        .about("From KKP's and Tinkerbell's objects to Templates and Workflows")
        .version(version)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help("Example:\n  nibs template kkp --registry registry.example/nibs | kubectl apply -n tink-system -f -")
        .subcommand(template::command())
        .subcommand(
            Command::new("workflow")
                .about("Prints the Template and the Workflow that KKP would make")
                .arg(
                    Arg::new("files")
                        .value_name("FILE")
                        .num_args(1..)
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("Seed, Hardware, MachineDeployment and user-data: YAML or JSON, several in one, lists; - for standard input"),
                )
                .arg(
                    Arg::new("user-data")
                        .long("user-data")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("The user-data, for all machines; not needed when a FILE begins as user-data does"),
                )
                .arg(
                    Arg::new("os-version")
                        .long("os-version")
                        .value_name("VERSION")
                        .help("The Seed's image of this version, for a MachineDeployment without osImageUrl"),
                )
                .arg(
                    Arg::new("datacenter")
                        .long("datacenter")
                        .value_name("NAME")
                        .help("Only the images of this datacenter of the Seed"),
                )
                .arg(
                    Arg::new("without-template")
                        .long("without-template")
                        .action(ArgAction::SetTrue)
                        .help("The Workflows alone"),
                )
                .args(template::arguments())
                .mut_arg("registry", |a| a.required_unless_present("without-template")),
        )
}

fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<(), Failure> {
    let matches = command().try_get_matches_from(arguments).map_err(Failure::Arguments)?;
    let text = match matches.subcommand() {
        Some(("workflow", matches)) => workflow(matches)?,
        Some((_, matches)) => {
            let (form, matches) = matches.subcommand().expect("clap requires a subcommand");
            template::run(form, matches).map_err(Failure::Usage)?
        }
        None => unreachable!("clap requires a subcommand"),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Who reads only the beginning has what they want.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("writing to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn workflow(matches: &ArgMatches) -> Result<String, Failure> {
    let mut findings = Findings::default();
    let mut input = Input {
        choice: Choice {
            os_version: matches.get_one::<String>("os-version").cloned(),
            has_digest_suffix: matches.contains_id("image-digest-suffix"),
        },
        datacenter: matches.get_one::<String>("datacenter").cloned(),
        ..Input::default()
    };
    let files: Vec<&PathBuf> = matches.get_many("files").expect("clap requires it").collect();
    let named = matches.get_one::<PathBuf>("user-data");
    let all: Vec<_> = files.into_iter().map(|p| (p, false)).chain(named.map(|p| (p, true))).collect();
    if all.iter().filter(|(path, _)| path.as_os_str() == "-").count() > 1 {
        return Err(Failure::Usage("standard input (-) was given twice; once is accepted".into()));
    }
    for (path, is_user_data) in all {
        let file = path.display().to_string();
        let bytes = read(path).map_err(|e| Failure::Usage(format!("reading {file}: {e}")))?;
        if is_user_data || user_data::form(&bytes).is_some() {
            if let Some(first) = &input.user_data {
                findings.in_file(
                    &file,
                    None,
                    format!("user-data again, after {}; once is accepted", first.file),
                );
            }
            input.user_data = user_data::check(&file, bytes, &mut findings).or(input.user_data);
        } else {
            match String::from_utf8(bytes) {
                Ok(text) => object::read(&file, &text, &mut input.objects, &mut findings),
                Err(_) => findings.in_file(&file, None, "no UTF-8; YAML or JSON in UTF-8 is accepted"),
            }
        }
    }
    input.is_broken = findings.has_errors();
    let workflows = workflow::workflows(&input, &mut findings);
    let failed = findings.has_errors();
    eprint!("{}", findings.report());
    if failed {
        return Err(Failure::Findings);
    }
    let mut documents = Vec::new();
    if !matches.get_flag("without-template") {
        let mut namespaces: Vec<_> = workflows.iter().map(|w| w.namespace.as_str()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        for namespace in namespaces {
            documents.push(template::kkp(matches, namespace).map_err(Failure::Usage)?);
        }
    }
    documents.extend(workflows.iter().map(workflow::Workflow::yaml));
    Ok(documents.join("---\n"))
}

fn read(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path)
}
