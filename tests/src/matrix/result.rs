//! What came of a row, and the table of all.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Row;
use super::rows::{disturbed, machines};
use crate::vm::Bus;

/// What came of a row. It is kept, so that rows can be played again alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// When it ended, in seconds since 1970.
    ended_unix_secs: u64,
    /// How long it took, all in all.
    took_secs: f64,
    /// How long the way from the Workflow's success to the node's last word took; `None` when the cycle failed.
    boot_secs: Option<f64>,
    /// What was seen on the way.
    notes: Vec<String>,
    /// Why the cycle failed.
    failure: Option<String>,
}

impl Outcome {
    pub(super) fn new(took: Duration, notes: Vec<String>, ended: Result<Duration>) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (boot_secs, failure) = match ended {
            Ok(boot) => (Some(boot.as_secs_f64()), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Self { ended_unix_secs: now.as_secs(), took_secs: took.as_secs_f64(), boot_secs, notes, failure }
    }

    /// Why the cycle failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// For a line on the way.
    pub fn words(&self) -> String {
        let state = if self.failure.is_some() { "FAILED" } else { "ok" };
        format!("{state} {:.0} s", self.took_secs)
    }

    pub(super) fn keep(&self, folder: &Path, name: &str) -> Result<()> {
        let path = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    fn read(name: &str) -> Option<Self> {
        let text = fs::read(super::folder().join(format!("{name}.json"))).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The day on which it ended, `2026-11-23`.
    fn day(&self) -> String {
        day(self.ended_unix_secs)
    }
}

/// A day of the calendar, in UTC (Howard Hinnant's `civil_from_days`, for days from 1970 on).
fn day(unix_secs: u64) -> String {
    let days = unix_secs / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Every row with its kept outcome, as a document.
pub fn table() -> String {
    let mut text = "# Whole cycles

Made by `make test-matrix`; `make test-matrix ONLY=NAME,…` plays single rows again. Each is a whole cycle: `nibs` makes the
Workflow, the real agent runs the six actions in the in-memory OS, and the machine goes into the installed system, which says
of itself that it booted and that cloud-init is done. Two emulated processors, no KVM. `all` is the whole row, with the image
and the servers; `boot` is the time from the Workflow's success to the node's last word.

## Machines

| row | firmware | disk | blocks | root | /boot | second disk | agent | goes by | result | boot | all | on |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"
    .to_owned();
    for row in machines() {
        let setup = row.setup;
        let cells = [
            row.name.to_owned(),
            setup.firmware.to_string(),
            bus(setup.bus).to_owned(),
            setup.image.logical_block_bytes.to_string(),
            setup.image.root_fs.name().to_owned(),
            if setup.image.separate_boot { "own" } else { "in the root" }.to_owned(),
            if setup.older_system { "older system" } else { "none" }.to_owned(),
            setup.engine.name().to_owned(),
            setup.going.mode().to_owned(),
        ];
        line(&mut text, &row, &cells);
    }
    text += "
## What goes wrong on the way

After each the machine is a node, as after any other cycle.

| row | what | firmware | disk | agent | seen | result | boot | all | on |
|---|---|---|---|---|---|---|---|---|---|
";
    for row in disturbed() {
        let setup = row.setup;
        let seen = Outcome::read(row.name).map(|outcome| outcome.notes.join("; ")).unwrap_or_default();
        let cells = [
            row.name.to_owned(),
            row.disturbance.map_or("nothing", super::Disturbance::words).to_owned(),
            setup.firmware.to_string(),
            bus(setup.bus).to_owned(),
            setup.engine.name().to_owned(),
            seen.replace('|', "\\|"),
        ];
        line(&mut text, &row, &cells);
    }
    text
}

fn bus(bus: Bus) -> &'static str {
    match bus {
        Bus::VirtioBlk => "virtio-blk",
        Bus::Nvme => "NVMe",
        Bus::Ahci => "AHCI",
        Bus::VirtioScsi => "virtio-scsi",
    }
}

fn line(text: &mut String, row: &Row, cells: &[String]) {
    let end = match Outcome::read(row.name) {
        None => ["not run", "", "", ""].map(String::from),
        Some(outcome) => [
            if outcome.failure.is_some() { "FAILED" } else { "ok" }.to_owned(),
            outcome.boot_secs.map_or_else(String::new, |secs| format!("{secs:.0} s")),
            format!("{:.0} s", outcome.took_secs),
            outcome.day(),
        ],
    };
    writeln!(text, "| {} | {} |", cells.join(" | "), end.join(" | ")).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn days_are_right() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(951_868_799), "2000-02-29");
        assert_eq!(day(1_795_392_000), "2026-11-23");
        assert_eq!(day(1_798_761_599), "2026-12-31");
    }
}
