//! A digest that is found in a file is one that stands there, for the name that was asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nibs_fuzz::measured;
use stream_image::fuzzing::find_digest;

fuzz_target!(|text: &str| {
    let names = ["d.raw.gz".to_owned(), "d.raw".to_owned()];
    let (found, bytes) = measured(|| find_digest(text, &names));
    // An entry of 32 bytes and 64 digits at least takes one of the list, doubled while it grows.
    assert!(bytes <= 4096 + 8 * text.len(), "{bytes} bytes of memory for {}", text.len());

    assert_eq!(find_digest(&text.replace('\n', "\r\n"), &names), found, "line ends change nothing");
    match &found {
        Err(why) => assert!(!why.is_empty() && why.chars().count() < 200, "{why}"),
        Ok(digest) => {
            let (algorithm, hex) = digest.split_once(':').expect("an algorithm and digits");
            assert_eq!(hex.len(), if algorithm == "sha256" { 64 } else { 128 });
            // It stands in the file, in a line that names the image, or alone.
            let is_bare = |line: &str| line.len() <= algorithm.len() + 1 + hex.len();
            let is_named = |line: &str| names.iter().any(|name| line.contains(name.as_str()));
            let lines =
                text.lines().map(|line| line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}'));
            let mut lines =
                lines.filter(|line| !line.starts_with('#') && line.to_ascii_lowercase().contains(hex));
            assert!(lines.clone().any(|line| is_named(line) || is_bare(line)), "{digest}");
            let named = lines.any(is_named);
            let again = [format!("{hex}  d.raw.gz"), format!("{} (d.raw) = {hex}", algorithm.to_uppercase())];
            for text in again {
                assert_eq!(find_digest(&text, &names).as_ref(), Ok(digest), "{text}");
            }
            // The digest of another file beside it.
            if named {
                let other = format!("{text}\n{}  other.img\n", "0".repeat(hex.len()));
                let signed = text.contains("-----BEGIN PGP");
                assert!(signed || find_digest(&other, &names) == found, "{other:?}");
            }
        }
    }
});
