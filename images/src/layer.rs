//! The layer: a tar archive with nothing of the building machine in it, and its gzip form.

use anyhow::{Context, Result};
use libdeflater::{CompressionLvl, Compressor};
use tar::{Builder, EntryType, Header};

use crate::rootfs::{Entry, Node};

/// The entries as a ustar archive: owner 0, time 0, the order given.
///
/// # Errors
/// A path that does not fit a ustar header.
pub fn archive(entries: &[Entry<'_>]) -> Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_ustar();
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let (path, bytes): (String, &[u8]) = match &entry.node {
            Node::Folder => {
                header.set_entry_type(EntryType::Directory);
                (format!("{}/", entry.path), &[])
            }
            Node::File(bytes) => {
                header.set_entry_type(EntryType::Regular);
                (entry.path.to_string(), bytes)
            }
        };
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, &path, bytes).with_context(|| format!("packing {path}"))?;
    }
    archive.into_inner().context("closing the archive")
}

/// The bytes as one gzip member without name or time.
///
/// gzip and not zstd, since Docker 20.10 and the containerd of its day read only that; libdeflate at its highest
/// level since an image is packed once and pulled by every server.
///
/// # Errors
/// The compressor refused, which its own bound on the output makes impossible.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut compressor = Compressor::new(CompressionLvl::best());
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut out).context("compressing the layer")?;
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::actions::by_name;
    use crate::rootfs::entries;

    #[test]
    fn another_gzip_reads_it() {
        let bytes = archive(&entries(by_name("stream-image").unwrap(), b"binary")).unwrap();
        let packed = gzip(&bytes).unwrap();
        // Four bytes of time in a gzip header (RFC 1952, 2.3): zero means that there is none.
        assert_eq!(packed[4..8], [0; 4]);
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, bytes);
    }

    #[test]
    fn an_archive_says_nothing_of_this_machine() {
        let bytes = archive(&entries(by_name("wipe-disk").unwrap(), b"binary")).unwrap();
        let mut seen = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let h = entry.header();
            assert_eq!((h.uid().unwrap(), h.gid().unwrap(), h.mtime().unwrap()), (0, 0, 0));
            assert_eq!((h.username().unwrap(), h.groupname().unwrap()), (Some(""), Some("")));
            seen.push((entry.path().unwrap().display().to_string(), h.mode().unwrap(), entry.size()));
        }
        let expected = [("etc/", 0o755, 0), ("run/", 0o755, 0), ("tmp/", 0o1777, 0), ("wipe-disk", 0o755, 6)];
        assert_eq!(seen, expected.map(|(p, m, s)| (p.to_owned(), m, s)));
    }
}
