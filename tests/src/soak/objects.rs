//! One image, as every kind of object that can be served.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::disk_image::{DiskImage, MIB, Packing, pipe};
use crate::http::{Answer, HttpServer};

/// The size of the image.
pub(super) const IMAGE_MIB: u64 = 64;

/// An object that holds the image.
pub(super) struct Object {
    /// What it is, for the table.
    pub(super) name: &'static str,
    pub(super) bytes: Arc<Vec<u8>>,
    /// As `IMG_DIGEST` takes it.
    pub(super) digest: String,
    /// How long an undisturbed run takes from its start to its last line.
    usual: Mutex<Duration>,
}

impl Object {
    /// How long an undisturbed run takes, from its start to its last line.
    pub(super) fn usual(&self) -> Duration {
        *self.usual.lock().expect("a duration")
    }

    /// An undisturbed run took so long: the machine may be busier now than it was.
    pub(super) fn took(&self, duration: Duration) {
        let mut usual = self.usual.lock().expect("a duration");
        *usual = if usual.is_zero() { duration } else { (*usual * 3 + duration) / 4 };
    }
}

/// All objects.
pub(super) struct Objects {
    /// The image itself.
    pub(super) image: Arc<Vec<u8>>,
    all: Vec<Object>,
}

impl Objects {
    /// Makes them, and serves each whole.
    pub(super) fn make(server: &HttpServer) -> Self {
        let image = Arc::new(DiskImage { size_mib: IMAGE_MIB, ..DiskImage::default() }.make());
        let by =
            |tool: &str, options: &[&str]| Arc::new(pipe(Command::new(tool).args(options).arg("-c"), &image));
        let frames = |frame_mib: u64| {
            image.chunks((frame_mib * MIB) as usize).flat_map(|part| Packing::Zstd.pack(part))
        };
        let objects = [
            ("raw", Arc::clone(&image)),
            ("gzip", by("gzip", &["-1"])),
            ("gzip of bgzip", by("bgzip", &["--compress-level", "1"])),
            ("zstd", by("zstd", &["-1", "--quiet"])),
            ("zstd of 4 MiB frames", Arc::new(frames(4).collect())),
            ("xz of 8 MiB blocks", by("xz", &["-0", "--block-size=8MiB"])),
            ("bzip2", by("bzip2", &["-1"])),
        ];
        let all = objects.into_iter().map(|(name, bytes)| {
            server.serve_shared(&path(name), Arc::clone(&bytes), &[Answer::Full]);
            let digest: String =
                Sha256::digest(&bytes[..]).iter().map(|byte| format!("{byte:02x}")).collect();
            Object { name, bytes, digest: format!("sha256:{digest}"), usual: Mutex::default() }
        });
        let all = all.collect();
        Self { image, all }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, index: usize) -> &Object {
        &self.all[index]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.all.iter()
    }
}

/// Where an object is served whole.
pub(super) fn path(name: &str) -> String {
    format!("/{}", name.replace(' ', "-"))
}
