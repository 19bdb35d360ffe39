//! What must come out.

use serde::Serialize;

use super::measure::Sample;
use super::statistics::Spread;

/// What is compared, by the contestants' ids.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// How many times as long the peer takes: at least so many.
    TimesAsFast {
        /// Whose goal it is.
        one: &'static str,
        /// Whom it is compared with.
        peer: &'static str,
        /// The goal.
        at_least: f64,
    },
    /// How many times as long it takes as the slowest of some others: at most so many.
    TimesAsLong {
        /// Whose goal it is.
        one: &'static str,
        /// The others.
        others: &'static [&'static str],
        /// The goal.
        at_most: f64,
    },
    /// How much of the peer's CPU time it takes: at most this part.
    PartOfCpu {
        /// Whose goal it is.
        one: &'static str,
        /// Whom it is compared with.
        peer: &'static str,
        /// The goal.
        at_most: f64,
    },
    /// The largest peak of memory in any run of any of them: below so many MiB.
    PeakMib {
        /// All of them.
        all: &'static [&'static str],
        /// The goal.
        below: f64,
    },
}

/// A goal in words, and as it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Whose goal it is.
    pub what: &'static str,
    /// Whom it is compared with.
    pub against: &'static str,
    /// How.
    pub measure: Measure,
}

const fn fast(
    what: &'static str,
    against: &'static str,
    one: &'static str,
    peer: &'static str,
    at_least: f64,
) -> Goal {
    Goal { what, against, measure: Measure::TimesAsFast { one, peer, at_least } }
}

const fn long(
    what: &'static str,
    against: &'static str,
    one: &'static str,
    others: &'static [&'static str],
    at_most: f64,
) -> Goal {
    Goal { what, against, measure: Measure::TimesAsLong { one, others, at_most } }
}

const fn peak(what: &'static str, all: &'static [&'static str], below: f64) -> Goal {
    Goal { what, against: "peak RSS", measure: Measure::PeakMib { all, below } }
}

const GZ: &str = ".raw.gz, one stream";
const BGZ: &str = ".raw.gz by bgzip";
const ZST: &str = ".raw.zst, one frame";
const PZSTD: &str = ".raw.zst by pzstd";
const SEEKABLE: &str = ".raw.zst, seekable";
const XZ: &str = ".raw.xz, many blocks";

/// All of them.
pub const GOALS: [Goal; 18] = [
    fast(GZ, "curl, gzip, dd", "gz", "gz-pipe", 5.0),
    fast(GZ, "curl, igzip, dd direct", "gz", "gz-igzip", 2.0),
    long(GZ, "its slowest stage alone", "gz", &["gz-fetch", "gz-decode", "write"], 1.2),
    fast(GZ, "bmap-rs copy --nobmap", "gz", "gz-bmap", 5.0),
    Goal {
        what: GZ,
        against: "CPU of curl, gzip, dd",
        measure: Measure::PartOfCpu { one: "gz", peer: "gz-pipe", at_most: 0.25 },
    },
    fast(BGZ, "its own single stream", "bgz", "gz", 1.3),
    fast(ZST, "curl, zstd, dd", "zst", "zst-pipe", 2.5),
    fast(PZSTD, "curl, zstd, dd", "pzstd", "pzstd-pipe", 3.0),
    long(PZSTD, "writing the data alone", "pzstd", &["write"], 1.3),
    fast(SEEKABLE, "curl, zstd, dd", "seekable", "seekable-pipe", 3.0),
    long(SEEKABLE, "writing the data alone", "seekable", &["write"], 1.3),
    fast(XZ, "curl, xz, dd", "xz", "xz-pipe", 1.7),
    fast("raw", "curl, dd direct", "raw", "raw-pipe", 1.0),
    peak("4 GiB: gzip, bgzip", &["gz", "bgz"], 64.0),
    peak("4 GiB: zstd, bzip2, raw", &["zst", "pzstd", "seekable", "bz2", "raw"], 64.0),
    peak("64 GiB: gzip, bgzip", &["gz-64", "bgz-64"], 64.0),
    peak("64 GiB: zstd, bzip2, raw", &["zst-64", "pzstd-64", "bz2-64", "raw-64"], 64.0),
    peak("4 GiB: xz", &["xz"], 256.0),
];

/// How far a goal is met.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// Whose goal it is.
    pub what: &'static str,
    /// Whom it is compared with.
    pub against: &'static str,
    /// What is wanted.
    pub goal: String,
    /// What came out, over all rounds.
    pub measured: Spread,
    /// Whether the median is good enough.
    pub met: bool,
    /// By how much it is not.
    pub missed_by: Option<String>,
    /// Of the figures: times, a part, or MiB.
    pub unit: &'static str,
}

impl Goal {
    /// Judges it by what was measured, `samples` by id; `None` where something of it did not run.
    pub fn judge<'a>(&self, samples: &dyn Fn(&str) -> &'a [Sample]) -> Option<Judged> {
        let wall = |id: &str| samples(id).iter().map(|sample| sample.wall_secs).collect::<Vec<_>>();
        let cpu = |id: &str| samples(id).iter().map(|sample| sample.cpu_secs).collect::<Vec<_>>();
        let peak =
            |id: &str| samples(id).iter().map(|sample| sample.rss_kib as f64 / 1024.0).reduce(f64::max);
        let (measured, goal, met, unit, limit) = match self.measure {
            Measure::TimesAsFast { one, peer, at_least } => {
                let ratio = Spread::of_ratios(&wall(peer), &wall(one))?;
                (
                    ratio,
                    format!(">= {at_least} times as fast"),
                    hundredths(ratio.median) >= at_least,
                    "times",
                    at_least,
                )
            }
            Measure::TimesAsLong { one, others, at_most } => {
                let medians = others.iter().map(|id| Some((id, Spread::of(wall(id))?.median)));
                let medians = medians.collect::<Option<Vec<_>>>()?;
                let slowest = medians.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?.0;
                let ratio = Spread::of_ratios(&wall(one), &wall(slowest))?;
                (
                    ratio,
                    format!("<= {at_most} times as long"),
                    hundredths(ratio.median) <= at_most,
                    "times",
                    at_most,
                )
            }
            Measure::PartOfCpu { one, peer, at_most } => {
                let ratio = Spread::of_ratios(&cpu(one), &cpu(peer))?;
                (ratio, format!("<= {at_most} of it"), hundredths(ratio.median) <= at_most, "of it", at_most)
            }
            Measure::PeakMib { all, below } => {
                let peaks = all.iter().map(|id| peak(id)).collect::<Option<Vec<_>>>()?;
                let peaks = Spread::of(peaks)?;
                (peaks, format!("< {below} MiB"), peaks.most < below, "MiB", below)
            }
        };
        let reached = if unit == "MiB" { measured.most } else { measured.median };
        let missed_by = (!met).then(|| format!("{:.0} %", ((reached / limit - 1.0) * 100.0).abs().max(1.0)));
        Some(Judged { what: self.what, against: self.against, goal, measured, met, missed_by, unit })
    }
}

/// As the table shows it.
fn hundredths(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::super::contestants::CONTESTANTS;
    use super::*;

    fn sample(wall_secs: f64, cpu_secs: f64, rss_mib: u64) -> Sample {
        Sample { wall_secs, cpu_secs, rss_kib: rss_mib << 10 }
    }

    #[test]
    fn every_goal_is_of_contestants_that_run() {
        let ids: Vec<&str> = CONTESTANTS.iter().map(|contestant| contestant.id).collect();
        let one = [sample(1.0, 1.0, 1)];
        for goal in GOALS {
            let judged = goal.judge(&|id| {
                assert!(ids.contains(&id), "{id}");
                &one
            });
            assert!(judged.is_some());
        }
    }

    #[test]
    fn goals_are_judged_by_the_median_and_memory_by_the_most() {
        let one = [sample(2.0, 4.0, 10), sample(2.0, 4.0, 60), sample(4.0, 4.0, 20)];
        let peer = [sample(9.0, 20.0, 3), sample(10.0, 8.0, 3), sample(40.0, 20.0, 3)];
        let samples = |id: &str| -> &'static [Sample] {
            Box::leak(if id == "gz" { one.to_vec() } else { peer.to_vec() }.into_boxed_slice())
        };
        let judge = |measure| Goal { what: "", against: "", measure }.judge(&samples).unwrap();
        let fast = judge(Measure::TimesAsFast { one: "gz", peer: "x", at_least: 5.0 });
        assert!(fast.met && fast.measured == Spread { median: 5.0, least: 4.5, most: 10.0 });
        let missed = judge(Measure::TimesAsFast { one: "gz", peer: "x", at_least: 10.0 });
        assert_eq!((missed.met, missed.missed_by.as_deref()), (false, Some("50 %")));
        let cpu = judge(Measure::PartOfCpu { one: "gz", peer: "x", at_most: 0.25 });
        assert!(cpu.met && cpu.measured.most == 0.5);
        assert!(!judge(Measure::PeakMib { all: &["x", "gz"], below: 60.0 }).met);
        let long = judge(Measure::TimesAsLong { one: "x", others: &["gz"], at_most: 5.0 });
        assert!(long.met);
    }
}
