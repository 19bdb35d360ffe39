//! One object: asking for it, and following where the server points.

use std::time::Duration;

use common::cause::Cause;
use common::failure::Failure;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, RETRY_AFTER};
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
        let mut url = url.clone();
        let mut seen = vec![url.clone()];
        loop {
            let response = self.ask(&url).await?;
            debug!("GET {}: {}", shown(&url), response.status());
            if response.status() == StatusCode::OK {
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

    async fn ask(&self, url: &Url) -> Result<Response, Fault> {
        let doing = format!("asking for {}", shown(url));
        // The bytes as they are stored: a digest is of them, and a range too.
        let request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
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
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Fault { failure, transient, retry_after: retry_after.map(Duration::from_secs) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
