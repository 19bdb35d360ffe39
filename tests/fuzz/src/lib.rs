//! What several targets need: how much memory something takes, a disk that is mostly zeros, and pieces of any sizes.

use std::cell::Cell;
use std::io;

use common::table::ReadAt;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The result of some work, and how many bytes it had allocated at most. What C allocates is not in it.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

/// A disk with these bytes at its beginning and its end, and zeros between; it counts how often it is read.
pub struct Disk<'a> {
    /// Its size.
    pub size_bytes: u64,
    /// Its first bytes, as many as fit.
    pub head: &'a [u8],
    /// Its last ones.
    pub tail: &'a [u8],
    /// How often it was read.
    pub reads: Cell<u32>,
}

impl<'a> Disk<'a> {
    /// A disk of this size.
    pub fn new(size_bytes: u64, head: &'a [u8], tail: &'a [u8]) -> Self {
        Self { size_bytes, head, tail, reads: Cell::new(0) }
    }
}

impl ReadAt for Disk<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        let end_bytes = offset_bytes.checked_add(buffer.len() as u64);
        if end_bytes.is_none_or(|end_bytes| end_bytes > self.size_bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.fill(0);
        let tail_start = self.size_bytes.saturating_sub(self.tail.len() as u64);
        for (start, bytes) in [(tail_start, self.tail), (0, self.head)] {
            // Where the two ranges overlap.
            let from = offset_bytes.max(start);
            let to = (offset_bytes + buffer.len() as u64).min(start.saturating_add(bytes.len() as u64));
            if from < to {
                let source = &bytes[(from - start) as usize..(to - start) as usize];
                buffer[(from - offset_bytes) as usize..][..source.len()].copy_from_slice(source);
            }
        }
        Ok(())
    }
}

/// Cuts bytes into pieces whose lengths depend on the bytes themselves.
pub fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = crc32fast::hash(bytes);
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let longest = [1, 4, 20, 300][(state >> 30) as usize];
        let (piece, rest) = bytes.split_at(bytes.len().min(1 + (state >> 16 & 0xfff) as usize % longest));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Bytes that are taken from the beginning of the input; zeros once there are none.
pub fn take<const N: usize>(input: &mut &[u8]) -> [u8; N] {
    let mut taken = [0; N];
    let (bytes, rest) = input.split_at(input.len().min(N));
    taken[..bytes.len()].copy_from_slice(bytes);
    *input = rest;
    taken
}

/// Makes the checksums of the GPT's header in this block right, and of its entries where they lie in `disk`: no input gets
/// past them by chance.
pub fn seal(disk: &mut [u8], lba: usize, logical_block_size: usize) {
    let u32_at =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let Some(start) = lba.checked_mul(logical_block_size).filter(|start| disk.len() >= start + 92) else {
        return;
    };
    let header = &disk[start..];
    let entries_lba = u64::from_le_bytes(header[72..80].try_into().expect("eight bytes"));
    let length = u64::from(u32_at(header, 80)) * u64::from(u32_at(header, 84));
    let place =
        entries_lba.checked_mul(logical_block_size as u64).and_then(|at| Some((at, at.checked_add(length)?)));
    if let Some(entries) =
        place.and_then(|(at, end)| disk.get(usize::try_from(at).ok()?..usize::try_from(end).ok()?))
    {
        let checksum = crc32fast::hash(entries);
        disk[start + 88..start + 92].copy_from_slice(&checksum.to_le_bytes());
    }
    let size = u32_at(&disk[start..], 12) as usize;
    let Some(header) = disk[start..].get_mut(..size).filter(|header| header.len() >= 92) else { return };
    header[16..20].fill(0);
    let checksum = crc32fast::hash(header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
}
