//! `make soak`: stream-image is killed and cut off at random, and what it leaves is looked at.

use std::process::ExitCode;
use std::thread::available_parallelism;

use common::stop;
use nibs_tests::soak::Soak;

fn main() -> ExitCode {
    // A stop lets the disks be taken down.
    let result = stop::install(|_| eprintln!("soak: stopped before it was done"))
        .map_err(|failure| anyhow::anyhow!("{failure}"))
        .and_then(|()| read()?.run());
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the environment says: `SEED` (random), `FIRST` (0), `ROUNDS` (1000), `WORKERS` (as many as there are processors).
fn read() -> anyhow::Result<Soak> {
    Ok(Soak {
        seed: number("SEED", || u64::from(fastrand::u32(..)))?,
        first: number("FIRST", || 0)?,
        rounds: number("ROUNDS", || 1000)?.max(1),
        workers: number("WORKERS", || available_parallelism().map_or(1, |cores| cores.get() as u64))?.max(1)
            as usize,
    })
}

fn number(name: &str, otherwise: impl FnOnce() -> u64) -> anyhow::Result<u64> {
    match std::env::var(name).ok().filter(|value| !value.is_empty()) {
        None => Ok(otherwise()),
        Some(value) => {
            value.parse().map_err(|_| anyhow::anyhow!("{name}={value:?} is not valid; accepted: a number"))
        }
    }
}
