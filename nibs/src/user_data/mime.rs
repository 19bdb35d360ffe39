//! User-data in MIME: several parts in one, as cloud-init reads it by Python's email package.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Fault, check_cloud_config};
use crate::code::USER_DATA_MIME;
use crate::node::Position;

/// Whether the text begins as MIME does.
pub(super) fn is_mime(text: &str) -> bool {
    let start = text.trim_start().get(..13).unwrap_or_default().to_ascii_lowercase();
    start.starts_with("content-type:") || start.starts_with("mime-version:")
}

/// Headers and body of a message, the body with the number of lines before it.
struct Message<'a> {
    content_type: String,
    encoding: String,
    body: Vec<&'a str>,
    before: usize,
}

/// A message's lines, the first of which is line `before` + 1. None when the headers do not end.
fn message<'a>(lines: &[&'a str], before: usize) -> Option<Message<'a>> {
    let end = lines.iter().position(|l| l.trim().is_empty())?;
    let mut headers: Vec<String> = Vec::new();
    for line in &lines[..end] {
        match headers.last_mut() {
            // A header goes on in a line that begins with white space.
            Some(last) if line.starts_with([' ', '\t']) => *last += line,
            _ => headers.push((*line).to_owned()),
        }
    }
    let header = |name: &str| {
        let named = |h: &&String| h.split_once(':').is_some_and(|(n, _)| n.trim().eq_ignore_ascii_case(name));
        let found = headers.iter().find(named)?.split_once(':')?;
        Some(found.1.trim().to_owned())
    };
    Some(Message {
        content_type: header("content-type").unwrap_or_default(),
        encoding: header("content-transfer-encoding").unwrap_or_default().to_ascii_lowercase(),
        body: lines[end + 1..].to_vec(),
        before: before + end + 1,
    })
}

/// The text between the parts of a `multipart/…`.
fn boundary(content_type: &str) -> Option<String> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then(|| value.to_owned())
    })
}

/// Says what is broken, without anything of the content.
pub(super) fn check(text: &str, faults: &mut Vec<Fault>) {
    let lines: Vec<&str> = text.lines().collect();
    let blank = lines.iter().take_while(|l| l.trim().is_empty()).count();
    let fault = |line: usize, note: &str| {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        Fault::new(&USER_DATA_MIME, Some(Position { line, column: 1 }), note)
    };
    let Some(all) = message(&lines[blank..], blank) else {
        faults.push(fault(blank + 1, "no empty line after the headers"));
        return;
    };
    if !all.content_type.to_ascii_lowercase().starts_with("multipart/") {
        part(&all, faults);
        return;
    }
    let Some(boundary) = boundary(&all.content_type) else {
        faults.push(fault(blank + 1, "multipart without a boundary"));
        return;
    };
    let (open, close) = (format!("--{boundary}"), format!("--{boundary}--"));
    let marks: Vec<usize> = (0..all.body.len())
        .filter(|i| all.body[*i].trim_end() == open || all.body[*i].trim_end() == close)
        .collect();
    if !marks.iter().any(|i| all.body[*i].trim_end() == open) {
        faults.push(fault(all.before, "no line has the boundary"));
        return;
    }
    if !marks.iter().any(|i| all.body[*i].trim_end() == close) {
        faults.push(fault(lines.len(), "the last part does not end with the boundary and --"));
    }
    for (n, start) in marks.iter().enumerate() {
        if all.body[*start].trim_end() == close {
            break;
        }
        let end = marks.get(n + 1).copied().unwrap_or(all.body.len());
        let before = all.before + start + 1;
        match message(&all.body[start + 1..end], before) {
            Some(one) => part(&one, faults),
            None => faults.push(fault(before, "a part without an empty line after its headers")),
        }
    }
}

fn part(part: &Message<'_>, faults: &mut Vec<Fault>) {
    let before = u32::try_from(part.before).unwrap_or(u32::MAX - 1);
    let text = part.body.join("\n");
    let is_config = part.content_type.to_ascii_lowercase().starts_with("text/cloud-config;")
        || part.content_type.eq_ignore_ascii_case("text/cloud-config");
    match part.encoding.as_str() {
        "base64" => {
            let packed: String = text.split_whitespace().collect();
            let decoded = STANDARD.decode(packed).ok();
            if decoded.is_none() {
                let at = Position { line: before + 1, column: 1 };
                faults.push(Fault::new(&USER_DATA_MIME, Some(at), "a part that is no base64"));
            }
            if let Some(config) = decoded.filter(|_| is_config) {
                let mut inner = Vec::new();
                check_cloud_config(&String::from_utf8_lossy(&config), 0, &mut inner);
                // The lines are those of the decoded text: the part's place is what can be found.
                let at = Some(Position { line: before + 1, column: 1 });
                faults.extend(inner.into_iter().map(|fault| Fault { at, ..fault }));
            }
        }
        "quoted-printable" => {}
        _ if is_config => check_cloud_config(&text, before, faults),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::inspect;

    const RIGHT: &str = "Content-Type: multipart/mixed;\n boundary=\"==X==\"\nMIME-Version: 1.0\n\n--==X==\nContent-Type: text/cloud-config; charset=us-ascii\n\n\
        #cloud-config\na: 1\n--==X==\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\nIyEvYmluL3NoCg==\n--==X==--\n";

    #[test]
    fn what_is_broken_with_its_line() {
        assert_eq!(inspect(RIGHT.as_bytes()).1, []);
        for (from, to, expected) in [
            ("\n--==X==--\n", "\n", (14, "N0505")),
            (" boundary=\"==X==\"\n", "", (1, "N0505")),
            ("boundary=\"==X==\"", "boundary=\"==Y==\"", (4, "N0505")),
            ("IyEvYmluL3NoCg==", "secret!", (14, "N0505")),
            ("a: 1\n", "secret: [\n", (10, "N0503")),
            ("a: 1\n", "- secret\n", (9, "N0504")),
        ] {
            assert!(RIGHT.contains(from));
            let faults = inspect(RIGHT.replacen(from, to, 1).as_bytes()).1;
            let found: Vec<_> = faults.iter().map(|f| (f.at.unwrap().line, f.code.id)).collect();
            assert!(found.len() == 1 && found[0].1 == expected.1, "{to}: {faults:?}");
            assert!(found[0].0.abs_diff(expected.0) <= 1, "{to}: {faults:?}");
            assert!(!format!("{faults:?}").contains("secret"), "{faults:?}");
        }
    }
}
