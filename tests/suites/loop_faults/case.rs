//! What a case is: an object, a server that treats it in a certain way, a disk, and how that has to end.

use nibs_tests::http::{Break, Framing, Ranges};
use nibs_tests::signal::Signal;

use crate::objects::{Format, Object};

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub format: Format,
    pub object: Object,
    pub server: Server,
    /// What `/image` answers: the n-th request gets the n-th, the last one all that follow.
    pub says: Vec<Say>,
    /// What is served besides.
    pub paths: Vec<Path>,
    pub disk: Disk,
    /// Variables of the action. `{server}`, `{ca}` and the like stand for what is known only in the run, see `play`.
    pub env: Vec<(&'static str, String)>,
    pub run: Run,
    pub signal: Option<(Signal, When)>,
    pub ends: Ends,
    pub asks: Vec<Ask>,
    /// Seconds that it must last, and at most lasts.
    pub lasts: Option<(f64, f64)>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            name: String::new(),
            format: Format::Gzip,
            object: Object::Whole,
            server: Server::Plain,
            says: vec![Say::whole()],
            paths: Vec::new(),
            disk: Disk::Usual,
            env: Vec::new(),
            run: Run::Plain,
            signal: None,
            ends: Ends::Right,
            asks: Vec::new(),
            lasts: None,
        }
    }
}

/// Who serves the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Plain,
    /// On 127.0.0.99, which comes behind 127.0.0.2 where a name has both (RFC 6724, rule 9).
    Second,
    /// The same, while nobody answers at its port of 127.0.0.2.
    BehindDead,
    /// On `::1`.
    Ipv6,
    Tls(Certificate),
}

/// What a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Of the private authority, for 127.0.0.1.
    Right,
    Expired,
    OtherName,
    SelfSigned,
}

/// One answer.
#[derive(Debug, Clone)]
pub enum Say {
    Object(Send),
    /// A status, header lines and a short page.
    Status(u16, Vec<(&'static str, &'static str)>),
    /// The object all the same, with another status.
    Full(u16),
    /// So many bytes a second.
    Slow(usize),
    /// This length, and the object, and then the end of the connection.
    Length(i64),
}

/// An answer with the object.
#[derive(Debug, Clone, Copy)]
pub struct Send {
    /// Another image, as if it had been published anew.
    pub other: bool,
    pub ranges: Ranges,
    pub known: Known,
    pub framing: Framing,
    pub until: Option<(Break, Place)>,
}

/// By what the server says that the object can be known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Etag(&'static str),
    WeakEtag,
    Date,
    WeakEtagAndDate,
    Nothing,
}

/// A place in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the header of the answer.
    Header,
    Byte(usize),
    Percent(usize),
    /// What is there does not unpack to the image's first MiB, on which everything is decided.
    BeforeFirstMib,
    BehindFirstMib,
    /// Before the last byte: in what a format has behind its data.
    Trailer,
    /// All is there but the chunk that says so.
    LastChunk,
}

pub const SEND: Send = Send {
    other: false,
    ranges: Ranges::Right,
    known: Known::Etag("\"one\""),
    framing: Framing::Length,
    until: None,
};

impl Say {
    pub fn whole() -> Self {
        Self::Object(SEND)
    }

    pub fn until(kind: Break, place: Place) -> Self {
        Self::Object(Send { until: Some((kind, place)), ..SEND })
    }
}

/// Something else that is served.
#[derive(Debug, Clone)]
pub struct Path {
    pub at: &'static str,
    /// On another server than the image's.
    pub elsewhere: bool,
    /// What is there; the image itself for `None`.
    pub text: Option<String>,
    pub says: Vec<Say>,
}

/// The disk of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Disk {
    /// 12 MiB with an older system on it.
    Usual,
    /// The same of another size.
    Bytes(u64),
    /// The same with logical blocks of 4096 bytes.
    Blocks4096,
    /// Of so many MiB, full of 0xa5.
    Full(u64),
    /// The same, and it cannot zero a range by itself.
    FullWithoutZeroing(u64),
    ReadOnly,
    /// What DEST_DISK says instead of a disk.
    Named(&'static str),
    /// A file.
    File,
    Partition,
    Mounted,
    PartitionMounted,
    Swap,
    /// Another program has claimed it.
    Busy,
    /// A program has a partition of it open, so that the kernel cannot forget it.
    PartitionOpen,
    /// It has room for so many MiB and says that it has more.
    Thin(u64),
    /// The action's own root lies on it.
    RunsSystem,
    /// Two disks say the same serial number.
    Twins,
}

/// What is special about the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    Plain,
    /// With an `/etc/hosts` of its own, in which `images.test` has several addresses.
    Hosts(&'static str),
    /// With at most so many open files.
    Files(u32),
}

/// When a signal is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// A little after so many requests were there.
    Asked(usize),
    /// Once the disk is written.
    Writing,
    /// After so many milliseconds.
    Millis(u64),
}

/// How a case ends.
#[derive(Debug, Clone)]
pub enum Ends {
    /// The image is on the disk, its GPT fitted, and all else is as it was.
    Right,
    /// So is the other one.
    RightOther,
    Failed {
        cause: &'static str,
        left: Left,
        /// What the last line must say. `{at}` is where the last answer broke, `{length}` the object's length.
        says: Vec<&'static str>,
    },
    /// By a signal that leaves no time for anything. Run again, it is right.
    KilledThenRight,
}

/// What a failure leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The disk is as it was, to the byte.
    Untouched,
    /// Both ends are zero, and the kernel shows no partition.
    NotBootable,
    /// One of the two, as the last line says: what came first is for chance to decide.
    AsItSays,
}

pub fn failed(cause: &'static str, left: Left, says: &[&'static str]) -> Ends {
    Ends::Failed { cause, left, says: says.to_vec() }
}

/// What the server must have been asked for `/image`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Times(usize),
    AtLeast(usize),
    /// Each time for all from the byte on where the last answer broke, with If-Range: none twice, none missing.
    Resumes,
    /// Never for a part.
    NeverAPart,
    /// By this If-Range, wherever a part was asked for.
    IfRange(&'static str),
    /// Through the proxy.
    Proxied,
    /// Not through the proxy.
    Direct,
    /// Each time with this header line.
    Header(&'static str, &'static str),
    /// Never with a header of this name.
    Never(&'static str),
    /// The other server was asked, and never given credentials.
    NothingElsewhere,
    /// A warning with this word was logged.
    Warns(&'static str),
}
