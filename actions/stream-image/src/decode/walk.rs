//! Where a member of the object ends, told from its headers without decoding it.
//!
//! What is found here is only where to cut. That a member is right is for its decoder to say, so a header that makes no
//! sense is no fault here.

use super::bgzf;
use super::format::Format;

/// As many bytes of a member tell whether its end can be found.
pub(super) const WALK_BYTES: usize = 18;
/// RFC 8878, 3.1.1.2.4: no block decodes to more.
const ZSTD_BLOCK_BYTES: u64 = 128 << 10;

/// What some bytes of the object are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walked {
    /// All of them belong to the member, which goes on behind them.
    Within,
    /// So many belong to it, and with them it ends. It decodes to so many bytes, or to less.
    Ends { bytes: usize, decoded_bytes: u64 },
    /// They make no sense.
    Lost,
}

/// What the next header is.
#[derive(Debug, Clone, Copy)]
enum Header {
    ZstdSkippable,
    ZstdFrame,
    ZstdBlock,
    /// The end of a zstd frame: its checksum.
    ZstdEnd,
    BgzfFixed,
    BgzfExtra,
    /// The last field of a gzip member: how long it is when decoded.
    BgzfLength,
}

/// Walks from header to header within a member.
#[derive(Debug)]
pub(super) struct Walker {
    header: Header,
    /// Bytes before the next header.
    skip: u64,
    /// How long it is.
    length: usize,
    held: Vec<u8>,
    checksum: bool,
    decoded_bytes: u64,
}

/// What a header leads to.
enum Next {
    Header { skip: u64, header: Header, length: usize },
    End,
    Lost,
}

impl Walker {
    /// A walker for the member that begins so; `None` when it cannot tell where that ends.
    pub(super) fn begin(format: Format, head: &[u8]) -> Option<Self> {
        let (header, length) = match format {
            Format::Zstd if !format.begins(head) => return None,
            // RFC 8878, 3.1.2: magic and length.
            Format::Zstd if head[0] & 0xf0 == 0x50 => (Header::ZstdSkippable, 8),
            // 3.1.1.1: magic and descriptor.
            Format::Zstd => (Header::ZstdFrame, 5),
            Format::Gzip if format.begins(head) && bgzf::begins(head) => {
                (Header::BgzfFixed, bgzf::FIXED_BYTES)
            }
            _ => return None,
        };
        Some(Self { header, skip: 0, length, held: Vec::new(), checksum: false, decoded_bytes: 0 })
    }

    /// Looks at the next bytes of the object.
    pub(super) fn walk(&mut self, bytes: &[u8]) -> Walked {
        let mut at = 0;
        loop {
            let skipped = self.skip.min((bytes.len() - at) as u64);
            self.skip -= skipped;
            at += skipped as usize;
            let wanted = self.length - self.held.len();
            let taken = wanted.min(bytes.len() - at);
            if self.skip == 0 {
                self.held.extend_from_slice(&bytes[at..at + taken]);
                at += taken;
            }
            if self.skip > 0 || taken < wanted {
                return Walked::Within;
            }
            match self.next() {
                Next::Header { skip, header, length } => {
                    (self.skip, self.header, self.length) = (skip, header, length);
                    self.held.clear();
                }
                Next::End => return Walked::Ends { bytes: at, decoded_bytes: self.decoded_bytes },
                Next::Lost => return Walked::Lost,
            }
        }
    }

    fn next(&mut self) -> Next {
        let held = &self.held;
        let end_of_frame = |skip| {
            let length = if self.checksum { 4 } else { 0 };
            Next::Header { skip, header: Header::ZstdEnd, length }
        };
        match self.header {
            Header::ZstdSkippable => {
                let length = u32::from_le_bytes([held[4], held[5], held[6], held[7]]);
                Next::Header { skip: length.into(), header: Header::ZstdEnd, length: 0 }
            }
            Header::ZstdFrame => {
                let descriptor = held[4];
                let single_segment = descriptor & 0x20 != 0;
                let window = u64::from(!single_segment);
                let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
                let content_size = match descriptor >> 6 {
                    0 => u64::from(single_segment),
                    flag => 1 << flag,
                };
                self.checksum = descriptor & 4 != 0;
                Next::Header {
                    skip: window + dictionary + content_size,
                    header: Header::ZstdBlock,
                    length: 3,
                }
            }
            Header::ZstdBlock => {
                let block = u32::from_le_bytes([held[0], held[1], held[2], 0]);
                let size = u64::from(block >> 3);
                let (stored, decoded) = match (block >> 1) & 3 {
                    0 => (size, size),
                    1 => (1, size),
                    2 => (size, ZSTD_BLOCK_BYTES),
                    _ => return Next::Lost,
                };
                self.decoded_bytes += decoded;
                match block & 1 {
                    1 => end_of_frame(stored),
                    _ => Next::Header { skip: stored, header: Header::ZstdBlock, length: 3 },
                }
            }
            Header::ZstdEnd => Next::End,
            Header::BgzfFixed => {
                let length = u16::from_le_bytes([held[10], held[11]]);
                Next::Header { skip: 0, header: Header::BgzfExtra, length: length.into() }
            }
            Header::BgzfExtra => {
                let &[b'B', b'C', 2, 0, low, high, ..] = &held[..] else { return Next::Lost };
                // The length of the whole member, less one.
                let member = u64::from(u16::from_le_bytes([low, high])) + 1;
                let behind = bgzf::FIXED_BYTES + held.len() + 4;
                match member.checked_sub(behind as u64) {
                    Some(skip) => Next::Header { skip, header: Header::BgzfLength, length: 4 },
                    None => Next::Lost,
                }
            }
            Header::BgzfLength => {
                self.decoded_bytes = u32::from_le_bytes([held[0], held[1], held[2], held[3]]).into();
                Next::End
            }
        }
    }
}

#[cfg(test)]
mod tests;
