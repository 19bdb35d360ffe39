//! `nibs template`: what can be chosen about a Template.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use common::variables::ACTIONS;

use crate::image_names::ImageNames;
use crate::object::DEFAULT_NAMESPACE;
use crate::template::{self, Form, ImageDigest, KKP_NAME, Options};

/// The name of a Template that was given none.
const DEFAULT_NAME: &str = "nibs";

/// A system's form: its word, whom it is for, and an example.
const FORMS: [(Form, &str, &str, &str); 4] = [
    (
        Form::Kkp,
        "kkp",
        "Prints provision-worker-node, which an unpatched KKP uses instead of its own",
        "Example:\n  nibs template kkp --registry registry.example/nibs --namespace tink-system | kubectl apply -f -",
    ),
    (
        Form::Capt,
        "capt",
        "Prints a TinkerbellMachineTemplate for Cluster API (CAPT) with the Template as its templateOverride",
        "Example:\n  nibs template capt --registry registry.example/nibs --name workers \\\n    \
         --image-url http://images.example/ubuntu-2404.raw.gz > workers.yaml",
    ),
    (
        Form::Eksa,
        "eksa",
        "Prints a TinkerbellTemplateConfig for EKS Anywhere; its last action is named reboot",
        "Example:\n  nibs template eksa --registry registry.example/nibs --name my-cluster \\\n    \
         --image-url http://images.example/ubuntu-2204.raw.gz >> my-cluster.yaml",
    ),
    (
        Form::Plain,
        "plain",
        "Prints a Template that asks for nothing but the Workflow's Hardware",
        "Example:\n  nibs template plain --registry registry.example/nibs --name install \\\n    \
         --image-url http://images.example/debian-12.raw.zst --namespace tink-system | kubectl apply -f -",
    ),
];

pub(super) fn command() -> Command {
    let forms = FORMS.map(|(form, name, about, example)| {
        let command = Command::new(name)
            .about(about)
            .after_help(example)
            .args(arguments())
            .mut_arg("registry", |a| a.required(true))
            .arg(
                Arg::new("namespace")
                    .long("namespace")
                    .value_name("NAME")
                    .value_parser(template::check_name)
                    .default_value(DEFAULT_NAMESPACE)
                    .help(match form {
                        Form::Kkp => "The namespace of the Hardware, where KKP looks for it",
                        _ => "The object's namespace",
                    }),
            );
        if form == Form::Kkp {
            return command;
        }
        command
            .arg(
                Arg::new("name")
                    .long("name")
                    .value_name("NAME")
                    .value_parser(template::check_name)
                    .default_value(DEFAULT_NAME)
                    .help("The object's name"),
            )
            .arg(
                Arg::new("image-url")
                    .long("image-url")
                    .value_name("URL")
                    .value_parser(template::check_image_url)
                    .help("Where the operating system's image is"),
            )
    });
    Command::new("template")
        .about("Prints a Template, for whoever makes Workflows of it")
        .after_help("Example:\n  nibs template kkp --registry registry.example/nibs > template.yaml")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(forms)
}

/// What every Template can be given, and `nibs workflow` for KKP's.
pub(super) fn arguments() -> Vec<Arg> {
    vec![
        Arg::new("registry")
            .long("registry")
            .value_name("HOST[:PORT][/PATH]")
            .help("Where the actions' images are pulled from"),
        Arg::new("images")
            .long("images")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("The index file of `make images`: pins every image by its digest"),
        Arg::new("image-digest")
            .long("image-digest")
            .value_name("DIGEST")
            .value_parser(template::check_image_digest)
            .conflicts_with("image-digest-suffix")
            .help("Has the operating system's image verified: sha256:…, sha512:…, or the URL of a checksum file"),
        Arg::new("image-digest-suffix")
            .long("image-digest-suffix")
            .value_name("SUFFIX")
            .value_parser(template::check_digest_suffix)
            .help("Has the image verified: its digest's URL is the image's URL and this, as .sha256"),
        Arg::new("without")
            .long("without")
            .value_name("ACTION")
            .value_delimiter(',')
            .action(ArgAction::Append)
            .value_parser(PossibleValuesParser::new(ACTIONS.map(|a| a.name)))
            .help("Leaves an action out; may be given again"),
        Arg::new("wipe-method")
            .long("wipe-method")
            .value_name("METHOD")
            .value_parser(PossibleValuesParser::new(template::wipe_methods()))
            .help("How wipe-disk erases, where its own default is not wanted"),
        Arg::new("volume")
            .long("volume")
            .value_name("SOURCE:DESTINATION[:ro]")
            .action(ArgAction::Append)
            .value_parser(template::check_volume)
            .help("Binds a path of the in-memory OS into every action; may be given again"),
    ]
}

/// The Template of `nibs template FORM`.
///
/// # Errors
/// What was chosen is wrong: a message for the user.
pub(super) fn run(word: &str, matches: &ArgMatches) -> Result<String, String> {
    let form = FORMS.iter().find(|(_, name, ..)| *name == word).expect("clap knows these words alone").0;
    let namespace: &String = matches.get_one("namespace").expect("it has a default");
    let mut options = Options { form, ..kkp_options(matches, namespace)? };
    if form != Form::Kkp {
        options.name = matches.get_one::<String>("name").expect("it has a default").clone();
        options.image_url = matches.get_one::<String>("image-url").cloned();
    }
    if let (Some(ImageDigest::Suffix(_)), Some(url)) = (&options.image_digest, &options.image_url)
        && url.contains(['?', '#'])
    {
        return Err(
            "--image-digest-suffix would lengthen the query of --image-url; --image-digest is accepted"
                .into(),
        );
    }
    template::document(&options)
}

/// KKP's Template for a namespace.
///
/// # Errors
/// As [`run`].
pub(super) fn kkp(matches: &ArgMatches, namespace: &str) -> Result<String, String> {
    template::document(&kkp_options(matches, namespace)?)
}

fn kkp_options(matches: &ArgMatches, namespace: &str) -> Result<Options, String> {
    let all = |id: &str| matches.get_many::<String>(id).unwrap_or_default().cloned().collect();
    let one = |id: &str| matches.get_one::<String>(id).cloned();
    Ok(Options {
        name: KKP_NAME.to_owned(),
        image_digest: one("image-digest")
            .map(ImageDigest::Is)
            .or_else(|| one("image-digest-suffix").map(ImageDigest::Suffix)),
        without: all("without"),
        wipe_method: one("wipe-method"),
        volumes: all("volume"),
        ..Options::kkp(namespace, images(matches)?)
    })
}

/// How the actions' images are named.
///
/// # Errors
/// A registry or an index file that is none.
pub(super) fn images(matches: &ArgMatches) -> Result<ImageNames, String> {
    let registry: &String = matches.get_one("registry").expect("clap requires it");
    match matches.get_one::<PathBuf>("images") {
        Some(index) => ImageNames::pinned(registry, index),
        None => ImageNames::tagged(registry),
    }
}
