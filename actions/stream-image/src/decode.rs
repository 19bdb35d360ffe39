//! The second stage: from the object as served to the bytes of the image.

mod codecs;
mod format;
mod input;
mod output;

use std::sync::mpsc::{Receiver, SyncSender};

use common::cause::Cause;
use common::failure::Failure;
use tracing::info;

use crate::buffer::Buffer;
use crate::figures::grouped;
use crate::stages::{Decoded, Ended, Feed, Stage};
use codecs::Codec;
use format::{Format, LONGEST_MAGIC};
use input::Input;
use output::Output;

/// What was wrong with a piece of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Damage {
    /// A check inside the format failed.
    Corrupt(String),
    /// It is right, and more than we do.
    Unsupported(String),
}

/// What a decoder did with what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    consumed: usize,
    produced: usize,
    /// The member, frame or stream is complete.
    ended: bool,
}

/// Decodes the object, whatever format it turns out to be in.
pub(crate) struct Decode {
    input: Input,
    output: Output,
}

impl Decode {
    /// `pool` gives empty buffers, and blocks while all are in use.
    pub(crate) fn new(from: Receiver<Feed>, pool: Receiver<Buffer>, to: SyncSender<Decoded>) -> Self {
        Self { input: Input::new(from), output: Output::new(pool, to) }
    }
}

impl Stage for Decode {
    fn run(&mut self) -> Result<(), Ended> {
        let format = Format::of(self.input.peek(LONGEST_MAGIC)?);
        self.output.begin(format == Format::Raw)?;
        info!(format = format.name(), "the image comes {}", format.description());
        let mut members = 0u64;
        loop {
            self.member(format, members)?;
            members += 1;
            if !self.another_member(format)? {
                return self.output.finish();
            }
        }
    }
}

impl Decode {
    /// Decodes one member (gzip), frame (zstd) or stream (xz, bzip2). A file of a format is one or more of them.
    fn member(&mut self, format: Format, number: u64) -> Result<(), Ended> {
        let mut codec = Codec::new(format).map_err(|damage| self.damaged(format, damage))?;
        loop {
            let input = self.input.chunk()?;
            let at_end = input.is_empty();
            let output = self.output.space()?;
            let step = codec.step(input, output, at_end);
            let Step { consumed, produced, ended } = step.map_err(|damage| self.damaged(format, damage))?;
            self.input.consume(consumed);
            self.output.advance(produced)?;
            if ended {
                return Ok(());
            }
            if at_end && produced == 0 {
                return Err(self.truncated(format, number).into());
            }
            if !at_end && consumed == 0 && produced == 0 {
                return Err(self
                    .damaged(format, Damage::Corrupt("the decoder makes no progress".into()))
                    .into());
            }
        }
    }

    /// Whether another member follows, past padding where the format allows some.
    fn another_member(&mut self, format: Format) -> Result<bool, Ended> {
        let end = self.input.consumed_bytes();
        let mut zeros = 0u64;
        if format.may_be_padded() {
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
        let begins_another = format.begins(next) && (zeros == 0 || format == Format::Xz);
        // xz(1): stream padding comes in multiples of four bytes.
        let padded_rightly = format != Format::Xz || zeros.is_multiple_of(4);
        match next.is_empty() {
            true if padded_rightly => Ok(false),
            false if padded_rightly && begins_another => Ok(true),
            _ => Err(Failure::new(
                Cause::ImageTrailingData,
                format_args!(
                    "something that is no {} follows the end of the image at byte {} of the object",
                    format.name(),
                    grouped(if zeros > 0 { end + zeros } else { end })
                ),
            )
            .into()),
        }
    }

    fn place(&self) -> String {
        format!(
            "at byte {} of the object, byte {} of the image",
            grouped(self.input.consumed_bytes()),
            grouped(self.output.produced_bytes())
        )
    }

    fn truncated(&self, format: Format, members_before: u64) -> Failure {
        let which =
            if members_before > 0 { format!(" (part {})", members_before + 1) } else { String::new() };
        Failure::new(
            Cause::ImageTruncated,
            format_args!("the image ended within its {} stream{which} {}", format.name(), self.place()),
        )
    }

    fn damaged(&self, format: Format, damage: Damage) -> Failure {
        match damage {
            Damage::Corrupt(why) => Failure::new(
                Cause::ImageCorrupt,
                format_args!("the {} stream is damaged {}: {why}", format.name(), self.place()),
            ),
            Damage::Unsupported(why) => Failure::new(
                Cause::ImageUnsupported,
                format_args!("the {} stream cannot be decoded {}: {why}", format.name(), self.place()),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
