//! What a disk is, told by its bytes alone.

use std::fmt;

use crate::disk_image::MIB;

/// What is zero at both ends of a disk that does not boot.
const END_BYTES: usize = MIB as usize;

/// Nothing smaller is written at once.
const BLOCK_BYTES: usize = 512;

/// What an interrupted run may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it was, to the byte.
    Untouched,
    /// The older system is whole between the ends, of which some blocks are zero already.
    Beginning,
    /// Both ends are zero, whatever is between them.
    NotBootable,
    /// All of the image is there between the ends; of these some blocks are written, and block 0 is zero.
    Finishing,
    /// Complete and right, to the byte.
    Right,
}

impl State {
    /// All of them, from the first to the last.
    pub const ALL: [Self; 5] =
        [Self::Untouched, Self::Beginning, Self::NotBootable, Self::Finishing, Self::Right];
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Untouched => "untouched",
            Self::Beginning => "ends being zeroed",
            Self::NotBootable => "not bootable",
            Self::Finishing => "ends being written",
            Self::Right => "right",
        })
    }
}

/// Tells what a disk is that held `before`, and shall hold `right`.
///
/// # Errors
/// When it is nothing that it may be: what boots and is neither the older system nor all of the image, or might.
pub fn state(content: &[u8], before: &[u8], right: &[u8]) -> Result<State, String> {
    if content == before {
        return Ok(State::Untouched);
    }
    if content == right {
        return Ok(State::Right);
    }
    let (start, end) = (END_BYTES, content.len() - END_BYTES);
    let ends = || [0..start, end..content.len()].into_iter().flatten().step_by(BLOCK_BYTES);
    let zero = |at: usize| content[at..][..BLOCK_BYTES] == [0; BLOCK_BYTES];
    if ends().all(zero) {
        return Ok(State::NotBootable);
    }
    let zero_or_as = |as_in: &[u8]| {
        ends().all(|at| zero(at) || content[at..][..BLOCK_BYTES] == as_in[at..][..BLOCK_BYTES])
    };
    if content[start..end] == before[start..end] && zero_or_as(before) {
        return Ok(State::Beginning);
    }
    if content[start..end] == right[start..end] && zero_or_as(right) && zero(0) {
        return Ok(State::Finishing);
    }
    let first = ends().find(|at| !zero(*at)).unwrap_or_default();
    let differ = |other: &[u8]| content.iter().zip(other).filter(|(a, b)| a != b).count();
    Err(format!(
        "the disk may boot: block {} is not zero, {} bytes differ from the older system, and {} from the image",
        first / BLOCK_BYTES,
        differ(before),
        differ(right)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 4 * END_BYTES;

    fn after(change: impl FnOnce(&mut [u8])) -> Result<State, String> {
        let mut content = vec![1; SIZE];
        change(&mut content);
        state(&content, &[1; SIZE], &[2; SIZE])
    }

    #[test]
    fn each_state_is_told() {
        let last = SIZE - END_BYTES;
        assert_eq!(after(|_| {}), Ok(State::Untouched));
        assert_eq!(after(|disk| disk[..4096].fill(0)), Ok(State::Beginning));
        assert_eq!(after(|disk| disk[last..].fill(0)), Ok(State::Beginning));
        let zero_ends = |disk: &mut [u8]| {
            disk[..END_BYTES].fill(0);
            disk[last..].fill(0);
        };
        assert_eq!(after(zero_ends), Ok(State::NotBootable));
        let written = |disk: &mut [u8]| {
            disk.fill(2);
            zero_ends(disk);
        };
        assert_eq!(after(written), Ok(State::NotBootable));
        let finishing = |disk: &mut [u8]| {
            written(disk);
            disk[last..].fill(2);
            disk[1024..2048].fill(2);
        };
        assert_eq!(after(finishing), Ok(State::Finishing));
        assert_eq!(after(|disk| disk.fill(2)), Ok(State::Right));
    }

    #[test]
    fn what_boots_and_is_not_whole_is_wrong() {
        let last = SIZE - END_BYTES;
        // The older system over half an image, half of the image, a whole image but for a byte, a beginning too early.
        assert!(after(|disk| disk[END_BYTES..2 * END_BYTES].fill(2)).is_err());
        assert!(after(|disk| disk[..2 * END_BYTES].fill(2)).is_err());
        assert!(
            after(|disk| {
                disk.fill(2);
                disk[last - 1] = 1
            })
            .is_err()
        );
        assert!(
            after(|disk| {
                disk.fill(2);
                disk[last..].fill(0)
            })
            .is_err()
        );
        // Half a block.
        assert!(after(|disk| disk[..100].fill(0)).is_err());
        assert!(
            after(|disk| {
                disk[..END_BYTES].fill(0);
                disk[last..].fill(2)
            })
            .is_err()
        );
    }
}
