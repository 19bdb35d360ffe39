//! `make bench-nibs`: see [`nibs_tests::bench::nibs`].
//!
//! `RUNS=N` rounds, 5 unless it is given; `SAVE=1` keeps what comes out in `tests/bench/`.

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nibs_tests::bench::measure::Sample;
use nibs_tests::bench::nibs::{Course, Report, TASKS};
use nibs_tests::bench::report::Machine;
use nibs_tests::binaries::top;

const RUNS: usize = 5;

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-nibs: FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<()> {
    common::stop::install(|_| eprintln!("bench-nibs: stopped by a signal"))
        .map_err(|failure| anyhow!("{failure}"))?;
    let (rounds, save) = options()?;
    let course = Course::new()?;
    let mut runs: Vec<_> = TASKS.into_iter().map(|task| (task, Vec::new())).collect();
    for round in 1..=rounds {
        for (task, samples) in &mut runs {
            let sample = course.run(*task)?;
            let Sample { wall_secs, cpu_secs, rss_kib } = sample;
            let rss_mib = rss_kib as f64 / 1024.0;
            println!(
                "run {round}/{rounds}  {:<16}{wall_secs:>8.2} s  CPU {cpu_secs:>7.2} s  RSS {rss_mib:>6.1} MiB",
                format!("{task:?}")
            );
            samples.push(sample);
        }
    }
    let report = Report { machine: Machine::with(Vec::new())?, megabytes: course.megabytes()?, runs };
    println!("\n{}", report.text());
    report.save(&top().join("target/bench"), "nibs-latest")?;
    if save {
        report.save(&top().join("tests/bench"), "nibs")?;
    }
    ensure!(report.is_met(), "a goal is missed");
    Ok(())
}

fn options() -> Result<(usize, bool)> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let runs = match given("RUNS") {
        None => RUNS,
        Some(text) => {
            let runs = text.parse().ok().filter(|runs| *runs > 0);
            runs.with_context(|| format!("RUNS is {text:?}; accepted: a number from 1 on"))?
        }
    };
    let save = match given("SAVE").as_deref() {
        None | Some("0") => false,
        Some("1") => true,
        Some(other) => bail!("SAVE is {other:?}; accepted: 0, 1"),
    };
    Ok((runs, save))
}
