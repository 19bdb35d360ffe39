//! A disk with an older system, a server, and the action between them.

use std::process::Command;
use std::sync::{Arc, LazyLock};

use common::disk::System;
use nibs_tests::binaries::command;
use nibs_tests::disk_image::{DiskImage, MIB, write};
use nibs_tests::http::{Answer, HttpServer};
use nibs_tests::loop_device::{LoopDevice, run};
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
        let before = dirty(&disk, disk_bytes);
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

    /// Neither an older system nor half of a new one can boot or be found.
    #[track_caller]
    pub fn assert_not_bootable(&self) {
        let content = self.disk.content();
        let mib = MIB as usize;
        assert!(content[..mib].iter().all(|byte| *byte == 0), "the first MiB is not zero");
        assert!(content[content.len() - mib..].iter().all(|byte| *byte == 0), "the last MiB is not zero");
        let name = self.disk.node().file_name().unwrap().to_str().unwrap();
        let system = System::default();
        let shown = system.partitions(&system.disk(name).unwrap());
        assert!(shown.is_empty(), "the kernel still shows {shown:?}");
    }

    /// The image is on the disk, to the byte, but for what its GPT must say of this disk.
    #[track_caller]
    pub fn assert_landed(&self, image: &[u8], logical_block_size: u32) {
        let said = run(Command::new("sgdisk").arg("--verify").arg(self.disk.node()));
        assert!(said.contains("No problems found"), "{said}");
        let mut expected = self.expected(image);
        let content = self.disk.content();
        let block = logical_block_size as usize;
        let end = content.len();
        let gpt_bytes = 128 * 128 + block;
        // The last copy: entries as they were, and a header that `sgdisk --verify` has read.
        let entries_at =
            u64::from_le_bytes(image[block + 72..block + 80].try_into().unwrap()) as usize * block;
        let entries = &image[entries_at..entries_at + 128 * 128];
        assert!(content[end - gpt_bytes..end - block] == *entries, "the last copy has other entries");
        expected[end - gpt_bytes..].copy_from_slice(&content[end - gpt_bytes..]);
        expected[block..2 * block].copy_from_slice(&content[block..2 * block]);
        // Of the protective MBR the size alone may change.
        expected[458..462].copy_from_slice(&content[458..462]);
        if image.len() < end {
            // The image's own last header is gone.
            expected[image.len() - block..image.len()].fill(0);
        }
        assert_same(&content, &expected);
    }

    /// The disk without regard to a GPT: the image, what was behind it, and zeros at the end.
    pub fn expected(&self, image: &[u8]) -> Vec<u8> {
        let mut expected = self.before.clone();
        let end = expected.len();
        expected[end - MIB as usize..].fill(0);
        expected[..image.len()].copy_from_slice(image);
        expected
    }
}

#[track_caller]
pub fn assert_same(content: &[u8], expected: &[u8]) {
    assert_eq!(content.len(), expected.len());
    let differ = content.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differ, None, "the first byte that differs");
}

/// Fills a disk with an older system: no zeros, a GPT at both ends.
fn dirty(disk: &LoopDevice, bytes: u64) -> Vec<u8> {
    let filling: Vec<u8> = (0..bytes).map(|index| (index / 512 % 251) as u8 | 1).collect();
    write(disk.node(), &filling);
    run(Command::new("sgdisk").args(["--clear", "--new=1:0:0"]).arg(disk.node()));
    disk.content()
}
