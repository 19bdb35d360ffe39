//! What happens in a round: all of it follows from the seed and the round's number.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// A line of the log, right before the older system goes.
pub(super) const BEFORE_THE_FIRST_WRITE: &str = "writing to /dev/";

/// A line of the log, right before the image is flushed and its ends are written.
pub(super) const BEFORE_THE_FLUSH: &str = "which the disk made by itself";

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Moment {
    /// After this part of the time that an undisturbed run takes.
    Part(f64),
    /// So long after a line of the log.
    After(&'static str, Duration),
}

/// What is done to the action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stop {
    Kill(Moment),
    Terminate(Moment),
}

/// What is done to its connection, after these parts of the object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cut {
    pub(super) at: Vec<f64>,
    /// By a reset instead of an end.
    pub(super) reset: bool,
    /// The server can send the rest.
    pub(super) ranges: bool,
    /// The action may try again.
    pub(super) retry: bool,
}

/// A round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Round {
    /// The object that is streamed first, and the one after it.
    pub(super) objects: [usize; 2],
    /// Which of the disks.
    pub(super) target: usize,
    /// Whether the object's digest is given.
    pub(super) digest: bool,
    /// In chunks, without a length.
    pub(super) chunked: bool,
    pub(super) cut: Option<Cut>,
    pub(super) stop: Option<Stop>,
}

impl Round {
    /// Picks what happens in the round with this number.
    pub(super) fn pick(seed: u64, number: u64, objects: usize, targets: usize) -> Self {
        // Neighbours shall have nothing in common.
        let mut rng = Rng::with_seed(seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rng = &mut rng;
        let (cut, stop) = match rng.u32(..100) {
            0..50 => (None, Some(Stop::Kill(moment(rng)))),
            50..65 => (None, Some(Stop::Terminate(moment(rng)))),
            65..85 => (Some(cut(rng)), None),
            85..97 => (Some(cut(rng)), Some(Stop::Kill(moment(rng)))),
            _ => (Some(cut(rng)), Some(Stop::Terminate(moment(rng)))),
        };
        Self {
            objects: [rng.usize(..objects), rng.usize(..objects)],
            target: rng.usize(..targets),
            digest: rng.bool(),
            chunked: rng.u32(..4) == 0,
            cut,
            stop,
        }
    }

    /// What is done, for the table.
    pub(super) fn what(&self) -> &'static str {
        match (&self.cut, self.stop) {
            (None, Some(Stop::Kill(_))) => "SIGKILL",
            (None, Some(Stop::Terminate(_))) => "SIGTERM",
            (Some(Cut { retry: false, .. }), None) => "cut, no retry",
            (Some(Cut { ranges: true, .. }), None) => "cut, rest by range",
            (Some(_), None) => "cut, from the beginning",
            (Some(_), Some(Stop::Kill(_))) => "cut and SIGKILL",
            (Some(_), Some(Stop::Terminate(_))) => "cut and SIGTERM",
            (None, None) => "nothing",
        }
    }
}

fn moment(rng: &mut Rng) -> Moment {
    // Zeroing the ends takes some 5 ms, and writing them some 12.
    let within = |rng: &mut Rng, micros| Duration::from_micros(rng.u64(..micros));
    match rng.u32(..10) {
        0..6 => Moment::Part(rng.f64() * 1.05),
        6..8 => Moment::After(BEFORE_THE_FIRST_WRITE, within(rng, 10_000)),
        _ => Moment::After(BEFORE_THE_FLUSH, within(rng, 20_000)),
    }
}

fn cut(rng: &mut Rng) -> Cut {
    let at = (0..rng.usize(1..=2)).map(|_| match rng.u32(..10) {
        // Before the first byte, in the first MiB, anywhere, before the last byte.
        0 => 0.0,
        1..3 => rng.f64() * 0.03,
        3..9 => rng.f64(),
        _ => 1.0,
    });
    let mut at: Vec<f64> = at.collect();
    at.sort_by(f64::total_cmp);
    Cut { at, reset: rng.bool(), ranges: rng.bool(), retry: rng.u32(..3) > 0 }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_follows_from_its_seed_and_number() {
        let picked = |seed| -> Vec<_> { (0..200).map(|number| Round::pick(seed, number, 7, 2)).collect() };
        assert_eq!(picked(5), picked(5));
        assert_ne!(picked(5), picked(6));
        let rounds = picked(5);
        assert!(rounds.iter().all(|round| round.cut.is_some() || round.stop.is_some()));
        for what in [
            "SIGKILL",
            "SIGTERM",
            "cut, no retry",
            "cut, rest by range",
            "cut, from the beginning",
            "cut and SIGKILL",
            "cut and SIGTERM",
        ] {
            assert!(rounds.iter().any(|round| round.what() == what), "{what}");
        }
    }
}
