//! The parts of the image, put together in their order.

use std::sync::mpsc::{Receiver, SyncSender};

use super::format::Format;
use super::output::Piece;
use crate::buffer::{ALIGNMENT, Buffer};
use crate::stages::{Decoded, Ended};

/// Puts parts together, each piece at its place in the image.
pub(super) struct Merge<'a> {
    to: &'a SyncSender<Decoded>,
    /// What the next piece is appended to, since the disk can only go on at whole blocks.
    carried: Option<Buffer>,
    /// Where what was sent ends.
    sent_bytes: u64,
}

impl<'a> Merge<'a> {
    pub(super) fn new(to: &'a SyncSender<Decoded>) -> Self {
        Self { to, carried: None, sent_bytes: 0 }
    }

    /// Works until the last part is complete.
    pub(super) fn run(mut self, format: Format, order: &Receiver<Receiver<Piece>>) -> Result<(), Ended> {
        while let Ok(pieces) = order.recv() {
            let start_bytes = self.end_bytes();
            loop {
                match pieces.recv().map_err(|_| Ended::Quietly)? {
                    Piece::Data(buffer) => self.add(buffer)?,
                    Piece::End => break,
                    Piece::Broken(broken) => {
                        // A part is in the order before the one before it has its end.
                        let last = order.try_recv().is_err();
                        return Err(broken.failure(format, start_bytes, last).into());
                    }
                }
            }
        }
        if let Some(carried) = self.carried.take() {
            self.send(carried)?;
        }
        self.to.send(Decoded::End).map_err(|_| Ended::Quietly)
    }

    fn end_bytes(&self) -> u64 {
        self.sent_bytes + self.carried.as_ref().map_or(0, |carried| carried.filled().len() as u64)
    }

    fn add(&mut self, mut buffer: Buffer) -> Result<(), Ended> {
        if let Some(mut carried) = self.carried.take() {
            let taken = carried.append(buffer.filled());
            self.keep_or_send(carried)?;
            if taken == buffer.filled().len() {
                return Ok(());
            }
            buffer.remove_first(taken);
        }
        self.keep_or_send(buffer)
    }

    fn keep_or_send(&mut self, buffer: Buffer) -> Result<(), Ended> {
        if buffer.filled().len().is_multiple_of(ALIGNMENT) {
            return self.send(buffer);
        }
        self.carried = Some(buffer);
        Ok(())
    }

    fn send(&mut self, mut buffer: Buffer) -> Result<(), Ended> {
        buffer.offset_bytes = self.sent_bytes;
        self.sent_bytes += buffer.filled().len() as u64;
        self.to.send(Decoded::Data(buffer)).map_err(|_| Ended::Quietly)
    }
}
