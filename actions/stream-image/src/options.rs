//! What the action was asked to do.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::cause::Cause;
use common::failure::Failure;
use common::values::Values;
use common::variables::*;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::digest::Digest;

/// More decoders than this are never ahead of a disk or a network, and each has buffers of its own.
const MOST_DECODE_THREADS: usize = 16;

/// The action's variables, read and checked.
pub(crate) struct Options {
    pub(crate) image: Url,
    pub(crate) disk: String,
    pub(crate) image_digest: Option<DigestSource>,
    pub(crate) raw_digest: Option<DigestSource>,
    pub(crate) http: HttpOptions,
    /// `None`: a first try is all there is.
    pub(crate) retry_for: Option<Duration>,
    /// `None`: no progress lines.
    pub(crate) progress_interval: Option<Duration>,
    pub(crate) allow_unknown_content: bool,
    /// Decoders at once, at least one.
    pub(crate) decode_threads: usize,
}

/// How servers are reached.
pub(crate) struct HttpOptions {
    pub(crate) stall_timeout: Duration,
    /// PEM text.
    pub(crate) ca_cert: Option<String>,
    pub(crate) skip_verify: bool,
    pub(crate) credentials: Option<Arc<Credentials>>,
    pub(crate) proxies: Proxies,
}

/// What the image server gets, and no other host.
pub(crate) enum Credentials {
    Bearer(HeaderValue),
    Basic { username: String, password: Option<String> },
}

/// Proxies as the environment gives them; each may hold credentials.
#[derive(Default)]
pub(crate) struct Proxies {
    pub(crate) http: Option<Url>,
    pub(crate) https: Option<Url>,
    pub(crate) except: Option<String>,
}

/// Where a digest comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DigestSource {
    Given(Digest),
    /// A file that lists it.
    File(Url),
}

impl Options {
    /// Reads the variables; `environment` gives the lower-case ones of the proxies.
    ///
    /// # Errors
    /// [`Cause::Configuration`]
    pub(crate) fn read(
        values: &Values,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let mut image = url(&IMG_URL, values.required(&IMG_URL)?)?;
        let credentials = credentials(values, &mut image)?;
        let stall_timeout = values.duration(&STALL_TIMEOUT_SECONDS)?;
        if stall_timeout.is_zero() {
            return Err(Failure::configuration(&STALL_TIMEOUT_SECONDS, "0", "more than 0 seconds"));
        }
        // Its value says nothing here, but a typo in it is one all the same.
        values.boolean(&COMPRESSED)?;
        let progress_interval = values.duration(&PROGRESS_INTERVAL_SECONDS)?;
        let ca_cert = values.given(&CA_CERT).map(ToOwned::to_owned);
        Ok(Self {
            image_digest: values.given(&IMG_DIGEST).map(|value| digest(&IMG_DIGEST, value)).transpose()?,
            raw_digest: values.given(&RAW_DIGEST).map(|value| digest(&RAW_DIGEST, value)).transpose()?,
            disk: values.required(&DEST_DISK)?.to_owned(),
            retry_for: values
                .boolean(&RETRY_ENABLED)?
                .then(|| values.duration(&RETRY_DURATION_MINUTES))
                .transpose()?,
            progress_interval: (!progress_interval.is_zero()).then_some(progress_interval),
            allow_unknown_content: values.boolean(&ALLOW_UNKNOWN_CONTENT)?,
            decode_threads: decode_threads(values)?,
            http: HttpOptions {
                stall_timeout,
                ca_cert,
                skip_verify: values.boolean(&SKIP_VERIFY)?,
                credentials: credentials.map(Arc::new),
                proxies: proxies(values, environment)?,
            },
            image,
        })
    }
}

/// As many decoders as are asked for, or as the container has cores: those it may run on, and those its share of time
/// is worth.
fn decode_threads(values: &Values) -> Result<usize, Failure> {
    let Some(value) = values.given(&DECODE_THREADS) else {
        return Ok(thread::available_parallelism().map_or(1, NonZero::get).min(MOST_DECODE_THREADS));
    };
    let threads = value.trim().parse().ok().filter(|threads| (1..=MOST_DECODE_THREADS).contains(threads));
    threads.ok_or_else(|| {
        Failure::configuration(&DECODE_THREADS, value, format!("a number from 1 to {MOST_DECODE_THREADS}"))
    })
}

/// An address. A value that is none is repeated only where it can hold no secret.
fn url(variable: &Variable, value: &str) -> Result<Url, Failure> {
    const ACCEPTED: &str = "http://HOST/PATH or https://HOST/PATH";
    let wrong = |why: &str| {
        let value = if value.contains(['@', '?', '#']) { String::new() } else { format!("={value:?}") };
        Failure::new(
            Cause::Configuration,
            format_args!("{}{value} is not valid ({why}); accepted: {ACCEPTED}", variable.name),
        )
    };
    let url = Url::parse(value).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(wrong(&format!("its scheme is {scheme}"))),
    }
}

fn digest(variable: &Variable, value: &str) -> Result<DigestSource, Failure> {
    if let Some(digest) = Digest::parse(value.trim()) {
        return Ok(DigestSource::Given(digest));
    }
    if value.starts_with("http://") || value.starts_with("https://") {
        return url(variable, value).map(DigestSource::File);
    }
    Err(Failure::configuration(
        variable,
        value,
        "sha256: and 64 hexadecimal digits, sha512: and 128, or the http:// or https:// URL of a file that lists the image",
    ))
}

/// Takes user and password out of the URL, so that they go nowhere by accident.
fn credentials(values: &Values, image: &mut Url) -> Result<Option<Credentials>, Failure> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let in_url = (!image.username().is_empty() || image.password().is_some()).then(|| Credentials::Basic {
        username: decode(image.username()),
        password: image.password().map(decode),
    });
    // Both fail only on URLs without a host, and http has one.
    let _ = image.set_username("");
    let _ = image.set_password(None);

    let (token, username, password) =
        (values.given(&HTTP_BEARER_TOKEN), values.given(&HTTP_USERNAME), values.given(&HTTP_PASSWORD));
    match (token, username, password) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(Failure::new(
            Cause::Configuration,
            "HTTP_BEARER_TOKEN and HTTP_USERNAME or HTTP_PASSWORD are set; accepted: the token alone, or user name and password",
        )),
        (Some(token), None, None) => {
            let header = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map(|mut header| {
                header.set_sensitive(true);
                header
            });
            header.map(|header| Some(Credentials::Bearer(header))).map_err(|_| {
                Failure::configuration(&HTTP_BEARER_TOKEN, "", "characters that an HTTP header can hold")
            })
        }
        (None, Some(username), password) => Ok(Some(Credentials::Basic {
            username: username.to_owned(),
            password: password.map(ToOwned::to_owned),
        })),
        (None, None, Some(_)) => Err(Failure::new(
            Cause::Configuration,
            "HTTP_PASSWORD is set without HTTP_USERNAME; accepted: both of them",
        )),
        (None, None, None) => Ok(in_url),
    }
}

fn proxies(values: &Values, environment: impl Fn(&str) -> Option<String>) -> Result<Proxies, Failure> {
    let value = |variable: &Variable| {
        let lower = || environment(&variable.name.to_ascii_lowercase()).filter(|value| !value.is_empty());
        values.given(variable).map(ToOwned::to_owned).or_else(lower)
    };
    let proxy = |variable: &Variable| {
        let Some(value) = value(variable) else { return Ok(None) };
        // `proxy.example:3128` is how many write it.
        let value = if value.contains("://") { value } else { format!("http://{value}") };
        match Url::parse(&value) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
            _ => Err(Failure::configuration(
                variable,
                "",
                "http://HOST:PORT, with USER:PASSWORD@ before the host where it asks for them",
            )),
        }
    };
    Ok(Proxies { http: proxy(&HTTP_PROXY)?, https: proxy(&HTTPS_PROXY)?, except: value(&NO_PROXY) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &[(&str, &str)] = &[("IMG_URL", "http://h/d.raw"), ("DEST_DISK", "/dev/sda")];

    fn read(pairs: &[(&str, &str)]) -> Result<Options, Failure> {
        let pairs: Vec<_> = BASE.iter().chain(pairs).copied().collect();
        Options::read(&Values::from_pairs(&STREAM_IMAGE, &pairs).unwrap(), |name| {
            (name == "http_proxy").then(|| "lower.example:3128".into())
        })
    }

    fn wrong(pairs: &[(&str, &str)]) -> String {
        let failure = read(pairs).err().expect("an error");
        assert_eq!(failure.cause, Cause::Configuration);
        failure.to_string()
    }

    #[test]
    fn defaults_are_those_of_the_page() {
        let options = read(&[]).unwrap();
        assert_eq!(options.http.stall_timeout, Duration::from_secs(60));
        assert_eq!(options.retry_for, Some(Duration::from_secs(600)));
        assert_eq!(options.progress_interval, Some(Duration::from_secs(3)));
        assert!(
            options.image_digest.is_none() && !options.http.skip_verify && !options.allow_unknown_content
        );
        assert_eq!(options.http.proxies.http.unwrap().as_str(), "http://lower.example:3128/");
        let options = read(&[
            ("RETRY_ENABLED", "false"),
            ("PROGRESS_INTERVAL_SECONDS", "0"),
            ("HTTP_PROXY", "http://up:1"),
        ])
        .unwrap();
        assert_eq!((options.retry_for, options.progress_interval), (None, None));
        assert_eq!(options.http.proxies.http.unwrap().as_str(), "http://up:1/");
    }

    #[test]
    fn credentials_leave_the_address() {
        let options = read(&[("IMG_URL", "https://u%40x:p%3Aw@h/d.raw")]).unwrap();
        assert_eq!(options.image.as_str(), "https://h/d.raw");
        assert!(
            matches!(options.http.credentials.as_deref(), Some(Credentials::Basic { username, password: Some(password) })
            if username == "u@x" && password == "p:w")
        );
        let options = read(&[("IMG_URL", "https://u:p@h/d.raw"), ("HTTP_BEARER_TOKEN", "t")]).unwrap();
        assert!(
            matches!(options.http.credentials.as_deref(), Some(Credentials::Bearer(header)) if header == "Bearer t")
        );
    }

    #[test]
    fn what_cannot_be_right_is_refused_without_its_secrets() {
        for pairs in [
            &[("IMG_URL", "ftp://u:hunter2@h/d")][..],
            &[("IMG_URL", "u:hunter2@h/d?x=hunter2")],
            &[("IMG_URL", "http://u:hunter2@:x/")],
            &[("IMG_DIGEST", "https://u:hunter2@[/")],
            &[("HTTP_PROXY", "socks5://u:hunter2@h")],
            &[("HTTP_BEARER_TOKEN", "hunter2\n\0")],
            &[("HTTP_BEARER_TOKEN", "hunter2"), ("HTTP_USERNAME", "u")],
            &[("HTTP_PASSWORD", "hunter2")],
        ] {
            let message = wrong(pairs);
            assert!(!message.contains("hunter2"), "{message}");
            assert!(message.contains(pairs[0].0) && message.contains("accepted: "), "{message}");
        }
        assert_eq!(
            wrong(&[("IMG_URL", "d.raw")]),
            "IMG_URL=\"d.raw\" is not valid (relative URL without a base); accepted: http://HOST/PATH or https://HOST/PATH"
        );
        assert!(
            wrong(&[("IMG_DIGEST", "sha256:12")])
                .starts_with("IMG_DIGEST=\"sha256:12\" is not valid; accepted: sha256: and 64")
        );
        assert!(wrong(&[("STALL_TIMEOUT_SECONDS", "0")]).contains("more than 0"));
        assert!(wrong(&[("COMPRESSED", "perhaps")]).contains("COMPRESSED"));
    }

    #[test]
    fn a_digest_is_given_or_in_a_file() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let options = read(&[("IMG_DIGEST", &digest), ("RAW_DIGEST", "https://h/SHA256SUMS")]).unwrap();
        assert!(
            matches!(options.image_digest, Some(DigestSource::Given(given)) if given.to_string() == digest)
        );
        assert!(
            matches!(options.raw_digest, Some(DigestSource::File(url)) if url.as_str() == "https://h/SHA256SUMS")
        );
    }
}
