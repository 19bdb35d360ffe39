//! Connections that break: in every way, everywhere, once, ten times and always, with and without parts of an object.

use nibs_tests::http::{Break, Framing, Ranges};

use super::env;
use crate::case::{Ask, Case, Ends, Known, Left, Place, SEND, Say, Send, failed};
use crate::objects::{Format, Object};

/// Each with what a failure there leaves.
const PLACES: &[(&str, Place, Left)] = &[
    ("in the header", Place::Header, Left::Untouched),
    ("before the first byte", Place::Byte(0), Left::Untouched),
    ("in the first bytes", Place::Byte(3), Left::Untouched),
    ("before the first MiB", Place::BeforeFirstMib, Left::Untouched),
    ("behind the first MiB", Place::BehindFirstMib, Left::NotBootable),
    ("in the middle", Place::Percent(50), Left::NotBootable),
    ("at 99 %", Place::Percent(99), Left::NotBootable),
    ("in the trailer", Place::Trailer, Left::NotBootable),
];
const BREAKS: &[(&str, Break)] =
    &[("closed", Break::Closed), ("reset", Break::Reset), ("stalled", Break::Stalled)];

/// For a fault that ends in time.
const SHORT: &[(&str, &str)] = &[("RETRY_DURATION_MINUTES", "1")];
/// For one that does not.
const ENDLESS: &[(&str, &str)] = &[("RETRY_DURATION_MINUTES", "0.06")];
const NO_SECOND_TRY: &[(&str, &str)] = &[("RETRY_ENABLED", "false")];

pub fn cases() -> Vec<Case> {
    [ten_times(), once(), always(), without_a_second_try(), without_a_length()].concat()
}

/// The variables of a case. Only where a server is silent on purpose is it given up soon: this machine may be busy.
fn env_for(kind: Break, variables: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let stall = if kind == Break::Stalled { "1.5" } else { "20" };
    env(&[&[("STALL_TIMEOUT_SECONDS", stall)], variables].concat())
}

/// What a failure leaves. A reset takes with it what was not read yet; and of what several threads unpack at once within
/// one decoder some is lost with the rest.
fn leaves(format: Format, kind: Break, place: Place, left: Left) -> Left {
    let late = left == Left::NotBootable;
    let in_threads = format == Format::XzBlocks && place == Place::BehindFirstMib;
    if late && (kind == Break::Reset || in_threads) { Left::AsItSays } else { left }
}

/// The cause of a connection that breaks for good.
fn cause(kind: Break, place: Place) -> (&'static str, &'static [&'static str]) {
    match (kind, place) {
        (Break::Stalled, Place::Header) => ("server-stalled", &["no answer within 1.5 s"]),
        (_, Place::Header) => ("server-unreachable", &["asking for http://127.0.0.1:"]),
        (Break::Stalled, _) => ("server-stalled", &["nothing for 1.5 s at byte {at} of {length}"]),
        // What a reset takes with it is not for the client to know.
        (Break::Reset, _) => ("image-truncated", &["of {length}", "the connection broke"]),
        (Break::Closed, _) => ("image-truncated", &["byte {at} of {length}", "the connection broke"]),
    }
}

fn once() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::ALL {
        for &(how, kind) in BREAKS {
            for &(at, place, _) in PLACES {
                cases.push(Case {
                    name: format!("{how} once {at}, parts can be had"),
                    format,
                    says: vec![Say::until(kind, place), Say::whole()],
                    env: env_for(kind, SHORT),
                    asks: vec![Ask::Times(2), Ask::Resumes],
                    ..Case::default()
                });
                if kind != Break::Closed && !Format::WAYS.contains(&format) {
                    continue;
                }
                let nameless = Send { known: Known::Nothing, ranges: Ranges::Ignored, ..SEND };
                let broken = Send { until: Some((kind, place)), ..nameless };
                cases.push(Case {
                    name: format!("{how} once {at}, no parts"),
                    format,
                    says: vec![Say::Object(broken), Say::Object(nameless)],
                    env: env_for(kind, SHORT),
                    asks: vec![Ask::Times(2), Ask::NeverAPart],
                    ..Case::default()
                });
            }
        }
    }
    cases
}

fn ten_times() -> Vec<Case> {
    let script = |kind: Break, known: Known| {
        let send = Send { known, ..SEND };
        let broken = |nth: usize| Say::Object(Send { until: Some((kind, Place::Percent(nth * 9))), ..send });
        (1..=10).map(broken).chain([Say::Object(send)]).collect::<Vec<Say>>()
    };
    // Without any progress in between the pauses grow to more than a minute in all.
    let mut cases: Vec<Case> = [Place::Header, Place::Byte(0)]
        .map(|place| Case {
            name: format!("closed ten times at the same place ({place:?})"),
            says: [vec![Say::until(Break::Closed, place); 10], vec![Say::whole()]].concat(),
            env: env(&[("RETRY_DURATION_MINUTES", "2.5")]),
            asks: vec![Ask::Times(11), Ask::Resumes],
            ..Case::default()
        })
        .to_vec();
    for &format in Format::ALL {
        cases.push(Case {
            name: "closed ten times, parts can be had".into(),
            format,
            says: script(Break::Closed, SEND.known),
            asks: vec![Ask::Times(11), Ask::Resumes],
            ..Case::default()
        });
    }
    for &format in Format::WAYS {
        for (how, kind) in [("reset", Break::Reset), ("stalled", Break::Stalled)] {
            cases.push(Case {
                name: format!("{how} ten times, parts can be had"),
                format,
                says: script(kind, SEND.known),
                env: env_for(kind, SHORT),
                asks: vec![Ask::Times(11), Ask::Resumes],
                ..Case::default()
            });
        }
        cases.push(Case {
            name: "closed ten times, no parts".into(),
            format,
            says: script(Break::Closed, Known::Nothing),
            asks: vec![Ask::Times(11), Ask::NeverAPart],
            ..Case::default()
        });
    }
    cases
}

fn always() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::ALL {
        for &(how, kind) in BREAKS {
            if kind != Break::Closed && !Format::WAYS.contains(&format) {
                continue;
            }
            for &(at, place, left) in PLACES {
                let left = leaves(format, kind, place, left);
                let (cause, says) = cause(kind, place);
                let says = [says, &["(tried "]].concat();
                cases.push(Case {
                    name: format!("{how} always {at}, parts can be had"),
                    format,
                    says: vec![Say::until(kind, place)],
                    env: env_for(kind, ENDLESS),
                    ends: Ends::Failed { cause, left, says: says.clone() },
                    asks: vec![Ask::AtLeast(2), Ask::Resumes],
                    lasts: Some((2.0, 30.0)),
                    ..Case::default()
                });
                if format == Format::ZstdFrames {
                    let send = Send { known: Known::Nothing, until: Some((kind, place)), ..SEND };
                    cases.push(Case {
                        name: format!("{how} always {at}, no parts"),
                        format,
                        says: vec![Say::Object(send)],
                        env: env_for(kind, ENDLESS),
                        ends: Ends::Failed { cause, left, says },
                        asks: vec![Ask::AtLeast(2), Ask::NeverAPart],
                        lasts: Some((2.0, 30.0)),
                        ..Case::default()
                    });
                }
            }
        }
    }
    cases
}

fn without_a_second_try() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::ALL {
        for &(how, kind) in BREAKS {
            for &(at, place, left) in PLACES {
                let left = leaves(format, kind, place, left);
                let (cause, says) = cause(kind, place);
                cases.push(Case {
                    name: format!("{how} {at}, RETRY_ENABLED=false"),
                    format,
                    says: vec![Say::until(kind, place), Say::whole()],
                    env: env_for(kind, NO_SECOND_TRY),
                    ends: failed(cause, left, says),
                    asks: vec![Ask::Times(1)],
                    ..Case::default()
                });
            }
        }
    }
    cases
}

fn without_a_length() -> Vec<Case> {
    let chunked = Send { framing: Framing::Chunked, ..SEND };
    let unframed = Send { framing: Framing::Unframed, ..SEND };
    let until = |send: Send, place| Say::Object(Send { until: Some((Break::Closed, place)), ..send });
    let mut cases = Vec::new();
    for &format in Format::ALL {
        let case = Case { format, env: env(SHORT), ..Case::default() };
        let endless = Case { format, env: env(ENDLESS), ..Case::default() };
        let truncated = |says| failed("image-truncated", Left::NotBootable, says);
        cases.extend([
            Case { name: "in chunks".into(), says: vec![Say::Object(chunked)], ..case.clone() },
            Case {
                name: "until the connection ends".into(),
                says: vec![Say::Object(unframed)],
                ..case.clone()
            },
            Case { name: "slow".into(), says: vec![Say::Slow(4_000_000)], ..case.clone() },
            Case {
                name: "in chunks, closed once in the middle".into(),
                says: vec![until(chunked, Place::Percent(50)), Say::Object(chunked)],
                asks: vec![Ask::Times(2), Ask::Resumes],
                ..case.clone()
            },
            Case {
                name: "in chunks, the last one is missing once".into(),
                says: vec![until(chunked, Place::LastChunk), Say::Object(chunked)],
                asks: vec![Ask::AtLeast(2)],
                ..case.clone()
            },
            Case {
                name: "in chunks, always closed in the middle".into(),
                says: vec![until(chunked, Place::Percent(50))],
                // The first part that came said how long it all is.
                ends: truncated(&["at byte {at} of {length}"]),
                asks: vec![Ask::AtLeast(2), Ask::Resumes],
                ..endless.clone()
            },
            Case {
                name: "until the connection ends, which it does once in the middle".into(),
                says: vec![until(unframed, Place::Percent(50)), Say::Object(unframed)],
                asks: vec![Ask::Times(2)],
                ..case.clone()
            },
            Case {
                name: "until the connection ends, which it always does in the middle".into(),
                says: vec![until(unframed, Place::Percent(50))],
                ends: truncated(&[]),
                asks: vec![Ask::AtLeast(2)],
                ..endless.clone()
            },
            Case {
                name: "an announced length that is too long".into(),
                says: vec![Say::Length(9)],
                ends: truncated(&["the connection broke"]),
                ..endless.clone()
            },
            Case {
                name: "an announced length that is too short".into(),
                says: vec![Say::Length(-7)],
                // With the length of a raw image it is known beforehand what comes.
                ends: match format {
                    Format::Raw => {
                        failed("image-truncated", Left::Untouched, &["its partition table speaks of"])
                    }
                    _ => truncated(&["the image ended within its"]),
                },
                ..endless
            },
            Case {
                name: "an object cut at the end of the connection, for good".into(),
                object: Object::Cut(99),
                says: vec![Say::Object(Send { known: Known::Nothing, ..unframed })],
                ends: truncated(&[]),
                env: env(NO_SECOND_TRY),
                ..case
            },
        ]);
    }
    cases
}
