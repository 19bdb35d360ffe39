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
    let keys: Vec<String> = url.query_pairs().map(|(key, _)| format!("{key}=…")).collect();
    // A query without any `=` can be a token itself.
    match url.query() {
        Some(query) if query.contains('=') => text += &format!("?{}", keys.join("&")),
        Some(_) => text += "?…",
        None => {}
    }
    const LONGEST: usize = 160;
    if text.chars().count() > LONGEST {
        let head: String = text.chars().take(LONGEST / 2).collect();
        let tail: Vec<char> = text.chars().rev().take(LONGEST / 2).collect();
        text = format!("{head}…{}", tail.into_iter().rev().collect::<String>());
    }
    text
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
