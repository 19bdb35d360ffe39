//! The action `stream-image`: streams a disk image from its server onto a whole disk.
//!
//! Before the first write everything that can be known is checked, and a refusal leaves the disk as it was. From then on
//! until all is verified, both ends of the disk are zero, so that neither an older system nor half of a new one boots.

mod address;
mod buffer;
mod content;
mod decode;
mod digest;
mod digest_file;
mod disk;
mod fetch;
mod figures;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod options;
mod plan;
mod progress;
mod running;
mod sink;
mod stages;
mod stream;
mod zeros;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::cause::Cause;
use common::disk::{OpenDisk, System, find_disk};
use common::failure::Failure;
use common::stop;
use common::values::Values;
use reqwest::Client;
use tracing::{info, warn};

use address::{file_name, shown};
use digest::Digest;
use fetch::{Backoff, Fault, Source};
use options::{DigestSource, Options};
use stream::{Job, State};

/// Runs the action.
///
/// # Errors
/// Any of the action's causes.
pub fn run(values: &Values) -> Result<String, Failure> {
    let options = Options::read(values, |name| std::env::var(name).ok())?;
    let client = fetch::client(&options.http)?;
    if options.http.skip_verify {
        warn!(
            "SKIP_VERIFY: the server's certificate is not checked, anybody on the way can replace the image"
        );
    }
    let system = System::default();
    let found = find_disk(&system, &options.disk).map_err(|failure| match failure.cause {
        Cause::Configuration => failure.context(common::variables::DEST_DISK.name),
        _ => failure,
    })?;
    let disk = OpenDisk::exclusive(&system, found)?;
    info!("the disk is {}", disk.disk.describe());
    let mut state = State::Untouched;
    let result = stream(&options, &client, &system, &disk, &mut state);
    result.map_err(|failure| conclude(failure, state, &disk))
}

fn stream(
    options: &Options,
    client: &Client,
    system: &System,
    disk: &OpenDisk,
    state: &mut State,
) -> Result<String, Failure> {
    info!("the image is {}", shown(&options.image));
    let credentials = options.http.credentials.as_ref().map(Arc::clone);
    let source = Source {
        client,
        credentials: credentials.as_deref(),
        image: &options.image,
        stall_timeout: options.http.stall_timeout,
    };
    let name = file_name(&options.image);
    let image_digest = resolve(options, source, options.image_digest.as_ref(), std::slice::from_ref(&name))?;
    let raw_names = [decoded_name(&name).to_owned(), name.clone()];
    let raw_digest = resolve(options, source, options.raw_digest.as_ref(), &raw_names)?;
    if image_digest.is_none() && raw_digest.is_none() {
        info!("neither IMG_DIGEST nor RAW_DIGEST is set: only what the format itself checks is verified");
    }
    let backoff = Arc::new(Mutex::new(Backoff::new(options.retry_for)));
    let job = Job {
        system,
        disk,
        client,
        credentials: credentials.clone(),
        image: &options.image,
        image_digest,
        raw_digest,
        stall_timeout: options.http.stall_timeout,
        progress_interval: options.progress_interval,
        allow_unknown_content: options.allow_unknown_content,
        decode_threads: options.decode_threads,
        backoff: Arc::clone(&backoff),
    };
    // From zero, where the stream itself could not go on: nothing boots before all of it is verified.
    retried(&backoff, || job.stream(state))
}

/// The digest that is given, or listed in the file that is given.
fn resolve(
    options: &Options,
    source: Source,
    digest: Option<&DigestSource>,
    names: &[String],
) -> Result<Option<Digest>, Failure> {
    let url = match digest {
        None => return Ok(None),
        Some(DigestSource::Given(digest)) => return Ok(Some(digest.clone())),
        Some(DigestSource::File(url)) => url,
    };
    let backoff = Mutex::new(Backoff::new(options.retry_for));
    let text = retried(&backoff, || fetch::text(&source, url))
        .map_err(|failure| failure.context("fetching the file with the image's digest"))?;
    let digest = digest_file::find(&text, names).map_err(|why| {
        Failure::new(
            Cause::DigestFile,
            format_args!("{} does not give the image's digest: {why}", shown(url)),
        )
    })?;
    info!("{} says {digest}", shown(url));
    Ok(Some(digest))
}

/// The name that an image has once it is unpacked.
fn decoded_name(name: &str) -> &str {
    const SUFFIXES: [&str; 5] = [".gz", ".zst", ".xz", ".bz2", ".zstd"];
    SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// Tries again what may succeed then, with growing pauses, for as long as `backoff` gives some.
fn retried<T>(backoff: &Mutex<Backoff>, mut attempt: impl FnMut() -> Result<T, Fault>) -> Result<T, Failure> {
    loop {
        let fault = match attempt() {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        let paused = backoff.lock().unwrap_or_else(PoisonError::into_inner).pause(fault);
        let (pause, fault) = paused.map_err(|fault| fault.failure)?;
        warn!("{}; trying again in {:.1} s", fault.failure, pause.as_secs_f64());
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            stop::check()?;
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// A failure as the last line says it: what broke, in what state the disk is, and what to do.
fn conclude(failure: Failure, state: State, disk: &OpenDisk) -> Failure {
    let name = disk.disk.describe();
    let left = match state {
        State::Untouched => format!("nothing was written to {name}"),
        State::Begun => format!("{name} was left not bootable, both its ends are zero"),
        State::Ends => match disk::zero_ends(disk) {
            Ok(()) => format!("{name} was left not bootable, both its ends are zero"),
            Err(error) => {
                format!("{name} may still boot, or hold half an image: zeroing its ends failed ({error})")
            }
        },
    };
    let advice = advice(failure.cause);
    Failure::new(
        failure.cause,
        format_args!("{failure}; {left}{}{advice}", if advice.is_empty() { "" } else { "; " }),
    )
}

/// What whoever reads the last line may do.
fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::ServerUnreachable => {
            "look at the image server, the network and the proxy, then run the workflow again"
        }
        Cause::HttpRange => "run the workflow again, or use a server that can send parts of the image",
        Cause::ImageChanged => "run the workflow again once the image is published",
        Cause::ServerStalled | Cause::ImageTruncated => "run the workflow again, or look at the image server",
        Cause::HttpStatus | Cause::HttpRedirect | Cause::ImageContent => {
            "look at IMG_URL and the image server"
        }
        Cause::TlsUntrusted => "give the authority's certificate as CA_CERT",
        Cause::TlsExpired => "renew the server's certificate, or set this machine's clock",
        Cause::TlsName => "use the name that the certificate is for",
        Cause::Tls => "look at the image server",
        Cause::ImageEmpty
        | Cause::ImageCorrupt
        | Cause::ImageTrailingData
        | Cause::ImageUnsupported
        | Cause::PartitionTable => "publish the image anew",
        Cause::DigestMismatch => "see whether image and digest belong together, and publish them anew",
        Cause::DigestFile => "look at IMG_DIGEST, RAW_DIGEST and the file",
        Cause::DiskTooSmall => "use a smaller image, or a larger disk",
        Cause::BlockSize => "use an image made for this disk's block size",
        Cause::DiskIo => "look at the disk, then run the workflow again",
        Cause::PartitionsMissing => "see who uses a partition of the disk, then run the workflow again",
        Cause::Stopped => "give the action a longer timeout if that is what ended it",
        Cause::Internal => "run the workflow again, and report this line",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpacked_image_has_no_suffix() {
        for (name, decoded) in
            [("d.raw.gz", "d.raw"), ("d.img.zst", "d.img"), ("d.raw", "d.raw"), (".gz", "")]
        {
            assert_eq!(decoded_name(name), decoded);
        }
    }
}
