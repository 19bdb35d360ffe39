//! What a decoder makes, buffer by buffer.

use std::sync::mpsc::Sender;

use super::Stop;
use super::broken::Broken;
use crate::buffer::{Buffer, Pool};

/// What a decoder hands on. Places are those in its own part of the image.
pub(super) enum Piece {
    Data(Buffer),
    /// The part is complete.
    End,
    Broken(Broken),
}

/// Where decoded bytes go.
pub(super) struct Output<'a> {
    pool: &'a mut Pool,
    to: &'a Sender<Piece>,
    buffer: Option<Buffer>,
    produced_bytes: u64,
}

impl<'a> Output<'a> {
    /// The channel needs no bound: the pool is one.
    pub(super) fn new(pool: &'a mut Pool, to: &'a Sender<Piece>) -> Self {
        Self { pool, to, buffer: None, produced_bytes: 0 }
    }

    /// Room for at least one byte.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let buffer = self.buffer.take().unwrap_or_else(|| self.pool.take(self.produced_bytes));
        self.buffer.insert(buffer).space()
    }

    /// Counts bytes of the room as decoded.
    pub(super) fn advance(&mut self, bytes: usize) -> Result<(), Stop> {
        self.produced_bytes += bytes as u64;
        if let Some(buffer) = &mut self.buffer {
            buffer.advance(bytes);
        }
        if self.buffer.as_ref().is_some_and(Buffer::is_full) { self.flush() } else { Ok(()) }
    }

    /// Sends what is left.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        match self.buffer.take().filter(|buffer| !buffer.filled().is_empty()) {
            Some(buffer) => self.to.send(Piece::Data(buffer)).map_err(|_| Stop::Quietly),
            None => Ok(()),
        }
    }

    pub(super) fn produced_bytes(&self) -> u64 {
        self.produced_bytes
    }
}
