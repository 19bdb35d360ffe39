//! A disk with an older system, a server, and the action between them.

use std::process::Command;
use std::sync::{Arc, LazyLock};

use nibs_tests::binaries::command;
use nibs_tests::disk_image::{DiskImage, MIB};
use nibs_tests::http::{Answer, HttpServer};
use nibs_tests::landed::{assert_landed, fill_with_older_system, without_table};
use nibs_tests::loop_device::LoopDevice;
use nibs_tests::outcome::Outcome;

/// The image that most cases stream: 12 MiB with a GPT for blocks of 512 bytes.
pub static IMAGE: LazyLock<Arc<Vec<u8>>> = LazyLock::new(|| Arc::new(DiskImage::default().make()));

/// The size of the disk that most cases have.
pub const DISK_MIB: u64 = 20;

/// A server and a disk.
pub struct Bench {
    pub server: HttpServer,
    pub disk: LoopDevice,
    /// What was on the disk.
    pub before: Vec<u8>,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new(DISK_MIB * MIB, 512)
    }
}

impl Bench {
    pub fn new(disk_bytes: u64, logical_block_size: u32) -> Self {
        let disk = LoopDevice::with_block_size(disk_bytes, logical_block_size);
        let before = fill_with_older_system(&disk, disk_bytes);
        Self { server: HttpServer::plain(), disk, before }
    }

    /// The action, without a second try.
    pub fn action(&self, url: &str) -> Command {
        let mut action = command("stream-image");
        action.env("IMG_URL", url).env("DEST_DISK", self.disk.node()).env("RETRY_ENABLED", "false");
        action
    }

    /// Streams an object, and gives how it ended.
    pub fn stream(&self, object: impl Into<Vec<u8>>, answer: Answer) -> Outcome {
        let url = self.server.serve("/image", object, &[answer]);
        Outcome::of(&mut self.action(&url))
    }

    #[track_caller]
    pub fn assert_untouched(&self) {
        assert!(self.disk.content() == self.before, "the disk is not as it was");
    }

    /// The image is on the disk, to the byte, but for what its GPT must say of this disk.
    #[track_caller]
    pub fn assert_landed(&self, image: &[u8], logical_block_size: u32) {
        assert_landed(&self.disk, &self.expected(image), image, logical_block_size);
    }

    /// The disk without regard to a GPT: the image, what was behind it, and zeros at the end.
    pub fn expected(&self, image: &[u8]) -> Vec<u8> {
        without_table(&self.before, image)
    }
}
