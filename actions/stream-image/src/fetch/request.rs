//! One object: asking for it, and following where the server points.

use std::time::{Duration, SystemTime};

use common::cause::Cause;
use common::failure::Failure;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tracing::debug;

use super::fault::{Fault, unanswered};
use crate::address::shown;
use crate::options::Credentials;

/// As many as curl and browsers take, within their order.
const MAX_REDIRECTS: usize = 10;

/// How objects are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) client: &'a Client,
    /// What the image server gets.
    pub(crate) credentials: Option<&'a Credentials>,
    /// Whose credentials they are.
    pub(crate) image: &'a Url,
    /// No byte for so long is a fault.
    pub(crate) stall_timeout: Duration,
}

impl Source<'_> {
    /// The answer to a GET, when it is 200: nothing else is an object.
    ///
    /// # Errors
    /// [`Cause::ServerUnreachable`], [`Cause::ServerStalled`], the causes of TLS, [`Cause::HttpRedirect`],
    /// [`Cause::HttpStatus`].
    pub(crate) async fn get(&self, url: &Url) -> Result<Response, Fault> {
        self.follow(url, None).await
    }

    /// The answer to a GET for all from this byte on, if the object is still the one with this ETag or Last-Modified. It
    /// may be 200, 206 or 416, and only its reader can tell whether it is right.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(super) async fn get_from(
        &self,
        url: &Url,
        start_bytes: u64,
        validator: &HeaderValue,
    ) -> Result<Response, Fault> {
        self.follow(url, Some((start_bytes, validator))).await
    }

    async fn follow(&self, url: &Url, part: Option<(u64, &HeaderValue)>) -> Result<Response, Fault> {
        let mut url = url.clone();
        let mut seen = vec![url.clone()];
        loop {
            let response = self.ask(&url, part).await?;
            debug!("GET {}: {}", shown(&url), response.status());
            let of_a_part = [StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE];
            if response.status() == StatusCode::OK || part.is_some() && of_a_part.contains(&response.status())
            {
                return Ok(response);
            }
            let Some(next) = redirect(&url, &response)? else { return Err(refused(&url, &response)) };
            if seen.contains(&next) {
                return Err(not_followed(&url, "leads in a circle").into());
            }
            if seen.len() > MAX_REDIRECTS {
                return Err(not_followed(&url, &format!("is redirect {} in a row", MAX_REDIRECTS + 1)).into());
            }
            seen.push(next.clone());
            url = next;
        }
    }

    async fn ask(&self, url: &Url, part: Option<(u64, &HeaderValue)>) -> Result<Response, Fault> {
        let doing = format!("asking for {}", shown(url));
        // The bytes as they are stored: a digest is of them, and a range too.
        let request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        let request = match part {
            Some((start_bytes, validator)) => {
                request.header(RANGE, format!("bytes={start_bytes}-")).header(IF_RANGE, validator)
            }
            None => request,
        };
        let request = if may_have_credentials(self.image, url) { self.authorized(request) } else { request };
        match tokio::time::timeout(self.stall_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unanswered(error, &doing)),
            Err(_) => Err(Fault::transient(
                Cause::ServerStalled,
                format_args!("{doing}: no answer within {} s", self.stall_timeout.as_secs_f64()),
            )),
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match self.credentials {
            Some(Credentials::Bearer(header)) => request.header(AUTHORIZATION, header.clone()),
            Some(Credentials::Basic { username, password }) => {
                request.basic_auth(username, password.as_ref())
            }
            None => request,
        }
    }
}

/// Whether a request may carry the image server's credentials: to that server itself, or to its own TLS side.
fn may_have_credentials(image: &Url, url: &Url) -> bool {
    let upgraded =
        image.scheme() == "http" && url.scheme() == "https" && image.port().is_none() && url.port().is_none();
    image.origin() == url.origin() || (upgraded && image.host() == url.host())
}

/// Where a redirect leads; `None` for an answer that is no redirect.
fn redirect(url: &Url, response: &Response) -> Result<Option<Url>, Failure> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let next = location.and_then(|location| url.join(location).ok());
    let mut next = next.ok_or_else(|| not_followed(url, "has no address to go to"))?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(not_followed(url, &format!("leads to {}:", next.scheme())));
    }
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(not_followed(url, &format!("leads from https to {}", shown(&next))));
    }
    // A server does not hand out credentials to us; these setters fail only where there is no host.
    let _ = next.set_username("");
    let _ = next.set_password(None);
    next.set_fragment(None);
    Ok(Some(next))
}

fn not_followed(url: &Url, why: &str) -> Failure {
    Failure::new(Cause::HttpRedirect, format_args!("the redirect from {} {why}", shown(url)))
}

fn refused(url: &Url, response: &Response) -> Fault {
    let status = response.status();
    let advice = match status.as_u16() {
        401 | 403 => ": are HTTP_BEARER_TOKEN, or HTTP_USERNAME and HTTP_PASSWORD, right?",
        404 | 410 => ": there is no such image",
        407 => ": the proxy asks for credentials; HTTP_PROXY can hold them",
        _ => "",
    };
    let failure = Failure::new(
        Cause::HttpStatus,
        format_args!("{} answered {status} instead of 200 OK{advice}", shown(url)),
    );
    let transient = matches!(status.as_u16(), 408 | 429 | 500..=599);
    Fault { failure, transient, retry_after: retry_after(response.headers(), SystemTime::now()) }
}

/// How long the server asks to wait: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = || httpdate::parse_http_date(value).ok()?.duration_since(now).ok();
    value.parse().ok().map(Duration::from_secs).or_else(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_ask_for_a_pause() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 12:00:00 GMT").unwrap();
        let asked = |value: &'static str| {
            let headers = [(RETRY_AFTER, HeaderValue::from_static(value))].into_iter().collect();
            retry_after(&headers, now).map(|pause| pause.as_secs())
        };
        assert_eq!(asked("7"), Some(7));
        assert_eq!(asked("Mon, 23 Nov 2026 12:01:00 GMT"), Some(60));
        assert_eq!(asked("Mon, 23 Nov 2026 11:00:00 GMT"), None);
        assert_eq!(asked("soon"), None);
    }

    #[test]
    fn credentials_go_to_their_own_server_alone() {
        let may = |image: &str, url: &str| {
            may_have_credentials(&Url::parse(image).unwrap(), &Url::parse(url).unwrap())
        };
        assert!(may("http://h/a", "http://h/b"));
        assert!(may("http://h/a", "https://h/a"));
        assert!(may("https://h:443/a", "https://h/a"));
        for other in ["http://h:81/a", "https://h:8443/a", "http://i/a", "http://h.evil/a"] {
            assert!(!may("http://h/a", other), "{other}");
        }
        assert!(!may("https://h/a", "http://h/a"));
        assert!(!may("http://h:8080/a", "https://h/a"));
    }
}
