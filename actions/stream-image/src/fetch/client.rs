//! The HTTP client: roots, proxies, timeouts.

use std::time::Duration;

use common::cause::Cause;
use common::failure::Failure;
use common::variables::{CA_CERT, HTTP_PROXY, HTTPS_PROXY};
use reqwest::{Certificate, Client, NoProxy, Proxy, Url, redirect};

use crate::options::{HttpOptions, Proxies};

/// A host that does not answer at all is given up sooner than one that is slow to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the action's image has the public roots, as most systems do. Whoever mounts a bundle of their own there decides
/// whom the action trusts.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes the client. Redirects are followed by [`super::Source`], which knows where credentials may go.
///
/// # Errors
/// [`Cause::Configuration`] where a certificate or a proxy cannot be right.
pub(crate) fn client(options: &HttpOptions) -> Result<Client, Failure> {
    // Fails only where one is installed already, and any of them will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Proxies { http, https, except } = &options.proxies;
    // The library takes an asterisk for every name, and for no address.
    let proxied = !except.as_deref().unwrap_or_default().split(',').any(|host| host.trim() == "*");
    let except = except.as_deref().and_then(NoProxy::from_string);
    let mut builder = Client::builder()
        .user_agent(concat!("nibs-stream-image/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT.min(options.stall_timeout))
        .tcp_keepalive(Duration::from_secs(15))
        .http1_only()
        // Without roots of its own the client fails where the system has none, even for http.
        .tls_certs_only(roots(std::fs::read(BUNDLE).ok().as_deref(), options.ca_cert.as_deref())?)
        .tls_danger_accept_invalid_certs(options.skip_verify)
        // The environment was read with the other variables.
        .no_proxy();
    for (variable, url, make) in
        [(&HTTP_PROXY, http, Proxy::http::<Url> as fn(Url) -> _), (&HTTPS_PROXY, https, Proxy::https::<Url>)]
    {
        if let Some(url) = url.as_ref().filter(|_| proxied) {
            let proxy =
                make(url.clone()).map_err(|_| Failure::configuration(variable, "", "http://HOST:PORT"))?;
            builder = builder.proxy(proxy.no_proxy(except.clone()));
        }
    }
    builder.build().map_err(|error| {
        Failure::new(
            Cause::Internal,
            format_args!("making the HTTP client: {}", super::fault::chain(&error.without_url())),
        )
    })
}

/// The certificates of the bundle, or the public ones where there is none to read; and those of `CA_CERT`.
fn roots(bundle: Option<&[u8]>, ca_cert: Option<&str>) -> Result<Vec<Certificate>, Failure> {
    let wrong = |why: String| {
        let accepted =
            "one or more PEM certificates, -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----";
        Failure::new(
            Cause::Configuration,
            format_args!("{} is not valid ({why}); accepted: {accepted}", CA_CERT.name),
        )
    };
    let mut roots = bundle.and_then(|pem| Certificate::from_pem_bundle(pem).ok()).unwrap_or_default();
    if roots.is_empty() {
        let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        roots.extend(public.filter_map(|certificate| Certificate::from_der(certificate).ok()));
    }
    if let Some(pem) = ca_cert {
        let own = Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|error| wrong(super::fault::chain(&error)))?;
        if own.is_empty() {
            return Err(wrong("no certificate in it".into()));
        }
        // The client leaves out what it cannot read, so each is tried here.
        let mut store = rustls::RootCertStore::empty();
        for der in pem_certificates(pem) {
            store.add(der).map_err(|error| wrong(error.to_string()))?;
        }
        roots.extend(own);
    }
    Ok(roots)
}

fn pem_certificates(pem: &str) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_takes_the_place_of_the_public_roots() {
        let own = rcgen::generate_simple_self_signed(["images.example".to_owned()]).unwrap().cert.pem();
        assert_eq!(roots(Some(own.as_bytes()), None).unwrap().len(), 1);
        assert_eq!(roots(Some(own.as_bytes()), Some(&own)).unwrap().len(), 2);
    }

    #[test]
    fn the_public_roots_are_there_and_rubbish_is_refused() {
        for bundle in [None, Some(&b""[..]), Some(b"rubbish")] {
            assert!(roots(bundle, None).unwrap().len() > 100);
        }
        for wrong in
            ["rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "/etc/ca.pem"]
        {
            let failure = roots(None, Some(wrong)).unwrap_err();
            assert_eq!(failure.cause, Cause::Configuration);
            assert!(failure.to_string().starts_with("CA_CERT is not valid ("), "{failure}");
        }
    }
}
