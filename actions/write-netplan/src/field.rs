//! A JSON value that knows where it stands, so that a mistake in it can be pointed at: `INTERFACES[1].dhcp.mac`.

use std::fmt::Display;

use common::cause::Cause;
use common::failure::Failure;
use serde_json::Value;

/// A value and its path. A missing one and `null` are the same.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Field<'a> {
    /// The outermost value, under the name of its variable.
    pub fn root(name: &str, value: &'a Value) -> Self {
        Self::at(name.to_owned(), Some(value))
    }

    fn at(path: String, value: Option<&'a Value>) -> Self {
        Self { path, value: value.filter(|value| !value.is_null()) }
    }

    /// Whether anything is there.
    pub fn is_given(&self) -> bool {
        self.value.is_some()
    }

    /// A field of an object; of nothing, it is nothing.
    ///
    /// # Errors
    /// [`Cause::Configuration`] when this is no object.
    pub fn get(&self, name: &str) -> Result<Self, Failure> {
        let value = match self.value {
            None => None,
            Some(Value::Object(object)) => object.get(name),
            Some(_) => return Err(self.wrong("a JSON object")),
        };
        Ok(Self::at(format!("{}.{name}", self.path), value))
    }

    /// The elements of an array; of nothing, none.
    ///
    /// # Errors
    /// [`Cause::Configuration`] when this is no array.
    pub fn elements(&self) -> Result<Vec<Self>, Failure> {
        match self.value {
            None => Ok(Vec::new()),
            Some(Value::Array(elements)) => Ok(elements
                .iter()
                .enumerate()
                .map(|(index, value)| Self::at(format!("{}[{index}]", self.path), Some(value)))
                .collect()),
            Some(_) => Err(self.wrong("a JSON array")),
        }
    }

    /// A text without the white space around it; an empty one is none.
    ///
    /// # Errors
    /// [`Cause::Configuration`] when this is no text.
    pub fn text(&self) -> Result<Option<&'a str>, Failure> {
        match self.value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong("a JSON string")),
        }
    }

    /// A whole number, as a number or as a text of digits.
    ///
    /// # Errors
    /// [`Cause::Configuration`] with what is accepted, on anything else.
    pub fn number(&self, accepted: &str) -> Result<Option<u64>, Failure> {
        match self.value {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            // `parse` would also take a sign.
            Some(Value::String(text)) if text.trim().bytes().all(|byte| byte.is_ascii_digit()) => {
                text.trim().parse().map(Some).map_err(|_| self.wrong(accepted))
            }
            Some(Value::Number(number)) => number.as_u64().map(Some).ok_or_else(|| self.wrong(accepted)),
            Some(_) => Err(self.wrong(accepted)),
        }
    }

    /// A boolean; of nothing, false.
    ///
    /// # Errors
    /// [`Cause::Configuration`] when this is no boolean.
    pub fn boolean(&self) -> Result<bool, Failure> {
        match self.value {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong("true or false")),
        }
    }

    /// The failure of a value that cannot be right.
    pub fn wrong(&self, accepted: impl Display) -> Failure {
        self.failure("", accepted)
    }

    /// The failure of a value that has the right form, and yet cannot be right.
    pub fn wrong_because(&self, why: &str, accepted: impl Display) -> Failure {
        self.failure(&format!(": {why}"), accepted)
    }

    fn failure(&self, why: &str, accepted: impl Display) -> Failure {
        let path = &self.path;
        let Some(value) = self.value else { return self.missing(accepted) };
        // A log line is short, and a value that is wrong may be anything.
        let mut shown = value.to_string();
        if let Some((end, _)) = shown.char_indices().nth(120) {
            shown.truncate(end);
            shown.push('…');
        }
        Failure::new(
            Cause::Configuration,
            format_args!("{path}={shown} is not valid{why}; accepted: {accepted}"),
        )
    }

    /// The failure of a value that is missing.
    pub fn missing(&self, accepted: impl Display) -> Failure {
        Failure::new(Cause::Configuration, format_args!("{} is missing; accepted: {accepted}", self.path))
    }

    /// Where it stands.
    pub fn path(&self) -> &str {
        &self.path
    }
}
