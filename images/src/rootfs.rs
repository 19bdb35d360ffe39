//! What lies in an image's one layer.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use common::variables::ActionSpec;

use crate::actions;

/// Where Debian, Alpine and most programs look for trusted certificates.
pub const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// A folder or a file, by its path below `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Without a leading slash.
    pub path: Cow<'static, str>,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub node: Node<'a>,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node<'a> {
    /// An empty folder, or one with later entries in it.
    Folder,
    /// A file with these bytes.
    File(Cow<'a, [u8]>),
}

/// Everything in the image of `action`, parents before children, sorted by path.
///
/// `/etc` and `/run` are there since runtimes bind files and mount a tmpfs on them, `/tmp` since programs expect it.
pub fn entries<'a>(action: &ActionSpec, binary: &'a [u8]) -> Vec<Entry<'a>> {
    let folder = |path: &'static str, mode| Entry { path: path.into(), mode, node: Node::Folder };
    let mut entries = vec![folder("etc", 0o755), folder("run", 0o755), folder("tmp", 0o1777)];
    if actions::speaks_tls(action) {
        entries.push(folder("etc/ssl", 0o755));
        entries.push(folder("etc/ssl/certs", 0o755));
        let node = Node::File(certificates().into_bytes().into());
        entries.push(Entry { path: CERTIFICATES.into(), mode: 0o644, node });
    }
    entries.push(Entry { path: action.name.into(), mode: 0o755, node: Node::File(binary.into()) });
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// Mozilla's trusted roots as PEM, in the order of the crate that carries them.
///
/// Taken from a crate that the lock file pins and not from the building machine's ca-certificates, whose content
/// differs with its release and its administrator: the digests would too.
pub fn certificates() -> String {
    let mut pem = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = STANDARD.encode(root);
        for line in text.as_bytes().chunks(64) {
            pem.extend(line.iter().map(|&b| char::from(b)));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

/// Writes `entries` below `folder`, which is made when it is missing: what the Containerfile copies.
///
/// # Errors
/// A folder or file could not be made; the message has its path.
pub fn write(entries: &[Entry<'_>], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for entry in entries {
        let path = folder.join(&*entry.path);
        match &entry.node {
            Node::Folder => fs::create_dir_all(&path),
            Node::File(bytes) => fs::write(&path, bytes),
        }
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode)))
        .with_context(|| format!("making {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::by_name;

    fn paths(action: &str) -> Vec<String> {
        entries(by_name(action).unwrap(), b"x").into_iter().map(|e| e.path.into_owned()).collect()
    }

    #[test]
    fn certificates_only_where_tls_is_spoken() {
        assert_eq!(paths("wipe-disk"), ["etc", "run", "tmp", "wipe-disk"]);
        assert_eq!(
            paths("stream-image"),
            ["etc", "etc/ssl", "etc/ssl/certs", CERTIFICATES, "run", "stream-image", "tmp"]
        );
    }

    #[test]
    fn certificates_are_pem_that_decodes_to_what_went_in() {
        let pem = certificates();
        assert!(pem.lines().all(|l| l.len() <= 64));
        let bodies: Vec<String> = pem
            .split("-----BEGIN CERTIFICATE-----\n")
            .skip(1)
            .map(|b| b.split("-----END").next().unwrap().replace('\n', ""))
            .collect();
        assert!(bodies.len() > 100, "{}", bodies.len());
        for (body, root) in bodies.iter().zip(webpki_root_certs::TLS_SERVER_ROOT_CERTS) {
            assert_eq!(STANDARD.decode(body).unwrap(), root.as_ref());
        }
    }

    #[test]
    fn written_out_with_the_same_modes() {
        let folder = tempfile::tempdir().unwrap();
        write(&entries(by_name("stream-image").unwrap(), b"binary"), folder.path()).unwrap();
        let mode = |p: &str| fs::metadata(folder.path().join(p)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            [mode("tmp"), mode("etc"), mode("stream-image"), mode(CERTIFICATES)],
            [0o1777, 0o755, 0o755, 0o644]
        );
        assert_eq!(fs::read(folder.path().join("stream-image")).unwrap(), b"binary");
    }
}
