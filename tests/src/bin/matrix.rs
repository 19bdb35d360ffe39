//! `make test-matrix`: whole cycles on many kinds of machines, into `tests/matrix.md`. `ONLY=NAME,…` plays some of them.

use std::process::ExitCode;

use nibs_tests::binaries::top;
use nibs_tests::cycle::Event;
use nibs_tests::matrix::{self, Row};

fn main() -> ExitCode {
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted: Vec<&str> = only.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let all: Vec<Row> = matrix::machines().into_iter().chain(matrix::disturbed()).collect();
    if let Some(unknown) = wanted.iter().find(|name| all.iter().all(|row| row.name != **name)) {
        let names: Vec<&str> = all.iter().map(|row| row.name).collect();
        eprintln!("matrix: ONLY has {unknown:?}; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut failed = 0;
    for row in all.iter().filter(|row| wanted.is_empty() || wanted.contains(&row.name)) {
        eprintln!("matrix: {}", row.name);
        match matrix::play(row, &mut show) {
            Ok(outcome) => {
                println!("{:<28}{}", row.name, outcome.words());
                if let Some(failure) = outcome.failure() {
                    println!("{failure}\nlogs: target/matrix/{}", row.name);
                    failed += 1;
                }
            }
            Err(error) => {
                println!("{:<28}{error:#}", row.name);
                failed += 1;
            }
        }
        // After each row: whoever stops it has what there is.
        let file = top().join("tests/matrix.md");
        if let Err(error) = std::fs::write(&file, matrix::table()) {
            eprintln!("matrix: writing {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(event: Event) {
    match event {
        Event::Begun(_) => {}
        Event::Done { phase, words, took } => {
            eprintln!("  {}: {words} ({:.1} s)", phase.label(), took.as_secs_f64());
        }
        Event::Action { report, words } if report.state.is_end() => {
            eprintln!("  {} {:?}: {}", report.action, report.state, words.unwrap_or_default());
        }
        Event::Action { .. } => {}
        Event::Word(words) => eprintln!("  {words}"),
    }
}
