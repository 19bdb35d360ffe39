//! The values of an action's variables: flag before environment before default. An empty value is an unset one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use tracing::Level;

use crate::cause::Cause;
use crate::failure::Failure;
use crate::log::Format;
use crate::variables::{ActionSpec, Kind, LOG_FORMAT, LOG_LEVEL, TEXT_LOGGING, Variable};

/// What was given on the command line and in the environment.
#[derive(Debug)]
pub enum Given {
    /// `--help` or `--version`: the text to print.
    Help(String),
    /// Values to run with.
    Values(Values),
}

/// The values of an action's variables. Its `Debug` form shows no value.
pub struct Values {
    values: BTreeMap<&'static str, String>,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Values {
    /// Reads flags and environment.
    ///
    /// # Errors
    /// [`Cause::Configuration`] on an unknown flag, a flag without its value, or a value that is no UTF-8.
    pub fn read(
        spec: &'static ActionSpec,
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Given, Failure> {
        let matches = match command(spec).try_get_matches_from(arguments) {
            Ok(matches) => matches,
            Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                return Ok(Given::Help(error.to_string()));
            }
            Err(error) => return Err(misuse(spec, &error)),
        };
        let environment: BTreeMap<OsString, OsString> = environment.into_iter().collect();
        let mut values = BTreeMap::new();
        for variable in spec.all_variables() {
            let flag = (!variable.secret).then(|| matches.get_one::<String>(variable.name)).flatten();
            let value = match flag {
                Some(value) => Some(value.clone()),
                None => match environment.get(&OsString::from(variable.name)) {
                    Some(value) => Some(value.clone().into_string().map_err(|_| {
                        Failure::new(
                            Cause::Configuration,
                            format_args!("{} is not valid; accepted: UTF-8 text", variable.name),
                        )
                    })?),
                    None => None,
                },
            };
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                values.insert(variable.name, value);
            }
        }
        Ok(Given::Values(Self { values }))
    }

    /// Values for a test, as if all came from the environment.
    ///
    /// # Errors
    /// As [`Values::read`].
    pub fn from_pairs(spec: &'static ActionSpec, pairs: &[(&str, &str)]) -> Result<Self, Failure> {
        let pairs = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        match Self::read(spec, [], pairs)? {
            Given::Values(values) => Ok(values),
            Given::Help(_) => unreachable!("no flag was given"),
        }
    }

    /// The value, or the default.
    pub fn text(&self, variable: &Variable) -> Option<&str> {
        self.given(variable).or(variable.default)
    }

    /// The value, if one was given.
    pub fn given(&self, variable: &Variable) -> Option<&str> {
        self.values.get(variable.name).map(String::as_str)
    }

    /// The value or the default, and an error where there is neither.
    ///
    /// # Errors
    /// [`Cause::Configuration`] that names the variable and what it means.
    pub fn required(&self, variable: &Variable) -> Result<&str, Failure> {
        self.text(variable).ok_or_else(|| {
            Failure::new(
                Cause::Configuration,
                format_args!("{} is not set; it takes: {}", variable.name, variable.doc),
            )
        })
    }

    /// A value of [`Kind::Bool`]; false where nothing is given and there is no default.
    ///
    /// # Errors
    /// [`Cause::Configuration`] on anything but the forms of Go's `ParseBool`.
    pub fn boolean(&self, variable: &Variable) -> Result<bool, Failure> {
        match self.text(variable) {
            None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
            Some(value) => Err(Failure::configuration(variable, value, variable.kind.accepted())),
        }
    }

    /// A value of [`Kind::Choice`], as the word it is.
    ///
    /// # Errors
    /// [`Cause::Configuration`] on any other word.
    pub fn choice(&self, variable: &Variable) -> Result<&'static str, Failure> {
        let value = self.required(variable)?;
        let Kind::Choice(words) = variable.kind else {
            unreachable!("{} is declared as a choice", variable.name)
        };
        words
            .iter()
            .copied()
            .find(|word| *word == value)
            .ok_or_else(|| Failure::configuration(variable, value, variable.kind.accepted()))
    }

    /// A value of [`Kind::Seconds`] or [`Kind::Minutes`].
    ///
    /// # Errors
    /// [`Cause::Configuration`] on anything but a number from 0 to a year.
    pub fn duration(&self, variable: &Variable) -> Result<Duration, Failure> {
        const YEAR_SECS: f64 = 365.0 * 86_400.0;
        let value = self.required(variable)?;
        let unit_secs = if variable.kind == Kind::Minutes { 60.0 } else { 1.0 };
        // Rust reads "inf", "NaN" and "1e3" as numbers too; people mean digits.
        let plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match value.parse::<f64>() {
            Ok(number) if plain && number * unit_secs <= YEAR_SECS => {
                Ok(Duration::from_secs_f64(number * unit_secs))
            }
            _ => Err(Failure::configuration(variable, value, variable.kind.accepted())),
        }
    }

    /// A value of [`Kind::Count`], if one is given or there is a default.
    ///
    /// # Errors
    /// [`Cause::Configuration`] on anything but a whole number.
    pub fn count(&self, variable: &Variable) -> Result<Option<u32>, Failure> {
        self.text(variable)
            .map(|value| {
                value.parse().map_err(|_| Failure::configuration(variable, value, variable.kind.accepted()))
            })
            .transpose()
    }

    /// The shape and level of the log.
    ///
    /// # Errors
    /// [`Cause::Configuration`] on a value that is none of the words.
    pub fn log_settings(&self) -> Result<(Format, Level), Failure> {
        let text = self.choice(&LOG_FORMAT)? == "text" || self.boolean(&TEXT_LOGGING)?;
        let level = match self.choice(&LOG_LEVEL)? {
            "error" => Level::ERROR,
            "warn" => Level::WARN,
            "debug" => Level::DEBUG,
            _ => Level::INFO,
        };
        Ok((if text { Format::Text } else { Format::Json }, level))
    }
}

/// The command line of an action.
pub fn command(spec: &'static ActionSpec) -> Command {
    let secrets: Vec<&str> =
        spec.all_variables().filter(|variable| variable.secret).map(|v| v.name).collect();
    let mut after =
        "Each flag is also an environment variable: --dest-disk is DEST_DISK. The flag wins.".to_owned();
    if !secrets.is_empty() {
        after += &format!("\nFrom the environment only: {}", secrets.join(" "));
    }
    let mut command = Command::new(spec.name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(spec.about)
        .after_help(after)
        .no_binary_name(true)
        .args_override_self(true);
    for variable in spec.all_variables().filter(|variable| !variable.secret) {
        let mut help = variable.doc.to_owned();
        if let Some(default) = variable.default {
            help += &format!(" [default: {default}]");
        }
        let mut arg = Arg::new(variable.name).long(variable.flag()).value_name(variable.name).help(help);
        if variable.kind == Kind::Bool {
            arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        command = command.arg(arg);
    }
    command
}

/// What is wrong with a command line, without the values on it: one could be a secret in the wrong place.
fn misuse(spec: &'static ActionSpec, error: &clap::Error) -> Failure {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) if text.starts_with("--") => {
            text.split(['=', ' ']).next().unwrap_or_default().to_owned()
        }
        _ => "an argument".to_owned(),
    };
    let secret =
        spec.all_variables().find(|variable| variable.secret && argument == format!("--{}", variable.flag()));
    let message = match (secret, error.kind()) {
        (Some(variable), _) => {
            format!("{argument} is no flag: {} is taken from the environment only", variable.name)
        }
        (None, ErrorKind::UnknownArgument) => {
            format!("{argument} is no flag of {}; --help lists them", spec.name)
        }
        (None, _) => format!("{argument} has no value, or one too many; --help lists the flags"),
    };
    Failure::new(Cause::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        Values::from_pairs(&STREAM_IMAGE, pairs).unwrap()
    }

    fn read(arguments: &[&str], pairs: &[(&str, &str)]) -> Result<Given, Failure> {
        Values::read(
            &STREAM_IMAGE,
            arguments.iter().map(OsString::from),
            pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))),
        )
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_empty_is_unset() {
        let Given::Values(values) = read(
            &["--dest-disk", "/dev/sdb", "--skip-verify"],
            &[("DEST_DISK", "/dev/sda"), ("IMG_URL", "")],
        )
        .unwrap() else {
            panic!("no help was asked for")
        };
        assert_eq!(values.text(&DEST_DISK), Some("/dev/sdb"));
        assert!(values.boolean(&SKIP_VERIFY).unwrap());
        let failure = values.required(&IMG_URL).unwrap_err();
        assert!(failure.to_string().starts_with("IMG_URL is not set"), "{failure}");
        assert_eq!(failure.cause.exit_code(), 2);
    }

    #[test]
    fn booleans_take_the_forms_of_go_and_no_other() {
        for yes in ["1", "t", "T", "TRUE", "true", "True"] {
            assert!(values(&[("SKIP_VERIFY", yes)]).boolean(&SKIP_VERIFY).unwrap());
        }
        for no in ["0", "f", "F", "FALSE", "false", "False", ""] {
            assert!(!values(&[("SKIP_VERIFY", no)]).boolean(&SKIP_VERIFY).unwrap());
        }
        let failure = values(&[("SKIP_VERIFY", "yes")]).boolean(&SKIP_VERIFY).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "SKIP_VERIFY=\"yes\" is not valid; accepted: 1 t T TRUE true True 0 f F FALSE false False"
        );
    }

    #[test]
    fn durations_are_plain_numbers() {
        let of = |value| values(&[("STALL_TIMEOUT_SECONDS", value)]).duration(&STALL_TIMEOUT_SECONDS);
        assert_eq!(of("0.5").unwrap(), Duration::from_millis(500));
        assert_eq!(of("").unwrap(), Duration::from_secs(60));
        for wrong in ["-1", "NaN", "inf", "1e3", "ten", "1m", ".", "99999999999"] {
            assert_eq!(of(wrong).unwrap_err().cause, Cause::Configuration, "{wrong}");
        }
        assert_eq!(
            values(&[("RETRY_DURATION_MINUTES", "0.5")]).duration(&RETRY_DURATION_MINUTES).unwrap(),
            Duration::from_secs(30)
        );
    }

    #[test]
    fn a_secret_is_no_flag_and_is_never_repeated() {
        for arguments in [
            &["--http-password=hunter2"][..],
            &["--http-password", "hunter2"],
            &["hunter2"],
            &["--nope=hunter2"],
        ] {
            let failure = read(arguments, &[]).unwrap_err();
            assert_eq!(failure.cause, Cause::Configuration);
            assert!(!failure.to_string().contains("hunter2"), "{failure}");
        }
        let failure = read(&["--http-password=hunter2"], &[]).unwrap_err();
        assert!(
            failure.to_string().contains("HTTP_PASSWORD is taken from the environment only"),
            "{failure}"
        );
        let values = values(&[("HTTP_PASSWORD", "hunter2")]);
        assert!(!format!("{values:?}").contains("hunter2"));
    }

    #[test]
    fn help_lists_every_variable() {
        for spec in ACTIONS {
            let help = command(spec).render_help().to_string();
            for variable in spec.all_variables() {
                assert!(help.contains(variable.name), "{} {}", spec.name, variable.name);
            }
        }
    }
}
