//! The disks: one as large as the image, one larger, full of an older system before each round.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::action::Run;
use super::objects::{IMAGE_MIB, Objects, path};
use crate::disk_image::{MIB, write};
use crate::http::HttpServer;
use crate::loop_device::{LoopDevice, run};

const BLOCK_BYTES: usize = 512;

/// The entries of a GPT and its header.
const GPT_BYTES: usize = 128 * 128 + BLOCK_BYTES;

/// What a disk holds before a round and after it.
pub(super) struct Kind {
    /// For the table.
    pub(super) name: &'static str,
    size_bytes: u64,
    pub(super) before: Vec<u8>,
    pub(super) right: Vec<u8>,
}

impl Kind {
    /// Makes both, and streams every object to them undisturbed.
    pub(super) fn both(server: &HttpServer, objects: &Objects) -> Result<[Self; 2]> {
        Ok([
            Self::make("as large as the image", IMAGE_MIB, server, objects)?,
            Self::make("larger", IMAGE_MIB + 8, server, objects)?,
        ])
    }

    fn make(name: &'static str, size_mib: u64, server: &HttpServer, objects: &Objects) -> Result<Self> {
        let size_bytes = size_mib * MIB;
        let disk = LoopDevice::new(size_bytes);
        older_system(disk.node(), size_bytes);
        let before = disk.content();
        let mut kind = Self { name, size_bytes, before, right: Vec::new() };
        for object in objects.iter() {
            write(disk.node(), &kind.before);
            let ended = Run::start(disk.node(), &server.url(&path(object.name)), &[]).end()?;
            ensure!(ended.code == Some(0), "{} to a disk {name}: {}", object.name, ended.text());
            object.took(ended.last_line_after);
            let content = disk.content();
            if kind.right.is_empty() {
                let said = run(Command::new("sgdisk").arg("--verify").arg(disk.node()));
                ensure!(said.contains("No problems found"), "{said}");
                kind.check(&content, &objects.image)?;
                kind.right = content;
            } else {
                ensure!(
                    content == kind.right,
                    "{} to a disk {name}: other bytes than the first",
                    object.name
                );
            }
        }
        Ok(kind)
    }

    /// The image, byte for byte, but for what its GPT must say of this disk.
    fn check(&self, content: &[u8], image: &[u8]) -> Result<()> {
        let mut expected = self.before.clone();
        let (size, block) = (expected.len(), BLOCK_BYTES);
        expected[size - MIB as usize..].fill(0);
        expected[..image.len()].copy_from_slice(image);
        if size > image.len() {
            // The size in the protective MBR, the first header, and the last copy, which `sgdisk --verify` has read; the
            // image's own last header is gone.
            expected[458..462].copy_from_slice(&content[458..462]);
            expected[block..2 * block].copy_from_slice(&content[block..2 * block]);
            expected[size - GPT_BYTES..].copy_from_slice(&content[size - GPT_BYTES..]);
            expected[image.len() - block..image.len()].fill(0);
        }
        let differ = content.iter().zip(&expected).position(|(a, b)| a != b);
        ensure!(differ.is_none(), "on a disk {} byte {differ:?} is not the image's", self.name);
        Ok(())
    }
}

/// Fills a disk, or its file, with a system that is not the image's: no zeros, boot code, a GPT at both ends.
///
/// # Panics
/// When it cannot be written, or sgdisk fails.
pub fn older_system(disk: &Path, size_bytes: u64) {
    let mut filling: Vec<u8> = (0..size_bytes).map(|index| (index / 512 % 251) as u8 | 1).collect();
    filling[..440].fill(0xeb);
    write(disk, &filling);
    run(Command::new("sgdisk").args(["--clear", "--new=1:0:0"]).arg(disk));
}

/// A disk of this kind.
pub(super) struct Target<'a> {
    pub(super) kind: &'a Kind,
    pub(super) disk: LoopDevice,
}

impl<'a> Target<'a> {
    pub(super) fn new(kind: &'a Kind) -> Self {
        Self { kind, disk: LoopDevice::new(kind.size_bytes) }
    }

    /// Fills it with the older system.
    pub(super) fn fill(&self) {
        write(self.disk.node(), &self.kind.before);
    }
}
