//! Signals: a stop that is asked for, and one that is not.

use nibs_tests::http::Break;
use nibs_tests::signal::Signal;

use super::env;
use crate::case::{Case, Ends, Left, Place, Say, When, failed};
use crate::objects::Format;

pub fn cases() -> Vec<Case> {
    [asked(), killed()].concat()
}

fn asked() -> Vec<Case> {
    let mut cases = Vec::new();
    let stalled = |place| vec![Say::until(Break::Stalled, place)];
    let waits = || vec![Say::Status(503, vec![("Retry-After", "20")])];
    for &format in Format::WAYS {
        for (named, signal) in [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT)] {
            for (what, says, when, left) in [
                ("before an answer", stalled(Place::Header), When::Asked(1), Left::Untouched),
                ("before the first byte", stalled(Place::Byte(0)), When::Asked(1), Left::Untouched),
                ("before the first write", stalled(Place::BeforeFirstMib), When::Asked(1), Left::Untouched),
                ("while it waits to try again", waits(), When::Asked(1), Left::Untouched),
                (
                    "while it waits for the server",
                    stalled(Place::Percent(60)),
                    When::Writing,
                    Left::NotBootable,
                ),
                ("while it writes", vec![Say::Slow(1_000_000)], When::Writing, Left::NotBootable),
                (
                    "while it waits to go on",
                    vec![Say::until(Break::Closed, Place::Percent(60)), waits().remove(0)],
                    When::Asked(2),
                    Left::NotBootable,
                ),
                ("at the trailer", stalled(Place::Trailer), When::Writing, Left::NotBootable),
            ] {
                cases.push(Case {
                    name: format!("{named} {what}"),
                    format,
                    says,
                    signal: Some((signal, when)),
                    env: env(&[("RETRY_DURATION_MINUTES", "10")]),
                    ends: failed("stopped", left, &["run the workflow again"]),
                    lasts: Some((0.0, 5.0)),
                    ..Case::default()
                });
            }
        }
        cases.push(Case {
            name: "SIGTERM while it waits for a file of digests".into(),
            format,
            paths: vec![crate::case::Path {
                at: "/sums",
                elsewhere: false,
                text: None,
                says: stalled(Place::Byte(0)),
            }],
            env: env(&[("IMG_DIGEST", "{server}/sums")]),
            signal: Some((Signal::TERM, When::Asked(1))),
            ends: failed("stopped", Left::Untouched, &["run the workflow again"]),
            lasts: Some((0.0, 5.0)),
            ..Case::default()
        });
    }
    cases
}

fn killed() -> Vec<Case> {
    const SEED: u64 = 4;
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut cases = Vec::new();
    for &format in Format::ALL {
        for _ in 0..3 {
            let after = rng.u64(..900);
            cases.push(Case {
                name: format!("SIGKILL after {after} ms (seed {SEED}), then again"),
                format,
                says: vec![Say::Slow(8_000_000)],
                signal: Some((Signal::KILL, When::Millis(after))),
                ends: Ends::KilledThenRight,
                ..Case::default()
            });
        }
    }
    cases
}
