//! Lines that say how far it is.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::info;

use crate::figures::{rate, size};
use crate::stages::Counters;

/// When the next line is due, and what the last one said.
pub(crate) struct Progress {
    interval: Option<Duration>,
    started: Instant,
    last: Instant,
    last_written_bytes: u64,
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
        Self { interval, started: now, last: now, last_written_bytes: 0 }
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
        let mut text =
            format!("{} fetched, {} written, {mb_per_sec} MB/s", size(now.in_bytes), size(now.out_bytes));
        let percent = now.fraction().map(|fraction| (fraction * 100.0).floor());
        if let (Some(percent), Some(secs_left)) = (percent, now.secs_left()) {
            text += &format!(", {percent} %, about {secs_left} s left");
            info!(
                in_bytes = now.in_bytes,
                out_bytes = now.out_bytes,
                mb_per_sec,
                percent,
                secs_left,
                "{text}"
            );
        } else {
            info!(in_bytes = now.in_bytes, out_bytes = now.out_bytes, mb_per_sec, "{text}");
        }
        self.last = Instant::now();
        self.last_written_bytes = now.out_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
