//! Wiping one disk: the steps of its plan, one after the other.

use std::collections::BTreeMap;

use anyhow::Context;
use common::blkid::{self, Found, Search};
use common::cause::Cause;
use common::disk::{OpenDisk, System};
use common::failure::{Because, Failure};
use common::{stop, sys};
use tracing::{debug, info, warn};

use crate::device;
use crate::layout::{Area, Layout};
use crate::options::Method;
use crate::plan::{self, Facts, Step};
use crate::range::Range;

/// Wipes a disk that is claimed, and says in a few words what was done.
///
/// # Errors
/// [`Cause::DiskIo`], [`Cause::VerifyFailed`], [`Cause::DiskBusy`], [`Cause::Stopped`]: with the disk's name and the
/// state in which it is left.
pub(crate) fn wipe(system: &System, disk: &OpenDisk, method: Method) -> Result<String, Failure> {
    let mut wipe = Wipe {
        disk,
        node: disk.disk.node.display().to_string(),
        found: Vec::new(),
        zeroed: 0,
        blank: Vec::new(),
        wrote: false,
        done: None,
    };
    let result = wipe.run(system, method);
    result.map_err(|failure| {
        let state = if wipe.wrote {
            "it is wiped in part, and its tables go last: run the workflow again"
        } else {
            "nothing was written to it"
        };
        Failure::new(failure.cause, format_args!("wiping {}: {failure}; {state}", disk.disk.describe()))
    })
}

struct Wipe<'a> {
    disk: &'a OpenDisk,
    /// For log lines.
    node: String,
    /// All that was found, each with the part of the disk it was found in.
    found: Vec<(Range, Found)>,
    /// How many of `found` are zeroed.
    zeroed: usize,
    /// What was zeroed, and has to read so.
    blank: Vec<Range>,
    wrote: bool,
    /// What happened to the disk between its ends, for the last line.
    done: Option<String>,
}

impl Wipe<'_> {
    fn run(&mut self, system: &System, method: Method) -> Result<String, Failure> {
        let disk = &self.disk.disk;
        info!("wiping {}, {}", disk.describe(), method.words());
        // Somebody may have written through a partition's node: read what is on the disk, and not what was.
        sys::drop_cache(&self.disk.file).context("dropping the page cache").because(Cause::DiskIo)?;
        let layout = Layout::read(&self.disk.file, disk.size_bytes, disk.logical_block_size)
            .context("reading the partition tables")
            .because(Cause::DiskIo)?;
        for table in &layout.tables {
            info!("{}: found a partition table: {table}", self.node);
        }
        let facts = Facts { size_bytes: disk.size_bytes, can_discard: disk.discard_max_bytes > 0 };
        for step in plan::steps(facts, &layout, method) {
            stop::check()?;
            self.step(step)?;
        }
        self.end(system)?;
        Ok(self.summary())
    }

    fn step(&mut self, step: Step) -> Result<(), Failure> {
        debug!("{}: {step:?}", self.node);
        match step {
            Step::Erase(area, search) => self.erase(&area, search),
            Step::Discard { range, must } => self.discard(range, must),
            Step::ZeroAll(range) => {
                self.wrote = true;
                device::zero_all(&self.disk.file, &self.node, range)?;
                self.done = Some(format!("{} zeroed", bytes(range.length_bytes())));
                info!("{}: zeroed {}", self.node, bytes(range.length_bytes()));
                Ok(())
            }
            Step::ZeroFound(others) => self.zero_found(others),
            Step::ZeroEnd(range) => {
                self.zero(range)?;
                let which = if range.start_bytes == 0 { "first" } else { "last" };
                info!("{}: zeroed the {which} {}", self.node, bytes(range.length_bytes()));
                Ok(())
            }
            Step::Verify(areas) => self.verify(&areas),
        }
    }

    fn erase(&mut self, area: &Area, search: Search) -> Result<(), Failure> {
        let before = self.found.len();
        let (found, node, wrote) = (&mut self.found, &self.node, &mut self.wrote);
        let Range { start_bytes, .. } = area.range;
        blkid::erase(&self.disk.file, start_bytes, area.range.length_bytes(), search, |each| {
            stop::check()?;
            let place = match each.offset_bytes {
                Some(offset) => format!("byte {offset}, {} bytes long", each.length_bytes),
                None => "no magic number".into(),
            };
            // A ZFS has hundreds of places: one line for the first of each format, the others are for debugging. Each copy
            // of a partition table has its line.
            let known = found[before..].iter().any(|(_, other)| other.kind == each.kind);
            if known && each.usage != blkid::PARTITION_TABLE {
                debug!("{node}: found {} in {} once more ({place})", each.kind, area.name);
            } else {
                info!("{node}: found {} ({}) in {} ({place}), erasing it", each.kind, each.usage, area.name);
            }
            *wrote |= each.offset_bytes.is_some();
            found.push((area.range, each.clone()));
            Ok(())
        })
        .map_err(|failure| failure.context(area.name.clone()))?;
        let erased = self.found.len() - before;
        if erased > 0 {
            info!(
                "{}: erased {erased} magic number{} in {}",
                self.node,
                if erased == 1 { "" } else { "s" },
                area.name
            );
        }
        Ok(())
    }

    fn discard(&mut self, range: Range, must: bool) -> Result<(), Failure> {
        self.wrote = true;
        match device::discard(&self.disk.file, &self.node, range) {
            Ok(()) => {
                self.done = Some(format!("{} discarded", bytes(range.length_bytes())));
                info!("{}: discarded {}", self.node, bytes(range.length_bytes()));
                Ok(())
            }
            Err(_) if stop::requested() => stop::check(),
            Err(error) if must => Err(error).context("discarding").because(Cause::DiskIo),
            Err(error) => {
                warn!(
                    "{}: the disk says that it can discard, and then does not: {error}; going on without",
                    self.node
                );
                Ok(())
            }
        }
    }

    fn zero_found(&mut self, others: Vec<Range>) -> Result<(), Failure> {
        let size_bytes = self.disk.disk.size_bytes;
        let new = &self.found[self.zeroed..];
        let places =
            new.iter().flat_map(|(area, found)| plan::places(size_bytes, *area, std::slice::from_ref(found)));
        let ranges = plan::joined(places.chain(others).collect());
        self.zeroed = self.found.len();
        for range in &ranges {
            self.zero(*range)?;
        }
        if !ranges.is_empty() {
            let length = ranges.iter().map(|range| range.length_bytes()).sum();
            info!(
                "{}: zeroed what was found and the ends of the partitions: {} in {} places",
                self.node,
                bytes(length),
                ranges.len()
            );
        }
        Ok(())
    }

    fn zero(&mut self, range: Range) -> Result<(), Failure> {
        self.wrote = true;
        device::zero(&self.disk.file, range)?;
        self.blank.push(range);
        Ok(())
    }

    fn verify(&self, areas: &[Area]) -> Result<(), Failure> {
        sys::drop_cache(&self.disk.file).context("dropping the page cache").because(Cause::DiskIo)?;
        let blank = plan::joined(self.blank.clone());
        for range in &blank {
            if let Some(at) = device::first_nonzero(&self.disk.file, *range)? {
                return Err(Failure::new(
                    Cause::VerifyFailed,
                    format_args!("byte {at} was zeroed and flushed, and is not zero when read back"),
                ));
            }
        }
        for Area { name, range } in areas {
            stop::check()?;
            let left = blkid::list(&self.disk.file, range.start_bytes, range.length_bytes())
                .with_context(|| format!("looking for signatures in {name}"))
                .because(Cause::DiskIo)?;
            if let Some(found) = left.first() {
                let place = found.offset_bytes.map(|at| format!(" at byte {at}")).unwrap_or_default();
                return Err(Failure::new(
                    Cause::VerifyFailed,
                    format_args!("{} is still found in {name}{place} after it was erased", found.kind),
                ));
            }
        }
        let length = blank.iter().map(|range| range.length_bytes()).sum();
        info!("{}: read back: {} are zeros, and no signature is found", self.node, bytes(length));
        Ok(())
    }

    /// Lets the kernel look at the empty disk.
    fn end(&self, system: &System) -> Result<(), Failure> {
        if let Err(error) = sys::reread_partition_table(&self.disk.file) {
            // A loop device without `-P` takes no rereading, and its partitions are forgotten already.
            debug!("{}: rereading the partition table: {error}", self.node);
        }
        let forgotten = self.disk.forget_partitions(system)?;
        debug!("{}: the kernel shows no partitions; {} had come back", self.node, forgotten.len());
        Ok(())
    }

    /// `LVM2_member, 2 gpt, ext4 erased, 8.6 GB discarded`.
    fn summary(&self) -> String {
        let mut order = Vec::new();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut last = None;
        for (area, found) in &self.found {
            // The many places of one format in one partition are one thing; two GPTs are two.
            let this = (area, &found.kind);
            if last == Some(this) && found.usage != blkid::PARTITION_TABLE {
                continue;
            }
            last = Some(this);
            if !counts.contains_key(found.kind.as_str()) {
                order.push(found.kind.as_str());
            }
            *counts.entry(&found.kind).or_default() += 1;
        }
        let things: Vec<String> = order
            .iter()
            .map(|kind| match counts[kind] {
                1 => (*kind).to_owned(),
                count => format!("{count} {kind}"),
            })
            .collect();
        let erased = if things.is_empty() {
            "nothing was found on it".to_owned()
        } else {
            format!("{} erased", things.join(", "))
        };
        match &self.done {
            Some(done) => format!("{erased}, {done}"),
            None => erased,
        }
    }
}

fn bytes(count: u64) -> String {
    match count {
        1_000_000_000.. => format!("{:.1} GB", count as f64 / 1e9),
        1_000_000.. => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{count} bytes"),
    }
}
