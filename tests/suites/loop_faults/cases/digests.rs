//! Digests that are wrong, malformed, or not in the file that should list them.

use nibs_tests::http::Break;

use super::env;
use crate::case::{Ask, Case, Left, Path, Place, Say, failed};
use crate::objects::Format;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &format in Format::ALL {
        for variable in ["IMG_DIGEST", "RAW_DIGEST"] {
            cases.push(Case {
                name: format!("a wrong {variable}"),
                format,
                env: env(&[(variable, "sha256:{zeros}")]),
                ends: failed("digest-mismatch", Left::NotBootable, &["sha256:{zeros}", "belong together"]),
                asks: vec![Ask::Times(1)],
                ..Case::default()
            });
        }
    }
    for value in ["sha256:1234", "md5:{zeros}", "{zeros}", "sha512:{zeros}", "ftp://h/SHA256SUMS"] {
        cases.push(Case {
            name: format!("IMG_DIGEST={value}"),
            env: env(&[("IMG_DIGEST", value)]),
            ends: failed("configuration", Left::Untouched, &["IMG_DIGEST"]),
            asks: vec![Ask::Times(0)],
            ..Case::default()
        });
    }
    let sums = |text: &str| {
        vec![Path {
            at: "/SHA256SUMS",
            elsewhere: false,
            text: Some(text.to_owned()),
            says: vec![Say::whole()],
        }]
    };
    let listed = env(&[("IMG_DIGEST", "{server}/SHA256SUMS")]);
    for (what, text, says) in [
        ("lists no such file", "{zeros}  ubuntu.raw\n", "it lists no image"),
        ("is a page", "<html>not here</html>", "line 1 is no digest"),
        ("is empty", "", "0 bytes"),
        ("is malformed", "{zeros}  ubuntu.raw\n1234  image\n", "line 2 is no digest"),
        ("lists it twice", "{zeros}  image\n{sha256}  image\n", "different digests"),
    ] {
        let says = if what == "is empty" { "there is no digest in it" } else { says };
        cases.push(Case {
            name: format!("a SHA256SUMS that {what}"),
            env: listed.clone(),
            paths: sums(text),
            ends: failed("digest-file", Left::Untouched, &[says, "look at IMG_DIGEST"]),
            asks: vec![Ask::Times(0)],
            ..Case::default()
        });
    }
    let outage = Path {
        says: vec![Say::Status(503, vec![]), Say::until(Break::Closed, Place::Percent(50)), Say::whole()],
        ..sums("{sha256} *image\n").remove(0)
    };
    cases.extend([
        Case {
            name: "a SHA256SUMS with the wrong digest".into(),
            env: listed.clone(),
            paths: sums("{zeros}  image\n"),
            ends: failed("digest-mismatch", Left::NotBootable, &["sha256:{zeros}"]),
            ..Case::default()
        },
        Case {
            name: "a SHA256SUMS that is not there".into(),
            env: listed.clone(),
            ends: failed("http-status", Left::Untouched, &["/SHA256SUMS answered 404"]),
            asks: vec![Ask::Times(0)],
            ..Case::default()
        },
        Case {
            name: "a SHA256SUMS after outages".into(),
            env: listed,
            paths: vec![outage],
            ..Case::default()
        },
    ]);
    cases
}
