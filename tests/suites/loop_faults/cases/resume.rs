//! Going on where a connection broke: what servers do when they are asked for a part, and when that is the rest of the
//! same image. Whatever they do, no image is ever put together from two.

use nibs_tests::http::{Break, Ranges};

use super::env;
use crate::case::{Ask, Case, Ends, Known, Left, Place, SEND, Say, Send, failed};
use crate::objects::Format;

const MIDDLE: Option<(Break, Place)> = Some((Break::Closed, Place::Percent(50)));
const DATE: &str = "Sun, 22 Nov 2026 10:00:00 GMT";
const CHANGED: Send = Send { other: true, known: Known::Etag("\"two\""), ..SEND };

/// How the second request is answered, and what is right then.
const WRONG_PARTS: &[(&str, Ranges)] = &[
    ("200 to a range", Ranges::Ignored),
    ("206 that begins earlier", Ranges::Elsewhere(-1000)),
    ("206 that begins later", Ranges::Elsewhere(1000)),
    ("206 that begins at 0", Ranges::Elsewhere(-100_000_000)),
    ("206 whose total is larger", Ranges::Total(512)),
    ("206 without Content-Range", Ranges::Unsaid),
    ("206 in many parts", Ranges::Multipart),
    ("206 without the ETag that the object had", Ranges::Nameless),
    ("416", Ranges::Refused),
];

pub fn cases() -> Vec<Case> {
    [wrong_parts(), names(), changes(), answers_in_between()].concat()
}

/// What cannot be gone on with is begun again, from zero.
fn wrong_parts() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::WAYS {
        for &(what, ranges) in WRONG_PARTS {
            let wrong = Send { ranges, ..SEND };
            cases.push(Case {
                name: format!("after a break, {what}"),
                format,
                says: vec![
                    Say::Object(Send { until: MIDDLE, ..SEND }),
                    Say::Object(wrong),
                    Say::Object(Send { ranges: Ranges::Ignored, ..SEND }),
                ],
                asks: vec![Ask::Times(3), Ask::IfRange("\"one\"")],
                ..Case::default()
            });
            let cause = if matches!(ranges, Ranges::Total(_)) { "image-changed" } else { "http-range" };
            cases.push(Case {
                name: format!("after each break, {what}"),
                format,
                says: vec![Say::Object(Send { until: MIDDLE, ..wrong })],
                env: env(&[("RETRY_DURATION_MINUTES", "0.03")]),
                ends: failed(
                    cause,
                    Left::NotBootable,
                    &["the image cannot be gone on with at byte {at}: ", "(tried "],
                ),
                asks: vec![Ask::AtLeast(2), Ask::IfRange("\"one\"")],
                ..Case::default()
            });
        }
    }
    cases
}

/// By what the object is known again.
fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::WAYS {
        for (what, known, asks) in [
            ("an ETag", SEND.known, vec![Ask::Times(2), Ask::Resumes, Ask::IfRange("\"one\"")]),
            ("Last-Modified alone", Known::Date, vec![Ask::Times(2), Ask::Resumes, Ask::IfRange(DATE)]),
            (
                "Last-Modified beside a weak ETag",
                Known::WeakEtagAndDate,
                vec![Ask::Times(2), Ask::Resumes, Ask::IfRange(DATE)],
            ),
            ("a weak ETag alone", Known::WeakEtag, vec![Ask::Times(2), Ask::NeverAPart]),
            ("nothing", Known::Nothing, vec![Ask::Times(2), Ask::NeverAPart]),
        ] {
            let send = Send { known, ..SEND };
            cases.push(Case {
                name: format!("after a break, the object is known by {what}"),
                format,
                says: vec![Say::Object(Send { until: MIDDLE, ..send }), Say::Object(send)],
                asks,
                ..Case::default()
            });
        }
    }
    cases
}

/// The object is another one by then.
fn changes() -> Vec<Case> {
    let mut cases = Vec::new();
    let broken = Say::Object(Send { until: MIDDLE, ..SEND });
    for &format in Format::ALL {
        let case = Case { format, ends: Ends::RightOther, ..Case::default() };
        cases.extend([
            Case {
                name: "changed after a break, 200 with the new one".into(),
                says: vec![broken.clone(), Say::Object(CHANGED)],
                asks: vec![Ask::Times(3), Ask::IfRange("\"one\"")],
                ..case.clone()
            },
            Case {
                name: "changed after a break, 206 of the new one with its ETag".into(),
                says: vec![
                    broken.clone(),
                    Say::Object(Send { ranges: Ranges::Blind, ..CHANGED }),
                    Say::Object(CHANGED),
                ],
                asks: vec![Ask::Times(3)],
                ..case.clone()
            },
            Case {
                name: "changed after a break, 206 of the new one without an ETag".into(),
                says: vec![
                    broken.clone(),
                    Say::Object(Send { ranges: Ranges::Nameless, ..CHANGED }),
                    Say::Object(CHANGED),
                ],
                asks: vec![Ask::Times(3)],
                ..case.clone()
            },
            Case {
                name: "changed after a break and after another".into(),
                says: vec![
                    broken.clone(),
                    Say::Object(CHANGED),
                    Say::Object(Send { until: MIDDLE, ..CHANGED }),
                    Say::Object(SEND),
                    Say::Object(SEND),
                ],
                ends: Ends::Right,
                asks: vec![Ask::Times(5)],
                ..case.clone()
            },
            Case {
                name: "changed after a break, and the digest is the old one's".into(),
                says: vec![broken.clone(), Say::Object(CHANGED)],
                env: env(&[("IMG_DIGEST", "sha256:{sha256}")]),
                ends: failed("digest-mismatch", Left::NotBootable, &["{sha256}"]),
                ..case
            },
        ]);
    }
    for &format in Format::WAYS {
        let one = Send { ranges: Ranges::Blind, until: MIDDLE, ..SEND };
        let two = Send { ranges: Ranges::Blind, until: MIDDLE, ..CHANGED };
        cases.push(Case {
            name: "changed after each break".into(),
            format,
            says: [one, two, two, one].into_iter().cycle().take(160).map(Say::Object).collect(),
            env: env(&[("RETRY_DURATION_MINUTES", "0.03")]),
            ends: failed("image-changed", Left::NotBootable, &["it is another one now"]),
            asks: vec![Ask::AtLeast(3)],
            ..Case::default()
        });
    }
    cases
}

/// A server that is out of order when it is asked to go on.
fn answers_in_between() -> Vec<Case> {
    let broken = Say::Object(Send { until: MIDDLE, ..SEND });
    let part = |status| Say::Object(Send { ranges: Ranges::Status(status), ..SEND });
    let mut cases = Vec::new();
    for &format in Format::WAYS {
        for status in [408, 429, 500, 502, 503] {
            cases.push(Case {
                name: format!("after a break, {status} once"),
                format,
                says: vec![broken.clone(), part(status), Say::whole()],
                asks: vec![Ask::Times(3), Ask::Resumes],
                ..Case::default()
            });
        }
        for (status, says) in
            [(401, "answered 401"), (403, "answered 403"), (404, "answered 404"), (410, "answered 410")]
        {
            cases.push(Case {
                name: format!("after a break, {status}"),
                format,
                says: vec![broken.clone(), part(status), Say::whole()],
                ends: failed("http-status", Left::NotBootable, &[says]),
                asks: vec![Ask::Times(2)],
                ..Case::default()
            });
        }
        cases.push(Case {
            name: "after a break, a redirect to where the rest is".into(),
            format,
            says: vec![broken.clone(), Say::Status(302, vec![("Location", "/there")])],
            paths: vec![crate::case::Path {
                at: "/there",
                elsewhere: false,
                text: None,
                says: vec![Say::whole()],
            }],
            asks: vec![Ask::Times(2), Ask::IfRange("\"one\"")],
            ..Case::default()
        });
    }
    cases
}
