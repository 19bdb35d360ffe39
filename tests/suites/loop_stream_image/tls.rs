//! TLS: a private authority, and everything that a certificate can be wrong by.

use nibs_tests::certificates::{Authority, self_signed_server};
use nibs_tests::disk_image::Packing;
use nibs_tests::http::{Answer, HttpServer};
use nibs_tests::outcome::Outcome;

use super::bench::{Bench, IMAGE};

#[test]
fn a_private_authority_is_trusted_when_it_is_given() {
    let bench = Bench::default();
    let authority = Authority::default();
    let server = HttpServer::tls(authority.server(&["127.0.0.1"]));
    let url = server.serve("/image", Packing::Zstd.pack(&IMAGE), &[Answer::Full]);

    let outcome = Outcome::of(&mut bench.action(&url));
    let message = outcome.failed("tls-untrusted");
    assert!(message.contains("give the authority's certificate as CA_CERT"), "{message}");
    let others = Authority::default().pem();
    Outcome::of(bench.action(&url).env("CA_CERT", &others)).failed("tls-untrusted");
    bench.assert_untouched();

    // Beside another one.
    Outcome::of(bench.action(&url).env("CA_CERT", others + &authority.pem())).succeeded();
    bench.assert_landed(&IMAGE, 512);
}

#[test]
fn each_way_to_be_wrong_has_its_cause() {
    let bench = Bench::default();
    let authority = Authority::default();
    for (config, cause) in [
        (authority.server(&["images.example"]), "tls-name"),
        (authority.expired_server(&["127.0.0.1"]), "tls-expired"),
        (self_signed_server(&["127.0.0.1"]), "tls-untrusted"),
    ] {
        let server = HttpServer::tls(config);
        let url = server.serve("/image", Packing::Zstd.pack(&IMAGE), &[Answer::Full]);
        let mut action = bench.action(&url);
        action.env("CA_CERT", authority.pem()).env("RETRY_ENABLED", "true");
        let outcome = Outcome::of(&mut action);
        assert!(outcome.failed(cause).contains("nothing was written to"), "{}", outcome.text);
        assert_eq!(server.requests().len(), 0, "asked in spite of it");
        bench.assert_untouched();
    }
    // Plain HTTP where TLS is spoken to it.
    let url = bench.server.serve("/image", IMAGE.to_vec(), &[Answer::Full]).replace("http://", "https://");
    Outcome::of(&mut bench.action(&url)).failed("tls");
}

#[test]
fn skipping_the_check_warns() {
    let bench = Bench::default();
    let server = HttpServer::tls(self_signed_server(&["somewhere.example"]));
    let url = server.serve("/image", Packing::Gzip.pack(&IMAGE), &[Answer::Full]);
    let outcome = Outcome::of(bench.action(&url).env("SKIP_VERIFY", "true"));
    outcome.succeeded();
    let warned = outcome
        .lines
        .iter()
        .any(|line| line["level"] == "warn" && line["msg"].as_str().unwrap().contains("SKIP_VERIFY"));
    assert!(warned, "{}", outcome.text);
    bench.assert_landed(&IMAGE, 512);
}

#[test]
fn a_redirect_out_of_tls_is_refused() {
    let bench = Bench::default();
    let plain = bench.server.serve_shared("/image", IMAGE.clone(), &[Answer::Full]);
    let authority = Authority::default();
    let server = HttpServer::tls(authority.server(&["127.0.0.1"]));
    let url = server.serve("/image", "", &[Answer::Status(302, vec![("Location", plain.clone())])]);
    let outcome = Outcome::of(bench.action(&url).env("CA_CERT", authority.pem()));
    assert!(
        outcome.failed("http-redirect").contains(&format!("leads from https to {plain}")),
        "{}",
        outcome.text
    );
    assert_eq!(bench.server.requests().len(), 0);
    bench.assert_untouched();
    // The other way is right.
    let secure = server.serve("/there", Packing::Xz.pack(&IMAGE), &[Answer::Full]);
    let url = bench.server.serve("/first", "", &[Answer::Status(307, vec![("Location", secure)])]);
    Outcome::of(bench.action(&url).env("CA_CERT", authority.pem())).succeeded();
}

#[test]
fn tls_goes_through_a_proxy_s_tunnel() {
    let bench = Bench::default();
    let authority = Authority::default();
    let server = HttpServer::tls(authority.server(&["127.0.0.1"]));
    let url = server.serve("/image", Packing::Zstd.pack(&IMAGE), &[Answer::Full]);
    // The plain server is the proxy.
    let proxy = bench.server.url("/").replace("http://", "http://user:hunter2-s3cret@");
    let mut action = bench.action(&url);
    action.env("CA_CERT", authority.pem()).env("HTTPS_PROXY", proxy).env("HTTP_BEARER_TOKEN", "t0ken");
    let outcome = Outcome::of(&mut action);
    outcome.succeeded();
    assert!(!outcome.text.contains("hunter2"), "{}", outcome.text);
    let asked = bench.server.requests().pop().unwrap();
    assert_eq!(
        (asked.method.as_str(), asked.target.clone()),
        ("CONNECT", format!("127.0.0.1:{}", server.port()))
    );
    assert!(asked.header("proxy-authorization").is_some());
    assert_eq!(asked.header("authorization"), None, "the proxy saw the image server's token");
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer t0ken"));
    bench.assert_landed(&IMAGE, 512);
}
