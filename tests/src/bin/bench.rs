//! `make bench`: see [`nibs_tests::bench`].
//!
//! `RUNS=N` rounds, 5 unless it is given; `ONLY=ID,...` some of the contestants; `SAVE=1` keeps what comes out as the
//! reference in `tests/bench/`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nibs_tests::bench::contestants::{CONTESTANTS, Contestant, Needs, Way};
use nibs_tests::bench::image_set::{ImageSet, LARGE_MIB, Object};
use nibs_tests::bench::measure::{self, Sample};
use nibs_tests::bench::profile::{Profile, Watch};
use nibs_tests::bench::report::{Entry, Machine, Report};
use nibs_tests::bench::server::Server;
use nibs_tests::bench::target::{Before, Target};
use nibs_tests::bench::verify::{Table, verify};
use nibs_tests::bench::{extents, stages};
use nibs_tests::binaries::top;

/// Larger than the image, so that its partition table has to be fitted.
const DISK_BYTES: u64 = 5 << 30;
const RUNS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(Into::into).collect();
    let result = match &arguments[..] {
        [] => bench(),
        [stage, object] if stage.as_os_str() == "decode" => stages::decode(object),
        [stage, list, disk] if stage.as_os_str() == "write" => stages::write(list, disk),
        _ => Err(anyhow!("usage: bench; RUNS, ONLY and SAVE are environment variables")),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("bench: FAILED: {error:#}");
    ExitCode::FAILURE
}

fn bench() -> Result<()> {
    // So that the disk and the server go, too, when somebody has seen enough.
    common::stop::install(|_| eprintln!("bench: stopped by a signal"))
        .map_err(|failure| anyhow!("{failure}"))?;
    let options = Options::read()?;
    let wanted = |contestant: &Contestant| {
        options.only.as_ref().is_none_or(|only| only.iter().any(|id| id == contestant.id))
    };
    let contestants: Vec<Contestant> = CONTESTANTS.into_iter().filter(wanted).collect();
    let objects: Vec<Object> = contestants.iter().map(|contestant| contestant.object).collect();
    let set = ImageSet::make(&objects)?;
    let mut course = Course::new(set)?;
    let mut entries: Vec<Entry> = contestants
        .into_iter()
        .map(|contestant| Entry { contestant, samples: Vec::new(), profile: None })
        .collect();
    for round in 0..options.runs {
        for entry in entries.iter_mut().filter(|entry| round == 0 || !entry.contestant.once) {
            let sample = course.run(&entry.contestant, round == 0, &mut |_| Ok(()))?;
            let Sample { wall_secs, cpu_secs, rss_kib } = sample;
            let rss_mib = rss_kib as f64 / 1024.0;
            println!(
                "run {}/{}  {:<16}{wall_secs:>8.2} s  CPU {cpu_secs:>7.2} s  RSS {rss_mib:>6.1} MiB",
                round + 1,
                options.runs,
                entry.contestant.id
            );
            entry.samples.push(sample);
        }
    }
    for entry in &mut entries {
        if entry.contestant.way == Way::StreamImage && !entry.contestant.once {
            entry.profile = Some(course.profile(&entry.contestant)?);
        }
    }
    let Course { set, data_bytes, bmap, .. } = &course;
    let report = Report { machine: Machine::look(bmap)?, set, data_bytes: *data_bytes, entries };
    println!("\n{}", report.text()?);
    report.save(&top().join("target/bench"), "latest")?;
    if options.save {
        report.save(&top().join("tests/bench"), "reference")?;
    }
    Ok(())
}

struct Options {
    runs: usize,
    only: Option<Vec<String>>,
    save: bool,
}

impl Options {
    fn read() -> Result<Self> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let runs = match given("RUNS") {
            None => RUNS,
            Some(text) => {
                let runs = text.parse().ok().filter(|runs| *runs > 0);
                runs.with_context(|| format!("RUNS is {text:?}; accepted: a number from 1 on"))?
            }
        };
        let only = given("ONLY").map(|text| text.split(',').map(Into::into).collect::<Vec<String>>());
        for id in only.iter().flatten() {
            let ids: Vec<&str> = CONTESTANTS.iter().map(|contestant| contestant.id).collect();
            ensure!(ids.contains(&id.as_str()), "ONLY has {id:?}; accepted: {}", ids.join(", "));
        }
        let save = match given("SAVE").as_deref() {
            None | Some("0") => false,
            Some("1") if only.is_none() => true,
            Some("1") => bail!("SAVE=1 keeps a whole run, and ONLY makes it a part"),
            Some(other) => bail!("SAVE is {other:?}; accepted: 0, 1"),
        };
        Ok(Self { runs, only, save })
    }
}

/// Where all run.
struct Course {
    set: ImageSet,
    server: Server,
    extents: PathBuf,
    data_bytes: u64,
    bmap: PathBuf,
}

impl Course {
    fn new(set: ImageSet) -> Result<Self> {
        let found = extents::find(&set.path(Object::Raw))?;
        let list = set.folder().join("extents");
        extents::save(&found, &list)?;
        let data_bytes = found.iter().map(|extent| extent.length as u64).sum();
        let server = Server::start(set.folder())?;
        let bmap = top().join("target/tools/bin/bmap-rs");
        ensure!(bmap.exists(), "{} is not there; run `make bench`", bmap.display());
        Ok(Self { set, server, extents: list, data_bytes, bmap })
    }

    /// Runs a contestant once. The first time, what it wrote is compared with the image, which is not measured.
    fn run(
        &mut self,
        contestant: &Contestant,
        first: bool,
        watch: &mut dyn FnMut(u32) -> Result<()>,
    ) -> Result<Sample> {
        let object = contestant.object;
        let (size_bytes, before) = match object.is_large() {
            true => ((LARGE_MIB + 1024) << 20, Before::Sparse),
            false => (DISK_BYTES, Before::Full),
        };
        let make = || Target::new(self.set.folder(), size_bytes, before);
        let target = contestant.writes().then(make).transpose()?;
        if !object.is_large() {
            self.warm(object)?;
        }
        let needs = Needs {
            url: self.server.url(object.file()),
            object: self.set.path(object),
            sha256: self.set.sha256(object)?,
            extents: &self.extents,
            disk: target.as_ref().map(Target::node),
            bmap: self.bmap.clone(),
        };
        let log = self.set.folder().join(format!("{}.log", contestant.id));
        let command = contestant.command(&needs);
        let sample = measure::run(&command, &log, watch).with_context(|| contestant.id)?;
        // The large image is too long to be read; its digest was right, which the action says.
        let table = match contestant.way {
            Way::StreamImage => Some(Table::Fitted),
            Way::Pipe(_) | Way::Bmap => Some(Table::Copied),
            Way::Aside(_) | Way::Decode | Way::Write => None,
        };
        if let (Some(target), Some(table), true) = (target, table, first && !object.is_large()) {
            let image = self.set.path(Object::Raw);
            target.detached(|file| verify(&image, file, table)).with_context(|| contestant.id)?;
        }
        Ok(sample)
    }

    /// Runs a contestant once more, and looks where its time goes.
    fn profile(&mut self, contestant: &Contestant) -> Result<Profile> {
        let mut watch = None;
        self.run(contestant, false, &mut |parent| {
            // Not before the process: its disk is made before that.
            if watch.is_none() {
                watch = Some(Watch::begin()?);
            }
            watch.as_mut().map_or(Ok(()), |watch| watch.look(parent))
        })?;
        watch.and_then(Watch::end).context("the run was too short to be looked at")
    }

    /// Reads the object, so that the server has it in memory for everybody.
    fn warm(&self, object: Object) -> Result<()> {
        let path: &Path = &self.set.path(object);
        let mut file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
        std::io::copy(&mut file, &mut std::io::sink())?;
        Ok(())
    }
}
