//! Decoding one after another: members (gzip), frames (zstd) or streams (xz, bzip2), of which a file is one or more.

use tracing::warn;

use super::Stop;
use super::broken::{Broken, Damage, Why};
use super::codecs::Codec;
use super::format::{Format, LONGEST_MAGIC};
use super::input::Input;
use super::output::Output;
use super::step::Step;
use super::walk::WALK_BYTES;
use super::window::{LARGEST_WINDOW_BYTES, window_bytes};
use crate::figures::size;

/// The members of a part of the object, or of all of it.
pub(super) struct Members<'a> {
    pub(super) format: Format,
    /// For formats whose decoder has threads of its own.
    pub(super) threads: usize,
    pub(super) input: Input,
    pub(super) output: Output<'a>,
    /// Of the member before, here or in another part.
    pub(super) codec: &'a mut Option<Codec>,
    /// Members of the object before these.
    pub(super) members_before: u64,
    /// The largest window that had a word, or is worth none.
    pub(super) told_window_bytes: u64,
}

impl Members<'_> {
    /// Decodes them all.
    pub(super) fn decode(&mut self) -> Result<(), Stop> {
        loop {
            self.member()?;
            self.members_before += 1;
            if !self.another()? {
                return self.output.flush();
            }
        }
    }

    fn member(&mut self) -> Result<(), Stop> {
        self.tell_of_window()?;
        let head = self.input.peek(WALK_BYTES)?;
        let mut codec = match self.codec.take().filter(|codec| codec.goes_on(head)) {
            Some(codec) => codec,
            None => Codec::new(self.format, head, self.threads)
                .map_err(|damage| self.broken(Why::Damaged(damage)))?,
        };
        loop {
            let input = self.input.chunk()?;
            let at_end = input.is_empty();
            let step = codec.step(input, self.output.space(), at_end);
            let Step { consumed, produced, ended } =
                step.map_err(|damage| self.broken(Why::Damaged(damage)))?;
            self.input.consume(consumed);
            self.output.advance(produced)?;
            if ended {
                *self.codec = Some(codec);
                return Ok(());
            }
            if at_end && produced == 0 {
                return Err(self.broken(Why::Truncated { members_before: self.members_before }));
            }
            if !at_end && consumed == 0 && produced == 0 {
                let damage = Damage::Corrupt("the decoder makes no progress".into());
                return Err(self.broken(Why::Damaged(damage)));
            }
        }
    }

    /// A large window is no fault, but memory that somebody may miss. One beyond the limit is refused by the decoder.
    fn tell_of_window(&mut self) -> Result<(), Stop> {
        let window_bytes = window_bytes(self.format, self.input.peek(WALK_BYTES)?);
        if (self.told_window_bytes + 1..=LARGEST_WINDOW_BYTES).contains(&window_bytes) {
            self.told_window_bytes = window_bytes;
            warn!(
                "the image was packed with a window of {}: decoding takes as much memory",
                size(window_bytes)
            );
        }
        Ok(())
    }

    /// Whether another member follows, past padding where the format allows some.
    fn another(&mut self) -> Result<bool, Stop> {
        let mut zeros = 0u64;
        if self.format.may_be_padded() {
            loop {
                let chunk = self.input.chunk()?;
                let count = chunk.iter().take_while(|byte| **byte == 0).count();
                let all = count == chunk.len();
                self.input.consume(count);
                zeros += count as u64;
                if count == 0 || !all {
                    break;
                }
            }
        }
        let next = self.input.peek(LONGEST_MAGIC)?;
        let begins_another = self.format.begins(next) && (zeros == 0 || self.format == Format::Xz);
        // xz(1): stream padding comes in multiples of four bytes.
        let padded_rightly = self.format != Format::Xz || zeros.is_multiple_of(4);
        match next.is_empty() {
            true if padded_rightly => Ok(false),
            false if padded_rightly && begins_another => Ok(true),
            _ => Err(self.broken(Why::Trailing)),
        }
    }

    fn broken(&self, why: Why) -> Stop {
        Stop::Broken(Broken {
            why,
            object_bytes: self.input.consumed_bytes(),
            image_bytes: self.output.produced_bytes(),
        })
    }
}
