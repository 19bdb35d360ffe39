//! Whether a case ended as it says: what was logged, what is on the disk, and what the server was asked.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use common::disk::System;
use nibs_tests::disk_image::MIB;
use nibs_tests::http::{Break, Request};
use nibs_tests::landed::{assert_landed, assert_same, without_table};
use nibs_tests::outcome::Outcome;

use crate::case::{Ask, Disk, Ends, Known, Left, Say, Send};
use crate::network::{Proxy, SECRET};
use crate::objects::{Image, Object};
use crate::play::{Played, Stage};

impl Stage<'_> {
    /// Says how the case ended, or what was not as it says.
    pub fn check(&self, outcome: &Outcome, elapsed: Duration) -> Played {
        let text = &outcome.text;
        let wrong = |what: &str| Err(format!("{what}:\n{text}"));
        if text.contains(SECRET) {
            return wrong("a secret was said");
        }
        let ended = match &self.case.ends {
            Ends::Right => self.right(outcome, Image::Usual)?,
            Ends::RightOther => self.right(outcome, Image::Other)?,
            Ends::KilledThenRight if outcome.code == -1 => "killed, then right".to_owned(),
            // It was quicker than the signal.
            Ends::KilledThenRight => self.right(outcome, Image::Usual)?,
            Ends::Failed { cause, left, says } => self.failed(outcome, cause, *left, says)?,
        };
        if let Some((least, most)) = self.case.lasts
            && !(least..=most).contains(&elapsed.as_secs_f64())
        {
            return wrong(&format!("it lasted {:.1} s", elapsed.as_secs_f64()));
        }
        let requests: Vec<Request> =
            self.server.requests().into_iter().filter(|request| request.path == "/image").collect();
        if requests.iter().any(|request| request.header("accept-encoding") != Some("identity")) {
            return wrong("not asked for the bytes as they are");
        }
        // Each further try was said to be one.
        if self.case.signal.is_none() && warnings(outcome).count() + 1 < requests.len() {
            return wrong("it tried again without a word");
        }
        for ask in &self.case.asks {
            if let Err(why) = self.asked(*ask, &requests, outcome) {
                return wrong(&format!("{ask:?}: {why}, {}", shown(&requests)));
            }
        }
        Ok(ended)
    }

    /// Whether the image is on the disk, and nothing else was written.
    pub fn right(&self, outcome: &Outcome, usual: Image) -> Played {
        if outcome.code != 0 {
            return Err(format!("it failed:\n{}", outcome.text));
        }
        let image = match self.case.object {
            Object::Of(image) => image,
            _ => usual,
        };
        type Landed = Mutex<HashMap<(Image, u64, u32, bool), Arc<Vec<u8>>>>;
        static LANDED: LazyLock<Landed> = LazyLock::new(Mutex::default);
        let content = self.target.content();
        let usual = matches!(self.case.disk, Disk::Usual);
        let key = (image, content.len() as u64, self.target.logical_block_size, usual);
        let landed = LANDED.lock().unwrap().get(&key).filter(|_| usual).cloned();
        match landed {
            Some(landed) if content == *landed => {}
            Some(_) => return Err(format!("another content is on the disk:\n{}", outcome.text)),
            None => {
                let bytes = image.bytes();
                let expected = without_table(&self.target.before, &bytes);
                if matches!(image, Image::Mbr | Image::Filesystem(_)) {
                    assert_same(&content, &expected);
                } else {
                    assert_landed(self.target.device(), &expected, &bytes, self.target.logical_block_size);
                }
                LANDED.lock().unwrap().insert(key, Arc::new(content));
            }
        }
        Ok("right".to_owned())
    }

    fn failed(&self, outcome: &Outcome, cause: &str, left: Left, says: &[&str]) -> Played {
        let wrong = |what: &str| Err(format!("{what}:\n{}", outcome.text));
        if outcome.last("cause") != cause || outcome.last("level") != "error" {
            return wrong(&format!("the last line's cause is {:?} and not {cause}", outcome.last("cause")));
        }
        let code = if cause == "configuration" { 2 } else { 1 };
        if outcome.code != code {
            return wrong(&format!("the exit code is {}", outcome.code));
        }
        let message = outcome.last("msg");
        for say in says.iter().map(|say| self.expand(say)) {
            if !message.contains(&say) {
                return wrong(&format!("the last line does not say {say:?}"));
            }
        }
        const UNTOUCHED: &str = "nothing was written to";
        let left = match left {
            Left::AsItSays if message.contains(UNTOUCHED) => Left::Untouched,
            Left::AsItSays => Left::NotBootable,
            left => left,
        };
        let state = match left {
            Left::Untouched => UNTOUCHED,
            _ => "was left not bootable, both its ends are zero",
        };
        // Where the disk was claimed, the state is told, and what to do behind it.
        let claimed = outcome
            .lines
            .iter()
            .any(|line| line["msg"].as_str().unwrap_or_default().starts_with("the disk is "));
        if claimed && message.split_once(state).is_none_or(|(_, advice)| !advice.contains("; ")) {
            return wrong(&format!("the last line does not say {state:?}, and what to do"));
        }
        if let Disk::Named(name) = self.case.disk
            && std::fs::metadata(name).is_ok_and(|metadata| metadata.is_file())
        {
            return wrong("there is a file in the place of a disk");
        }
        let content = self.target.content();
        match left {
            Left::Untouched if content != *self.target.before => wrong("the disk is not as it was"),
            Left::Untouched => Ok(format!("{cause}, the disk as it was")),
            _ => {
                let mib = MIB as usize;
                let zeros = vec![0; mib];
                if content[..mib] != zeros || content[content.len() - mib..] != zeros {
                    return wrong("an end of the disk is not zero");
                }
                let system = System::default();
                let name = self.target.device().node().file_name().unwrap().to_str().unwrap();
                let partitions = system.partitions(&system.disk(name).unwrap());
                // What somebody has open stays, whatever the action does.
                if !partitions.is_empty() && self.case.disk != Disk::PartitionOpen {
                    return wrong(&format!("the kernel still shows {partitions:?}"));
                }
                Ok(format!("{cause}, the disk does not boot"))
            }
        }
    }

    fn asked(&self, ask: Ask, requests: &[Request], outcome: &Outcome) -> Result<(), String> {
        let holds = |holds: bool| if holds { Ok(()) } else { Err("not so".to_owned()) };
        let parts = || requests.iter().filter(|request| request.header("range").is_some());
        let through =
            |proxies: &[Proxy]| proxies.iter().map(|proxy| proxy.requests(self.server.port())).sum::<usize>();
        match ask {
            Ask::Times(times) => holds(requests.len() == times),
            Ask::AtLeast(times) => holds(requests.len() >= times),
            Ask::Resumes => resumes(requests, &self.case.says),
            Ask::NeverAPart => holds(parts().next().is_none()),
            Ask::IfRange(value) => holds(
                parts().next().is_some() && parts().all(|request| request.header("if-range") == Some(value)),
            ),
            Ask::Proxied => holds(through(&self.proxies) > 0),
            Ask::Direct => holds(through(&self.proxies) == 0),
            Ask::Header(name, value) => holds(
                !requests.is_empty() && requests.iter().all(|request| request.header(name) == Some(value)),
            ),
            Ask::Never(name) => holds(requests.iter().all(|request| request.header(name).is_none())),
            Ask::NothingElsewhere => {
                let elsewhere = self.other.requests();
                let given = elsewhere.iter().any(|request| request.header("authorization").is_some());
                holds(!elsewhere.is_empty() && !given)
            }
            Ask::Warns(word) => holds(warnings(outcome).any(|text| text.contains(word))),
        }
    }
}

fn warnings(outcome: &Outcome) -> impl Iterator<Item = &str> {
    let warnings = outcome.lines.iter().filter(|line| line["level"] == "warn");
    warnings.filter_map(|line| line["msg"].as_str())
}

/// Each request asks for all from where the last answer broke.
fn resumes(requests: &[Request], says: &[Say]) -> Result<(), String> {
    let mut have = 0;
    for (number, request) in requests.iter().enumerate() {
        let asked = request.header("range").map(|range| {
            range
                .strip_prefix("bytes=")
                .and_then(|range| range.strip_suffix('-')?.parse().ok())
                .unwrap_or(usize::MAX)
        });
        let before = number.checked_sub(1).and_then(|before| says.get(before).or(says.last()));
        // What a reset takes with it was sent, and did not arrive.
        let reset = matches!(before, Some(Say::Object(Send { until: Some((Break::Reset, _)), .. })));
        match asked {
            None if have == 0 || reset => {}
            Some(asked) if asked == have && have > 0 => {}
            Some(asked) if reset && (1..=have).contains(&asked) => {}
            _ => return Err(format!("request {} should be for all from byte {have} on", number + 1)),
        }
        let Some(Say::Object(send)) = says.get(number).or(says.last()) else { continue };
        let tag = match send.known {
            Known::Etag(tag) => tag,
            _ => "Sun, 22 Nov 2026 10:00:00 GMT",
        };
        if asked.is_some() && request.header("if-range") != Some(tag) {
            return Err(format!("request {} has not If-Range: {tag}", number + 1));
        }
        have = have.max(request.sent.end);
    }
    Ok(())
}

fn shown(requests: &[Request]) -> String {
    let one = |request: &Request| {
        let header = |name| request.header(name).unwrap_or("-").to_owned();
        format!("{} if {} got {:?}", header("range"), header("if-range"), request.sent)
    };
    format!("{} requests: {}", requests.len(), requests.iter().map(one).collect::<Vec<_>>().join("; "))
}
