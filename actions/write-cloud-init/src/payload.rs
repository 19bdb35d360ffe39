//! What is given plain or in base64. It may be secret: no error repeats any of it.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use common::cause::Cause;
use common::failure::Failure;
use common::values::Values;
use common::variables::Variable;

/// The standard alphabet, with or without the padding at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// What a base64 variable takes.
const ACCEPTED: &str =
    "base64 of the standard alphabet (A-Z a-z 0-9 + /), with or without white space and line feeds";

/// A document, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// The variable that it came from.
    pub variable: &'static str,
    /// Its content.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} bytes", self.variable, self.content.len())
    }
}

/// Reads a document from one of two variables.
///
/// # Errors
/// [`Cause::Configuration`] when both are given, or the second is no base64.
pub fn read(values: &Values, plain: &Variable, base64: &Variable) -> Result<Option<Payload>, Failure> {
    match (values.given(plain), values.given(base64)) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Payload { variable: plain.name, content: text.into() })),
        (None, Some(text)) => {
            Ok(Some(Payload { variable: base64.name, content: decode(base64.name, text)? }))
        }
        (Some(_), Some(_)) => Err(Failure::new(
            Cause::Configuration,
            format_args!("{} and {} are both given; accepted: one of them", plain.name, base64.name),
        )),
    }
}

fn decode(name: &str, text: &str) -> Result<Vec<u8>, Failure> {
    let symbols: Vec<(usize, u8)> =
        text.bytes().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()).collect();
    let compact: Vec<u8> = symbols.iter().map(|(_, byte)| *byte).collect();
    BASE64.decode(&compact).map_err(|error| {
        let why = match error {
            DecodeError::InvalidByte(offset, _) => {
                format!("byte {} is no symbol of it", 1 + symbols.get(offset).map_or(offset, |(at, _)| *at))
            }
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
                "it ends in the middle of a group".to_owned()
            }
            DecodeError::InvalidLastSymbol { .. } => "its last symbol is cut off or wrong".to_owned(),
        };
        Failure::new(
            Cause::Configuration,
            format_args!("{name} ({} bytes) is not valid: {why}; accepted: {ACCEPTED}", text.len()),
        )
    })
}

/// Whether this is text in base64 that somebody meant to be decoded, and what it holds then.
pub fn decodes_to(content: &[u8]) -> Option<Vec<u8>> {
    let compact: Vec<u8> = content.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(compact).ok().filter(|decoded| decoded.len() > 8)
}

#[cfg(test)]
mod tests {
    use common::variables::{USER_DATA, USER_DATA_BASE64, WRITE_CLOUD_INIT};

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Option<Payload>, Failure> {
        read(&Values::from_pairs(&WRITE_CLOUD_INIT, pairs).unwrap(), &USER_DATA, &USER_DATA_BASE64)
    }

    #[test]
    fn plain_and_base64_give_the_same() {
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[("USER_DATA", "#!/bin/sh\n")]).unwrap().unwrap().content, b"#!/bin/sh\n");
        // As is, with line feeds, without its padding.
        for text in ["IyEvYmluL3NoCg==", " IyEv\nYmlu\r\n\tL3NoCg==\n", "IyEvYmluL3NoCg"] {
            let payload = of(&[("USER_DATA_BASE64", text)]).unwrap().unwrap();
            assert_eq!(
                (payload.variable, payload.content),
                ("USER_DATA_BASE64", b"#!/bin/sh\n".to_vec()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_content() {
        for (text, why) in [
            ("aHVudGVyMg\n=-", "byte 12 is no symbol of it"),
            ("aHVu dGVy_Mg==", "byte 10 is no symbol of it"),
            ("aHVudGVyMgaHV", "it ends in the middle of a group"),
            ("aHVudGVyMg==aHVu", "byte 11 is no symbol of it"),
            ("aHVudGVyMh==", "its last symbol is cut off or wrong"),
        ] {
            let failure = of(&[("USER_DATA_BASE64", text)]).unwrap_err();
            assert_eq!(failure.cause, Cause::Configuration);
            let message = failure.to_string();
            assert!(
                message.starts_with(&format!("USER_DATA_BASE64 ({} bytes) is not valid: {why}", text.len())),
                "{text:?}: {message}"
            );
            assert!(message.ends_with(ACCEPTED) && !message.contains("aHV"), "{message}");
        }
    }

    #[test]
    fn both_is_too_much() {
        let failure = of(&[("USER_DATA", "hunter2"), ("USER_DATA_BASE64", "aHVudGVyMg==")]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "USER_DATA and USER_DATA_BASE64 are both given; accepted: one of them"
        );
        assert_eq!(failure.cause, Cause::Configuration);
    }
}
