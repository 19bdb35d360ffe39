//! Files of digests: what `sha256sum` writes, with or without names, its BSD form, and both within a clear-signed message.
//! A signature in them is not checked.

use super::digest::Digest;

/// Why a file of digests gives none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoDigest {
    /// The line of this number, from 1, is none that the formats know.
    Malformed(usize),
    /// No digest is in it.
    Empty,
    /// Others are listed, and this name is not.
    NotListed(String),
    /// The name is listed with different digests.
    Ambiguous(String),
}

impl std::fmt::Display for NoDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(line) => {
                write!(f, "line {line} is no digest; accepted: DIGEST, DIGEST  NAME, SHA256 (NAME) = DIGEST")
            }
            Self::Empty => write!(f, "there is no digest in it"),
            Self::NotListed(name) => write!(f, "it lists no {name}"),
            Self::Ambiguous(name) => write!(f, "it lists {name} with different digests"),
        }
    }
}

/// Finds the digest of the first of `names` that is listed. A file with one digest and no name speaks of the image.
///
/// # Errors
/// [`NoDigest`]
pub(crate) fn find(text: &str, names: &[String]) -> Result<Digest, NoDigest> {
    let entries = entries(text)?;
    if let [(None, digest)] = &entries[..] {
        return Ok(digest.clone());
    }
    if entries.is_empty() {
        return Err(NoDigest::Empty);
    }
    for name in names {
        let mut of_name: Vec<&Digest> = Vec::new();
        for (_, digest) in entries.iter().filter(|(own, _)| own.as_deref().map(base_name) == Some(name)) {
            if !of_name.contains(&digest) {
                of_name.push(digest);
            }
        }
        // One of each algorithm is no contradiction; the longer one says more.
        of_name.sort_by_key(|digest| digest.to_string().len());
        if of_name.windows(2).any(|pair| pair[0].algorithm == pair[1].algorithm) {
            return Err(NoDigest::Ambiguous(name.clone()));
        }
        if let Some(digest) = of_name.last() {
            return Ok((*digest).clone());
        }
    }
    Err(NoDigest::NotListed(names.first().cloned().unwrap_or_default()))
}

type Entry = (Option<String>, Digest);

fn entries(text: &str) -> Result<Vec<Entry>, NoDigest> {
    let mut entries = Vec::new();
    let mut in_armor_header = false;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line == "-----BEGIN PGP SIGNATURE-----" {
            break;
        }
        if line == "-----BEGIN PGP SIGNED MESSAGE-----" {
            in_armor_header = true;
            continue;
        }
        if line.is_empty() {
            in_armor_header = false;
            continue;
        }
        if in_armor_header || line.starts_with('#') {
            continue;
        }
        entries.push(entry(line).ok_or(NoDigest::Malformed(index + 1))?);
    }
    Ok(entries)
}

fn entry(line: &str) -> Option<Entry> {
    if let Some((before, hex)) = line.rsplit_once(") = ") {
        let (algorithm, name) = before.split_once(" (")?;
        let digest = Digest::from_hex(hex.trim())?;
        return algorithm
            .eq_ignore_ascii_case(digest.algorithm.name())
            .then(|| (Some(name.to_owned()), digest));
    }
    match line.split_once(char::is_whitespace) {
        None => Some((None, Digest::parse(line).or_else(|| Digest::from_hex(line))?)),
        Some((hex, name)) => {
            let name = name.trim_start();
            Some((Some(name.strip_prefix('*').unwrap_or(name).to_owned()), Digest::from_hex(hex)?))
        }
    }
}

fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn find_in(text: &str) -> Result<String, NoDigest> {
        find(text, &["d.raw.gz".into(), "d.raw".into()]).map(|digest| digest.to_string())
    }

    #[test]
    fn every_form_is_read() {
        let wanted = Ok(format!("sha256:{}", hex('a')));
        for text in [
            hex('a'),
            format!("{}\r\n", hex('A')),
            format!("sha256:{}\n", hex('a')),
            format!("{}  other\n{} *./out/d.raw.gz\n", hex('b'), hex('a')),
            format!("{}  d.raw\n{}  e.raw", hex('a'), hex('b')),
            format!("# d.raw.gz: 7 bytes\nSHA256 (other) = {}\nSHA256 (d.raw.gz) = {}\n", hex('b'), hex('a')),
            format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{}  d.raw.gz\n-----BEGIN PGP SIGNATURE-----\n\nxyz=\n",
                hex('a')
            ),
            format!("{}  d.raw.gz\n{}  d.raw.gz\n", hex('a'), hex('a')),
        ] {
            assert_eq!(find_in(&text), wanted, "{text}");
        }
        let sha512 = "c".repeat(128);
        assert_eq!(
            find_in(&format!("{}  d.raw.gz\n{sha512}  d.raw.gz", hex('a'))),
            Ok(format!("sha512:{sha512}"))
        );
    }

    #[test]
    fn what_gives_no_digest_says_why() {
        assert_eq!(find_in(""), Err(NoDigest::Empty));
        assert_eq!(find_in("# nothing\n\n"), Err(NoDigest::Empty));
        assert_eq!(find_in("<html><body>404</body></html>"), Err(NoDigest::Malformed(1)));
        assert_eq!(find_in(&format!("{}  a\n{}  b", hex('a'), "d".repeat(40))), Err(NoDigest::Malformed(2)));
        assert_eq!(find_in(&format!("SHA512 (d.raw.gz) = {}", hex('a'))), Err(NoDigest::Malformed(1)));
        assert_eq!(find_in(&format!("{}  a.raw.gz", hex('a'))), Err(NoDigest::NotListed("d.raw.gz".into())));
        assert_eq!(
            find_in(&format!("{}\n{}", hex('a'), hex('b'))),
            Err(NoDigest::NotListed("d.raw.gz".into()))
        );
        assert_eq!(
            find_in(&format!("{}  d.raw.gz\n{}  d.raw.gz", hex('a'), hex('b'))),
            Err(NoDigest::Ambiguous("d.raw.gz".into()))
        );
    }
}
