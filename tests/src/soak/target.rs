//! The disks: one as large as the image, one larger, full of an older system before each round.

use anyhow::{Result, ensure};

use super::action::Run;
use super::objects::{IMAGE_MIB, Objects, path};
use crate::disk_image::{MIB, write};
use crate::http::HttpServer;
use crate::landed::{assert_landed, fill_with_older_system, without_table};
use crate::loop_device::LoopDevice;

const LOGICAL_BLOCK_SIZE: u32 = 512;

/// What a disk holds before a round and after it.
pub(super) struct Kind {
    size_bytes: u64,
    pub(super) before: Vec<u8>,
    pub(super) right: Vec<u8>,
}

impl Kind {
    /// Makes both, and streams every object to them undisturbed.
    ///
    /// # Errors
    /// When a run fails, or an object gives other bytes than another.
    ///
    /// # Panics
    /// When what is on a disk is not the image.
    pub(super) fn both(server: &HttpServer, objects: &Objects) -> Result<[Self; 2]> {
        Ok([
            Self::make("as large as the image", IMAGE_MIB, server, objects)?,
            Self::make("larger", IMAGE_MIB + 8, server, objects)?,
        ])
    }

    fn make(name: &'static str, size_mib: u64, server: &HttpServer, objects: &Objects) -> Result<Self> {
        let size_bytes = size_mib * MIB;
        let disk = LoopDevice::new(size_bytes);
        let before = fill_with_older_system(&disk, size_bytes);
        let mut kind = Self { size_bytes, before, right: Vec::new() };
        for object in objects.iter() {
            write(disk.node(), &kind.before);
            let ended = Run::start(disk.node(), &server.url(&path(object.name)), &[]).end()?;
            ensure!(ended.code == Some(0), "{} to a disk {name}: {}", object.name, ended.text());
            object.took(ended.last_line_after);
            let content = disk.content();
            if kind.right.is_empty() {
                let image = &objects.image[..];
                assert_landed(&disk, &without_table(&kind.before, image), image, LOGICAL_BLOCK_SIZE);
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
