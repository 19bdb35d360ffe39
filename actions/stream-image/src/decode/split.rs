//! Several decoders at once, where the object says in its headers where it can be cut.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::Stop;
use super::codecs::Codec;
use super::format::Format;
use super::input::Input;
use super::members::Members;
use super::output::{Output, Piece};
use super::walk::{WALK_BYTES, Walked, Walker};
use super::window::{USUAL_WINDOW_BYTES, window_bytes};
use crate::buffer::{ALIGNMENT, Pool};
use crate::stages::Feed;

/// Of a part of the object at most so many pieces of so many bytes wait for its decoder: 4 MiB. A longer member is
/// decoded while it arrives, and the next one waits until it has arrived.
const FEED_DEPTH: usize = 64;
const FEED_BYTES: usize = 64 << 10;
/// A part is cut where it decodes to so much: enough that handing it over costs nothing beside decoding it.
const PART_BYTES: u64 = 2 << 20;
/// And here at the latest, even where that is no multiple of what the disk takes.
const LARGEST_PART_BYTES: u64 = 4 << 20;

/// A part of the object, made of whole members, for one decoder.
pub(super) struct Part {
    pub(super) input: Input,
    pub(super) to: Sender<Piece>,
    pub(super) members_before: u64,
}

impl Part {
    /// Decodes it, with at most as many buffers under way as the pool has.
    /// `codec` is that of the part before.
    pub(super) fn decode(self, format: Format, threads: usize, pool: &mut Pool, codec: &mut Option<Codec>) {
        let Self { input, to, members_before } = self;
        let output = Output::new(pool, &to);
        let told_window_bytes = USUAL_WINDOW_BYTES;
        let mut members =
            Members { format, threads, input, output, codec, members_before, told_window_bytes };
        let end = match members.decode() {
            Ok(()) => Piece::End,
            Err(Stop::Broken(broken)) => Piece::Broken(broken),
            Err(Stop::Quietly) => return,
        };
        // Nobody listens any more when the action has failed already.
        let _ = to.send(end);
    }
}

/// A decoder that takes one part after another.
pub(super) fn work(parts: &Mutex<Receiver<Part>>, format: Format, mut pool: Pool) {
    let mut codec = None;
    loop {
        let part = parts.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(part) = part else { return };
        part.decode(format, 1, &mut pool, &mut codec);
    }
}

/// Cuts the object into parts.
pub(super) struct Splitter {
    pub(super) format: Format,
    /// Takes a part when a decoder is free.
    pub(super) parts: SyncSender<Part>,
    /// Where the parts come out, in their order.
    pub(super) order: Sender<Receiver<Piece>>,
}

/// The part that is being fed.
struct Feeding {
    feed: SyncSender<Feed>,
    decoded_bytes: u64,
    /// Bytes of what is there that belong to it, but have not gone to it yet: several short members go together.
    walked: usize,
}

impl Feeding {
    fn send(&self, bytes: Bytes) -> Result<(), Stop> {
        self.feed.send(Feed::Data(bytes)).map_err(|_| Stop::Quietly)
    }

    /// Sends what was walked.
    fn flush(&mut self, input: &mut Input) -> Result<(), Stop> {
        match std::mem::take(&mut self.walked) {
            0 => Ok(()),
            walked => self.send(input.take(walked)),
        }
    }

    /// What is behind what was walked, at least so many bytes unless the object ends before.
    fn ahead<'a>(&mut self, input: &'a mut Input, length: usize) -> Result<&'a [u8], Stop> {
        if input.there().len() < self.walked + length {
            // Before waiting for more: the decoder has something to do meanwhile.
            self.flush(input)?;
        }
        input.peek(self.walked + length)?;
        Ok(&input.there()[self.walked..])
    }

    /// Counts bytes of what is ahead as its own.
    fn walk(&mut self, input: &mut Input, bytes: usize) -> Result<(), Stop> {
        self.walked += bytes;
        if self.walked < FEED_BYTES { Ok(()) } else { self.flush(input) }
    }

    /// Whether another member had better go to another decoder. A cut where the disk could not go on writing costs a copy
    /// of all that comes after it.
    fn is_large(&self) -> bool {
        let fits = self.decoded_bytes.is_multiple_of(ALIGNMENT as u64);
        self.decoded_bytes >= if fits { PART_BYTES } else { LARGEST_PART_BYTES }
    }
}

impl Splitter {
    /// Hands out all of the object.
    pub(super) fn split(self, mut input: Input) -> Result<(), Stop> {
        let mut members = 0;
        let mut feeding = self.begin(&input, members)?;
        loop {
            let Some(walker) = walker(self.format, feeding.ahead(&mut input, WALK_BYTES)?) else {
                // The end, or something that is for a decoder to judge.
                return rest(input, feeding);
            };
            if feeding.is_large() {
                feeding.flush(&mut input)?;
                let next = self.begin(&input, members)?;
                end(&feeding)?;
                feeding = next;
            }
            match member(walker, &mut input, &mut feeding)? {
                Some(decoded_bytes) => feeding.decoded_bytes += decoded_bytes,
                None => return rest(input, feeding),
            }
            members += 1;
        }
    }

    /// The next part, whose place in the order is known before the part before it has its end.
    fn begin(&self, input: &Input, members_before: u64) -> Result<Feeding, Stop> {
        let (feed, from) = sync_channel(FEED_DEPTH);
        let (to, pieces) = channel();
        self.order.send(pieces).map_err(|_| Stop::Quietly)?;
        let part = Part { input: Input::new(from, input.consumed_bytes()), to, members_before };
        self.parts.send(part).map_err(|_| Stop::Quietly)?;
        Ok(Feeding { feed, decoded_bytes: 0, walked: 0 })
    }
}

/// What finds the end of the member that begins so, where that is possible and the next one may be decoded beside it.
pub(super) fn walker(format: Format, head: &[u8]) -> Option<Walker> {
    // Several large windows would be several times their memory.
    let beside_others = window_bytes(format, head) <= USUAL_WINDOW_BYTES;
    if beside_others { Walker::begin(format, head) } else { None }
}

/// Hands on one member, and gives to how much it decodes at most; `None` where its end cannot be told.
fn member(mut walker: Walker, input: &mut Input, feeding: &mut Feeding) -> Result<Option<u64>, Stop> {
    loop {
        let room = FEED_BYTES - feeding.walked;
        let chunk = feeding.ahead(input, 1)?;
        if chunk.is_empty() {
            return Ok(None);
        }
        let chunk = &chunk[..chunk.len().min(room)];
        let length = chunk.len();
        match walker.walk(chunk) {
            Walked::Within => feeding.walk(input, length)?,
            Walked::Ends { bytes, decoded_bytes } => {
                feeding.walk(input, bytes)?;
                return Ok(Some(decoded_bytes));
            }
            Walked::Lost => return Ok(None),
        }
    }
}

fn rest(mut input: Input, mut feeding: Feeding) -> Result<(), Stop> {
    feeding.flush(&mut input)?;
    loop {
        let length = input.chunk()?.len().min(FEED_BYTES);
        if length == 0 {
            return end(&feeding);
        }
        feeding.send(input.take(length))?;
    }
}

fn end(feeding: &Feeding) -> Result<(), Stop> {
    feeding.feed.send(Feed::End).map_err(|_| Stop::Quietly)
}

/// Gives the receiver of parts that several decoders share, and its sender, which waits until one of them is free.
pub(super) fn parts() -> (SyncSender<Part>, Arc<Mutex<Receiver<Part>>>) {
    let (to, from) = sync_channel(0);
    (to, Arc::new(Mutex::new(from)))
}
