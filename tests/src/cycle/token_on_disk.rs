//! Whether a secret stands on an installed disk outside the file that it belongs to.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use memchr::memmem::Finder;
use rustix::fs::SeekFrom;

use crate::os::{DebianKind, RootFs};
use crate::vm::process::output_within;

/// Where the user-data is on the installed root.
const SEED: &str = "/var/lib/cloud/seed/nocloud/user-data";
/// Where the root of the Debian image begins (`tests/os/debian.sh`).
const ROOT_BYTES: u64 = 66 << 20;
/// How much is read at a time.
const PIECE_BYTES: usize = 4 << 20;
const LIMIT: Duration = Duration::from_secs(120);

/// The places of secrets on a disk on which nothing has booted yet, in bytes from its beginning, that are not in the seed's
/// user-data; and how many are in it. Only for an ext4 root without a `/boot` of its own: `None` for others.
///
/// # Errors
/// When the disk cannot be read, or the user-data is not there.
pub(super) fn outside_the_seed(
    disk: &Path,
    kind: DebianKind,
    secrets: &[String],
) -> Result<Option<(Vec<u64>, usize)>> {
    if kind.root_fs != RootFs::Ext4 || kind.separate_boot {
        return Ok(None);
    }
    let places = places(disk, secrets)?;
    let seed = blocks_of_seed(disk)?;
    let (inside, outside): (Vec<u64>, Vec<u64>) =
        places.into_iter().partition(|place| seed.iter().any(|block| block.contains(place)));
    Ok(Some((outside, inside.len())))
}

/// Every place of every secret. What the file has as holes is zeros, and has none.
fn places(disk: &Path, secrets: &[String]) -> Result<Vec<u64>> {
    let file = File::open(disk).with_context(|| format!("opening {}", disk.display()))?;
    let length = file.metadata()?.len();
    let finders: Vec<Finder<'_>> = secrets.iter().map(Finder::new).collect();
    let overlap = secrets.iter().map(String::len).max().unwrap_or_default();
    let (mut places, mut at) = (BTreeSet::new(), 0);
    let mut buffer = vec![0; PIECE_BYTES + overlap];
    while at < length {
        // ENXIO: nothing but a hole is left.
        let Ok(data) = rustix::fs::seek(&file, SeekFrom::Data(at)) else { break };
        let end = rustix::fs::seek(&file, SeekFrom::Hole(data))?.min(data + PIECE_BYTES as u64);
        let wanted = ((end - data) as usize + overlap).min((length - data) as usize);
        file.read_exact_at(&mut buffer[..wanted], data)?;
        for finder in &finders {
            places.extend(finder.find_iter(&buffer[..wanted]).map(|place| data + place as u64));
        }
        at = end;
    }
    Ok(places.into_iter().collect())
}

/// Where the blocks of the user-data are on the disk.
fn blocks_of_seed(disk: &Path) -> Result<Vec<std::ops::Range<u64>>> {
    let filesystem = format!("{}?offset={ROOT_BYTES}", disk.display());
    let ask = |request: &str| -> Result<String> {
        let output = output_within("debugfs", &["-R".into(), request.into(), filesystem.clone()], LIMIT)?;
        Ok(output.succeeded()?.stdout)
    };
    let statistics = ask("stats")?;
    let block_bytes: u64 = statistics
        .lines()
        .find_map(|line| line.strip_prefix("Block size:"))
        .and_then(|size| size.trim().parse().ok())
        .with_context(|| format!("no ext4 at {ROOT_BYTES}: {statistics}"))?;
    let listing = ask(&format!("blocks {SEED}"))?;
    let blocks: Vec<u64> = listing.split_whitespace().filter_map(|block| block.parse().ok()).collect();
    ensure!(!blocks.is_empty(), "{SEED} has no blocks: {listing}");
    let range = |block: u64| {
        let begin = ROOT_BYTES + block * block_bytes;
        begin..begin + block_bytes
    };
    Ok(blocks.into_iter().map(range).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_behind_a_hole_and_across_pieces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 30).unwrap();
        let across = (512 << 20) + PIECE_BYTES as u64 - 3;
        let write = |text: &[u8], at| file.as_file().write_all_at(text, at).unwrap();
        write(&vec![7; PIECE_BYTES * 2], 512 << 20);
        write(b"s3cret", across);
        write(b"a s3cret, other", (1 << 30) - 15);
        let found = places(file.path(), &["s3cret".into(), "other".into(), "none".into()]).unwrap();
        assert_eq!(found, [across, (1 << 30) - 13, (1 << 30) - 5]);
    }
}
