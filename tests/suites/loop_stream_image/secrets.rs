//! Credentials: they arrive where they belong, and nowhere else.

use nibs_tests::certificates::Authority;
use nibs_tests::disk_image::Packing;
use nibs_tests::http::{Answer, HttpServer};
use nibs_tests::outcome::Outcome;

use super::bench::{Bench, IMAGE};

const SECRET: &str = "hunter2-s3cret";
/// `user:hunter2-s3cret`
const BASIC: &str = "Basic dXNlcjpodW50ZXIyLXMzY3JldA==";

#[test]
fn credentials_arrive_and_are_never_said() {
    let bench = Bench::default();
    let url = bench.server.serve("/image", Packing::Gzip.pack(&IMAGE), &[Answer::Full]);
    let in_url = url.replace("http://", &format!("http://user:{SECRET}@"));
    for (url, variables, expected) in [
        (in_url.clone(), vec![], BASIC.to_owned()),
        (url.clone(), vec![("HTTP_USERNAME", "user"), ("HTTP_PASSWORD", SECRET)], BASIC.to_owned()),
        (url.clone(), vec![("HTTP_BEARER_TOKEN", SECRET)], format!("Bearer {SECRET}")),
    ] {
        let mut action = bench.action(&url);
        action.envs(variables).env("LOG_LEVEL", "debug");
        let outcome = Outcome::of(&mut action);
        outcome.succeeded();
        assert!(!outcome.text.contains(SECRET), "{}", outcome.text);
        let request = bench.server.requests().pop().unwrap();
        assert_eq!(request.header("authorization"), Some(expected.as_str()));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
}

#[test]
fn no_failure_says_a_secret() {
    let bench = Bench::default();
    let signed = |url: &str| {
        format!("{}?X-Amz-Signature={SECRET}", url.replace("http://", &format!("http://user:{SECRET}@")))
    };
    let object = Packing::Gzip.pack(&IMAGE);
    let middle = object.len() / 2;
    for answer in [
        Answer::Status(403, vec![]),
        Answer::Status(302, vec![]),
        Answer::Status(302, vec![("Location", format!("/image?token={SECRET}"))]),
        Answer::Nothing,
        Answer::Closed(middle),
        Answer::Stalled(1000),
        Answer::Status(302, vec![("Location", format!("http://u:{SECRET}@nobody.invalid/x?{SECRET}"))]),
    ] {
        let url = bench.server.serve("/image", object.clone(), &[answer]);
        let mut action = bench.action(&signed(&url));
        action.env("LOG_LEVEL", "debug").env("STALL_TIMEOUT_SECONDS", "0.5");
        let outcome = Outcome::of(&mut action);
        assert_ne!(outcome.code, 0);
        assert!(!outcome.text.contains(SECRET), "{}", outcome.text);
    }
    for (name, value) in [
        ("IMG_URL", format!("htp://user:{SECRET}@h/image")),
        ("IMG_URL", format!("user:{SECRET}@h/image")),
        ("IMG_DIGEST", format!("http://user:{SECRET}@[/sums")),
        ("HTTP_BEARER_TOKEN", format!("{SECRET}\n")),
        ("HTTP_PROXY", format!("socks9://user:{SECRET}@h")),
    ] {
        let outcome = Outcome::of(bench.action("http://127.0.0.1:1/x").env(name, value));
        assert_ne!(outcome.code, 0);
        assert!(!outcome.text.contains(SECRET), "{}", outcome.text);
    }
}

#[test]
fn a_proxy_sees_its_own_credentials_and_not_the_server_s() {
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
