//! Members as bgzip writes them: gzip members of at most 64 KiB, of which an image has tens of thousands.
//!
//! flate2's decoder for gzip is made anew for each member, which costs 6 % of decoding so little. One for the deflate
//! stream alone is not, and what gzip has around it is little: the header (RFC 1952, 2.3) and, behind the stream,
//! the CRC-32 and the length of what it decodes to.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::broken::Damage;
use super::step::Step;

/// The header up to the length of its extra fields, which are all that it has beside.
pub(super) const FIXED_BYTES: usize = 12;
const TRAILER_BYTES: usize = 8;

/// Whether a gzip member that begins so has extra fields and nothing else, of which the first is the member's length (the
/// SAM/BAM format specification, 4.1).
pub(super) fn begins(head: &[u8]) -> bool {
    head.get(3) == Some(&4) && head.get(12..14) == Some(b"BC")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Deflate,
    Trailer,
}

/// A decoder for one member, and for others after it.
pub(super) struct Bgzf {
    place: Place,
    /// What has arrived of the header or of the trailer.
    held: Vec<u8>,
    deflate: Decompress,
    crc: Crc,
}

impl Bgzf {
    pub(super) fn new() -> Self {
        Self { place: Place::Header, held: Vec::new(), deflate: Decompress::new(false), crc: Crc::new() }
    }

    /// Decodes as much as it can. After a member's end it goes on with another one.
    ///
    /// # Errors
    /// [`Damage::Corrupt`]
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Damage> {
        let mut step = Step::NONE;
        if self.place == Place::Header {
            step.consumed = self.hold(FIXED_BYTES, input);
            if let Some(length) = self.held.get(10..FIXED_BYTES) {
                let length = FIXED_BYTES + usize::from(u16::from_le_bytes([length[0], length[1]]));
                step.consumed += self.hold(length, &input[step.consumed..]);
                if self.held.len() == length {
                    self.held.clear();
                    self.place = Place::Deflate;
                }
            }
        }
        if self.place == Place::Deflate {
            let (before_in, before_out) = (self.deflate.total_in(), self.deflate.total_out());
            let status = self
                .deflate
                .decompress(&input[step.consumed..], output, FlushDecompress::None)
                .map_err(|error| Damage::Corrupt(error.message().unwrap_or("bad data").into()))?;
            step.consumed += (self.deflate.total_in() - before_in) as usize;
            step.produced = (self.deflate.total_out() - before_out) as usize;
            self.crc.update(&output[..step.produced]);
            if status == Status::StreamEnd {
                self.place = Place::Trailer;
            }
        }
        if self.place == Place::Trailer {
            step.consumed += self.hold(TRAILER_BYTES, &input[step.consumed..]);
            if let &[c0, c1, c2, c3, l0, l1, l2, l3] = &self.held[..] {
                self.check(u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([l0, l1, l2, l3]))?;
                self.held.clear();
                self.crc.reset();
                self.deflate.reset(false);
                self.place = Place::Header;
                step.ended = true;
            }
        }
        Ok(step)
    }

    /// Keeps bytes until there are so many, and gives how many it took.
    fn hold(&mut self, length: usize, input: &[u8]) -> usize {
        let taken = length.saturating_sub(self.held.len()).min(input.len());
        self.held.extend_from_slice(&input[..taken]);
        taken
    }

    fn check(&self, crc: u32, length: u32) -> Result<(), Damage> {
        // By the words of zlib, which says the same of other gzip members.
        if crc != self.crc.sum() {
            return Err(Damage::Corrupt("incorrect data check".into()));
        }
        if length != self.crc.amount() {
            return Err(Damage::Corrupt("incorrect length check".into()));
        }
        Ok(())
    }
}
