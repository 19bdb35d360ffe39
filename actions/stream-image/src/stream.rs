//! One pass of an image from its server to the disk: starts the stages, and decides what of the image goes where.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::cause::Cause;
use common::disk::{OpenDisk, System, settle};
use common::failure::{Because, Failure};
use common::{stop, sys, table};
use reqwest::{Client, Url};
use tracing::{debug, info, warn};

use crate::buffer::{BUFFER_BYTES, Buffer};
use crate::decode::Decode;
use crate::digest::{Digest, Hasher};
use crate::disk::{HeldBack, Sink, Write, flush, forget_cache, zero_ends};
use crate::fetch::{Fault, Fetch, Opened};
use crate::figures::{grouped, rate, size};
use crate::options::Credentials;
use crate::plan::{Layout, Plan, Target, check_length, head_bytes, plan};
use crate::progress::Progress;
use crate::stages::{Counters, Decoded, FEED_DEPTH, HashDecoded, HashFeed, spawn};

/// Decoded pieces that may be under way between the decoder and the disk.
const BUFFERS: usize = 8;
/// Writes at once: one that the disk works on, one that waits for it.
const WRITERS: usize = 2;
/// How often whoever waits looks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);

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
}

/// What the disk is, as far as a failure leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// As it was, to the byte.
    Untouched,
    /// Begun: both ends are zero, or are being made so.
    Begun,
    /// The ends are being written: a failure has to zero them again.
    Finishing,
}

/// The running stages, seen from where they meet.
struct Running {
    opened: Receiver<Opened>,
    decoded: Receiver<Decoded>,
    pool: Sender<Buffer>,
    faults: Receiver<Fault>,
    faults_to: Sender<Fault>,
    image_digest: Receiver<Digest>,
    raw_digest: Receiver<Digest>,
    counters: Arc<Counters>,
    progress: Progress,
}

impl Job<'_> {
    /// Streams the image, and gives what was done in a sentence. `state` says at any moment what a failure leaves.
    ///
    /// # Errors
    /// Any of the action's causes, and whether another try is worth it.
    pub(crate) fn stream(&self, state: &mut State) -> Result<String, Fault> {
        let started = Instant::now();
        let mut running = self.start()?;
        let opened = running.opened()?;
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

        *state = State::Begun;
        info!("writing to {}", target.name);
        zero_ends(self.disk)?;
        let sink = Arc::new(Sink::new(self.disk)?);
        let mut held = HeldBack::new(begun.head, &plan, target.size_bytes);
        let length_bytes =
            self.middle(&mut running, &sink, &plan, &target, &mut held, opened, begun.complete)?;

        check_length(&plan, &target, length_bytes)?;
        let verified = self.verify(&mut running)?;
        sink.flush()?;
        stop::check()?;

        held.fit(&plan);
        *state = State::Finishing;
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
        let (opened_to, opened) = channel();
        let (image_digest_to, image_digest) = channel();
        let (raw_digest_to, raw_digest) = channel();
        let (pool, empty) = channel();
        for _ in 0..BUFFERS {
            // The receiver is right here.
            let _ = pool.send(Buffer::new());
        }

        let (feed, from) = sync_channel(FEED_DEPTH);
        let mut to = vec![feed];
        if let Some(digest) = &self.image_digest {
            let (feed, from) = sync_channel(FEED_DEPTH);
            to.push(feed);
            let hasher = Some(Hasher::new(digest.algorithm));
            spawn("hash", HashFeed { from, hasher, digest: image_digest_to }, faults_to.clone())?;
        }
        let (decoded_to, mut decoded) = sync_channel(BUFFERS);
        spawn("decode", Decode::new(from, empty, decoded_to), faults_to.clone())?;
        if let Some(digest) = &self.raw_digest {
            let (to, hashed) = sync_channel(BUFFERS);
            let from = std::mem::replace(&mut decoded, hashed);
            let hasher = Some(Hasher::new(digest.algorithm));
            spawn("hash-raw", HashDecoded { from, to, hasher, digest: raw_digest_to }, faults_to.clone())?;
        }
        let fetch = Fetch {
            client: self.client.clone(),
            credentials: self.credentials.clone(),
            url: self.image.clone(),
            stall_timeout: self.stall_timeout,
            counters: Arc::clone(&counters),
            opened: opened_to,
            to,
        };
        spawn("fetch", fetch, faults_to.clone())?;
        let progress = Progress::new(self.progress_interval);
        Ok(Running { opened, decoded, pool, faults, faults_to, image_digest, raw_digest, counters, progress })
    }

    /// Writes what lies between the two ends, and gives the image's length.
    #[allow(clippy::too_many_arguments, reason = "each is another part of the same pass")]
    fn middle(
        &self,
        running: &mut Running,
        sink: &Arc<Sink>,
        plan: &Plan,
        target: &Target,
        held: &mut HeldBack,
        opened: Opened,
        complete: bool,
    ) -> Result<u64, Fault> {
        let mut length_bytes = held.head.len() as u64;
        if complete {
            return Ok(length_bytes);
        }
        let (to, writers) = self.writers(running, sink)?;
        loop {
            let decoded = running.decoded(|running| {
                running.progress.tick(&running.counters, opened.length_bytes, plan.expected_bytes());
            })?;
            let Decoded::Data(mut buffer) = decoded else { break };
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
            let gone = if buffer.filled().is_empty() { running.pool.send(buffer) } else { to.send(buffer) };
            if gone.is_err() && running.faults.try_recv().is_err() {
                return Err(lost().into());
            }
        }
        drop(to);
        for writer in writers {
            running.join(writer)?;
        }
        Ok(length_bytes)
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
                pool: running.pool.clone(),
                counters: Arc::clone(&running.counters),
            };
            spawn("write", write, running.faults_to.clone())
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

fn compare(what: &str, expected: &Digest, found: &Digest) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(Failure::new(Cause::DigestMismatch, format_args!("{what} has {found}, and should have {expected}")))
}

/// A stage is gone that has not said why.
fn lost() -> Failure {
    Failure::new(Cause::Internal, "a stage of the stream ended without a word")
}

/// The beginning of the image.
struct Begun {
    head: Vec<u8>,
    /// The image is not longer than its head.
    complete: bool,
    /// The length of the image, where it is known already.
    length_bytes: Option<u64>,
}

impl Running {
    /// What the server said.
    fn opened(&mut self) -> Result<Opened, Fault> {
        self.wait(|running| &running.opened)
    }

    /// Collects as much of the image as is needed to plan it.
    fn begin(&mut self, opened: Opened, logical_block_size: u32) -> Result<Begun, Fault> {
        let mut head = Vec::new();
        let mut wanted = BUFFER_BYTES;
        let mut raw = false;
        while head.len() < wanted {
            match self.decoded(|_| {})? {
                Decoded::Begin { raw: is_raw } => raw = is_raw,
                Decoded::Data(buffer) => {
                    head.extend_from_slice(buffer.filled());
                    // The decoder may be done, and need no more buffers.
                    let _ = self.pool.send(buffer);
                    wanted = head_bytes(&head, logical_block_size);
                }
                Decoded::End => {
                    let length_bytes = Some(head.len() as u64);
                    return Ok(Begun { head, complete: true, length_bytes });
                }
            }
        }
        let length_bytes = opened.length_bytes.filter(|_| raw);
        Ok(Begun { head, complete: false, length_bytes })
    }

    /// The next piece of the image; `meanwhile` is called every now and then.
    fn decoded(&mut self, mut meanwhile: impl FnMut(&mut Self)) -> Result<Decoded, Fault> {
        loop {
            meanwhile(self);
            self.check()?;
            match self.decoded.recv_timeout(LOOK) {
                Ok(decoded) => return Ok(decoded),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.reason()),
            }
        }
    }

    fn wait<T>(&mut self, from: impl Fn(&Self) -> &Receiver<T>) -> Result<T, Fault> {
        loop {
            self.check()?;
            match from(self).recv_timeout(LOOK) {
                Ok(value) => return Ok(value),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.reason()),
            }
        }
    }

    fn join(&mut self, thread: JoinHandle<()>) -> Result<(), Fault> {
        while !thread.is_finished() {
            self.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        self.check()
    }

    /// Whether a stage failed, or the action is to stop.
    fn check(&self) -> Result<(), Fault> {
        stop::check()?;
        match self.faults.try_recv() {
            Ok(fault) => Err(fault),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(()),
        }
    }

    /// Why a channel closed: whoever closed it has said so before.
    fn reason(&self) -> Fault {
        self.faults.try_recv().unwrap_or_else(|_| lost().into())
    }
}

/// Makes the disk one that does not boot, after a failure while its ends were written.
pub(crate) fn undo(disk: &OpenDisk) -> Result<(), Failure> {
    zero_ends(disk)?;
    flush(&disk.file, "flushing the disk")
}
