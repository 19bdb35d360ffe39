//! One pass of an image from its server to the disk: starts the stages, and decides what of the image goes where.

use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::cause::Cause;
use common::disk::{OpenDisk, PartitionNode, System, settle};
use common::failure::{Because, Failure};
use common::sys::PartitionChange;
use common::{stop, sys, table};
use reqwest::{Client, Url};
use tracing::{debug, info, warn};

use crate::buffer::Buffer;
use crate::decode::{BUFFERS, Decode};
use crate::digest::{Digest, Hasher};
use crate::disk::{HeldBack, forget_cache, zero_ends};
use crate::fetch::{Backoff, Fault, Fetch, Opened};
use crate::figures::{grouped, rate, size};
use crate::options::Credentials;
use crate::plan::{Layout, Plan, Target, check_length, plan};
use crate::progress::Progress;
use crate::running::Running;
use crate::sink::{Sink, WRITERS, Write, flush_image};
use crate::stages::{Counters, Decoded, FEED_DEPTH, HashDecoded, HashFeed, spawn};

/// What is streamed, where from, and how it is verified.
pub(crate) struct Job<'a> {
    pub(crate) system: &'a System,
    pub(crate) disk: &'a OpenDisk,
    pub(crate) client: &'a Client,
    pub(crate) credentials: Option<Arc<Credentials>>,
    pub(crate) image: &'a Url,
    pub(crate) image_digest: Option<Digest>,
    pub(crate) raw_digest: Option<Digest>,
    pub(crate) stall_timeout: Duration,
    pub(crate) progress_interval: Option<Duration>,
    pub(crate) allow_unknown_content: bool,
    /// Decoders at once.
    pub(crate) decode_threads: usize,
    /// Says how long a fault of the network is borne with.
    pub(crate) backoff: Arc<Mutex<Backoff>>,
}

/// What the disk is, as far as a failure leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// As it was, to the byte.
    Untouched,
    /// The ends are being zeroed, or written: a failure has to zero them again.
    Ends,
    /// Both ends are zero, and what is between them changes.
    Begun,
}

impl Job<'_> {
    /// Streams the image, and gives what was done in a sentence. `state` says at any moment what a failure leaves.
    ///
    /// # Errors
    /// Any of the action's causes, and whether another try is worth it.
    pub(crate) fn stream(&self, state: &mut State) -> Result<String, Fault> {
        let mut running = self.start()?;
        let opened = running.opened()?;
        self.write(&mut running, opened, state).map_err(|fault| {
            // An end that is not told from a broken connection may have been one.
            let broken_off = fault.failure.cause == Cause::ImageTruncated && !opened.end_is_told;
            Fault { transient: fault.transient || broken_off, ..fault }
        })
    }

    fn write(&self, running: &mut Running, opened: Opened, state: &mut State) -> Result<String, Fault> {
        let started = Instant::now();
        let length = opened
            .length_bytes
            .map_or("of unknown length".into(), |length| format!("of {} bytes", grouped(length)));
        debug!("the server answers with an object {length}");

        let target = Target {
            name: self.disk.disk.describe(),
            size_bytes: self.disk.disk.size_bytes,
            logical_block_size: self.disk.disk.logical_block_size,
        };
        let begun = running.begin(opened, target.logical_block_size)?;
        let plan = plan(&begun.head, &target, begun.length_bytes, self.allow_unknown_content)?;
        info!("the image begins with {}", plan.describe());
        if let Layout::Unknown(what) = &plan.layout {
            warn!("writing an image of unknown content ({what}), as ALLOW_UNKNOWN_CONTENT says");
        }

        info!("writing to {}", target.name);
        *state = State::Ends;
        zero_ends(self.disk)?;
        *state = State::Begun;
        self.forget_partitions();
        let mut length_bytes = begun.head.len() as u64;
        let mut held = HeldBack::new(begun.head, &plan, target.size_bytes);
        if !begun.complete {
            length_bytes = self.middle(running, &plan, &target, &mut held, opened)?;
        }

        check_length(&plan, &target, length_bytes)?;
        let verified = self.verify(running)?;
        flush_image(self.disk, &running.counters)?;
        stop::check()?;

        held.fit(&plan);
        *state = State::Ends;
        held.write(self.disk, &plan)?;
        self.show()?;
        let seconds = started.elapsed();
        let moved = match &plan.layout {
            Layout::Gpt { moved: true, .. } => ", backup GPT moved",
            Layout::Gpt { .. } => ", GPT fits the disk",
            _ => "",
        };
        Ok(format!("{} at {:.0} MB/s{verified}{moved}", size(length_bytes), rate(length_bytes, seconds)))
    }

    fn start(&self) -> Result<Running, Failure> {
        let counters = Arc::new(Counters::default());
        let (faults_to, faults) = channel();
        let (write_faults_to, write_faults) = channel();
        let (opened_to, opened) = channel();
        let (image_digest_to, image_digest) = channel();
        let (raw_digest_to, raw_digest) = channel();

        let (feed, from) = sync_channel(FEED_DEPTH);
        let mut to = vec![feed];
        if let Some(digest) = &self.image_digest {
            let (feed, from) = sync_channel(FEED_DEPTH);
            to.push(feed);
            let hasher = Some(Hasher::new(digest.algorithm));
            let hash = HashFeed { from, hasher, digest: image_digest_to, counters: Arc::clone(&counters) };
            spawn("hash", hash, faults_to.clone())?;
        }
        let (decoded_to, mut decoded) = sync_channel(BUFFERS);
        spawn("decode", Decode::new(from, decoded_to, self.decode_threads), faults_to.clone())?;
        if let Some(digest) = &self.raw_digest {
            let (to, hashed) = sync_channel(BUFFERS);
            let from = std::mem::replace(&mut decoded, hashed);
            let hasher = Some(Hasher::new(digest.algorithm));
            let counters = Arc::clone(&counters);
            let hash = HashDecoded { from, to, hasher, digest: raw_digest_to, counters };
            spawn("hash-raw", hash, faults_to.clone())?;
        }
        let fetch = Fetch {
            client: self.client.clone(),
            credentials: self.credentials.clone(),
            url: self.image.clone(),
            stall_timeout: self.stall_timeout,
            counters: Arc::clone(&counters),
            backoff: Arc::clone(&self.backoff),
            opened: opened_to,
            to,
        };
        spawn("fetch", fetch, faults_to)?;
        let progress = Progress::new(self.progress_interval);
        Ok(Running {
            opened,
            decoded,
            faults,
            write_faults,
            write_faults_to,
            image_digest,
            raw_digest,
            counters,
            progress,
        })
    }

    /// Writes what lies between the two ends, and gives the image's length.
    fn middle(
        &self,
        running: &mut Running,
        plan: &Plan,
        target: &Target,
        held: &mut HeldBack,
        opened: Opened,
    ) -> Result<u64, Fault> {
        let sink = Arc::new(Sink::new(self.disk)?);
        let (to, writers) = self.writers(running, &sink)?;
        let length_bytes = hand_out(running, &to, plan, target, held, opened);
        drop(to);
        // Also after a fault: what is still being written must not get among what another try writes.
        Running::join(writers)?;
        running.check()?;
        length_bytes
    }

    fn writers(
        &self,
        running: &Running,
        sink: &Arc<Sink>,
    ) -> Result<(Sender<Buffer>, Vec<JoinHandle<()>>), Failure> {
        let (to, from) = channel();
        let from = Arc::new(Mutex::new(from));
        let writer = || {
            let write = Write {
                from: Arc::clone(&from),
                sink: Arc::clone(sink),
                counters: Arc::clone(&running.counters),
            };
            spawn("write", write, running.write_faults_to.clone())
        };
        Ok((to, (0..WRITERS).map(|_| writer()).collect::<Result<_, _>>()?))
    }

    /// Compares the digests, and says which are right.
    fn verify(&self, running: &mut Running) -> Result<String, Fault> {
        let mut verified = String::new();
        if let Some(expected) = &self.image_digest {
            let digest = running.wait(|running| &running.image_digest)?;
            compare("the image as served", expected, &digest)?;
            verified += &format!(", {} ok", digest.algorithm.name());
        }
        if let Some(expected) = &self.raw_digest {
            let digest = running.wait(|running| &running.raw_digest)?;
            compare("the decoded image", expected, &digest)?;
            verified += &format!(", {} of the decoded image ok", digest.algorithm.name());
        }
        Ok(verified)
    }

    /// Makes the kernel forget the partitions of an older table, and what it has cached of them.
    fn forget_partitions(&self) {
        let disk = self.disk;
        for PartitionNode { number, start_bytes, length_bytes, .. } in self.system.partitions(&disk.disk) {
            let change = PartitionChange::Delete;
            if let Err(error) = sys::partition(&disk.file, change, number, start_bytes, length_bytes) {
                // It is settled again at the end, and fails there if it must.
                debug!("partition {number} of {} stays: {error}", disk.disk.name);
            }
        }
    }

    /// Makes the kernel look at the disk as it is now.
    fn show(&self) -> Result<(), Failure> {
        let disk = self.disk;
        forget_cache(disk);
        // Names and GUIDs may have changed where places have not.
        if let Err(error) = sys::reread_partition_table(&disk.file) {
            debug!("rereading the partition table of {}: {error}", disk.disk.name);
        }
        let table = table::read(&disk.file, disk.disk.size_bytes, disk.disk.logical_block_size);
        match table.because(Cause::PartitionTable)? {
            Some(table) => settle(disk, self.system, &table),
            None => Ok(()),
        }
    }
}

/// Gives the decoded image to the writers, but for what is held back, and gives its length.
fn hand_out(
    running: &mut Running,
    to: &Sender<Buffer>,
    plan: &Plan,
    target: &Target,
    held: &mut HeldBack,
    opened: Opened,
) -> Result<u64, Fault> {
    let mut length_bytes = held.head.len() as u64;
    loop {
        let decoded = running.decoded(|running| {
            running.progress.tick(&running.counters, opened.length_bytes, plan.expected_bytes());
        })?;
        let Decoded::Data(mut buffer) = decoded else { return Ok(length_bytes) };
        let start = buffer.offset_bytes;
        length_bytes = start + buffer.filled().len() as u64;
        if length_bytes > target.size_bytes {
            return Err(Failure::new(
                Cause::DiskTooSmall,
                format_args!(
                    "the image goes on after byte {}, where {} ends",
                    grouped(target.size_bytes),
                    target.name
                ),
            )
            .into());
        }
        if length_bytes > plan.tail_start_bytes {
            // Part of it belongs to the disk's end, and is held back.
            let kept = plan.tail_start_bytes.saturating_sub(start) as usize;
            let at = start.saturating_sub(plan.tail_start_bytes) as usize;
            let bytes = &buffer.filled()[kept..];
            held.tail[at..at + bytes.len()].copy_from_slice(bytes);
            buffer.truncate(kept);
        }
        buffer.pad(target.logical_block_size);
        if !buffer.filled().is_empty() && to.send(buffer).is_err() {
            return Err(running.write_reason());
        }
    }
}

fn compare(what: &str, expected: &Digest, found: &Digest) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(Failure::new(Cause::DigestMismatch, format_args!("{what} has {found}, and should have {expected}")))
}
