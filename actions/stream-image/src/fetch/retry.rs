//! How long to wait before another try, and when it is one too many.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use common::cause::Cause;
use common::failure::Failure;

use super::fault::Fault;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);

/// Pauses that grow, up to an end: so long after something was last achieved.
#[derive(Debug)]
pub(crate) struct Backoff {
    retry_for: Option<Duration>,
    since: Instant,
    tries: u32,
    farthest_bytes: u64,
    /// Why the object could not be gone on with, since the last progress.
    begun_again: Option<(Cause, String)>,
}

impl Backoff {
    /// Tries for so long from now on, or from the last progress; not at all for `None`.
    pub(crate) fn new(retry_for: Option<Duration>) -> Self {
        Self { retry_for, since: Instant::now(), tries: 1, farthest_bytes: 0, begun_again: None }
    }

    /// So much of the object is there. What was there before, in an earlier try, is no progress.
    pub(crate) fn progress(&mut self, received_bytes: u64) {
        if received_bytes > self.farthest_bytes {
            (self.farthest_bytes, self.since, self.tries) = (received_bytes, Instant::now(), 1);
            self.begun_again = None;
        }
    }

    /// The pause before the next try after a fault.
    ///
    /// # Errors
    /// The fault, with what was tried, when it is final or time is up.
    pub(crate) fn pause(&mut self, fault: Fault) -> Result<(Duration, Fault), Fault> {
        if !fault.transient {
            return Err(fault);
        }
        let cause = fault.failure.cause;
        if matches!(cause, Cause::HttpRange | Cause::ImageChanged) {
            self.begun_again = Some((cause, fault.failure.to_string()));
        }
        match self.next(fault.retry_after) {
            Some(pause) => Ok((pause, fault)),
            None => Err(self.last(&fault.failure).into()),
        }
    }

    fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let left = self.retry_for?.checked_sub(self.since.elapsed())?;
        let pause = planned(self.tries, asked, jitter());
        self.tries += 1;
        // Jitter shortens a pause: the last try is at the very end of the time, not after it.
        (!left.is_zero() && asked.is_none_or(|asked| asked <= left)).then(|| pause.min(left))
    }

    /// The fault that is one too many. Where it is that of a try from the beginning, the reason for such a try says more.
    fn last(&mut self, failure: &Failure) -> Failure {
        let summary = self.summary();
        match self.begun_again.take() {
            Some((cause, why)) if cause != failure.cause => {
                Failure::new(cause, format_args!("{why}; from its beginning, {failure}{summary}"))
            }
            _ => Failure::new(failure.cause, format_args!("{failure}{summary}")),
        }
    }

    /// What was tried, in words.
    fn summary(&self) -> String {
        let tried = self.since.elapsed().as_secs_f64();
        if self.tries < 2 { String::new() } else { format!(" (tried {} times in {tried:.0} s)", self.tries) }
    }
}

/// Twice as long each time, from half to all of it, so that many machines do not come back at once.
fn planned(tries: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let grown = FIRST.saturating_mul(1 << (tries - 1).min(10)).min(LONGEST);
    grown.mul_f64(0.5 + jitter / 2.0).max(asked.unwrap_or_default())
}

/// A number from 0 to 1: the standard library seeds its hash maps from the kernel.
fn jitter() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transient() -> Fault {
        Fault::transient(Cause::ServerStalled, "silent")
    }

    #[test]
    fn pauses_grow_and_end() {
        let millis = |tries, jitter| planned(tries, None, jitter).as_millis();
        assert_eq!(
            [millis(1, 1.0), millis(2, 1.0), millis(6, 1.0), millis(99, 1.0)],
            [500, 1000, 15_000, 15_000]
        );
        assert_eq!(millis(1, 0.0), 250);
        assert_eq!(planned(1, Some(Duration::from_secs(7)), 0.3), Duration::from_secs(7));
        for _ in 0..100 {
            assert!((0.0..=1.0).contains(&jitter()));
        }
    }

    #[test]
    fn a_final_fault_no_retry_and_no_time_left_are_no_pause() {
        assert!(Backoff::new(None).pause(transient()).is_err());
        assert!(Backoff::new(Some(Duration::ZERO)).pause(transient()).is_err());
        let mut backoff = Backoff::new(Some(Duration::from_secs(60)));
        assert!(backoff.pause(transient()).is_ok());
        let asked = Fault { retry_after: Some(Duration::from_secs(3600)), ..transient() };
        let fault = backoff.pause(asked).unwrap_err();
        assert_eq!(fault.failure.to_string(), "silent (tried 3 times in 0 s)");
        let fault = Fault { transient: false, ..transient() };
        assert!(Backoff::new(Some(Duration::from_secs(60))).pause(fault).is_err());
    }

    #[test]
    fn the_last_fault_says_why_it_was_begun_again() {
        let mut backoff = Backoff::new(Some(Duration::from_secs(60)));
        assert!(backoff.pause(Fault::transient(Cause::HttpRange, "no parts")).is_ok());
        backoff.since = Instant::now() - Duration::from_secs(61);
        let failure = backoff.pause(transient()).unwrap_err().failure;
        assert_eq!(failure.cause, Cause::HttpRange);
        assert_eq!(failure.to_string(), "no parts; from its beginning, silent (tried 2 times in 61 s)");
        // What came behind it is another matter.
        assert!(Backoff::new(Some(Duration::from_secs(60))).pause(transient()).is_ok());
        let mut backoff = Backoff::new(Some(Duration::from_secs(60)));
        assert!(backoff.pause(Fault::transient(Cause::ImageChanged, "another")).is_ok());
        backoff.progress(1);
        backoff.since = Instant::now() - Duration::from_secs(61);
        assert_eq!(backoff.pause(transient()).unwrap_err().failure.cause, Cause::ServerStalled);
    }

    #[test]
    fn progress_is_what_was_not_there_before() {
        let mut backoff = Backoff::new(Some(Duration::from_secs(60)));
        backoff.progress(10);
        let long_ago = Instant::now() - Duration::from_secs(61);
        backoff.since = long_ago;
        backoff.progress(10);
        assert!(backoff.pause(transient()).is_err());
        backoff.progress(11);
        assert!(backoff.pause(transient()).is_ok());
    }
}
