//! No credential of a URL is shown, and what is shown is one short line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stream_image::fuzzing::{Url, file_name, shown};

const SECRET: &str = "hunter2hunter2";

/// The line, which must not have the secret in it where it is written so, or decoded.
fn is_safe(url: &Url) {
    let text = shown(url);
    assert!(!text.to_ascii_lowercase().contains(SECRET), "{text:?} of {url}");
    assert!(text.chars().count() <= 170, "{text:?}");
    assert!(text.chars().all(|c| !c.is_control()), "{text:?} of {url}");
}

fuzz_target!(|text: &str| {
    let Ok(url) = Url::parse(text) else { return };
    // Others are refused before they are shown.
    if !matches!(url.scheme(), "http" | "https") || text.to_ascii_lowercase().contains("hunter") {
        return;
    }
    is_safe(&url);
    file_name(&url);

    let mut with_user = url.clone();
    with_user.set_username(SECRET).expect("http has users");
    is_safe(&with_user);
    with_user.set_password(Some(SECRET)).expect("http has passwords");
    is_safe(&with_user);

    let mut with_fragment = url.clone();
    with_fragment.set_fragment(Some(SECRET));
    is_safe(&with_fragment);

    // In the query it can be the value of each key, or stand there alone.
    let query = url.query().unwrap_or_default();
    let keys = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(key, _)| key));
    let signed: Vec<String> =
        keys.filter(|key| !key.is_empty()).map(|key| format!("{key}={SECRET}")).collect();
    for query in [
        signed.join("&"),
        SECRET.to_owned(),
        format!("{SECRET}="),
        format!("{SECRET}=="),
        format!("{query}&{SECRET}"),
        format!("{SECRET}&{query}"),
        format!("{query}&={SECRET}"),
        format!("{query}={SECRET}"),
    ] {
        let mut with_query = url.clone();
        with_query.set_query(Some(&query));
        is_safe(&with_query);
    }
});
