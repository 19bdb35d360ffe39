//! The object as it arrives, piece by piece.

use std::sync::mpsc::Receiver;

use bytes::{Buf, Bytes, BytesMut};

use super::Stop;
use crate::stages::Feed;

/// Bytes to decode.
pub(super) struct Input {
    from: Receiver<Feed>,
    piece: Bytes,
    complete: bool,
    consumed_bytes: u64,
}

impl Input {
    /// What arrives begins at this byte of the object.
    pub(super) fn new(from: Receiver<Feed>, start_bytes: u64) -> Self {
        Self { from, piece: Bytes::new(), complete: false, consumed_bytes: start_bytes }
    }

    /// What is there, at least one byte; empty at the end.
    pub(super) fn chunk(&mut self) -> Result<&[u8], Stop> {
        while self.piece.is_empty() && !self.complete {
            self.receive()?;
        }
        Ok(&self.piece)
    }

    /// The next bytes, at least `length` of them unless the object ends before.
    pub(super) fn peek(&mut self, length: usize) -> Result<&[u8], Stop> {
        while self.piece.len() < length && !self.complete {
            self.receive()?;
        }
        Ok(&self.piece[..length.min(self.piece.len())])
    }

    /// What is there without waiting.
    pub(super) fn there(&self) -> &[u8] {
        &self.piece
    }

    /// Leaves bytes behind that were decoded.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.piece.advance(bytes);
        self.consumed_bytes += bytes as u64;
    }

    /// Hands on bytes that are there.
    pub(super) fn take(&mut self, bytes: usize) -> Bytes {
        self.consumed_bytes += bytes as u64;
        self.piece.split_to(bytes)
    }

    /// The byte of the object that comes next.
    pub(super) fn consumed_bytes(&self) -> u64 {
        self.consumed_bytes
    }

    fn receive(&mut self) -> Result<(), Stop> {
        match self.from.recv().map_err(|_| Stop::Quietly)? {
            Feed::Data(bytes) if self.piece.is_empty() => self.piece = bytes,
            Feed::Data(bytes) => {
                // Only while looking at the first bytes of a member that two pieces share.
                let mut joined = BytesMut::with_capacity(self.piece.len() + bytes.len());
                joined.extend_from_slice(&self.piece);
                joined.extend_from_slice(&bytes);
                self.piece = joined.freeze();
            }
            Feed::End => self.complete = true,
        }
        Ok(())
    }
}
