//! The objects that are served: images, packed in each format, and what can be wrong with them. Each is made once.

use std::collections::HashMap;
use std::hash::Hash;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use nibs_tests::disk_image::{DiskImage, MIB, Packing, Table, pipe};
use nibs_tests::loop_device::run;

/// The size of the image that most cases stream.
pub const IMAGE_MIB: u64 = 8;
/// Where a part of the image ends that could be all of it.
const MEMBER_BYTES: usize = 6 << 20;

/// How an image is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Raw,
    /// One member.
    Gzip,
    /// Members that carry their size.
    Bgzip,
    /// One frame.
    Zstd,
    /// Many frames.
    ZstdFrames,
    /// One block.
    Xz,
    /// Many blocks.
    XzBlocks,
    Bzip2,
}

impl Format {
    pub const ALL: &[Self] = &[
        Self::Raw,
        Self::Gzip,
        Self::Bgzip,
        Self::Zstd,
        Self::ZstdFrames,
        Self::Xz,
        Self::XzBlocks,
        Self::Bzip2,
    ];
    pub const PACKED: &[Self] =
        &[Self::Gzip, Self::Bgzip, Self::Zstd, Self::ZstdFrames, Self::Xz, Self::XzBlocks, Self::Bzip2];
    /// One for each way through the decoders: as it is, one after another, and several at once.
    pub const WAYS: &[Self] = &[Self::Raw, Self::Gzip, Self::ZstdFrames];

    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Gzip => "gzip",
            Self::Bgzip => "bgzip",
            Self::Zstd => "zstd",
            Self::ZstdFrames => "zstd, many frames",
            Self::Xz => "xz",
            Self::XzBlocks => "xz, many blocks",
            Self::Bzip2 => "bzip2",
        }
    }

    fn pack(self, bytes: &[u8]) -> Vec<u8> {
        let tool = |tool: &str, options: &[&str]| pipe(Command::new(tool).args(options).arg("-c"), bytes);
        match self {
            Self::Raw => bytes.to_vec(),
            Self::Gzip => Packing::Gzip.pack(bytes),
            Self::Bgzip => tool("bgzip", &["-l", "1"]),
            Self::Zstd => Packing::Zstd.pack(bytes),
            Self::ZstdFrames => bytes.chunks(600_000).flat_map(|frame| Packing::Zstd.pack(frame)).collect(),
            Self::Xz => Packing::Xz.pack(bytes),
            Self::XzBlocks => tool("xz", &["-0", "-T2", "--block-size=512KiB"]),
            Self::Bzip2 => Packing::Bzip2.pack(bytes),
        }
    }
}

/// An image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Image {
    Usual,
    /// Of the same length and with the same table, and otherwise another one everywhere.
    Other,
    /// 40 MiB, most of it zeros, also at odd places.
    Zeros,
    Mbr,
    Blocks4096,
    /// A filesystem without a table, of so many MiB.
    Filesystem(u64),
}

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    Whole,
    Of(Image),
    /// So many percent of it.
    Cut(usize),
    /// Without so many bytes at its end.
    CutBy(usize),
    /// The first part of the image, packed as if it were all.
    Member,
    /// With a flipped bit at so many percent.
    Flipped(usize),
    /// With a flipped bit at so many percent, packed without a checksum.
    FlippedUnchecked(usize),
    /// With this behind it.
    Followed(&'static [u8]),
    FollowedByZeros,
    /// Nothing at all.
    Nothing,
    /// Nothing, packed.
    NothingPacked,
    /// The first bytes of the image.
    Head(usize),
    /// Packed twice.
    Twice,
    /// With a flipped bit in the entries of its GPT.
    DamagedTable,
    /// zstd with a window of this logarithm.
    Window(u32),
    /// Packed by zstd with a dictionary.
    Dictionary,
    /// These bytes, as they are.
    Bytes(&'static [u8]),
    ZeroMib(usize),
}

type Made<K> = LazyLock<Mutex<HashMap<K, Arc<OnceLock<Arc<Vec<u8>>>>>>>;

fn once<K: Hash + Eq>(made: &Made<K>, key: K, make: impl FnOnce() -> Vec<u8>) -> Arc<Vec<u8>> {
    let cell = Arc::clone(made.lock().unwrap().entry(key).or_default());
    Arc::clone(cell.get_or_init(|| Arc::new(make())))
}

impl Image {
    pub fn bytes(self) -> Arc<Vec<u8>> {
        static IMAGES: Made<Image> = LazyLock::new(Mutex::default);
        once(&IMAGES, self, || self.make())
    }

    fn make(self) -> Vec<u8> {
        let usual = DiskImage { size_mib: IMAGE_MIB, ..DiskImage::default() };
        match self {
            Self::Usual => usual.make(),
            Self::Other => {
                let mut image = Self::Usual.bytes().to_vec();
                let behind_table = 100_000..image.len() - (1 << 20);
                image[behind_table].chunks_mut(512).for_each(|sector| sector[7] ^= 0x42);
                image
            }
            Self::Zeros => {
                let mut image = DiskImage { size_mib: 40, ..usual }.make();
                image[6 << 20..30 << 20].fill(0);
                // Bytes alone among zeros, at and beside where blocks begin.
                for at in [7 << 20, (8 << 20) - 1, (9 << 20) + 511, (10 << 20) + 65_535, (11 << 20) + 4097] {
                    image[at] = 1;
                }
                image
            }
            Self::Mbr => DiskImage { size_mib: 12, table: Table::Mbr, ..usual }.make(),
            Self::Blocks4096 => DiskImage { logical_block_size: 4096, ..usual }.make(),
            Self::Filesystem(mib) => {
                let mut image = vec![7; (mib * MIB) as usize];
                image[1080..1082].copy_from_slice(&[0x53, 0xef]);
                image
            }
        }
    }
}

impl Object {
    /// The bytes that are served.
    pub fn bytes(self, format: Format) -> Arc<Vec<u8>> {
        static OBJECTS: Made<(Object, Format)> = LazyLock::new(Mutex::default);
        once(&OBJECTS, (self, format), || self.make(format))
    }

    fn make(self, format: Format) -> Vec<u8> {
        let whole = || Self::Whole.bytes(format).to_vec();
        let image = || Image::Usual.bytes();
        match self {
            Self::Whole => format.pack(&image()),
            Self::Of(image) => format.pack(&image.bytes()),
            Self::Cut(percent) => {
                let whole = whole();
                whole[..whole.len() * percent / 100].to_vec()
            }
            Self::CutBy(bytes) => {
                let whole = whole();
                whole[..whole.len() - bytes].to_vec()
            }
            Self::Member => format.pack(&image()[..MEMBER_BYTES]),
            Self::Flipped(percent) => flipped(whole(), percent),
            Self::FlippedUnchecked(percent) => {
                let mut zstd = Command::new("zstd");
                zstd.args(["-1", "--quiet", "--no-check", "--no-compress-literals", "-c"]);
                flipped(if format == Format::Raw { whole() } else { pipe(&mut zstd, &image()) }, percent)
            }
            Self::Followed(junk) => [&whole()[..], junk].concat(),
            Self::FollowedByZeros => [whole(), vec![0; 10_000]].concat(),
            Self::Nothing => Vec::new(),
            Self::NothingPacked => format.pack(&[]),
            Self::Head(bytes) => format.pack(&image()[..bytes]),
            Self::Twice => format.pack(&whole()),
            Self::DamagedTable => {
                let mut damaged = image().to_vec();
                damaged[1024 + 56] ^= 1;
                format.pack(&damaged)
            }
            Self::Window(log) => {
                let long = format!("--long={log}");
                pipe(Command::new("zstd").args(["-1", "--quiet", "--ultra", &long, "-c"]), &image())
            }
            Self::Dictionary => {
                let folder = tempfile::tempdir().unwrap();
                let (samples, dictionary) = (folder.path().join("samples"), folder.path().join("dictionary"));
                std::fs::write(&samples, &image()[65_536..3 << 20]).unwrap();
                let mut train = Command::new("zstd");
                run(train.args(["--quiet", "--train", "-B4096", "-o"]).arg(&dictionary).arg(&samples));
                let mut zstd = Command::new("zstd");
                pipe(zstd.args(["-1", "--quiet", "-c", "-D"]).arg(&dictionary), &image())
            }
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::ZeroMib(mib) => format.pack(&vec![0; mib << 20]),
        }
    }
}

fn flipped(mut object: Vec<u8>, percent: usize) -> Vec<u8> {
    let at = object.len() * percent / 100;
    object[at] ^= 0x40;
    object
}
