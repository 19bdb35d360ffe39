//! How an action fails: a cause, and a chain of what was being done.

use std::fmt::{self, Display};

use crate::cause::Cause;
use crate::variables::Variable;

/// A failure of an action. It is reported once, by [`crate::action::main`].
#[derive(Debug)]
pub struct Failure {
    /// The stable word.
    pub cause: Cause,
    /// What happened, outermost first.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure with a message of its own.
    pub fn new(cause: Cause, message: impl Display) -> Self {
        Self { cause, error: anyhow::anyhow!("{message}") }
    }

    /// A variable that has a value which cannot be right. A secret's value is left out.
    pub fn configuration(variable: &Variable, value: &str, accepted: impl Display) -> Self {
        let name = variable.name;
        if variable.secret {
            Self::new(Cause::Configuration, format_args!("{name} is not valid; accepted: {accepted}"))
        } else {
            Self::new(
                Cause::Configuration,
                format_args!("{name}={value:?} is not valid; accepted: {accepted}"),
            )
        }
    }

    /// Puts what was being done before what happened.
    pub fn context(self, doing: impl Display + Send + Sync + 'static) -> Self {
        Self { cause: self.cause, error: self.error.context(doing) }
    }
}

impl Display for Failure {
    /// The whole chain on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Gives an error its cause.
pub trait Because<T> {
    /// Turns the error into a [`Failure`] of this cause.
    ///
    /// # Errors
    /// The same error, with its cause.
    fn because(self, cause: Cause) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Because<T> for Result<T, E> {
    fn because(self, cause: Cause) -> Result<T, Failure> {
        self.map_err(|error| Failure { cause, error: error.into() })
    }
}
