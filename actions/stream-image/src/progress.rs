//! Lines that say how far it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::info;

use crate::figures::{rate, size};
use crate::sink::WRITERS;
use crate::stages::Counters;

/// Who is at work for more than this part of the time is what the others wait for.
const LIMITS: f64 = 0.6;

/// What the stages did, as nanoseconds since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    waiting: u64,
    hashing: u64,
    hashing_raw: u64,
    writing: u64,
}

impl Work {
    fn of(counters: &Counters) -> Self {
        let load = |nanos: &AtomicU64| nanos.load(Ordering::Relaxed);
        Self {
            waiting: load(&counters.waiting_nanos),
            hashing: load(&counters.hashing_nanos),
            hashing_raw: load(&counters.hashing_raw_nanos),
            writing: load(&counters.writing_nanos),
        }
    }

    /// The slowest stage since an earlier moment: the one that was hardly ever idle. Decoding has no clock of its own, it
    /// is what is left when no other stage is it.
    fn limit(self, before: Self, since: Duration) -> &'static str {
        let share = |now: u64, before: u64| (now - before) as f64 / since.as_nanos().max(1) as f64;
        let stages = [
            ("network", share(self.waiting, before.waiting)),
            ("disk", share(self.writing, before.writing) / WRITERS as f64),
            ("digest", share(self.hashing, before.hashing)),
            ("digest", share(self.hashing_raw, before.hashing_raw)),
        ];
        let slowest = stages.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
        slowest.filter(|(_, share)| *share > LIMITS).map_or("decoder", |(name, _)| name)
    }
}

/// When the next line is due, and what the last one said.
pub(crate) struct Progress {
    interval: Option<Duration>,
    started: Instant,
    last: Instant,
    last_written_bytes: u64,
    last_work: Work,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Snapshot {
    in_bytes: u64,
    out_bytes: u64,
    /// The length of the object, if the server said it.
    in_total_bytes: Option<u64>,
    /// The length of the image, if its partition table said it.
    out_total_bytes: Option<u64>,
    elapsed: Duration,
}

impl Snapshot {
    /// From 0 to 1. What arrived counts, or what was written where the server announced no length.
    fn fraction(&self) -> Option<f64> {
        let of = |part: u64, total: Option<u64>| {
            total.filter(|total| *total > 0).map(|total| part as f64 / total as f64)
        };
        of(self.in_bytes, self.in_total_bytes)
            .or_else(|| of(self.out_bytes, self.out_total_bytes))
            .map(|part| part.min(1.0))
    }

    fn secs_left(&self) -> Option<u64> {
        let fraction = self.fraction().filter(|fraction| *fraction > 0.0)?;
        Some((self.elapsed.as_secs_f64() * (1.0 - fraction) / fraction).ceil() as u64)
    }
}

impl Progress {
    pub(crate) fn new(interval: Option<Duration>) -> Self {
        let now = Instant::now();
        Self { interval, started: now, last: now, last_written_bytes: 0, last_work: Work::default() }
    }

    /// Says a line when one is due.
    pub(crate) fn tick(
        &mut self,
        counters: &Counters,
        in_total_bytes: Option<u64>,
        out_total_bytes: Option<u64>,
    ) {
        let since = self.last.elapsed();
        if self.interval.is_none_or(|interval| since < interval) {
            return;
        }
        let now = Snapshot {
            in_bytes: counters.fetched_bytes.load(Ordering::Relaxed),
            out_bytes: counters.written_bytes.load(Ordering::Relaxed),
            in_total_bytes,
            out_total_bytes,
            elapsed: self.started.elapsed(),
        };
        let mb_per_sec = rate(now.out_bytes.saturating_sub(self.last_written_bytes), since).round();
        let work = Work::of(counters);
        let limited_by = work.limit(self.last_work, since);
        let mut text =
            format!("{} fetched, {} written, {mb_per_sec} MB/s", size(now.in_bytes), size(now.out_bytes));
        let percent = now.fraction().map(|fraction| (fraction * 100.0).floor());
        if let (Some(percent), Some(secs_left)) = (percent, now.secs_left()) {
            text += &format!(", {percent} %, about {secs_left} s left, limited by: {limited_by}");
            info!(
                in_bytes = now.in_bytes,
                out_bytes = now.out_bytes,
                mb_per_sec,
                percent,
                secs_left,
                limited_by,
                "{text}"
            );
        } else {
            text += &format!(", limited by: {limited_by}");
            info!(in_bytes = now.in_bytes, out_bytes = now.out_bytes, mb_per_sec, limited_by, "{text}");
        }
        self.last = Instant::now();
        self.last_written_bytes = now.out_bytes;
        self.last_work = work;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_that_is_never_idle_limits() {
        let second = Duration::from_secs(1);
        let before = Work { waiting: 5, hashing: 6, hashing_raw: 7, writing: 8 };
        let after = |waiting, hashing, hashing_raw, writing| {
            let millis = |share: u64| share * 1_000_000;
            let work = Work {
                waiting: 5 + millis(waiting),
                hashing: 6 + millis(hashing),
                hashing_raw: 7 + millis(hashing_raw),
                writing: 8 + millis(writing),
            };
            work.limit(before, second)
        };
        assert_eq!(after(950, 300, 0, 400), "network");
        assert_eq!(after(10, 100, 300, 1900), "disk");
        assert_eq!(after(10, 900, 300, 900), "digest");
        assert_eq!(after(10, 100, 990, 900), "digest");
        assert_eq!(after(300, 300, 300, 900), "decoder");
    }

    #[test]
    fn what_is_left_is_said_where_it_can_be_known() {
        let now = Snapshot {
            in_bytes: 100,
            out_bytes: 300,
            in_total_bytes: Some(400),
            out_total_bytes: Some(1000),
            elapsed: Duration::from_secs(10),
        };
        assert_eq!((now.fraction(), now.secs_left()), (Some(0.25), Some(30)));
        let chunked = Snapshot { in_total_bytes: None, ..now };
        assert_eq!((chunked.fraction(), chunked.secs_left()), (Some(0.3), Some(24)));
        let unknown = Snapshot { out_total_bytes: None, ..chunked };
        assert_eq!((unknown.fraction(), unknown.secs_left()), (None, None));
        let more = Snapshot { in_bytes: 500, ..now };
        assert_eq!((more.fraction(), more.secs_left()), (Some(1.0), Some(0)));
        assert_eq!(Snapshot { in_bytes: 0, ..now }.secs_left(), None);
    }
}
