//! What the fuzz targets reach of the decoders.

use std::sync::mpsc::{channel, sync_channel};

use bytes::Bytes;

use super::walk::{self, WALK_BYTES, Walker};
use super::{Cause, Decode, Ended, Feed, Format, Stage};

/// How an object was decoded.
#[derive(Debug)]
pub struct Decoded {
    /// What came out.
    pub image: Vec<u8>,
    /// And how it ended.
    pub end: End,
}

/// How decoding ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// All of it is there.
    Complete,
    /// With what the last line would say.
    Failed(Cause, String),
    /// There was more than was asked for.
    Enough,
}

/// Decodes an object that arrives in these pieces, until more than `enough_bytes` are there.
pub fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    threads: usize,
    enough_bytes: usize,
) -> Decoded {
    let (feed, from) = channel();
    for piece in pieces {
        feed.send(Feed::Data(Bytes::copy_from_slice(piece))).expect("its receiver is here");
    }
    feed.send(Feed::End).expect("its receiver is here");
    let (to, decoded) = sync_channel(1);
    let mut stage = Decode::new(from, to, threads);
    let worker = std::thread::spawn(move || stage.run());
    let mut image = Vec::new();
    let mut complete = false;
    while image.len() <= enough_bytes
        && let Ok(piece) = decoded.recv()
    {
        assert!(!complete, "something came behind the end");
        match piece {
            crate::stages::Decoded::Begin { .. } => assert!(image.is_empty(), "it begins twice"),
            crate::stages::Decoded::Data(buffer) => {
                assert_eq!(buffer.offset_bytes, image.len() as u64, "a piece is at a wrong place");
                assert!(image.len().is_multiple_of(crate::buffer::ALIGNMENT), "the disk cannot go on here");
                image.extend_from_slice(buffer.filled());
            }
            crate::stages::Decoded::End => complete = true,
        }
    }
    let enough = image.len() > enough_bytes;
    drop(decoded);
    let end = match worker.join().expect("the decoder panicked") {
        _ if enough => End::Enough,
        Ok(()) if complete => End::Complete,
        Err(Ended::Fault(fault)) => End::Failed(fault.failure.cause, fault.failure.to_string()),
        ended => panic!("it ended with {ended:?}, complete: {complete}"),
    };
    Decoded { image, end }
}

/// The name of the format that begins so.
pub fn format(head: &[u8]) -> &'static str {
    Format::of(head).name()
}

/// Whether a member of the format that begins with `head` begins with `other`, too.
pub fn begins(head: &[u8], other: &[u8]) -> bool {
    Format::of(head).begins(other)
}

/// Where a member ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walked {
    /// Nobody can tell: it is no member of a format that says so.
    Unknown,
    /// Behind what is there.
    Beyond,
    /// Behind so many bytes, which decode to at most so many.
    Ends {
        /// Bytes of the object.
        bytes: usize,
        /// Bytes of the image.
        decoded_bytes: u64,
    },
    /// Its headers make no sense.
    Lost,
}

/// Walks the member that begins with the first of `pieces`, in all of them.
pub fn walk<'a>(object: &[u8], pieces: impl IntoIterator<Item = &'a [u8]>) -> Walked {
    let head = &object[..object.len().min(WALK_BYTES)];
    let Some(mut walker) = Walker::begin(Format::of(head), head) else { return Walked::Unknown };
    let mut before = 0;
    for piece in pieces {
        match walker.walk(piece) {
            walk::Walked::Within => before += piece.len(),
            walk::Walked::Ends { bytes, decoded_bytes } => {
                return Walked::Ends { bytes: before + bytes, decoded_bytes };
            }
            walk::Walked::Lost => return Walked::Lost,
        }
    }
    Walked::Beyond
}
