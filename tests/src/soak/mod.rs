//! `make soak`: stream-image is killed, stopped and cut off at random moments, and what it left on the disk is looked at,
//! byte for byte; then it runs again, and must end right.
//!
//! Every choice of a round comes from the seed and the round's number, so that a wrong round can be run again. Moments are
//! parts of how long a run took before: the machine decides to the millisecond what they hit.

mod action;
mod choice;
mod objects;
mod round;
pub mod state;
mod tally;
pub mod target;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use common::stop;

use crate::http::HttpServer;
use objects::Objects;
use tally::Tally;
use target::{Kind, Target};

/// How often it is said how far it is, in rounds.
const SAID_EVERY: u64 = 100;

/// What shall run.
#[derive(Debug, Clone, Copy)]
pub struct Soak {
    /// What all choices follow from.
    pub seed: u64,
    /// The number of the first round.
    pub first: u64,
    /// How many rounds.
    pub rounds: u64,
    /// Disks at once.
    pub workers: usize,
}

impl Soak {
    /// Runs all rounds, says what was found, and gives whether all were right.
    ///
    /// # Errors
    /// When an undisturbed run does not put the image on the disk, or a stop was asked for: then nothing is known.
    pub fn run(self) -> Result<bool> {
        let Self { seed, first, rounds, workers } = self;
        println!("soak: seed {seed}, rounds {first} to {}, {workers} disks at once", first + rounds - 1);
        let server = HttpServer::plain();
        let began = Instant::now();
        let objects = Objects::make(&server);
        println!(
            "soak: {} objects of a GPT image of 64 MiB, made in {:.0} s",
            objects.len(),
            began.elapsed().as_secs_f64()
        );
        let kinds = Kind::both(&server, &objects)?;
        println!("soak: each was streamed undisturbed, and is on the disk byte for byte");

        let began = Instant::now();
        let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let (server, objects, kinds, next, failed, tally) =
                    (&server, &objects, &kinds, &next, &failed, &tally);
                scope.spawn(move || {
                    let targets: Vec<Target> = kinds.iter().map(Target::new).collect();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= first + rounds || failed.load(Ordering::Relaxed) || stop::requested() {
                            return;
                        }
                        let result = round::run(seed, number, server, objects, &targets);
                        if stop::requested() {
                            return;
                        }
                        let mut tally = tally.lock().expect("no round panics with the tally");
                        if let Err(wrong) = tally.add(result) {
                            failed.store(true, Ordering::Relaxed);
                            println!("soak: WRONG: seed {seed}, round {number}: {wrong}");
                            println!("soak: again: make soak SEED={seed} FIRST={number} ROUNDS=1");
                        }
                        if tally.rounds() % SAID_EVERY == 0 {
                            println!(
                                "soak: {} rounds in {:.0} s",
                                tally.rounds(),
                                began.elapsed().as_secs_f64()
                            );
                        }
                    }
                });
            }
        });
        let tally = tally.into_inner().expect("no round panics with the tally");
        print!("{tally}");
        println!("soak: seed {seed}, {:.0} s", began.elapsed().as_secs_f64());
        if stop::requested() {
            bail!("a signal asked it to stop after {} rounds", tally.rounds());
        }
        Ok(!failed.into_inner())
    }
}
