//! Credentials: they arrive where they belong, and nowhere else.

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
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let bench = Bench::default();
    let other = HttpServer::plain();
    let there = other.serve("/image", Packing::Gzip.pack(&IMAGE), &[Answer::Full]);
    let url = bench.server.serve("/image", "", &[Answer::Status(302, vec![("Location", there)])]);
    Outcome::of(bench.action(&url).env("HTTP_BEARER_TOKEN", SECRET)).succeeded();
    assert!(bench.server.requests()[0].header("authorization").is_some());
    assert_eq!(other.requests()[0].header("authorization"), None);

    // A file of digests elsewhere gets none, either.
    let sums = other.serve("/sums", "0".repeat(64), &[Answer::Full]);
    let mut action = bench.action(&url);
    action.env("HTTP_BEARER_TOKEN", SECRET).env("IMG_DIGEST", sums);
    Outcome::of(&mut action).failed("digest-mismatch");
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_proxy_is_used_but_for_the_hosts_without_one() {
    let bench = Bench::default();
    let object = Packing::Gzip.pack(&IMAGE);
    let proxy = HttpServer::plain();
    // It answers in the place of a host that is nowhere.
    proxy.serve("/image", object.clone(), &[Answer::Full]);
    let proxy_url = proxy.url("/").replace("http://", &format!("http://user:{SECRET}@"));
    for name in ["HTTP_PROXY", "http_proxy"] {
        let mut action = bench.action("http://images.invalid/image");
        action.env(name, &proxy_url).env("LOG_LEVEL", "debug");
        let outcome = Outcome::of(&mut action);
        outcome.succeeded();
        assert!(!outcome.text.contains(SECRET), "{}", outcome.text);
        let request = proxy.requests().pop().unwrap();
        assert_eq!(request.target, "http://images.invalid/image");
        assert_eq!(request.header("proxy-authorization"), Some(BASIC));
    }
    let seen = proxy.requests().len();
    let direct = bench.server.serve("/image", object, &[Answer::Full]);
    for except in ["127.0.0.1", "example.com,127.0.0.0/8", "*"] {
        Outcome::of(bench.action(&direct).env("HTTP_PROXY", &proxy_url).env("NO_PROXY", except)).succeeded();
    }
    assert_eq!(proxy.requests().len(), seen, "asked in spite of NO_PROXY");
    // Credentials of the proxy that are not right.
    proxy.serve("/image", "", &[Answer::Status(407, vec![("Proxy-Authenticate", "Basic".into())])]);
    let outcome = Outcome::of(bench.action("http://images.invalid/image").env("HTTP_PROXY", proxy_url));
    assert!(outcome.failed("http-status").contains("the proxy asks for credentials"), "{}", outcome.text);
}
