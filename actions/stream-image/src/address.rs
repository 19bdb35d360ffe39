//! Addresses as they may be shown: a URL can carry a password, or a signature that is as good as one.

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// The URL without user, password, fragment and the values of its query.
pub(crate) fn shown(url: &Url) -> String {
    let mut text = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        text += &format!(":{port}");
    }
    text += url.path();
    if let Some(query) = url.query() {
        let pairs: Vec<String> = query.split('&').map(shown_pair).collect();
        text += &format!("?{}", pairs.join("&"));
    }
    const LONGEST: usize = 160;
    if text.chars().count() > LONGEST {
        let head: String = text.chars().take(LONGEST / 2).collect();
        let tail: Vec<char> = text.chars().rev().take(LONGEST / 2).collect();
        text = format!("{head}…{}", tail.into_iter().rev().collect::<String>());
    }
    text
}

/// The key alone, as it stands there: decoded it could be more than a line. Without a value, it can be a token itself; the
/// padding behind base64 is none.
fn shown_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((key, value)) if value.bytes().any(|byte| byte != b'=') => format!("{key}=…"),
        _ => "…".into(),
    }
}

/// The name of the file that a URL speaks of: its last segment, decoded.
pub(crate) fn file_name(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_address_has_no_secret() {
        for (url, expected) in [
            ("https://user:hunter2@h.example:8443/a/b.raw.gz", "https://h.example:8443/a/b.raw.gz"),
            ("https://h/b?X-Amz-Signature=hunter2&e=hunter2#hunter2", "https://h/b?X-Amz-Signature=…&e=…"),
            ("http://[fd00::1]:80/b?hunter2", "http://[fd00::1]/b?…"),
            ("http://h/b?v=1&hunter2", "http://h/b?v=…&…"),
            ("http://h/b?hunter2==", "http://h/b?…"),
            ("http://h/b?hunter2=&v=1&=hunter2", "http://h/b?…&v=…&=…"),
            ("http://h/b?a%0ab=hunter2", "http://h/b?a%0ab=…"),
        ] {
            let text = shown(&Url::parse(url).unwrap());
            assert_eq!(text, expected);
            assert!(!text.contains("hunter2"));
        }
        let long = Url::parse(&format!("http://h/{}/end.raw", "x".repeat(500))).unwrap();
        assert!(shown(&long).len() < 200 && shown(&long).ends_with("/end.raw"));
    }

    #[test]
    fn the_file_is_the_last_segment() {
        let name = |url: &str| file_name(&Url::parse(url).unwrap());
        assert_eq!(name("http://h/a/debian%2012.raw.gz?x=/y.raw"), "debian 12.raw.gz");
        assert_eq!(name("http://h/"), "");
    }
}
