//! Everything that can go wrong with an image on its way to a disk, as one table of cases. Each ends in exactly one of: the
//! right bytes on the disk, or a failure with its own cause. A failure before the first write leaves the disk as it was, to
//! the byte; after it the disk does not boot.
//!
//! Prints a line a case. `cargo test --test loop_faults -- WORDS` plays those whose line has all of the words.

#[path = "loop_faults/case.rs"]
mod case;
#[path = "loop_faults/cases/mod.rs"]
mod cases;
#[path = "loop_faults/check.rs"]
mod check;
#[path = "loop_faults/network.rs"]
mod network;
#[path = "loop_faults/objects.rs"]
mod objects;
#[path = "loop_faults/play.rs"]
mod play;
#[path = "loop_faults/target.rs"]
mod target;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use case::{Case, Ends};
use play::{Played, Player};

/// Most of what a case does is wait.
const PLAYERS: usize = 32;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if std::env::args().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let cases: Vec<Case> = cases::all()
        .into_iter()
        .filter(|case| words.iter().all(|word| line(case).contains(word.as_str())))
        .collect();
    let started = Instant::now();
    let played = play_all(&cases);
    let mut wrong = 0;
    for (case, (played, secs)) in cases.iter().zip(&played) {
        match played {
            Ok(ended) => println!("{} -> {ended} ({secs:.1} s)", line(case)),
            Err(why) => {
                wrong += 1;
                println!("{} -> NOT AS SAID ({secs:.1} s): {why}", line(case));
            }
        }
    }
    let unreached = if words.is_empty() { cases::unreached(&cases) } else { BTreeSet::new() };
    for cause in &unreached {
        println!("no case ends with the cause {cause}");
    }
    println!(
        "{} cases of faults, {} as said, {wrong} not, in {:.0} s",
        cases.len(),
        cases.len() - wrong,
        started.elapsed().as_secs_f64()
    );
    if wrong == 0 && unreached.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(case: &Case) -> String {
    let expected = match &case.ends {
        Ends::Failed { cause, .. } => cause,
        _ => "right",
    };
    format!("case {}, format {}, expected {expected}", case.name, case.format.name())
}

/// How each case ended, and how many seconds it took.
fn play_all(cases: &[Case]) -> Vec<(Played, f64)> {
    let next = AtomicUsize::new(0);
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PLAYERS.min(cases.len()) {
            scope.spawn(|| {
                let mut player = Player::new();
                while let Some((number, case)) = Some(next.fetch_add(1, Ordering::SeqCst))
                    .and_then(|number| Some((number, cases.get(number)?)))
                {
                    let started = Instant::now();
                    let ended = player.play(case);
                    if let Err(why) = &ended {
                        eprintln!("{}: {why}", line(case));
                    }
                    played.lock().unwrap().push((number, ended, started.elapsed().as_secs_f64()));
                }
            });
        }
    });
    let mut played = played.into_inner().unwrap();
    played.sort_by_key(|(number, ..)| *number);
    played.into_iter().map(|(_, ended, secs)| (ended, secs)).collect()
}
