//! The image, and the ways it is packed: made once and kept in `target/bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};

use super::tool::{script, tool};
use crate::binaries::top;

/// The image's size.
pub const IMAGE_MIB: u64 = 4096;
/// That of the one that memory is measured with.
pub const LARGE_MIB: u64 = 64 << 10;
/// What makes the image as full as a node's: a second kernel, container runtimes, compilers, a JRE, a database.
const PACKAGES: &str = "containerd,docker.io,linux-image-amd64,build-essential,golang,openjdk-17-jre-headless,\
    postgresql,python3-numpy,git";
/// Image bytes in a frame of the seekable object.
const SEEKABLE_FRAME_BYTES: u32 = 4 << 20;

/// An object that the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The image itself.
    Raw,
    /// One gzip member.
    Gzip,
    /// Members of 64 KiB that carry their size.
    Bgzip,
    /// One zstd frame.
    Zstd,
    /// Many frames, each behind a skippable one, as pzstd writes them.
    Pzstd,
    /// Many frames that carry their content's size, and a seek table.
    Seekable,
    /// Many blocks.
    Xz,
    /// One bzip2 stream.
    Bzip2,
    /// The image grown to 64 GiB.
    LargeRaw,
    /// That as one gzip member.
    LargeGzip,
    /// That in members of 64 KiB.
    LargeBgzip,
    /// That as one zstd frame.
    LargeZstd,
    /// That in many frames.
    LargePzstd,
    /// That as bzip2 streams.
    LargeBzip2,
}

impl Object {
    /// All that are made from another one, the slow ones first.
    const PACKED: [Self; 12] = [
        Self::Xz,
        Self::Gzip,
        Self::Bgzip,
        Self::Zstd,
        Self::Pzstd,
        Self::Seekable,
        Self::Bzip2,
        Self::LargeGzip,
        Self::LargeBzip2,
        Self::LargeBgzip,
        Self::LargeZstd,
        Self::LargePzstd,
    ];

    /// Its file's name.
    pub fn file(self) -> &'static str {
        match self {
            Self::Raw => "debian-12.raw",
            Self::Gzip => "gzip.raw.gz",
            Self::Bgzip => "bgzip.raw.gz",
            Self::Zstd => "one-frame.raw.zst",
            Self::Pzstd => "pzstd.raw.zst",
            Self::Seekable => "seekable.raw.zst",
            Self::Xz => "blocks.raw.xz",
            Self::Bzip2 => "bzip2.raw.bz2",
            Self::LargeRaw => "large.raw",
            Self::LargeGzip => "large-gzip.raw.gz",
            Self::LargeBgzip => "large-bgzip.raw.gz",
            Self::LargeZstd => "large-one-frame.raw.zst",
            Self::LargePzstd => "large-pzstd.raw.zst",
            Self::LargeBzip2 => "large-bzip2.raw.bz2",
        }
    }

    /// The tool that packs it from standard input to standard output; what a person would call, with one thread where
    /// the number makes no difference to what comes out.
    pub fn packer(self) -> &'static str {
        match self {
            Self::Raw | Self::LargeRaw => "none",
            // No name and no time in it: the same image gives the same object.
            Self::Gzip => "gzip -6 --no-name",
            Self::LargeGzip => "gzip -1 --no-name",
            Self::Bgzip | Self::LargeBgzip => "bgzip",
            Self::Zstd | Self::LargeZstd => "zstd -3 -q",
            Self::Pzstd | Self::LargePzstd => "pzstd -3 -q",
            Self::Seekable => "zstd -3 for each 4 MiB, and a seek table",
            Self::Xz => "xz -T0",
            Self::Bzip2 => "bzip2",
            Self::LargeBzip2 => "bzip2 -1",
        }
    }

    /// The image that it holds.
    pub fn image(self) -> Self {
        if self.is_large() { Self::LargeRaw } else { Self::Raw }
    }

    /// Whether it holds the image of 64 GiB.
    pub fn is_large(self) -> bool {
        matches!(
            self,
            Self::LargeRaw
                | Self::LargeGzip
                | Self::LargeBgzip
                | Self::LargeZstd
                | Self::LargePzstd
                | Self::LargeBzip2
        )
    }
}

/// The folder with all objects.
#[derive(Debug, Clone)]
pub struct ImageSet {
    folder: PathBuf,
}

impl ImageSet {
    /// Makes what is missing of the objects that are wanted, and says what it makes.
    ///
    /// # Errors
    /// When a tool fails.
    pub fn make(wanted: &[Object]) -> Result<Self> {
        let folder = top().join("target/bench");
        let debian = top().join("tests/os/debian.sh");
        tool(Command::new("mkdir").arg("--parents").arg(&folder))?;
        println!(
            "image    Debian 12, {IMAGE_MIB} MiB, in {} (some minutes when it is new)",
            folder.display()
        );
        let status = Command::new(&debian)
            .args(["--raw", "--size", &IMAGE_MIB.to_string(), "--with", PACKAGES])
            .arg(&folder)
            .status()
            .with_context(|| format!("starting {}", debian.display()))?;
        ensure!(status.success(), "{} failed ({status})", debian.display());
        let set = Self { folder };
        if wanted.iter().any(|object| object.is_large()) {
            set.kept(Object::LargeRaw, || set.grow())?;
        }
        set.pack_all(wanted)?;
        Ok(set)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where an object is.
    pub fn path(&self, object: Object) -> PathBuf {
        self.folder.join(object.file())
    }

    /// The object's length.
    ///
    /// # Errors
    /// When it is not there.
    pub fn length_bytes(&self, object: Object) -> Result<u64> {
        let path = self.path(object);
        Ok(fs::metadata(&path).with_context(|| format!("looking at {}", path.display()))?.len())
    }

    /// The object's SHA-256 in hexadecimal, made once.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sha256(&self, object: Object) -> Result<String> {
        let path = self.path(object);
        let kept = path.with_added_extension("sha256");
        if !kept.exists() {
            let (from, to) = (quoted(&path), quoted(&kept));
            script(&format!("sha256sum < {from} > {to}.part && mv {to}.part {to}"))?;
        }
        let text = fs::read_to_string(&kept).with_context(|| format!("reading {}", kept.display()))?;
        text.split_whitespace().next().map(Into::into).ok_or_else(|| anyhow!("{} is empty", kept.display()))
    }

    /// Packs on all cores, an object on each: most packers have one thread.
    fn pack_all(&self, wanted: &[Object]) -> Result<()> {
        let waiting = Mutex::new(Object::PACKED.into_iter().filter(|object| wanted.contains(object)));
        let cores = thread::available_parallelism().map_or(1, Into::into);
        let next = || waiting.lock().expect("nobody panics with it").next();
        let work = || {
            while let Some(object) = next() {
                self.kept(object, || self.pack(object))?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("packing does not panic"))
        })
    }

    /// Calls `make` unless the object is there, of this image, packed this way.
    fn kept(&self, object: Object, make: impl FnOnce() -> Result<()>) -> Result<()> {
        let path = self.path(object);
        let stamp = path.with_added_extension("made-from");
        let from = format!("{} {}\n", self.sha256(Object::Raw)?, object.packer());
        if path.exists() && fs::read_to_string(&stamp).is_ok_and(|text| text == from) {
            return Ok(());
        }
        println!("image    making {} ({})", object.file(), object.packer());
        for old in [&stamp, &path.with_added_extension("sha256")] {
            // Most often there is none.
            let _ = fs::remove_file(old);
        }
        make().with_context(|| format!("making {}", path.display()))?;
        self.sha256(object)?;
        fs::write(&stamp, from).with_context(|| format!("writing {}", stamp.display()))
    }

    fn pack(&self, object: Object) -> Result<()> {
        let (from, to) = (self.path(object.image()), self.path(object));
        if object == Object::Seekable {
            return self.pack_seekable(&from, &to);
        }
        let (from, to) = (quoted(&from), quoted(&to));
        let packer = object.packer();
        script(&format!("{packer} -c < {from} > {to}.part && mv {to}.part {to}")).map(drop)
    }

    /// The seekable format of zstd's contrib/seekable_format: frames, then a table of their lengths in a skippable one.
    fn pack_seekable(&self, from: &Path, to: &Path) -> Result<()> {
        let frames = tempfile::Builder::new().prefix("frames-").tempdir_in(&self.folder)?;
        script(&format!(
            "cd {} && split --bytes={SEEKABLE_FRAME_BYTES} --suffix-length=6 --numeric-suffixes \
             --filter='zstd -3 -q -c --stream-size={SEEKABLE_FRAME_BYTES} > $FILE' {} frame-",
            quoted(frames.path()),
            quoted(from)
        ))?;
        let mut files: Vec<PathBuf> =
            fs::read_dir(frames.path())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
        let mut table = Vec::new();
        for file in &files {
            let length = u32::try_from(fs::metadata(file)?.len())?;
            table.extend(length.to_le_bytes());
            table.extend(SEEKABLE_FRAME_BYTES.to_le_bytes());
        }
        table.extend(u32::try_from(files.len())?.to_le_bytes());
        // No checksums in the table, and the footer's magic number.
        table.extend([0]);
        table.extend(0x8f92_eab1_u32.to_le_bytes());
        let mut frame = 0x184d_2a5e_u32.to_le_bytes().to_vec();
        frame.extend(u32::try_from(table.len())?.to_le_bytes());
        frame.extend(table);
        fs::write(frames.path().join("table"), frame)?;
        let (frames, to) = (quoted(frames.path()), quoted(to));
        script(&format!("cat {frames}/frame-* {frames}/table > {to}.part && mv {to}.part {to}")).map(drop)
    }

    /// The image on a larger disk: its GPT is moved to the new end, and what is between is a hole.
    fn grow(&self) -> Result<()> {
        let (from, to) = (quoted(&self.path(Object::Raw)), quoted(&self.path(Object::LargeRaw)));
        script(&format!(
            "cp --sparse=always {from} {to}.part && truncate --size={LARGE_MIB}M {to}.part && \
             sgdisk --move-second-header {to}.part && mv {to}.part {to}"
        ))
        .map(drop)
    }
}

/// A path as one word of a shell's command.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
