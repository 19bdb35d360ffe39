//! Which format an object is in, told from its first bytes and never from its name.

/// A format of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    /// The image itself.
    Raw,
}

/// As many bytes tell every format.
pub(super) const LONGEST_MAGIC: usize = 10;

const PACKED: [Format; 4] = [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2];

impl Format {
    /// The format of an object that begins so.
    pub(super) fn of(head: &[u8]) -> Self {
        PACKED.into_iter().find(|format| format.begins(head)).unwrap_or(Self::Raw)
    }

    /// Whether a member of this format begins so.
    pub(super) fn begins(self, head: &[u8]) -> bool {
        match self {
            // RFC 1952, 2.3: the only method is 8, deflate.
            Self::Gzip => head.starts_with(&[0x1f, 0x8b, 8]),
            // RFC 8878, 3.1: a frame, or one of sixteen kinds of skippable ones.
            Self::Zstd => {
                head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
                    || (head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18])
            }
            // The .xz file format 1.2.1, 2.1.1.1.
            Self::Xz => head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]),
            // "BZh", the size of the blocks, and the first block's or, when there is none, the stream's end's number.
            Self::Bzip2 => {
                head.len() >= 10
                    && &head[..3] == b"BZh"
                    && (b'1'..=b'9').contains(&head[3])
                    && (head[4..10] == [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]
                        || head[4..10] == [0x17, 0x72, 0x45, 0x38, 0x50, 0x90])
            }
            Self::Raw => false,
        }
    }

    /// Whether zeros may follow the last member: tapes and block devices fill up with them.
    pub(super) fn may_be_padded(self) -> bool {
        matches!(self, Self::Gzip | Self::Xz)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Raw => "raw",
        }
    }

    pub(super) fn description(self) -> String {
        match self {
            Self::Raw => "as it is, not packed".into(),
            packed => format!("packed by {}", packed.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_from_the_first_bytes() {
        for (head, format) in [
            (&b"\x1f\x8b\x08\x00"[..], Format::Gzip),
            (b"\x1f\x8b\x07\x00", Format::Raw),
            (b"\x28\xb5\x2f\xfd\x00", Format::Zstd),
            (b"\x50\x2a\x4d\x18\x04\0\0\0", Format::Zstd),
            (b"\x5f\x2a\x4d\x18\x04\0\0\0", Format::Zstd),
            (b"\x60\x2a\x4d\x18\x04\0\0\0", Format::Raw),
            (b"\xfd7zXZ\0\0\x04", Format::Xz),
            (b"BZh91AY&SY", Format::Bzip2),
            (b"BZh9\x17\x72\x45\x38\x50\x90", Format::Bzip2),
            (b"BZh0 hello", Format::Raw),
            (b"BZh9", Format::Raw),
            (b"\x1f", Format::Raw),
            (b"", Format::Raw),
            (b"\xeb\x63\x90\0\0\0\0\0\0\0", Format::Raw),
        ] {
            assert_eq!(Format::of(head), format, "{head:?}");
        }
    }
}
