//! A small file as text.

use std::pin::pin;
use std::time::Duration;

use common::cause::Cause;
use common::failure::Failure;
use common::stop;
use reqwest::Url;

use super::fault::{Fault, chain};
use super::request::Source;
use super::runtime;
use crate::address::shown;

/// A file of digests of a whole distribution is 100 KiB.
const LARGEST_BYTES: usize = 1 << 20;

/// How often a look is had at whether the action is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Fetches a file of digests.
///
/// # Errors
/// [`Cause::DigestFile`], [`Cause::Stopped`], and the causes of [`Source::get`].
pub(crate) fn text(source: &Source, url: &Url) -> Result<String, Fault> {
    let runtime = runtime()?;
    let text = runtime.block_on(unless_stopped(read(source, url)));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    text
}

async fn unless_stopped<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let mut work = pin!(work);
    loop {
        match tokio::time::timeout(LOOK, work.as_mut()).await {
            Ok(done) => return done,
            Err(_) => stop::check()?,
        }
    }
}

async fn read(source: &Source<'_>, url: &Url) -> Result<String, Fault> {
    let mut response = source.get(url).await?;
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(source.stall_timeout, response.chunk()).await {
            Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
            Ok(Ok(None)) => break,
            Ok(Err(error)) => {
                let message = format!("fetching {}: {}", shown(url), chain(&error.without_url()));
                return Err(Fault::transient(Cause::DigestFile, message));
            }
            Err(_) => {
                let message =
                    format!("fetching {}: no byte for {} s", shown(url), source.stall_timeout.as_secs_f64());
                return Err(Fault::transient(Cause::ServerStalled, message));
            }
        }
        if bytes.len() > LARGEST_BYTES {
            let message =
                format!("{} has more than {LARGEST_BYTES} bytes, and is no file of digests", shown(url));
            return Err(Failure::new(Cause::DigestFile, message).into());
        }
    }
    let not_text = |_| Failure::new(Cause::DigestFile, format_args!("{} is no text", shown(url)));
    Ok(String::from_utf8(bytes).map_err(not_text)?)
}
