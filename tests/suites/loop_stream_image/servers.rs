//! What servers answer, and when it is worth another try.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use nibs_tests::disk_image::Packing;
use nibs_tests::http::{Answer, HttpServer};
use nibs_tests::outcome::Outcome;

use super::bench::{Bench, IMAGE};

#[test]
fn only_200_is_an_image() {
    let bench = Bench::default();
    for status in [201, 202, 203, 204, 206, 300, 304, 400, 401, 403, 404, 410, 416, 500, 501, 502, 503] {
        let outcome = bench.stream(IMAGE.to_vec(), Answer::FullWithStatus(status));
        let message = outcome.failed("http-status");
        assert!(message.contains(&format!("answered {status} ")), "{message}");
        assert!(
            message.contains("instead of 200 OK") && message.contains("nothing was written to"),
            "{message}"
        );
        bench.assert_untouched();
    }
}

#[test]
fn an_outage_is_worth_another_try() {
    let bench = Bench::default();
    let retry_after = Answer::Status(429, vec![("Retry-After", "1".into())]);
    for faults in [
        vec![Answer::Status(500, vec![]), Answer::Status(503, vec![])],
        vec![Answer::Status(408, vec![]), retry_after],
        vec![Answer::Nothing],
        // The connection breaks, and nothing was written yet.
        vec![Answer::Closed(40_000), Answer::Reset(40_000), Answer::Stalled(0)],
    ] {
        let answers: Vec<Answer> = faults.iter().cloned().chain([Answer::Full]).collect();
        let path = format!("/{}", bench.server.requests().len());
        let url = bench.server.serve(&path, Packing::Gzip.pack(&IMAGE), &answers);
        let mut action = bench.action(&url);
        action.env("RETRY_ENABLED", "true").env("STALL_TIMEOUT_SECONDS", "1");
        let outcome = Outcome::of(&mut action);
        outcome.succeeded();
        assert_eq!(bench.server.requests_for(&path), answers.len(), "{}", outcome.text);
        let warnings = outcome.lines.iter().filter(|line| line["level"] == "warn").count();
        assert_eq!(warnings, faults.len(), "{}", outcome.text);
        bench.assert_landed(&IMAGE, 512);
    }
}

#[test]
fn what_will_not_change_is_not_tried_again() {
    let bench = Bench::default();
    for (path, answer, cause) in [
        ("/404", Answer::Status(404, vec![]), "http-status"),
        ("/401", Answer::Status(401, vec![]), "http-status"),
        ("/204", Answer::Status(204, vec![]), "http-status"),
        ("/loop", Answer::Status(302, vec![("Location", "/loop".into())]), "http-redirect"),
    ] {
        let url = bench.server.serve(path, IMAGE.to_vec(), &[answer]);
        let started = Instant::now();
        Outcome::of(bench.action(&url).env("RETRY_ENABLED", "true")).failed(cause);
        assert_eq!(bench.server.requests_for(path), 1, "{path}");
        assert!(started.elapsed() < Duration::from_secs(5), "{path}");
    }
    // A fault after the first write is final, too.
    let object = Packing::Gzip.pack(&IMAGE);
    let url = bench.server.serve("/middle", object.clone(), &[Answer::Closed(object.len() / 2)]);
    Outcome::of(bench.action(&url).env("RETRY_ENABLED", "true")).failed("image-truncated");
    assert_eq!(bench.server.requests_for("/middle"), 1);
}

#[test]
fn tries_come_to_an_end() {
    let bench = Bench::default();
    let url = bench.server.serve("/image", IMAGE.to_vec(), &[Answer::Status(503, vec![])]);
    let started = Instant::now();
    let mut action = bench.action(&url);
    action.env("RETRY_ENABLED", "true").env("RETRY_DURATION_MINUTES", "0.04");
    let message = Outcome::of(&mut action).failed("http-status").to_owned();
    assert!(message.contains("(tried ") && message.contains(" times in "), "{message}");
    let elapsed = started.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(10)).contains(&elapsed), "{elapsed:?}");
    assert!(bench.server.requests().len() >= 3);
}

#[test]
fn a_server_that_is_not_there() {
    let bench = Bench::default();
    // A port that was free a moment ago.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for (url, says) in [
        (format!("http://{free}/image"), "onnection refused"),
        ("http://nobody.invalid/image".into(), "asking for http://nobody.invalid/image"),
    ] {
        let outcome = Outcome::of(&mut bench.action(&url));
        let message = outcome.failed("server-unreachable");
        assert!(message.contains(says) && message.contains("nothing was written to"), "{message}");
    }
    // It accepts, and never answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/image", silent.local_addr().unwrap());
    let outcome = Outcome::of(bench.action(&url).env("STALL_TIMEOUT_SECONDS", "0.5"));
    assert!(outcome.failed("server-stalled").contains("no answer within 0.5 s"), "{}", outcome.text);
    bench.assert_untouched();
}

#[test]
fn redirects_are_followed_within_reason() {
    let bench = Bench::default();
    let object = Packing::Gzip.pack(&IMAGE);
    let to = |location: String| Answer::Status(302, vec![("Location", location)]);
    let other = HttpServer::plain();
    other.serve("/there", object.clone(), &[Answer::Full]);

    bench.server.serve("/second", "", &[to(other.url("/there"))]);
    let first = bench.server.serve("/first", "", &[Answer::Status(301, vec![("Location", "second".into())])]);
    Outcome::of(&mut bench.action(&first)).succeeded();
    bench.assert_landed(&IMAGE, 512);

    let bench = Bench::default();
    let mut longest = String::new();
    for step in (0..12).rev() {
        let next = if step == 11 { other.url("/there") } else { format!("/step{}", step + 1) };
        longest = bench.server.serve(&format!("/step{step}"), "", &[to(next)]);
    }
    for (url, says) in [
        (longest, "is redirect 11 in a row"),
        (bench.server.serve("/a", "", &[to("/b".into())]), "leads in a circle"),
        (bench.server.serve("/nowhere", "", &[Answer::Status(302, vec![])]), "has no address to go to"),
        (bench.server.serve("/file", "", &[to("file:///etc/passwd".into())]), "leads to file:"),
    ] {
        bench.server.serve("/b", "", &[to("/a".into())]);
        let outcome = Outcome::of(&mut bench.action(&url));
        let message = outcome.failed("http-redirect");
        assert!(message.contains(says), "{message}");
    }
    bench.assert_untouched();
}
