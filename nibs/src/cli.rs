//! The command line.

mod check;
mod convert;
mod template;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::code;
use crate::finding::{Finding, Findings};
use crate::input;
use crate::machine_deployment::Choice;
use crate::user_data::whose::Named;
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
    say(&format!("nibs: {message}\n"));
    ExitCode::from(code)
}

/// The command line as it is: what it takes and what each part means.
pub fn command() -> Command {
    let version = env!("CARGO_PKG_VERSION");
    Command::new("nibs")
        .about("From KKP's and Tinkerbell's objects to Templates and Workflows")
        .version(version)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help("Example:\n  nibs template kkp --registry registry.example/nibs --namespace tink-system | kubectl apply -f -")
        .subcommand(check::command())
        .subcommand(convert::command())
        .subcommand(template::command())
        .subcommand(
            Command::new("workflow")
                .about("Prints the Template and the Workflow that KKP would make")
                .after_help(
                    "Example:\n  nibs workflow seed.yaml hardware.yaml machinedeployment.yaml user-data --registry registry.example/nibs\n\n\
                     Many machines, each with the user-data that KKP made for it:\n  \
                     kubectl get secrets -n cloud-init-settings -o yaml |\n    \
                     nibs workflow - seed.yaml hardware/ machinedeployments/ --registry registry.example/nibs",
                )
                .arg(
                    Arg::new("files")
                        .value_name("FILE")
                        .num_args(1..)
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("Seed, Hardware, MachineDeployment and user-data: YAML or JSON, several in one, lists; - for standard input"),
                )
                .arg(user_data_argument())
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
        Some(("check", matches)) => {
            let (text, has_errors) = check::run(matches)?;
            print(&text)?;
            return if has_errors { Err(Failure::Findings) } else { Ok(()) };
        }
        Some(("workflow", matches)) => return workflow(matches),
        Some(("convert", matches)) => {
            let (text, said) = convert::run(matches).map_err(Failure::Usage)?;
            say(&said);
            text
        }
        Some((_, matches)) => {
            let (form, matches) = matches.subcommand().expect("clap requires a subcommand");
            template::run(form, matches).map_err(Failure::Usage)?
        }
        None => unreachable!("clap requires a subcommand"),
    };
    print(&text)
}

/// Whose the user-data is.
fn user_data_argument() -> Arg {
    Arg::new("user-data")
        .long("user-data")
        .value_name("[NAME=]FILE")
        .action(ArgAction::Append)
        .value_parser(value_parser!(PathBuf))
        .help("The user-data, for all machines, or NAME=FILE for the MachineDeployment NAME; may be given again")
        .long_help(
            "The user-data, in this order:\n\
             NAME=FILE or NAMESPACE/NAME=FILE: of the MachineDeployment NAME; may be given again\n\
             FOLDER: of the MachineDeployment NAME the file NAME, NAME.yaml, NAME.json, …; those of a namespace in a folder NAMESPACE\n\
             FILE: of all others; not needed when one of the FILEs to read begins as user-data does\n\
             Without any of these, what KKP keeps in the Secret NAME-NAMESPACE-bootstrap-config in cloud-init-settings, when that is given.\n\
             <MACHINE_NAME> in it becomes the name of the Hardware.",
        )
}

fn user_data(matches: &ArgMatches) -> Vec<Named> {
    matches.get_many::<PathBuf>("user-data").unwrap_or_default().map(|path| Named::parse(path)).collect()
}

/// Says something to whoever is there: a standard error that is gone is no fault.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Who reads only the beginning has what they want.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("writing to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn workflow(matches: &ArgMatches) -> Result<(), Failure> {
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
    let named = user_data(matches);
    let given = input::read(&files, &named, &mut findings).map_err(Failure::Usage)?;
    if let [first, second, ..] = &given.user_data[..] {
        let finding = Finding::in_file(&code::USER_DATA_TWICE, &second.file, None);
        findings.push(finding.note(format!("first {}", first.file)));
    }
    input.objects = given.objects;
    input.user_data = given.user_data.into_iter().next();
    input.own_user_data = given.own_user_data;
    input.is_broken = findings.has_errors();
    let workflows = workflow::workflows(&input, &mut findings);
    let failed = findings.has_errors();
    say(&findings.report(std::io::stderr().is_terminal()));
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
    // One after another: all of a large fleet's would be hundreds of megabytes.
    let documents = documents.into_iter().chain(workflows.iter().map(workflow::Workflow::yaml));
    for (i, document) in documents.enumerate() {
        let before = if i == 0 { "" } else { "---\n" };
        print(&format!("{before}{document}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_an_example_and_a_man_page() {
        fn look(command: &Command, path: &str) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example:\n  ") && help.contains(path), "{path}: {help}");
            let mut page = Vec::new();
            clap_mangen::Man::new(command.clone()).render(&mut page).unwrap();
            assert!(String::from_utf8(page).unwrap().contains(".SH NAME"), "{path}");
            for inner in command.get_subcommands() {
                look(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        let command = command();
        command.clone().debug_assert();
        look(&command, "nibs");
    }
}
