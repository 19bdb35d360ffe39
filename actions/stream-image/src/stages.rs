//! The stages of the stream, each a thread, joined by bounded channels:
//!
//! ```text
//! fetch ─┬─> decode ──> (hash the decoded bytes) ──> place ──> write, several at once
//!        └─> (hash the object's bytes)                             │
//!                 └──────── buffers go back to decode <────────────┘
//! ```
//!
//! Each waits where the next is slower, so that memory does not grow with the image. A stage that fails says so before
//! its channels close; those after it see a channel that closed without an end, and end quietly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use common::cause::Cause;
use common::failure::{Because, Failure};

use crate::buffer::Buffer;
use crate::digest::{Digest, Hasher};
use crate::fetch::Fault;

/// Pieces of the object that may wait between two stages; the HTTP library hands out at most some 400 KiB at once.
pub(crate) const FEED_DEPTH: usize = 16;

/// A piece of the object as served.
#[derive(Debug)]
pub(crate) enum Feed {
    Data(Bytes),
    /// The last one: the object is complete, as far as the server says.
    End,
}

/// A piece of the decoded image.
pub(crate) enum Decoded {
    /// Before everything else: whether the object is the image itself, so that their lengths are the same.
    Begin {
        raw: bool,
    },
    Data(Buffer),
    End,
}

/// How far the stages are.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Bytes that arrived.
    pub(crate) fetched_bytes: AtomicU64,
    /// Bytes of the image that are written.
    pub(crate) written_bytes: AtomicU64,
    /// Bytes of these that the disk zeroed by itself.
    pub(crate) zeroed_bytes: AtomicU64,
    /// How long nothing came from the network while there was room for it.
    pub(crate) waiting_nanos: AtomicU64,
    /// How long the digest of the object was made.
    pub(crate) hashing_nanos: AtomicU64,
    /// How long that of the decoded image was.
    pub(crate) hashing_raw_nanos: AtomicU64,
    /// How long the disk was at work, for all writers together.
    pub(crate) writing_nanos: AtomicU64,
}

/// Counts the time since then.
pub(crate) fn busy_since(started: Instant, nanos: &AtomicU64) {
    let elapsed = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    nanos.fetch_add(elapsed, Ordering::Relaxed);
}

/// How a stage ends before its work is done.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Its own fault.
    Fault(Box<Fault>),
    /// Another stage is gone, which has said why.
    Quietly,
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Fault::from(failure).into()
    }
}

/// A part of the stream that runs on a thread of its own.
pub(crate) trait Stage: Send + 'static {
    /// Works until the end of the image.
    ///
    /// # Errors
    /// [`Ended`]
    fn run(&mut self) -> Result<(), Ended>;
}

/// Starts a stage. A fault of its own is in `faults` before its channels close.
///
/// # Errors
/// [`Cause::Internal`] when there is no thread to be had.
pub(crate) fn spawn(
    name: &str,
    mut stage: impl Stage,
    faults: Sender<Fault>,
) -> Result<JoinHandle<()>, Failure> {
    let body = move || {
        if let Err(Ended::Fault(fault)) = stage.run() {
            // Nobody listens any more when the action has failed already.
            let _ = faults.send(*fault);
        }
        drop(stage);
    };
    thread::Builder::new().name(name.into()).spawn(body).because(Cause::Internal)
}

/// Makes the digest of the object as served.
pub(crate) struct HashFeed {
    pub(crate) from: Receiver<Feed>,
    pub(crate) hasher: Option<Hasher>,
    /// Gets the digest once the object is complete.
    pub(crate) digest: Sender<Digest>,
    pub(crate) counters: Arc<Counters>,
}

impl Stage for HashFeed {
    fn run(&mut self) -> Result<(), Ended> {
        let mut hasher = self.hasher.take().ok_or(Ended::Quietly)?;
        loop {
            match self.from.recv().map_err(|_| Ended::Quietly)? {
                Feed::Data(bytes) => {
                    let started = Instant::now();
                    hasher.update(&bytes);
                    busy_since(started, &self.counters.hashing_nanos);
                }
                Feed::End => return self.digest.send(hasher.finish()).map_err(|_| Ended::Quietly),
            }
        }
    }
}

/// Makes the digest of the decoded image, and passes its bytes on.
pub(crate) struct HashDecoded {
    pub(crate) from: Receiver<Decoded>,
    pub(crate) to: SyncSender<Decoded>,
    pub(crate) hasher: Option<Hasher>,
    pub(crate) digest: Sender<Digest>,
    pub(crate) counters: Arc<Counters>,
}

impl Stage for HashDecoded {
    fn run(&mut self) -> Result<(), Ended> {
        let mut hasher = self.hasher.take().ok_or(Ended::Quietly)?;
        loop {
            match self.from.recv().map_err(|_| Ended::Quietly)? {
                begin @ Decoded::Begin { .. } => self.to.send(begin).map_err(|_| Ended::Quietly)?,
                Decoded::Data(buffer) => {
                    let started = Instant::now();
                    hasher.update(buffer.filled());
                    busy_since(started, &self.counters.hashing_raw_nanos);
                    self.to.send(Decoded::Data(buffer)).map_err(|_| Ended::Quietly)?;
                }
                Decoded::End => {
                    // The digest first: whoever sees the end may ask for it.
                    self.digest.send(hasher.finish()).map_err(|_| Ended::Quietly)?;
                    return self.to.send(Decoded::End).map_err(|_| Ended::Quietly);
                }
            }
        }
    }
}
