//! Runs of zeros in an image.

/// Zeros are looked for in blocks of so many bytes, at their places in the image: a disk zeroes a few long ranges sooner
/// than many short ones, and every logical block size divides it.
pub(crate) const ZERO_BLOCK_BYTES: usize = 64 << 10;

static ZEROS: [u8; ZERO_BLOCK_BYTES] = [0; ZERO_BLOCK_BYTES];

/// So many bytes that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    Zeros(usize),
    Data(usize),
}

impl Run {
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Zeros(length) | Self::Data(length) => length,
        }
    }
}

/// The bytes as runs, each as long as can be. Together they are all of the bytes.
pub(crate) fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut blocks = bytes.chunks(ZERO_BLOCK_BYTES).peekable();
    std::iter::from_fn(move || {
        let first = blocks.next()?;
        let zeros = is_zero(first);
        let mut length = first.len();
        while let Some(block) = blocks.next_if(|block| is_zero(block) == zeros) {
            length += block.len();
        }
        Some(if zeros { Run::Zeros(length) } else { Run::Data(length) })
    })
}

/// By memcmp, which is as fast as the memory is.
fn is_zero(block: &[u8]) -> bool {
    *block == ZEROS[..block.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_as_long_as_can_be_and_are_all_there_is() {
        const BLOCK: usize = ZERO_BLOCK_BYTES;
        let mut bytes = vec![0; 6 * BLOCK + 512];
        let all = |bytes: &[u8]| runs(bytes).collect::<Vec<_>>();
        assert_eq!(all(&bytes), [Run::Zeros(6 * BLOCK + 512)]);
        bytes[2 * BLOCK] = 1;
        bytes[4 * BLOCK - 1] = 1;
        assert_eq!(all(&bytes), [Run::Zeros(2 * BLOCK), Run::Data(2 * BLOCK), Run::Zeros(2 * BLOCK + 512)]);
        bytes[6 * BLOCK + 511] = 1;
        assert_eq!(all(&bytes)[3], Run::Data(512));
        assert_eq!(all(&[]), []);
        assert_eq!(all(&[1; 10]), [Run::Data(10)]);
    }
}
