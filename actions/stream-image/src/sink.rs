//! Where the image goes between its two ends: past the page cache where the disk takes that, and without its zeros where
//! the disk makes them itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;
use common::cause::Cause;
use common::disk::OpenDisk;
use common::failure::{Because, Failure};
use common::sys;
use rustix::fs::{FallocateFlags, fallocate};
use tracing::{debug, info, warn};

use crate::buffer::Buffer;
use crate::disk::flush;
use crate::figures::{grouped, size};
use crate::stages::{Counters, Ended, Stage, busy_since};
use crate::zeros::{Run, runs};

/// Writes at once: one that the disk works on, one that waits for it.
pub(crate) const WRITERS: usize = 2;

/// The disk, written by several threads at once.
pub(crate) struct Sink {
    direct: Option<File>,
    buffered: File,
    /// The disk takes no direct writes after all.
    refused: AtomicBool,
    /// The disk does not zero a range by itself.
    zeros_written: AtomicBool,
}

impl Sink {
    /// # Errors
    /// [`Cause::DiskIo`]
    pub(crate) fn new(disk: &OpenDisk) -> Result<Self, Failure> {
        let direct = disk.direct().inspect_err(|error| warn!("writing through the page cache: {error}")).ok();
        let buffered = disk.file.try_clone().context("opening the disk once more").because(Cause::DiskIo)?;
        let (refused, zeros_written) = Default::default();
        Ok(Self { direct, buffered, refused, zeros_written })
    }

    /// Writes whole blocks, and gives how many bytes of them the disk zeroed by itself.
    fn write(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<u64> {
        let mut zeroed_bytes = 0;
        let mut at = 0;
        for run in runs(bytes) {
            let start_bytes = offset_bytes + at as u64;
            at += run.length();
            match run {
                Run::Zeros(length) if self.zero(start_bytes, length as u64) => zeroed_bytes += length as u64,
                Run::Zeros(length) | Run::Data(length) => self.put(&bytes[at - length..at], start_bytes)?,
            }
        }
        Ok(zeroed_bytes)
    }

    /// Lets the disk zero a range by itself, and says whether it did: what it cannot do at once is quicker written along
    /// with the rest.
    fn zero(&self, start_bytes: u64, length_bytes: u64) -> bool {
        if self.zeros_written.load(Ordering::Relaxed) {
            return false;
        }
        // On a block device: the range then reads as zeros, for certain; where only writing them would do that, it fails
        // (blkdev_fallocate in the kernel's block/fops.c).
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.buffered, how, start_bytes, length_bytes) {
            Ok(()) => true,
            Err(error) => {
                debug!("the disk does not zero {length_bytes} bytes by itself ({error}); zeros are written");
                self.zeros_written.store(true, Ordering::Relaxed);
                false
            }
        }
    }

    fn put(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        if let Some(direct) = self.direct.as_ref().filter(|_| !self.refused.load(Ordering::Relaxed)) {
            match direct.write_all_at(bytes, offset_bytes) {
                // The disk wants another alignment than all that are known.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    if !self.refused.swap(true, Ordering::Relaxed) {
                        warn!("the disk takes no direct writes ({error}); writing through the page cache");
                    }
                }
                result => return result,
            }
        }
        self.buffered.write_all_at(bytes, offset_bytes)?;
        // So that not all of it is left for the flush at the end. What fails here fails there, too.
        let _ = sys::start_writeback(&self.buffered, offset_bytes, bytes.len() as u64);
        Ok(())
    }
}

/// Flushes the image, and says what of it was left to the disk.
///
/// # Errors
/// [`Cause::DiskIo`]: what a device could not write may be said only now.
pub(crate) fn flush_image(disk: &OpenDisk, counters: &Counters) -> Result<(), Failure> {
    let zeroed_bytes = counters.zeroed_bytes.load(Ordering::Relaxed);
    if zeroed_bytes > 0 {
        info!("{} of the image are zeros, which the disk made by itself", size(zeroed_bytes));
    }
    flush(&disk.file, "flushing the image to the disk")
}

/// The last stage, several of which write at once, each a buffer at its place.
pub(crate) struct Write {
    pub(crate) from: Arc<Mutex<Receiver<Buffer>>>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) counters: Arc<Counters>,
}

impl Stage for Write {
    fn run(&mut self) -> Result<(), Ended> {
        loop {
            let next = self.from.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(buffer) = next else { return Ok(()) };
            let bytes = buffer.filled();
            let started = Instant::now();
            let zeroed_bytes = self
                .sink
                .write(bytes, buffer.offset_bytes)
                .with_context(|| {
                    format!("writing {} bytes at byte {}", bytes.len(), grouped(buffer.offset_bytes))
                })
                .because(Cause::DiskIo)?;
            busy_since(started, &self.counters.writing_nanos);
            self.counters.zeroed_bytes.fetch_add(zeroed_bytes, Ordering::Relaxed);
            self.counters.written_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }
}
