//! What goes wrong on the way to a server, told apart by cause, and whether it is worth another try.

use std::error::Error;
use std::io;
use std::time::Duration;

use common::cause::Cause;
use common::failure::Failure;
use rustls::CertificateError;

/// A failure, and what may be done about it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    /// Another try may succeed.
    pub(crate) transient: bool,
    /// The server asked for this pause.
    pub(crate) retry_after: Option<Duration>,
}

impl From<Failure> for Fault {
    /// A failure that another try would meet again.
    fn from(failure: Failure) -> Self {
        Self { failure, transient: false, retry_after: None }
    }
}

impl Fault {
    pub(crate) fn transient(cause: Cause, message: impl std::fmt::Display) -> Self {
        Self { failure: Failure::new(cause, message), transient: true, retry_after: None }
    }

    /// The object ended at this place, before its end.
    pub(super) fn broken_off(place: &str, why: &str) -> Self {
        Self::transient(Cause::ImageTruncated, format_args!("the image ended at {place}: {why}"))
    }
}

/// A request that got no answer: TLS is told apart, everything else is a server that cannot be reached.
pub(crate) fn unanswered(error: reqwest::Error, doing: &str) -> Fault {
    let error = error.without_url();
    let message = format!("{doing}: {}", chain(&error));
    match tls_cause(&error) {
        Some(cause) => Failure::new(cause, message).into(),
        None => Fault::transient(Cause::ServerUnreachable, message),
    }
}

/// The error and what is below it, each said once. No part of it holds the URL.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

/// The cause of a TLS failure anywhere below an error.
fn tls_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An io::Error hides what it wraps from `source()`, and gives that one's source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.map(|inner| inner as &(dyn Error + 'static));
        if let Some(error) = error.downcast_ref::<rustls::Error>().or_else(|| inner?.downcast_ref()) {
            return Some(cause_of(error));
        }
        next = inner.or_else(|| error.source());
    }
    None
}

fn cause_of(error: &rustls::Error) -> Cause {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Cause::TlsExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Cause::TlsName
            }
            _ => Cause::TlsUntrusted,
        },
        _ => Cause::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_failures_are_found_below_others() {
        let wrapped =
            |error: rustls::Error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        for (error, cause) in [
            (rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer), Cause::TlsUntrusted),
            (rustls::Error::InvalidCertificate(CertificateError::Expired), Cause::TlsExpired),
            (rustls::Error::InvalidCertificate(CertificateError::NotValidForName), Cause::TlsName),
            (rustls::Error::HandshakeNotComplete, Cause::Tls),
        ] {
            assert_eq!(tls_cause(&wrapped(error)), Some(cause));
        }
        assert_eq!(tls_cause(&io::Error::other("refused")), None);
    }

    #[test]
    fn a_chain_says_each_part_once() {
        let error = anyhow::anyhow!("inner").context("outer inner").context("outermost");
        assert_eq!(chain(error.as_ref()), "outermost: outer inner");
    }
}
