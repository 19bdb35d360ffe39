//! How long to wait before another try.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);

/// Pauses that grow, up to an end.
#[derive(Debug)]
pub(crate) struct Backoff {
    retry_for: Option<Duration>,
    started: Instant,
    tries: u32,
}

impl Backoff {
    /// Tries for so long from now on; not at all for `None`.
    pub(crate) fn new(retry_for: Option<Duration>) -> Self {
        Self { retry_for, started: Instant::now(), tries: 1 }
    }

    /// The pause before the next try, or `None` when time is up. `asked` is what the server asked for.
    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let left = self.retry_for?.checked_sub(self.started.elapsed())?;
        let pause = planned(self.tries, asked, jitter());
        self.tries += 1;
        // Jitter shortens a pause: the last try is at the very end of the time, not after it.
        (!left.is_zero() && asked.is_none_or(|asked| asked <= left)).then(|| pause.min(left))
    }

    /// What was tried, in words.
    pub(crate) fn summary(&self) -> String {
        let tried = self.started.elapsed().as_secs_f64();
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
    fn no_retry_and_no_time_left_are_no_pause() {
        assert_eq!(Backoff::new(None).pause(None), None);
        assert_eq!(Backoff::new(Some(Duration::ZERO)).pause(None), None);
        let mut backoff = Backoff::new(Some(Duration::from_secs(60)));
        assert!(backoff.pause(None).is_some());
        assert_eq!(backoff.pause(Some(Duration::from_secs(3600))), None);
    }
}
