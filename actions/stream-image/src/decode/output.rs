//! The decoded image, buffer by buffer.

use std::sync::mpsc::{Receiver, SyncSender};

use crate::buffer::Buffer;
use crate::stages::{Decoded, Ended};

/// Where decoded bytes go.
pub(super) struct Output {
    pool: Receiver<Buffer>,
    to: SyncSender<Decoded>,
    buffer: Option<Buffer>,
    produced_bytes: u64,
}

impl Output {
    pub(super) fn new(pool: Receiver<Buffer>, to: SyncSender<Decoded>) -> Self {
        Self { pool, to, buffer: None, produced_bytes: 0 }
    }

    /// Says what comes.
    pub(super) fn begin(&mut self, raw: bool) -> Result<(), Ended> {
        self.to.send(Decoded::Begin { raw }).map_err(|_| Ended::Quietly)
    }

    /// Room for at least one byte.
    pub(super) fn space(&mut self) -> Result<&mut [u8], Ended> {
        let buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => {
                let mut buffer = self.pool.recv().map_err(|_| Ended::Quietly)?;
                buffer.reset(self.produced_bytes);
                buffer
            }
        };
        Ok(self.buffer.insert(buffer).space())
    }

    /// Counts bytes of the room as decoded.
    pub(super) fn advance(&mut self, bytes: usize) -> Result<(), Ended> {
        self.produced_bytes += bytes as u64;
        if let Some(buffer) = &mut self.buffer {
            buffer.advance(bytes);
        }
        if self.buffer.as_ref().is_some_and(Buffer::is_full) { self.flush() } else { Ok(()) }
    }

    /// Sends what is left, and that it was the last.
    pub(super) fn finish(&mut self) -> Result<(), Ended> {
        self.flush()?;
        self.to.send(Decoded::End).map_err(|_| Ended::Quietly)
    }

    pub(super) fn produced_bytes(&self) -> u64 {
        self.produced_bytes
    }

    fn flush(&mut self) -> Result<(), Ended> {
        match self.buffer.take().filter(|buffer| !buffer.filled().is_empty()) {
            Some(buffer) => self.to.send(Decoded::Data(buffer)).map_err(|_| Ended::Quietly),
            None => Ok(()),
        }
    }
}
