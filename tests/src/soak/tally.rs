//! What all rounds found, as a table.

use std::collections::BTreeMap;
use std::fmt;

use super::round::{Ending, Found};
use super::state::State;

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rounds: u64,
    wrong: u64,
    counts: BTreeMap<(&'static str, Ending, State), u64>,
}

impl Tally {
    /// Counts a round, and gives back what is wrong with it.
    pub(super) fn add(&mut self, result: Result<Found, String>) -> Result<(), String> {
        self.rounds += 1;
        match result {
            Ok(Found { what, ending, left }) => {
                *self.counts.entry((what, ending, left)).or_default() += 1;
                Ok(())
            }
            Err(wrong) => {
                self.wrong += 1;
                Err(wrong)
            }
        }
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\n{:<36}", "what was done, how the run ended")?;
        for state in State::ALL {
            write!(formatter, " {state:>18}")?;
        }
        writeln!(formatter)?;
        let mut rows: Vec<_> = self.counts.keys().map(|(what, ending, _)| (*what, *ending)).collect();
        rows.dedup();
        for (what, ending) in rows {
            write!(formatter, "{:<36}", format!("{what}, {}", format!("{ending:?}").to_lowercase()))?;
            for state in State::ALL {
                let count = self.counts.get(&(what, ending, state)).copied().unwrap_or_default();
                write!(formatter, " {:>18}", if count == 0 { "-".into() } else { count.to_string() })?;
            }
            writeln!(formatter)?;
        }
        writeln!(
            formatter,
            "\n{} rounds, {} wrong; each ran once more and was then right, byte for byte",
            self.rounds, self.wrong
        )
    }
}
