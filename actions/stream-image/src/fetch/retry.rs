//! How long to wait before another try, and when it is one too many.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

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
}

impl Backoff {
    /// Tries for so long from now on, or from the last progress; not at all for `None`.
    pub(crate) fn new(retry_for: Option<Duration>) -> Self {
        Self { retry_for, since: Instant::now(), tries: 1, farthest_bytes: 0 }
    }

    /// So much of the object is there. What was there before, in an earlier try, is no progress.
    pub(crate) fn progress(&mut self, received_bytes: u64) {
        if received_bytes > self.farthest_bytes {
            (self.farthest_bytes, self.since, self.tries) = (received_bytes, Instant::now(), 1);
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
        match self.next(fault.retry_after) {
            Some(pause) => Ok((pause, fault)),
            None => {
                let message = format!("{}{}", fault.failure, self.summary());
                Err(Failure::new(fault.failure.cause, message).into())
            }
        }
    }

    fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let left = self.retry_for?.checked_sub(self.since.elapsed())?;
        let pause = planned(self.tries, asked, jitter());
        self.tries += 1;
        // Jitter shortens a pause: the last try is at the very end of the time, not after it.
        (!left.is_zero() && asked.is_none_or(|asked| asked <= left)).then(|| pause.min(left))
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
    use common::cause::Cause;

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
