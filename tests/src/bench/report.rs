//! What is shown and kept: a table to read, and JSON.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::contestants::Contestant;
use super::goals::{GOALS, Judged};
use super::image_set::{ImageSet, Object};
use super::measure::Sample;
use super::profile::Profile;
use super::statistics::Spread;
use super::tool::script;

/// A contestant and all of its runs.
#[derive(Debug)]
pub struct Entry {
    /// Who.
    pub contestant: Contestant,
    /// A sample a round.
    pub samples: Vec<Sample>,
    /// Of a run that is no sample.
    pub profile: Option<Profile>,
}

/// Where it was measured, and with what.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor's name, and how many cores there are.
    pub processor: String,
    /// Of the machine.
    pub memory_mib: u64,
    /// Of the kernel.
    pub kernel: String,
    /// Each tool's version.
    pub tools: Vec<String>,
    /// The commit of the action.
    pub commit: String,
}

impl Machine {
    /// Looks.
    ///
    /// # Errors
    /// When a tool is missing.
    pub fn look(bmap: &Path) -> Result<Self> {
        let bmap = super::tool::tool(Command::new(bmap).arg("--version"))?.trim().to_owned();
        let mut tools = vec![bmap];
        for command in [
            "curl --version | cut -d' ' -f1-2",
            "gzip --version",
            "igzip --version 2>&1",
            "bgzip --version",
            "zstd --version",
            "xz --version",
            "nginx -v 2>&1",
            "dd --version",
        ] {
            tools.push(line(&format!("({command}) | sed -n 1p"))?);
        }
        Self::with(tools)
    }

    /// Looks at the rest, of which no tool is missing.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn with(tools: Vec<String>) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        Ok(Self {
            processor: format!("{cores} cores of {}", line("sed -n 's/^model name.*: //p' /proc/cpuinfo")?),
            memory_mib: line("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")?.parse::<u64>()?
                >> 10,
            kernel: line("uname -sr")?,
            tools,
            commit: line("git rev-parse --short HEAD 2>/dev/null || echo unknown")?,
        })
    }
}

/// All that was measured.
#[derive(Debug)]
pub struct Report<'a> {
    /// Where.
    pub machine: Machine,
    /// What.
    pub set: &'a ImageSet,
    /// Bytes of the image that are not zeros.
    pub data_bytes: u64,
    /// Who, how fast.
    pub entries: Vec<Entry>,
}

impl Report<'_> {
    /// The goals whose contestants ran.
    pub fn judged(&self) -> Vec<Judged> {
        let samples = |id: &str| {
            let entry = self.entries.iter().find(|entry| entry.contestant.id == id);
            entry.map_or(&[][..], |entry| &entry.samples)
        };
        GOALS.iter().filter_map(|goal| goal.judge(&samples)).collect()
    }

    /// The tables, in Markdown that reads well as it is.
    ///
    /// # Errors
    /// When an object is gone.
    pub fn text(&self) -> Result<String> {
        let rounds = self.entries.iter().map(|entry| entry.samples.len()).max().unwrap_or(0);
        let machine = &self.machine;
        let image_mib = self.set.length_bytes(Object::Raw)? >> 20;
        let mut text = format!(
            "# Measured by `make bench`\n\n\
             stream-image of {} on {}, {} MiB of memory, {}.\n\
             The image has {image_mib} MiB, {} MiB of them not zeros; nginx on the loopback serves it from memory; the\n\
             disk is a loop device with direct I/O, all of it written before. Rounds: {rounds}. Shown is the median, and\n\
             the least and the most in brackets. CPU and peak RSS are those of all processes that run, without the\n\
             server's and the kernel's own; RSS is that of the largest process, the most in any run.\n\n\
             ## Goals\n\n",
            machine.commit,
            machine.processor,
            machine.memory_mib,
            machine.kernel,
            self.data_bytes >> 20
        );
        let judged = self.judged();
        let missed = judged.iter().filter(|judged| !judged.met).count();
        text += &table(
            &["what", "against", "goal", "measured", "met"],
            judged.iter().map(|judged| {
                let digits = if judged.unit == "MiB" { 0 } else { 2 };
                let met = judged.missed_by.as_ref().map_or("yes".into(), |by| format!("NO, by {by}"));
                let measured = format!("{} {}", spread(judged.measured, digits), judged.unit);
                vec![judged.what.into(), judged.against.into(), judged.goal.clone(), measured, met]
            }),
        );
        text += &format!("\n{} of {} goals are met.\n\n## Runs\n\n", judged.len() - missed, judged.len());
        let rows: Vec<Vec<String>> = self.entries.iter().filter_map(|entry| self.row(entry)).collect();
        text += &table(&["id", "object", "seconds", "CPU seconds", "RSS MiB", "command"], rows);
        text += "\n## Where the time goes\n\n\
             Of one run more of stream-image: how busy the cores were, and CPU seconds by its threads. `decode` are all\n\
             decoders; `stream-image` is the main thread, which puts the pieces where they belong.\n\n";
        text += &table(
            &["id", "seconds", "cores busy", "CPU seconds"],
            self.entries.iter().filter_map(profile_row),
        );
        text += "\n## Objects\n\n";
        let mut objects: Vec<Object> = self.entries.iter().map(|entry| entry.contestant.object).collect();
        objects.dedup();
        let lengths = objects.iter().map(|object| {
            let mb = format!("{}", self.set.length_bytes(*object)? / 1_000_000);
            Ok(vec![object.file().into(), mb, object.packer().into()])
        });
        text += &table(&["object", "MB", "packed by"], lengths.collect::<Result<Vec<_>>>()?);
        text += &format!("\nTools: {}.\n", machine.tools.join("; "));
        Ok(text)
    }

    fn row(&self, entry: &Entry) -> Option<Vec<String>> {
        let samples = &entry.samples;
        let wall = Spread::of(samples.iter().map(|sample| sample.wall_secs))?;
        let cpu = Spread::of(samples.iter().map(|sample| sample.cpu_secs))?;
        let rss_kib = samples.iter().map(|sample| sample.rss_kib).max()?;
        let Contestant { id, object, .. } = entry.contestant;
        let command = format!("`{}`", entry.contestant.describe());
        // A bar would end the cell.
        let command = command.replace('|', "\\|");
        Some(vec![
            id.into(),
            object.file().into(),
            spread(wall, 2),
            spread(cpu, 2),
            format!("{:.1}", rss_kib as f64 / 1024.0),
            command,
        ])
    }

    /// All samples, and what was made of them.
    ///
    /// # Errors
    /// When an object is gone.
    pub fn json(&self) -> Result<String> {
        let runs = self.entries.iter().map(|entry| {
            let Contestant { id, object, .. } = entry.contestant;
            Ok(json!({
                "id": id,
                "command": entry.contestant.describe(),
                "object": object.file(),
                "object_bytes": self.set.length_bytes(object)?,
                "packed_by": object.packer(),
                "wall_secs": Spread::of(entry.samples.iter().map(|sample| sample.wall_secs)),
                "cpu_secs": Spread::of(entry.samples.iter().map(|sample| sample.cpu_secs)),
                "samples": entry.samples,
                "profile": entry.profile,
            }))
        });
        let all = json!({
            "machine": self.machine,
            "image_bytes": self.set.length_bytes(Object::Raw)?,
            "data_bytes": self.data_bytes,
            "goals": self.judged(),
            "runs": runs.collect::<Result<Vec<_>>>()?,
        });
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }

    /// Keeps both in a folder, by this name.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save(&self, folder: &Path, name: &str) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        for (suffix, text) in [("md", self.text()?), ("json", self.json()?)] {
            let path = folder.join(format!("{name}.{suffix}"));
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            println!("kept     {}", path.display());
        }
        Ok(())
    }
}

/// The first line of what a script prints.
fn line(text: &str) -> Result<String> {
    script(text).map(|said| said.lines().next().unwrap_or_default().trim().to_owned())
}

fn profile_row(entry: &Entry) -> Option<Vec<String>> {
    let profile = entry.profile.as_ref()?;
    let shares = profile.shares().into_iter().filter(|(_, secs)| *secs >= 0.005);
    let shares: Vec<String> = shares.map(|(name, secs)| format!("{name} {secs:.2}")).collect();
    let busy = format!("{:.0} %", profile.busy * 100.0);
    Some(vec![entry.contestant.id.into(), format!("{:.2}", profile.wall_secs), busy, shares.join(", ")])
}

pub(super) fn spread(spread: Spread, digits: usize) -> String {
    let Spread { median, least, most } = spread;
    if least == most {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
}

/// A table in Markdown with columns as wide as what is in them.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).into()).collect();
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    let line = |row: &[String]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&head) + &line(&rule) + &rows.iter().map(|row| line(row)).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let text = table(&["a", "long"], [vec!["wide".into(), "b".into()]]);
        assert_eq!(text, "| a    | long |\n| ---- | ---- |\n| wide | b    |\n");
    }

    #[test]
    fn a_spread_of_one_is_a_figure() {
        assert_eq!(spread(Spread { median: 2.0, least: 2.0, most: 2.0 }, 1), "2.0");
        assert_eq!(spread(Spread { median: 2.0, least: 1.0, most: 3.25 }, 2), "2.00 (1.00-3.25)");
    }
}
