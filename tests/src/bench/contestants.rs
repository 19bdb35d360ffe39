//! Who runs: `stream-image` with each object, those it is compared with, and its own stages alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::image_set::Object;
use crate::binaries::binary;

/// What a contestant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The action.
    StreamImage,
    /// A pipe by hand, of `$URL` and `$DISK`.
    Pipe(&'static str),
    /// A tool that is given both.
    Bmap,
    /// A command, of `$URL` or `$OBJECT`, that leaves the disk alone.
    Aside(&'static str),
    /// Decoding alone, by the action's library; the object is in memory.
    Decode,
    /// Writing the image's data alone.
    Write,
}

/// One that runs.
#[derive(Debug, Clone, Copy)]
pub struct Contestant {
    /// Short, and its own.
    pub id: &'static str,
    /// What the server has.
    pub object: Object,
    /// What is done with it.
    pub way: Way,
    /// Runs once, for its memory alone.
    pub once: bool,
}

const fn turn(id: &'static str, object: Object, way: Way) -> Contestant {
    Contestant { id, object, way, once: false }
}

const fn once(id: &'static str, object: Object) -> Contestant {
    Contestant { id, object, way: Way::StreamImage, once: true }
}

/// What people do with a `.zst`, however it was packed.
const ZSTD_PIPE: &str = "curl -sSf $URL | zstd -dc | dd of=$DISK bs=4M conv=fsync";

/// All, in the order of a round.
pub const CONTESTANTS: [Contestant; 26] = [
    turn("gz", Object::Gzip, Way::StreamImage),
    turn("gz-pipe", Object::Gzip, Way::Pipe("curl -sSf $URL | gzip -dc | dd of=$DISK bs=4M conv=fsync")),
    turn(
        "gz-igzip",
        Object::Gzip,
        Way::Pipe("curl -sSf $URL | igzip -dc | dd of=$DISK bs=4M iflag=fullblock oflag=direct conv=fsync"),
    ),
    turn("gz-bmap", Object::Gzip, Way::Bmap),
    turn("gz-fetch", Object::Gzip, Way::Aside("curl -sSf $URL > /dev/null")),
    turn("gz-decode", Object::Gzip, Way::Decode),
    turn("gz-igzip-decode", Object::Gzip, Way::Aside("igzip -dc < $OBJECT > /dev/null")),
    turn("write", Object::Raw, Way::Write),
    turn("bgz", Object::Bgzip, Way::StreamImage),
    turn("zst", Object::Zstd, Way::StreamImage),
    turn("zst-pipe", Object::Zstd, Way::Pipe(ZSTD_PIPE)),
    turn("pzstd", Object::Pzstd, Way::StreamImage),
    turn("pzstd-pipe", Object::Pzstd, Way::Pipe(ZSTD_PIPE)),
    turn("seekable", Object::Seekable, Way::StreamImage),
    turn("seekable-pipe", Object::Seekable, Way::Pipe(ZSTD_PIPE)),
    turn("xz", Object::Xz, Way::StreamImage),
    turn("xz-pipe", Object::Xz, Way::Pipe("curl -sSf $URL | xz -dc | dd of=$DISK bs=4M conv=fsync")),
    turn("raw", Object::Raw, Way::StreamImage),
    turn(
        "raw-pipe",
        Object::Raw,
        Way::Pipe("curl -sSf $URL | dd of=$DISK bs=4M iflag=fullblock oflag=direct conv=fsync"),
    ),
    once("bz2", Object::Bzip2),
    once("gz-64", Object::LargeGzip),
    once("bgz-64", Object::LargeBgzip),
    once("zst-64", Object::LargeZstd),
    once("pzstd-64", Object::LargePzstd),
    once("bz2-64", Object::LargeBzip2),
    once("raw-64", Object::LargeRaw),
];

/// What a contestant needs.
#[derive(Debug)]
pub struct Needs<'a> {
    /// Of the object.
    pub url: String,
    /// Of the object, too.
    pub object: PathBuf,
    /// Of the object, in hexadecimal.
    pub sha256: String,
    /// Where the image has data.
    pub extents: &'a Path,
    /// The device, for those that write.
    pub disk: Option<&'a Path>,
    /// Where `cargo install` put bmap-rs.
    pub bmap: PathBuf,
}

impl Contestant {
    /// Whether it needs a disk.
    pub fn writes(&self) -> bool {
        !matches!(self.way, Way::Aside(_) | Way::Decode)
    }

    /// What it runs, for a person.
    pub fn describe(&self) -> &'static str {
        match self.way {
            Way::StreamImage => "stream-image",
            Way::Pipe(pipe) | Way::Aside(pipe) => pipe,
            Way::Bmap => "bmap-rs copy --nobmap $URL $DISK",
            Way::Decode => "decode to nothing: flate2 with zlib-rs",
            Way::Write => "write the non-zero data: direct, 1 MiB, two at once, flush",
        }
    }

    /// The command, with an environment of its own.
    pub fn command(&self, needs: &Needs) -> Command {
        let disk = needs.disk.unwrap_or(Path::new("/nonexistent"));
        match self.way {
            Way::StreamImage => {
                let mut command = Command::new(binary("stream-image"));
                command.env("IMG_URL", &needs.url).env("DEST_DISK", disk);
                command.env("IMG_DIGEST", format!("sha256:{}", needs.sha256));
                command
            }
            Way::Pipe(pipe) | Way::Aside(pipe) => {
                let mut command = Command::new("bash");
                command.args(["-o", "pipefail", "-c", pipe]).env("URL", &needs.url).env("DISK", disk);
                command.env("OBJECT", &needs.object);
                command
            }
            Way::Bmap => {
                let mut command = Command::new(&needs.bmap);
                command.args(["copy", "--nobmap", &needs.url]).arg(disk);
                command
            }
            Way::Decode => own("decode", &needs.object, None),
            Way::Write => own("write", needs.extents, Some(disk)),
        }
    }
}

/// Another process of this program.
fn own(stage: &str, file: &Path, disk: Option<&Path>) -> Command {
    // Also when a build has put another one in its place meanwhile.
    let mut command = Command::new(format!("/proc/{}/exe", std::process::id()));
    command.arg(stage).arg(file).args(disk);
    command
}
