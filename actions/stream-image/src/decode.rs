//! The second stage: from the object as served to the bytes of the image.
//!
//! ```text
//!         ┌─> decode ─┐
//! split ──┼─> decode ─┼──> merge        where headers say where the object can be cut
//!         └─> decode ─┘
//!
//!             decode ────> merge        where they do not
//! ```

mod bgzf;
mod broken;
mod codecs;
mod format;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod input;
mod members;
mod merge;
mod output;
mod split;
mod step;
mod walk;
mod window;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::thread;

use common::cause::Cause;
use common::failure::{Because, Failure};
use tracing::info;

use crate::buffer::Pool;
use crate::stages::{Decoded, Ended, Feed, Stage};
use broken::Broken;
use format::{Format, LONGEST_MAGIC};
use input::Input;
use merge::Merge;
use split::{Part, Splitter, work};
use walk::WALK_BYTES;

/// Decoded pieces that may be under way between the decoders and the disk.
pub(crate) const BUFFERS: usize = 8;
/// And so many where several decoders are at work, since all but one of them are ahead of their turn; but for each at
/// least [`LEAST_BUFFERS`].
const SHARED_BUFFERS: usize = 24;
const LEAST_BUFFERS: usize = 3;

/// Why a decoder ends before its work is done.
enum Stop {
    /// Something is wrong with the object.
    Broken(Broken),
    /// Another stage is gone, which has said why.
    Quietly,
}

/// Decodes the object, whatever format it turns out to be in.
pub(crate) struct Decode {
    input: Option<Input>,
    to: SyncSender<Decoded>,
    threads: usize,
}

impl Decode {
    /// With at most so many decoders at once.
    pub(crate) fn new(from: Receiver<Feed>, to: SyncSender<Decoded>, threads: usize) -> Self {
        Self { input: Some(Input::new(from, 0)), to, threads }
    }
}

impl Stage for Decode {
    fn run(&mut self) -> Result<(), Ended> {
        let mut input = self.input.take().ok_or(Ended::Quietly)?;
        let head = input.peek(WALK_BYTES.max(LONGEST_MAGIC)).map_err(|_| Ended::Quietly)?;
        let format = Format::of(head);
        let splits = self.threads > 1 && split::walker(format, head).is_some();
        self.to.send(Decoded::Begin { raw: format == Format::Raw }).map_err(|_| Ended::Quietly)?;
        info!(format = format.name(), "the image comes {}", format.description());
        let (order, parts_in_order) = channel();
        if splits {
            let (parts, free) = split::parts();
            let buffers = (SHARED_BUFFERS / self.threads).max(LEAST_BUFFERS);
            for _ in 0..self.threads {
                let free = Arc::clone(&free);
                start("decode", move || work(&free, format, Pool::new(buffers)))?;
            }
            // Whether it came to the object's end is seen where the parts are put together.
            start("split", move || drop(Splitter { format, parts, order }.split(input)))?;
        } else {
            let (to, pieces) = channel();
            // The receiver is right here.
            let _ = order.send(pieces);
            drop(order);
            let threads = self.threads;
            let part = Part { input, to, members_before: 0 };
            start("decode", move || part.decode(format, threads, &mut Pool::new(BUFFERS), &mut None))?;
        }
        Merge::new(&self.to).run(format, &parts_in_order)
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    thread::Builder::new().name(name.into()).spawn(work).because(Cause::Internal).map(drop)
}

#[cfg(test)]
mod tests;
