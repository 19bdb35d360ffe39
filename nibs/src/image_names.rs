//! Under which names the actions' images are pulled.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::finding::show;

/// The index file that `images pack` writes, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Index {
    images: Vec<Indexed>,
}

#[derive(Debug, Deserialize)]
struct Indexed {
    name: String,
    digest: String,
}

/// How to name an action's image in a Template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageNames {
    registry: String,
    /// Name and digest of each image; without them the version is the tag.
    digests: Option<Vec<(String, String)>>,
}

impl ImageNames {
    /// Images below `registry`, tagged with this version of Nibs.
    ///
    /// # Errors
    /// `registry` is not `HOST[:PORT][/PATH]`.
    pub fn tagged(registry: &str) -> Result<Self, String> {
        Ok(Self { registry: check_registry(registry)?, digests: None })
    }

    /// Images below `registry`, pinned by the digests of the index file at `index`.
    ///
    /// # Errors
    /// `registry` is not `HOST[:PORT][/PATH]`; the file cannot be read, is no index, or has a digest that is none.
    pub fn pinned(registry: &str, index: &Path) -> Result<Self, String> {
        let registry = check_registry(registry)?;
        let path = index.display();
        let text = fs::read_to_string(index).map_err(|e| format!("reading the images' index {path}: {e}"))?;
        // What the file says is not repeated: it may be another than was meant.
        let read: Index = serde_json::from_str(&text).map_err(|e| {
            let (line, column) = (e.line(), e.column());
            format!("reading the images' index {path}: it is none from line {line}, column {column} on")
        })?;
        let mut digests = Vec::new();
        for Indexed { name, digest } in read.images {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                let shown = show(&digest);
                return Err(format!(
                    "{path}: digest {shown} of {}: sha256: and 64 digits are accepted",
                    show(&name)
                ));
            }
            digests.push((name, digest));
        }
        Ok(Self { registry, digests: Some(digests) })
    }

    /// The reference of the action's image.
    ///
    /// # Errors
    /// The index file has no image of that name.
    pub fn of(&self, action: &str) -> Result<String, String> {
        let Self { registry, digests } = self;
        let Some(digests) = digests else {
            return Ok(format!("{registry}/{action}:{}", env!("CARGO_PKG_VERSION")));
        };
        let (_, digest) = digests.iter().find(|(name, _)| name == action).ok_or_else(|| {
            let names: Vec<_> = digests.iter().map(|(name, _)| name.as_str()).collect();
            format!("the images' index has no {action}; it has {}", names.join(", "))
        })?;
        Ok(format!("{registry}/{action}@{digest}"))
    }
}

/// What container runtimes take as the part of an image's name before its last word: lower case, no scheme.
fn check_registry(registry: &str) -> Result<String, String> {
    let registry = registry.strip_suffix('/').unwrap_or(registry);
    let (host, path) = registry.split_once('/').unwrap_or((registry, "host-alone"));
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let word = |w: &str| {
        w.starts_with(|c: char| c.is_ascii_alphanumeric())
            && w.ends_with(|c: char| c.is_ascii_alphanumeric())
            && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let lower = !path.bytes().any(|b| b.is_ascii_uppercase());
    if word(name) && port.parse::<u16>().is_ok() && path.split('/').all(word) && lower {
        Ok(registry.to_owned())
    } else {
        Err(format!("registry {registry:?}: HOST[:PORT][/PATH] is accepted, as registry.example:5000/nibs"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(digest: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            r#"{{"version":"9","images":[{{"name":"wipe-disk","digest":"{digest}","size_bytes":1}}]}}"#
        );
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_tag_or_a_digest() {
        let tagged = ImageNames::tagged("registry.example:5000/nibs/").unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            tagged.of("wipe-disk").unwrap(),
            format!("registry.example:5000/nibs/wipe-disk:{version}")
        );
        let digest = format!("sha256:{}", "a1".repeat(32));
        let pinned = ImageNames::pinned("127.0.0.1:5000", index(&digest).path()).unwrap();
        assert_eq!(pinned.of("wipe-disk").unwrap(), format!("127.0.0.1:5000/wipe-disk@{digest}"));
        assert_eq!(
            pinned.of("stream-image").unwrap_err(),
            "the images' index has no stream-image; it has wipe-disk"
        );
    }

    #[test]
    fn what_is_no_digest_pins_nothing() {
        for wrong in ["", "latest", "sha256:12", &format!("sha256:{}", "A1".repeat(32))] {
            let said = ImageNames::pinned("r", index(wrong).path()).unwrap_err();
            assert!(said.contains(&format!("digest {wrong:?} of \"wipe-disk\"")), "{said}");
        }
        assert!(ImageNames::pinned("r", Path::new("/nowhere")).unwrap_err().contains("/nowhere"));
        let other = tempfile::NamedTempFile::new().unwrap();
        fs::write(other.path(), "{\"images\": \"secret-1\"}").unwrap();
        let said = ImageNames::pinned("r", other.path()).unwrap_err();
        assert!(said.ends_with("it is none from line 1, column 21 on"), "{said}");
    }

    #[test]
    fn what_no_runtime_would_pull_from() {
        for wrong in
            ["", "https://r.example", "r.example:port", "r.example/UPPER", "r.example//x", "a b", "r/x:1"]
        {
            assert!(check_registry(wrong).unwrap_err().contains("HOST[:PORT][/PATH]"), "{wrong}");
        }
        for right in ["localhost", "127.0.0.1:5000", "quay.io/nibs/actions"] {
            assert_eq!(check_registry(right).unwrap(), right);
        }
    }
}
