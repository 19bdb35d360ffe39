//! Every environment variable of every action, declared once with its docs. The actions' options, their `--help`, their
//! pages and the Templates that `nibs` prints come from here.

use crate::cause::Cause;

mod actions;
mod names;

pub use actions::*;
pub use names::*;

/// One environment variable, and the flag of the same name (`IMG_URL`, `--img-url`), unless it is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// The environment variable's name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The value that counts when none is given.
    pub default: Option<&'static str>,
    /// Taken from the environment only: a command line can be read by every process. Never shown.
    pub secret: bool,
    /// What it means, in Markdown, without a full stop at the end of a fragment.
    pub doc: &'static str,
}

/// What a variable takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Go's `ParseBool` forms.
    Bool,
    /// A number of seconds, decimals allowed.
    Seconds,
    /// A number of minutes, decimals allowed.
    Minutes,
    /// A whole number.
    Count,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// The accepted form, for an error message and for the page.
    pub fn accepted(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Bool => "1 t T TRUE true True 0 f F FALSE false False".into(),
            Self::Seconds => "a number of seconds, as 2 or 0.5".into(),
            Self::Minutes => "a number of minutes, as 10 or 0.5".into(),
            Self::Count => "a whole number".into(),
            Self::Choice(words) => words.join(", "),
        }
    }
}

impl Variable {
    /// The flag's name without the dashes: `img-url` for `IMG_URL`.
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }
}

/// What an action is called and takes.
#[derive(Debug)]
pub struct ActionSpec {
    /// Folder, package, binary and image.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Its own variables; [`EVERY_ACTION`] come on top.
    pub variables: &'static [Variable],
    /// The causes that it can fail with.
    pub causes: &'static [Cause],
}

impl ActionSpec {
    /// All variables of the action, its own first.
    pub fn all_variables(&self) -> impl Iterator<Item = &'static Variable> + use<> {
        self.variables.iter().chain(EVERY_ACTION)
    }
}
