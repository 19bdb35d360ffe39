//! What is read of a Content-Range is what it says, and only the rest of the same object is gone on with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nibs_fuzz::measured;
use stream_image::fuzzing::{HeaderMap, HeaderName, HeaderValue, StatusCode, content_range, continued};

fuzz_target!(|text: &str| {
    let (range, bytes) = measured(|| content_range(text));
    assert!(bytes == 0, "{bytes} bytes of memory for a header");
    if let Some((first, last, total)) = range {
        assert!(first <= last && total.is_none_or(|total| last < total));
        let total = total.map_or("*".to_owned(), |total| total.to_string());
        assert_eq!(content_range(&format!("bytes {first}-{last}/{total}")), range);
        // Nothing is in it but what was read: no second range, no sign.
        let mut rest: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).skip("bytes".len()).collect();
        rest.retain(|c| !c.is_ascii_digit() && *c != '*');
        assert_eq!(rest, ['-', '/'], "{text:?}");
        assert!(text.trim_start()[..5].eq_ignore_ascii_case("bytes"), "{text:?}");
    }

    // A header with other characters than ASCII's is none that is read.
    let Some(value) = HeaderValue::from_str(text).ok().filter(|value| value.to_str().is_ok()) else { return };
    let header = |name, value: &HeaderValue| (HeaderName::from_static(name), value.clone());
    let (ours, other) = (HeaderValue::from_static("\"a\""), HeaderValue::from_static("\"b\""));
    let start_bytes = range.map_or(7, |range| range.0);
    for (length_bytes, start_bytes) in [
        (None, start_bytes),
        (range.and_then(|range| range.2), start_bytes),
        (Some(start_bytes.saturating_add(1)), start_bytes),
        (None, start_bytes.saturating_add(1)),
    ] {
        let answer = HeaderMap::from_iter([header("content-range", &value), header("etag", &ours)]);
        let gone_on = |status, answer| continued(length_bytes, &ours, start_bytes, status, answer);
        match (range, gone_on(StatusCode::PARTIAL_CONTENT, &answer)) {
            (Some((first, _, total)), Some(known)) => {
                assert_eq!(first, start_bytes);
                assert!(length_bytes.is_none() || total.is_none() || total == length_bytes);
                assert_eq!(known, length_bytes.or(total));
            }
            (Some((first, _, total)), None) => {
                assert!(
                    first != start_bytes
                        || (total.is_some() && length_bytes.is_some() && total != length_bytes)
                );
            }
            (None, known) => {
                assert_eq!(known, None, "gone on with an answer that does not say where it begins")
            }
        }
        assert_eq!(gone_on(StatusCode::OK, &answer), None, "a 200 is the object from its first byte on");
        let answer = HeaderMap::from_iter([header("content-range", &value), header("etag", &other)]);
        assert_eq!(gone_on(StatusCode::PARTIAL_CONTENT, &answer), None, "a part of another object");
        let answer = HeaderMap::from_iter([header("content-range", &value)]);
        assert_eq!(gone_on(StatusCode::PARTIAL_CONTENT, &answer), None, "a part of who knows which object");
    }
});
