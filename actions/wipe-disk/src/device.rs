//! Writing zeros to a disk, discarding, and reading back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::Context;
use common::cause::Cause;
use common::failure::{Because, Failure};
use common::{stop, sys};
use tracing::{debug, info};

use crate::range::Range;

const MIB: u64 = 1 << 20;
/// What is written or read at once.
const BUFFER: usize = MIB as usize;
/// What the kernel is told to discard at once. A request to stop waits for it.
const DISCARD_BYTES: u64 = 1 << 30;
/// What the kernel is told to zero at once: half a second on a slow disk.
const ZERO_BYTES: u64 = 64 * MIB;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Writes zeros to a range, and flushes.
///
/// # Errors
/// [`Cause::DiskIo`], [`Cause::Stopped`].
pub(crate) fn zero(file: &File, range: Range) -> Result<(), Failure> {
    let zeros = vec![0; BUFFER];
    for piece in pieces(range, MIB) {
        stop::check()?;
        file.write_all_at(&zeros[..piece.length_bytes() as usize], piece.start_bytes)
            .with_context(|| format!("writing zeros from byte {}", piece.start_bytes))
            .because(Cause::DiskIo)?;
    }
    flush(file)
}

/// Zeros a large range, with lines of progress, and flushes. The device zeros by itself where it can.
///
/// # Errors
/// [`Cause::DiskIo`], [`Cause::Stopped`].
pub(crate) fn zero_all(file: &File, node: &str, range: Range) -> Result<(), Failure> {
    let mut progress = Progress::new(node, "zeroed", range);
    let mut by_kernel = true;
    for piece in pieces(range, ZERO_BYTES) {
        stop::check()?;
        if by_kernel {
            match sys::zero(file, piece.start_bytes, piece.length_bytes()) {
                Ok(()) => {}
                Err(error) if unsupported(&error) => {
                    debug!("{node}: no BLKZEROOUT ({error}), writing zeros instead");
                    by_kernel = false;
                }
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("zeroing from byte {}", piece.start_bytes))
                        .because(Cause::DiskIo);
                }
            }
        }
        if !by_kernel {
            zero(file, piece)?;
        }
        progress.reached(piece.end_bytes);
    }
    flush(file)
}

/// Discards a range. What it reads as then is not known.
///
/// # Errors
/// What the device gave, and [`io::ErrorKind::Interrupted`] on a request to stop.
pub(crate) fn discard(file: &File, node: &str, range: Range) -> io::Result<()> {
    let mut progress = Progress::new(node, "discarded", range);
    for piece in pieces(range, DISCARD_BYTES) {
        if stop::requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        sys::discard(file, piece.start_bytes, piece.length_bytes())?;
        progress.reached(piece.end_bytes);
    }
    file.sync_all()
}

/// The first byte in a range that is not zero, read from the device itself: call [`sys::drop_cache`] before.
///
/// # Errors
/// [`Cause::DiskIo`], [`Cause::Stopped`].
pub(crate) fn first_nonzero(file: &File, range: Range) -> Result<Option<u64>, Failure> {
    let mut buffer = vec![0; BUFFER];
    for piece in pieces(range, MIB) {
        stop::check()?;
        let read = &mut buffer[..piece.length_bytes() as usize];
        file.read_exact_at(read, piece.start_bytes)
            .with_context(|| format!("reading back from byte {}", piece.start_bytes))
            .because(Cause::DiskIo)?;
        if let Some(at) = read.iter().position(|byte| *byte != 0) {
            return Ok(Some(piece.start_bytes + at as u64));
        }
    }
    Ok(None)
}

/// Makes durable what was written.
///
/// # Errors
/// [`Cause::DiskIo`].
pub(crate) fn flush(file: &File) -> Result<(), Failure> {
    file.sync_all().context("flushing").because(Cause::DiskIo)
}

fn unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOTTY))
}

fn pieces(range: Range, piece_bytes: u64) -> impl Iterator<Item = Range> {
    let mut at = range.start_bytes;
    std::iter::from_fn(move || {
        let start_bytes = at;
        at = (start_bytes + piece_bytes).min(range.end_bytes);
        (start_bytes < at).then_some(Range { start_bytes, end_bytes: at })
    })
}

/// A line now and then, of how much of a range is done.
struct Progress<'a> {
    node: &'a str,
    done: &'static str,
    range: Range,
    said: Instant,
}

impl<'a> Progress<'a> {
    fn new(node: &'a str, done: &'static str, range: Range) -> Self {
        Self { node, done, range, said: Instant::now() }
    }

    fn reached(&mut self, at_bytes: u64) {
        if self.said.elapsed() < PROGRESS || at_bytes >= self.range.end_bytes {
            return;
        }
        self.said = Instant::now();
        let (part, all) = (at_bytes - self.range.start_bytes, self.range.length_bytes());
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        info!(
            percent = part * 100 / all,
            "{}: {} {:.1} of {:.1} GB",
            self.node,
            self.done,
            gigabytes(part),
            gigabytes(all)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start_bytes: u64, end_bytes: u64) -> Range {
        Range { start_bytes, end_bytes }
    }

    #[test]
    fn a_range_falls_into_pieces_without_a_gap() {
        assert_eq!(pieces(range(3, 10), 4).collect::<Vec<_>>(), [range(3, 7), range(7, 10)]);
        assert_eq!(pieces(range(3, 3), 4).count(), 0);
    }

    #[test]
    fn zeros_are_written_to_the_range_alone_and_what_is_left_is_found() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; 3 * BUFFER], 0).unwrap();
        zero(&file, range(4096, 2 * MIB + 512)).unwrap();
        assert_eq!(first_nonzero(&file, range(4096, 2 * MIB + 512)).unwrap(), None);
        assert_eq!(first_nonzero(&file, range(4096, 3 * MIB)).unwrap(), Some(2 * MIB + 512));
        assert_eq!(first_nonzero(&file, range(4095, 5000)).unwrap(), Some(4095));
    }

    #[test]
    fn a_file_is_zeroed_by_writing() {
        // No block device: BLKZEROOUT is not there.
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; 2 * BUFFER], 0).unwrap();
        zero_all(&file, "a file", range(0, 2 * MIB)).unwrap();
        assert_eq!(first_nonzero(&file, range(0, 2 * MIB)).unwrap(), None);
        assert!(discard(&file, "a file", range(0, 4096)).is_err());
    }
}
