//! TLS, proxies, names and credentials.

use super::env;
use crate::case::{Ask, Case, Certificate, Ends, Left, Path, Run, Say, Server, failed};
use crate::objects::Format;

/// `user:hunter2-s3cret`
const BASIC: &str = "Basic dXNlcjpodW50ZXIyLXMzY3JldA==";

pub fn cases() -> Vec<Case> {
    [tls(), proxies(), names(), credentials()].concat()
}

fn tls() -> Vec<Case> {
    let untrusted =
        || failed("tls-untrusted", Left::Untouched, &["give the authority's certificate as CA_CERT"]);
    type Row<'a> = (&'a str, Certificate, &'a [(&'static str, &'a str)], Ends);
    let table: [Row; 11] = [
        ("two authorities that are given", Certificate::Right, &[("CA_CERT", "{other-ca}{ca}")], Ends::Right),
        ("another authority that is given", Certificate::Right, &[("CA_CERT", "{other-ca}")], untrusted()),
        ("a private authority that is given", Certificate::Right, &[("CA_CERT", "{ca}")], Ends::Right),
        ("a private authority that is not given", Certificate::Right, &[], untrusted()),
        (
            "a certificate that only itself vouches for",
            Certificate::SelfSigned,
            &[("CA_CERT", "{ca}")],
            untrusted(),
        ),
        (
            "an expired certificate",
            Certificate::Expired,
            &[("CA_CERT", "{ca}")],
            failed("tls-expired", Left::Untouched, &["renew the server's certificate"]),
        ),
        (
            "a certificate for another name",
            Certificate::OtherName,
            &[("CA_CERT", "{ca}")],
            failed("tls-name", Left::Untouched, &["use the name that the certificate is for"]),
        ),
        (
            "SKIP_VERIFY, a certificate of nobody",
            Certificate::SelfSigned,
            &[("SKIP_VERIFY", "true")],
            Ends::Right,
        ),
        (
            "SKIP_VERIFY, an expired certificate",
            Certificate::Expired,
            &[("SKIP_VERIFY", "true")],
            Ends::Right,
        ),
        (
            "SKIP_VERIFY, a certificate for another name",
            Certificate::OtherName,
            &[("SKIP_VERIFY", "true")],
            Ends::Right,
        ),
        (
            "SKIP_VERIFY=false, a certificate of nobody",
            Certificate::SelfSigned,
            &[("SKIP_VERIFY", "false")],
            untrusted(),
        ),
    ];
    let mut cases = Vec::new();
    for (name, certificate, variables, ends) in table {
        let times = if matches!(ends, Ends::Right) { 1 } else { 0 };
        cases.push(Case {
            name: name.into(),
            server: Server::Tls(certificate),
            env: env(variables),
            ends,
            asks: match name.starts_with("SKIP_VERIFY,") {
                true => vec![Ask::Times(times), Ask::Warns("SKIP_VERIFY")],
                false => vec![Ask::Times(times)],
            },
            // What TLS refuses is not tried again.
            lasts: Some((0.0, 25.0)),
            ..Case::default()
        });
    }
    for &format in Format::WAYS {
        cases.push(Case {
            name: "a break within TLS".into(),
            format,
            server: Server::Tls(Certificate::Right),
            says: vec![
                Say::until(nibs_tests::http::Break::Closed, crate::case::Place::Percent(50)),
                Say::whole(),
            ],
            env: env(&[("CA_CERT", "{ca}")]),
            asks: vec![Ask::Times(2), Ask::Resumes],
            ..Case::default()
        });
    }
    cases
}

/// A real one, that asks for a user name and a password, and another that does not.
fn proxies() -> Vec<Case> {
    let no_credentials = || failed("http-status", Left::Untouched, &["the proxy asks for credentials"]);
    let no_tunnel = || failed("server-unreachable", Left::Untouched, &["roxy"]);
    type Row<'a> = (&'a str, Server, &'a [(&'static str, &'a str)], Ends, Ask);
    let table: [Row; 15] = [
        ("with credentials", Server::Plain, &[("HTTP_PROXY", "{proxy}")], Ends::Right, Ask::Proxied),
        ("as http_proxy", Server::Plain, &[("http_proxy", "{proxy}")], Ends::Right, Ask::Proxied),
        (
            "without credentials, none asked",
            Server::Plain,
            &[("HTTP_PROXY", "{proxy-open}")],
            Ends::Right,
            Ask::Proxied,
        ),
        (
            "without the credentials that it asks for",
            Server::Plain,
            &[("HTTP_PROXY", "{proxy-bare}")],
            no_credentials(),
            Ask::Times(0),
        ),
        // tinyproxy says 401 then.
        (
            "with wrong credentials",
            Server::Plain,
            &[("HTTP_PROXY", "{proxy-wrong}")],
            failed("http-status", Left::Untouched, &["answered 401"]),
            Ask::Times(0),
        ),
        ("that is another's", Server::Plain, &[("HTTPS_PROXY", "{proxy}")], Ends::Right, Ask::Direct),
        (
            "with its host in NO_PROXY",
            Server::Plain,
            &[("HTTP_PROXY", "{proxy}"), ("NO_PROXY", "127.0.0.1")],
            Ends::Right,
            Ask::Direct,
        ),
        (
            "with its network in no_proxy",
            Server::Plain,
            &[("HTTP_PROXY", "{proxy}"), ("no_proxy", "example.com,127.0.0.0/8")],
            Ends::Right,
            Ask::Direct,
        ),
        (
            "with everything in NO_PROXY",
            Server::Plain,
            &[("HTTP_PROXY", "{proxy}"), ("NO_PROXY", "*")],
            Ends::Right,
            Ask::Direct,
        ),
        (
            "with another host in NO_PROXY",
            Server::Plain,
            &[("HTTP_PROXY", "{proxy}"), ("NO_PROXY", "127.0.0.2,example.com")],
            Ends::Right,
            Ask::Proxied,
        ),
        (
            "that tunnels TLS",
            Server::Tls(Certificate::Right),
            &[("HTTPS_PROXY", "{proxy}"), ("CA_CERT", "{ca}"), ("HTTP_BEARER_TOKEN", "{secret}")],
            Ends::Right,
            Ask::Proxied,
        ),
        (
            "that tunnels TLS, with NO_PROXY",
            Server::Tls(Certificate::Right),
            &[("HTTPS_PROXY", "{proxy}"), ("CA_CERT", "{ca}"), ("NO_PROXY", "127.0.0.1")],
            Ends::Right,
            Ask::Direct,
        ),
        (
            "that tunnels TLS to a certificate of nobody",
            Server::Tls(Certificate::SelfSigned),
            &[("HTTPS_PROXY", "{proxy}"), ("CA_CERT", "{ca}")],
            failed("tls-untrusted", Left::Untouched, &["CA_CERT"]),
            Ask::Proxied,
        ),
        (
            "that tunnels TLS, with wrong credentials",
            Server::Tls(Certificate::Right),
            &[("HTTPS_PROXY", "{proxy-wrong}"), ("CA_CERT", "{ca}"), ("RETRY_ENABLED", "false")],
            no_tunnel(),
            Ask::Times(0),
        ),
        (
            "that is not there",
            Server::Plain,
            &[("HTTP_PROXY", "http://user:{secret}@{nobody}"), ("RETRY_ENABLED", "false")],
            failed("server-unreachable", Left::Untouched, &["asking for http://127.0.0.1"]),
            Ask::Times(0),
        ),
    ];
    table
        .map(|(name, server, variables, ends, ask)| Case {
            name: format!("a proxy {name}"),
            server,
            env: env(variables),
            ends,
            // What the proxy wants to know, it keeps.
            asks: vec![ask, Ask::Never("proxy-authorization")],
            ..Case::default()
        })
        .to_vec()
}

fn names() -> Vec<Case> {
    let by_name = |variables: &[(&'static str, &str)]| {
        env(&[&[("IMG_URL", "http://images.test:{port}/image")], variables].concat())
    };
    vec![
        Case {
            name: "an IPv6 literal".into(),
            server: Server::Ipv6,
            asks: vec![Ask::Times(1)],
            ..Case::default()
        },
        Case {
            name: "a name".into(),
            run: Run::Hosts("127.0.0.1 images.test\n"),
            env: by_name(&[]),
            asks: vec![Ask::Times(1)],
            ..Case::default()
        },
        Case {
            name: "a name whose first address refuses".into(),
            server: Server::Second,
            run: Run::Hosts("{lonely} images.test\n127.0.0.99 images.test\n"),
            env: by_name(&[("RETRY_ENABLED", "false")]),
            asks: vec![Ask::Times(1)],
            ..Case::default()
        },
        Case {
            name: "a name whose first address is dead".into(),
            server: Server::BehindDead,
            run: Run::Hosts("{lonely} images.test\n127.0.0.99 images.test\n"),
            env: by_name(&[("RETRY_ENABLED", "false"), ("STALL_TIMEOUT_SECONDS", "6")]),
            // Its share of the time to connect.
            lasts: Some((2.5, 30.0)),
            asks: vec![Ask::Times(1)],
            ..Case::default()
        },
        Case {
            name: "a name whose IPv6 address refuses".into(),
            run: Run::Hosts("::1 images.test\n127.0.0.1 images.test\n"),
            env: by_name(&[("RETRY_ENABLED", "false")]),
            asks: vec![Ask::Times(1)],
            ..Case::default()
        },
        Case {
            name: "a name whose only address is dead".into(),
            server: Server::BehindDead,
            run: Run::Hosts("{lonely} images.test\n"),
            env: by_name(&[("RETRY_ENABLED", "false"), ("STALL_TIMEOUT_SECONDS", "1.5")]),
            ends: failed("server-unreachable", Left::Untouched, &["asking for http://images.test"]),
            asks: vec![Ask::Times(0)],
            ..Case::default()
        },
    ]
}

fn credentials() -> Vec<Case> {
    let path = |at, elsewhere, text: Option<&str>| Path {
        at,
        elsewhere,
        text: text.map(ToOwned::to_owned),
        says: vec![Say::whole()],
    };
    let broken =
        || vec![Say::until(nibs_tests::http::Break::Closed, crate::case::Place::Percent(50)), Say::whole()];
    vec![
        Case {
            name: "a bearer token, and a break".into(),
            says: broken(),
            env: env(&[("HTTP_BEARER_TOKEN", "{secret}")]),
            asks: vec![Ask::Times(2), Ask::Resumes, Ask::Header("authorization", "Bearer hunter2-s3cret")],
            ..Case::default()
        },
        Case {
            name: "a user name and a password, and a break".into(),
            says: broken(),
            env: env(&[("HTTP_USERNAME", "user"), ("HTTP_PASSWORD", "{secret}")]),
            asks: vec![Ask::Times(2), Ask::Resumes, Ask::Header("authorization", BASIC)],
            ..Case::default()
        },
        Case {
            name: "credentials and a signature in the URL, and a break".into(),
            says: broken(),
            env: env(&[("IMG_URL", "http://user:{secret}@127.0.0.1:{port}/image?X-Amz-Signature={secret}")]),
            asks: vec![Ask::Times(2), Ask::Resumes, Ask::Header("authorization", BASIC)],
            ..Case::default()
        },
        Case {
            name: "credentials in the URL, and a failure".into(),
            says: vec![Say::until(nibs_tests::http::Break::Closed, crate::case::Place::Percent(50))],
            env: env(&[
                ("IMG_URL", "http://user:{secret}@127.0.0.1:{port}/image?X-Amz-Signature={secret}"),
                ("RETRY_ENABLED", "false"),
            ]),
            ends: failed("image-truncated", Left::NotBootable, &["at byte {at} of {length}"]),
            ..Case::default()
        },
        Case {
            name: "credentials, and a file of digests elsewhere".into(),
            env: env(&[("HTTP_BEARER_TOKEN", "{secret}"), ("IMG_DIGEST", "{other}/sums")]),
            paths: vec![path("/sums", true, Some("{sha256}"))],
            asks: vec![Ask::NothingElsewhere],
            ..Case::default()
        },
    ]
}
