//! Going on where a connection broke: which object it was, and whether what the server sends now is the rest of it.

use std::fmt;

use common::cause::Cause;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};

use super::fault::Fault;
use crate::figures::grouped;

/// By what an object is known again: a strong ETag, else its Last-Modified. A weak ETag may stay when bytes change
/// (RFC 9110, 8.8.1), and If-Range does not take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validator {
    name: HeaderName,
    pub(super) value: HeaderValue,
}

impl Validator {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let etag = headers.get(ETAG).filter(|value| value.as_bytes().starts_with(b"\""));
        let (name, value) = match etag {
            Some(value) => (ETAG, value),
            None => (LAST_MODIFIED, headers.get(LAST_MODIFIED)?),
        };
        Some(Self { name, value: value.clone() })
    }

    /// Whether an answer speaks of another object. An answer without the header does not say so.
    fn is_denied_by(&self, headers: &HeaderMap) -> bool {
        headers.get(&self.name).is_some_and(|value| *value != self.value)
    }

    /// Whether an answer with a part lacks the ETag, which it has to repeat where the whole object had one, and need not
    /// repeat Last-Modified (RFC 9110, 15.3.7). A server that leaves it out may not have looked at If-Range either.
    fn is_left_out_of(&self, headers: &HeaderMap) -> bool {
        self.name == ETAG && !headers.contains_key(ETAG)
    }
}

/// The object that is being fetched.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) length_bytes: Option<u64>,
    pub(super) validator: Option<Validator>,
}

impl Object {
    /// As the first answer, a 200, describes it.
    pub(super) fn of(length_bytes: Option<u64>, headers: &HeaderMap) -> Self {
        Self { length_bytes, validator: Validator::of(headers) }
    }

    /// Whether an answer to the question for all from this byte on is just that. The object's length is known then.
    ///
    /// # Errors
    /// [`Cause::ImageChanged`], [`Cause::HttpRange`]: then only starting again from zero can be right.
    pub(super) fn continued(
        &mut self,
        start_bytes: u64,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(), Fault> {
        let again = |cause, why: &dyn fmt::Display| {
            let at = grouped(start_bytes);
            Err(Fault::transient(cause, format_args!("the image cannot be gone on with at byte {at}: {why}")))
        };
        if self.validator.as_ref().is_some_and(|validator| validator.is_denied_by(headers)) {
            return again(Cause::ImageChanged, &"it is another one now");
        }
        if status != StatusCode::PARTIAL_CONTENT {
            return again(Cause::HttpRange, &format_args!("the server answers {status} instead of 206"));
        }
        if self.validator.as_ref().is_some_and(|validator| validator.is_left_out_of(headers)) {
            return again(Cause::HttpRange, &"the server does not say by its ETag that it is still the same");
        }
        let header = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let Some(range) = header.and_then(ContentRange::parse) else {
            return again(Cause::HttpRange, &"the server does not say which part it sends");
        };
        if range.first_byte != start_bytes {
            let first = grouped(range.first_byte);
            return again(Cause::HttpRange, &format_args!("the server sends it from byte {first} on"));
        }
        match (range.total_bytes, self.length_bytes) {
            (Some(now), Some(before)) if now != before => {
                let (now, before) = (grouped(now), grouped(before));
                again(Cause::ImageChanged, &format_args!("it has {now} bytes now, and had {before}"))
            }
            (total_bytes, before) => {
                self.length_bytes = before.or(total_bytes);
                Ok(())
            }
        }
    }
}

/// The header Content-Range (RFC 9110, 14.4), of a part that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first_byte: u64,
    pub(super) last_byte: u64,
    pub(super) total_bytes: Option<u64>,
}

impl ContentRange {
    /// `bytes FIRST-LAST/TOTAL`, with `*` for a total that is unknown.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let (first_byte, last_byte) = (number(first)?, number(last)?);
        let total_bytes = match total {
            "*" => None,
            total => Some(number(total)?),
        };
        let sound = first_byte <= last_byte && total_bytes.is_none_or(|total| last_byte < total);
        (unit.eq_ignore_ascii_case("bytes") && sound).then_some(Self { first_byte, last_byte, total_bytes })
    }
}

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    //! What the fuzz targets reach of this module.

    use super::*;

    /// First byte, last byte, and the object's bytes where they are known.
    pub fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
        ContentRange::parse(text).map(|range| (range.first_byte, range.last_byte, range.total_bytes))
    }

    /// Whether an object of this length is gone on with at this byte, with an answer that has these headers; gives its
    /// length as it is known then.
    pub fn continued(
        length_bytes: Option<u64>,
        etag: &HeaderValue,
        start_bytes: u64,
        status: StatusCode,
        answer: &HeaderMap,
    ) -> Option<Option<u64>> {
        let first = HeaderMap::from_iter([(ETAG, etag.clone())]);
        let mut object = Object::of(length_bytes, &first);
        object.continued(start_bytes, status, answer).ok().map(|()| object.length_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_content_range_is_read_or_refused() {
        let range =
            |first_byte, last_byte, total_bytes| Some(ContentRange { first_byte, last_byte, total_bytes });
        assert_eq!(ContentRange::parse("bytes 5-9/10"), range(5, 9, Some(10)));
        assert_eq!(ContentRange::parse("Bytes 0-0/*"), range(0, 0, None));
        for wrong in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-9",
            "bytes 5-9/",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "items 5-9/10",
            "bytes -5-9/10",
            "bytes +5-9/10",
            "bytes 5-9/10, 11-12/20",
            "bytes 5-99999999999999999999/*",
        ] {
            assert_eq!(ContentRange::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_rest_of_the_same_object_is_gone_on_with() {
        let (etag, weak, date) =
            ((ETAG, "\"a\""), (ETAG, "W/\"a\""), (LAST_MODIFIED, "Mon, 01 Jan 2024 00:00:00 GMT"));
        let object = |pairs: &[_]| Object::of(Some(10), &headers(pairs));
        assert_eq!(object(std::slice::from_ref(&weak)).validator, None);
        assert_eq!(object(&[weak, date.clone()]).validator.unwrap().name, LAST_MODIFIED);
        let cause = |object: &Object, status: u16, pairs: &[_]| {
            let status = StatusCode::from_u16(status).unwrap();
            object.clone().continued(5, status, &headers(pairs)).err().map(|fault| fault.failure.cause)
        };
        let by_tag = object(&[etag.clone(), date]);
        let right = (CONTENT_RANGE, "bytes 5-9/10");
        assert_eq!(cause(&by_tag, 206, std::slice::from_ref(&right)), Some(Cause::HttpRange));
        let by_date = object(&[(LAST_MODIFIED, "Mon, 01 Jan 2024 00:00:00 GMT")]);
        assert_eq!(cause(&by_date, 206, std::slice::from_ref(&right)), None);
        assert_eq!(cause(&by_tag, 206, &[right.clone(), etag.clone()]), None);
        assert_eq!(cause(&by_tag, 206, &[right.clone(), (ETAG, "\"b\"")]), Some(Cause::ImageChanged));
        let with_tag = |range: &'static str| [(CONTENT_RANGE, range), etag.clone()];
        assert_eq!(cause(&by_tag, 206, &with_tag("bytes 5-10/11")), Some(Cause::ImageChanged));
        assert_eq!(cause(&by_tag, 206, &with_tag("bytes 4-9/10")), Some(Cause::HttpRange));
        assert_eq!(cause(&by_tag, 206, std::slice::from_ref(&etag)), Some(Cause::HttpRange));
        assert_eq!(cause(&by_tag, 200, std::slice::from_ref(&etag)), Some(Cause::HttpRange));
        assert_eq!(cause(&by_tag, 200, &[(ETAG, "\"b\"")]), Some(Cause::ImageChanged));
        assert_eq!(cause(&by_tag, 416, &[]), Some(Cause::HttpRange));
        // What was chunked has a length from here on.
        let mut chunked = Object { length_bytes: None, ..by_tag };
        assert!(chunked.continued(5, StatusCode::PARTIAL_CONTENT, &headers(&[right, etag])).is_ok());
        assert_eq!(chunked.length_bytes, Some(10));
    }
}
