//! Buffers that a disk takes past the page cache: whole blocks at an aligned address.

/// The bytes of a buffer: a multiple of every logical block size, and what disks take at once with good speed.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;
/// The largest alignment that a disk asks for.
const ALIGNMENT: usize = 4096;

/// A piece of the decoded image, at its place.
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
    /// Where its first byte belongs.
    pub(crate) offset_bytes: u64,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        // Never grown or shrunk, so that it stays where it is.
        let memory = vec![0; BUFFER_BYTES + ALIGNMENT];
        let address = memory.as_ptr().addr();
        Self { start: address.next_multiple_of(ALIGNMENT) - address, memory, filled: 0, offset_bytes: 0 }
    }

    /// Empties it for the piece that begins here.
    pub(crate) fn reset(&mut self, offset_bytes: u64) {
        self.filled = 0;
        self.offset_bytes = offset_bytes;
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_padded() {
        let mut buffer = Buffer::new();
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
}
