//! The stages of the stream, each alone: a process that does this one thing, as `stream-image` does it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, ensure};
use flate2::{Decompress, FlushDecompress, Status};
use rustix::fs::OFlags;

use super::extents;

/// As `stream-image` has them: what its buffers hold, what disks align to, and its writers.
const BUFFER_BYTES: usize = 1 << 20;
const ALIGNMENT: usize = 4096;
const WRITERS: usize = 2;
/// As much as its HTTP library hands out at once.
const PIECE_BYTES: usize = 256 << 10;
const GZIP_WINDOW_BITS: u8 = 15;

/// Decodes one gzip member to nothing, with the library of `stream-image`.
///
/// # Errors
/// When it cannot be read, or is damaged.
pub fn decode(object: &Path) -> Result<()> {
    let mut file = File::open(object).with_context(|| format!("opening {}", object.display()))?;
    let mut decoder = Decompress::new_gzip(GZIP_WINDOW_BITS);
    let mut piece = vec![0; PIECE_BYTES];
    // Buffers in turn, so that their memory is in no core's cache already: as where they go on to a disk.
    let mut buffers = vec![vec![0; BUFFER_BYTES]; 8];
    let (mut at, mut filled, mut turn) = (0, 0, 0);
    loop {
        if at == filled {
            filled = file.read(&mut piece)?;
            at = 0;
            ensure!(filled > 0, "{} is truncated", object.display());
        }
        let start = (decoder.total_out() % BUFFER_BYTES as u64) as usize;
        let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
        let status =
            decoder.decompress(&piece[at..filled], &mut buffers[turn][start..], FlushDecompress::None)?;
        at += (decoder.total_in() - before_in) as usize;
        let produced = (decoder.total_out() - before_out) as usize;
        if start + produced == BUFFER_BYTES {
            turn = (turn + 1) % buffers.len();
        }
        if status == Status::StreamEnd {
            return Ok(());
        }
    }
}

/// Writes the data of an image past the page cache, what is zeros left out, two writes at once, and flushes. What is
/// written is no image: nothing is read or made while the time runs.
///
/// # Errors
/// When the disk fails.
pub fn write(list: &Path, disk: &Path) -> Result<()> {
    let extents = Mutex::new(extents::load(list)?.into_iter());
    let flags =
        i32::try_from((OFlags::DIRECT | OFlags::EXCL).bits()).context("flags as open(2) takes them")?;
    let open = File::options().write(true).custom_flags(flags).open(disk);
    let file = open.with_context(|| format!("opening {}", disk.display()))?;
    let writer = || -> io::Result<()> {
        let memory = vec![0x5a; BUFFER_BYTES + ALIGNMENT];
        let address = memory.as_ptr().addr();
        let start = address.next_multiple_of(ALIGNMENT) - address;
        loop {
            let next = extents.lock().expect("nobody panics with it").next();
            let Some(extent) = next else { return Ok(()) };
            file.write_all_at(&memory[start..][..extent.length], extent.offset_bytes)?;
        }
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(writer)).collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("writing does not panic"))
    })
    .with_context(|| format!("writing {}", disk.display()))?;
    file.sync_all().with_context(|| format!("flushing {}", disk.display()))
}
