//! What servers answer instead of an image, and when that is worth another try.

use nibs_tests::http::{Break, Framing};

use super::env;
use crate::case::{Ask, Case, Certificate, Left, Path, Place, SEND, Say, Send, Server, failed};
use crate::objects::{Format, Object};

/// Statuses that are no image, whatever comes with them.
const FINAL: &[(u16, &str)] = &[
    (201, "answered 201"),
    (202, "answered 202"),
    (203, "answered 203"),
    (204, "answered 204"),
    (206, "answered 206"),
    (300, "answered 300"),
    (304, "answered 304"),
    (400, "answered 400"),
    (401, "are HTTP_BEARER_TOKEN, or HTTP_USERNAME and HTTP_PASSWORD, right?"),
    (403, "are HTTP_BEARER_TOKEN, or HTTP_USERNAME and HTTP_PASSWORD, right?"),
    (404, "there is no such image"),
    (405, "answered 405"),
    (407, "the proxy asks for credentials"),
    (410, "there is no such image"),
    (416, "answered 416"),
    (418, "answered 418"),
];
const TRANSIENT: &[(u16, &str)] = &[
    (408, "answered 408"),
    (429, "answered 429"),
    (500, "answered 500"),
    (501, "answered 501"),
    (502, "answered 502"),
    (503, "answered 503"),
    (504, "answered 504"),
];

pub fn cases() -> Vec<Case> {
    [statuses(), pauses(), redirects(), unreachable()].concat()
}

fn statuses() -> Vec<Case> {
    let mut cases = Vec::new();
    for &(status, says) in FINAL {
        cases.push(Case {
            name: format!("{status}, with the image"),
            format: Format::Raw,
            says: vec![Say::Full(status), Say::whole()],
            ends: failed("http-status", Left::Untouched, &[says, "instead of 200 OK", "look at IMG_URL"]),
            asks: vec![Ask::Times(1)],
            lasts: Some((0.0, 20.0)),
            ..Case::default()
        });
    }
    for &(status, says) in TRANSIENT {
        cases.push(Case {
            name: format!("{status} once"),
            says: vec![Say::Full(status), Say::whole()],
            asks: vec![Ask::Times(2)],
            ..Case::default()
        });
        cases.push(Case {
            name: format!("{status} always"),
            says: vec![Say::Full(status)],
            env: env(&[("RETRY_DURATION_MINUTES", "0.03")]),
            ends: failed("http-status", Left::Untouched, &[says, "(tried "]),
            asks: vec![Ask::AtLeast(3)],
            lasts: Some((1.8, 20.0)),
            ..Case::default()
        });
        cases.push(Case {
            name: format!("{status}, RETRY_ENABLED=false"),
            says: vec![Say::Full(status), Say::whole()],
            env: env(&[("RETRY_ENABLED", "false")]),
            ends: failed("http-status", Left::Untouched, &[says]),
            asks: vec![Ask::Times(1)],
            ..Case::default()
        });
    }
    // Every kind of outage in a row.
    for &format in Format::ALL {
        cases.push(Case {
            name: "a row of outages before the first write".into(),
            format,
            says: vec![
                Say::Status(500, vec![]),
                Say::until(Break::Closed, Place::Header),
                Say::Status(429, vec![("Retry-After", "1")]),
                Say::until(Break::Reset, Place::BeforeFirstMib),
                Say::Status(503, vec![]),
                Say::whole(),
            ],
            asks: vec![Ask::Times(6)],
            ..Case::default()
        });
    }
    cases
}

fn pauses() -> Vec<Case> {
    let asks = |value: &'static str| Say::Status(503, vec![("Retry-After", value)]);
    vec![
        Case {
            name: "503 with Retry-After in seconds".into(),
            says: vec![asks("2"), Say::whole()],
            asks: vec![Ask::Times(2)],
            lasts: Some((2.0, 20.0)),
            ..Case::default()
        },
        Case {
            name: "503 with Retry-After as a date".into(),
            says: vec![asks("{in-3-s}"), Say::whole()],
            asks: vec![Ask::Times(2)],
            lasts: Some((1.0, 20.0)),
            ..Case::default()
        },
        Case {
            name: "503 with a Retry-After that says nothing".into(),
            says: vec![asks("soon"), Say::whole()],
            asks: vec![Ask::Times(2)],
            ..Case::default()
        },
        Case {
            name: "503 with Retry-After beyond the time that is left".into(),
            says: vec![asks("3600"), Say::whole()],
            ends: failed("http-status", Left::Untouched, &["answered 503"]),
            asks: vec![Ask::Times(1)],
            lasts: Some((0.0, 20.0)),
            ..Case::default()
        },
        Case {
            name: "503 with Retry-After, where a part was asked for".into(),
            says: vec![Say::until(Break::Closed, Place::Percent(50)), asks("2"), Say::whole()],
            asks: vec![Ask::Times(3), Ask::IfRange("\"one\"")],
            lasts: Some((2.0, 20.0)),
            ..Case::default()
        },
    ]
}

fn redirects() -> Vec<Case> {
    let to = |status, location| Say::Status(status, vec![("Location", location)]);
    let path = |at, elsewhere, say| Path { at, elsewhere, text: None, says: vec![say] };
    let refused = |says| failed("http-redirect", Left::Untouched, says);
    let mut cases = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        cases.push(Case {
            name: format!("{status} to another server"),
            says: vec![to(status, "{other}/there")],
            paths: vec![path("/there", true, Say::whole())],
            ..Case::default()
        });
    }
    const STEPS: [&str; 12] =
        ["/s1", "/s2", "/s3", "/s4", "/s5", "/s6", "/s7", "/s8", "/s9", "/s10", "/s11", "/s12"];
    for (hops, ends) in [(10, None), (11, Some(refused(&["is redirect 11 in a row"])))] {
        let mut paths: Vec<Path> =
            (1..hops).map(|hop| path(STEPS[hop - 1], false, to(302, STEPS[hop]))).collect();
        paths.push(path(STEPS[hops - 1], false, Say::whole()));
        cases.push(Case {
            name: format!("a chain of {hops} redirects"),
            says: vec![to(302, "/s1")],
            paths,
            ends: ends.unwrap_or(crate::case::Ends::Right),
            ..Case::default()
        });
    }
    let refusals: [(&str, Say, &[&str]); 6] = [
        ("to itself", to(302, "/image"), &["leads in a circle"]),
        ("in a circle of two", to(302, "/s1"), &["leads in a circle"]),
        ("to nowhere", Say::Status(302, vec![]), &["has no address to go to"]),
        ("to a file", to(302, "file:///etc/passwd"), &["leads to file:"]),
        ("to what is no address", to(302, "http://[/"), &["has no address to go to"]),
        ("to a script", to(307, "javascript:0"), &["leads to javascript:"]),
    ];
    for (what, say, says) in refusals {
        cases.push(Case {
            name: format!("a redirect {what}"),
            says: vec![say],
            paths: vec![path("/s1", false, to(302, "/image"))],
            ends: refused(says),
            asks: vec![Ask::Times(1)],
            ..Case::default()
        });
    }
    cases.push(Case {
        name: "a redirect from https to http".into(),
        server: Server::Tls(Certificate::Right),
        env: env(&[("CA_CERT", "{ca}")]),
        says: vec![to(302, "{other}/there")],
        paths: vec![path("/there", true, Say::whole())],
        ends: refused(&["leads from https to http://127.0.0.1"]),
        ..Case::default()
    });
    cases.push(Case {
        name: "a redirect takes no credentials along".into(),
        says: vec![to(302, "{other}/there")],
        env: env(&[("HTTP_BEARER_TOKEN", "{secret}")]),
        paths: vec![path("/there", true, Say::whole())],
        asks: vec![Ask::Header("authorization", "Bearer hunter2-s3cret"), Ask::NothingElsewhere],
        ..Case::default()
    });
    cases.push(Case {
        name: "a redirect that names credentials".into(),
        says: vec![to(302, "http://u:{secret}@nobody.invalid/x?{secret}")],
        env: env(&[("RETRY_ENABLED", "false")]),
        ends: failed("server-unreachable", Left::Untouched, &["http://nobody.invalid/x"]),
        ..Case::default()
    });
    cases
}

fn unreachable() -> Vec<Case> {
    let nobody = |url: &str| {
        [("IMG_URL", url), ("RETRY_ENABLED", "false")].map(|(name, value)| (name, value.to_owned())).to_vec()
    };
    vec![
        Case {
            name: "nobody listens".into(),
            env: nobody("http://{nobody}/image"),
            ends: failed(
                "server-unreachable",
                Left::Untouched,
                &["onnection refused", "look at the image server"],
            ),
            asks: vec![Ask::Times(0)],
            ..Case::default()
        },
        Case {
            name: "nobody listens, again and again".into(),
            env: env(&[("IMG_URL", "http://{nobody}/image"), ("RETRY_DURATION_MINUTES", "0.02")]),
            ends: failed("server-unreachable", Left::Untouched, &["onnection refused", "(tried "]),
            ..Case::default()
        },
        Case {
            name: "a name that nobody has".into(),
            env: nobody("http://nobody.invalid/image"),
            ends: failed("server-unreachable", Left::Untouched, &["asking for http://nobody.invalid/image"]),
            ..Case::default()
        },
        Case {
            name: "what is no HTTP".into(),
            object: Object::Whole,
            says: vec![Say::Object(Send { framing: Framing::Unframed, ..SEND })],
            env: nobody("{secure}/image"),
            ends: failed("tls", Left::Untouched, &["asking for https://127.0.0.1"]),
            ..Case::default()
        },
        Case {
            name: "http where TLS is spoken".into(),
            server: Server::Tls(Certificate::Right),
            env: nobody("{plain}/image"),
            ends: failed("server-unreachable", Left::Untouched, &["asking for http://127.0.0.1"]),
            ..Case::default()
        },
    ]
}
