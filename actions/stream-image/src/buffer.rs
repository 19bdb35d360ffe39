//! Buffers that a disk takes past the page cache: whole blocks at an aligned address.

use std::mem;
use std::sync::mpsc::{Receiver, Sender, channel};

/// The bytes of a buffer: a multiple of every logical block size, and what disks take at once with good speed.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;
/// The largest alignment that a disk asks for.
pub(crate) const ALIGNMENT: usize = 4096;

/// A fixed number of buffers, each of which comes back here when it is dropped, wherever that is. Whoever wants one
/// while all are in use waits: so nothing in the stream runs ahead of what comes after it.
pub(crate) struct Pool {
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    /// Not made yet: memory that is never needed is never touched.
    unmade: usize,
}

impl Pool {
    pub(crate) fn new(buffers: usize) -> Self {
        let (home, free) = channel();
        Self { free, home, unmade: buffers }
    }

    /// An empty buffer for the piece of the image that begins here.
    pub(crate) fn take(&mut self, offset_bytes: u64) -> Buffer {
        let memory = self.free.try_recv().ok().or_else(|| {
            self.unmade = self.unmade.checked_sub(1)?;
            // Never grown or shrunk, so that it stays where it is.
            Some(vec![0; BUFFER_BYTES + ALIGNMENT])
        });
        // Cannot fail: the other end of the channel is here, too.
        let memory = memory.unwrap_or_else(|| self.free.recv().unwrap_or_default());
        let address = memory.as_ptr().addr();
        let start = address.next_multiple_of(ALIGNMENT) - address;
        Buffer { memory, start, filled: 0, offset_bytes, home: self.home.clone() }
    }
}

/// A piece of the decoded image, at its place.
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
    /// Where its first byte belongs.
    pub(crate) offset_bytes: u64,
    home: Sender<Vec<u8>>,
}

impl Buffer {
    /// What is in it.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.memory[self.start..][..self.filled]
    }

    /// The room left.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][self.filled..BUFFER_BYTES]
    }

    /// Counts bytes of the room as filled.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.filled += bytes;
        debug_assert!(self.filled <= BUFFER_BYTES, "more was filled than there was room");
    }

    pub(crate) fn is_full(&self) -> bool {
        self.filled == BUFFER_BYTES
    }

    /// Fills up with bytes from somewhere else, and gives how many there was room for.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len().min(BUFFER_BYTES - self.filled);
        self.space()[..length].copy_from_slice(&bytes[..length]);
        self.advance(length);
        length
    }

    /// Forgets its first bytes; the others move to the beginning, where they are aligned.
    pub(crate) fn remove_first(&mut self, bytes: usize) {
        let range = self.start + bytes..self.start + self.filled;
        self.memory.copy_within(range, self.start);
        self.filled -= bytes;
        self.offset_bytes += bytes as u64;
    }

    /// Forgets all but the first bytes.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        self.filled = self.filled.min(bytes);
    }

    /// Fills up with zeros to whole blocks.
    pub(crate) fn pad(&mut self, logical_block_size: u32) {
        let padded = self.filled.next_multiple_of(logical_block_size as usize);
        self.memory[self.start..][self.filled..padded].fill(0);
        self.filled = padded;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // The pool may be gone, and need no more buffers.
        let _ = self.home.send(mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_padded() {
        let mut buffer = Pool::new(1).take(0);
        assert_eq!(buffer.space().as_ptr().addr() % ALIGNMENT, 0);
        assert_eq!(buffer.space().len(), BUFFER_BYTES);
        buffer.space()[..1000].fill(7);
        buffer.advance(700);
        buffer.pad(512);
        assert_eq!((buffer.filled().len(), buffer.filled()[699], buffer.filled()[700]), (1024, 7, 0));
        buffer.truncate(512);
        assert_eq!(buffer.filled().len(), 512);
        buffer.advance(BUFFER_BYTES - 512);
        assert!(buffer.is_full() && buffer.space().is_empty());
    }

    #[test]
    fn bytes_move_between_buffers() {
        let mut pool = Pool::new(2);
        let (mut first, mut second) = (pool.take(0), pool.take(100));
        first.advance(BUFFER_BYTES - 3);
        assert_eq!(second.append(&[1, 2, 3, 4, 5]), 5);
        assert_eq!(first.append(second.filled()), 3);
        second.remove_first(3);
        assert_eq!((second.filled(), second.offset_bytes), (&[4, 5][..], 103));
        assert_eq!(first.filled()[BUFFER_BYTES - 3..], [1, 2, 3]);
    }

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let mut pool = Pool::new(1);
        let mut buffer = pool.take(0);
        buffer.advance(9);
        let address = buffer.filled().as_ptr();
        let waiting = std::thread::spawn(move || {
            let buffer = pool.take(7);
            (buffer.filled().as_ptr().addr(), buffer.filled().len(), buffer.offset_bytes)
        });
        drop(buffer);
        assert_eq!(waiting.join().unwrap(), (address.addr(), 0, 7));
    }
}
