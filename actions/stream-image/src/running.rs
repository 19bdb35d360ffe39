//! The running stages, seen from where they meet: everything that waits for them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use common::cause::Cause;
use common::failure::Failure;
use common::stop;

use crate::buffer::BUFFER_BYTES;
use crate::digest::Digest;
use crate::fetch::{Fault, Opened};
use crate::plan::head_bytes;
use crate::progress::Progress;
use crate::stages::{Counters, Decoded};

/// How often whoever waits looks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);

/// The running stages, seen from where they meet.
pub(crate) struct Running {
    pub(crate) opened: Receiver<Opened>,
    pub(crate) decoded: Receiver<Decoded>,
    /// Of the stages that end where the image is placed.
    pub(crate) faults: Receiver<Fault>,
    /// Of those that write.
    pub(crate) write_faults: Receiver<Fault>,
    pub(crate) write_faults_to: Sender<Fault>,
    pub(crate) image_digest: Receiver<Digest>,
    pub(crate) raw_digest: Receiver<Digest>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) progress: Progress,
}

/// A stage is gone that has not said why.
fn lost() -> Failure {
    Failure::new(Cause::Internal, "a stage of the stream ended without a word")
}

/// The beginning of the image.
pub(crate) struct Begun {
    pub(crate) head: Vec<u8>,
    /// The image is not longer than its head.
    pub(crate) complete: bool,
    /// The length of the image, where it is known already.
    pub(crate) length_bytes: Option<u64>,
}

impl Running {
    /// What the server said.
    pub(crate) fn opened(&mut self) -> Result<Opened, Fault> {
        self.wait(|running| &running.opened)
    }

    /// Collects as much of the image as is needed to plan it.
    pub(crate) fn begin(&mut self, opened: Opened, logical_block_size: u32) -> Result<Begun, Fault> {
        let mut head = Vec::new();
        let mut wanted = BUFFER_BYTES;
        let mut raw = false;
        while head.len() < wanted {
            match self.decoded(|_| {})? {
                Decoded::Begin { raw: is_raw } => raw = is_raw,
                Decoded::Data(buffer) => {
                    head.extend_from_slice(buffer.filled());
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
    pub(crate) fn decoded(&mut self, mut meanwhile: impl FnMut(&mut Self)) -> Result<Decoded, Fault> {
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

    pub(crate) fn wait<T>(&mut self, from: impl Fn(&Self) -> &Receiver<T>) -> Result<T, Fault> {
        loop {
            self.check()?;
            match from(self).recv_timeout(LOOK) {
                Ok(value) => return Ok(value),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.reason()),
            }
        }
    }

    /// Waits for threads that end by themselves.
    ///
    /// # Errors
    /// When the action is to stop.
    pub(crate) fn join(threads: Vec<JoinHandle<()>>) -> Result<(), Failure> {
        for thread in threads {
            while !thread.is_finished() {
                stop::check()?;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// Whether the disk failed, or the action is to stop. What went wrong before the disk is seen where it is in the
    /// stream, when its channel closes: the same fault then ends the same way, whichever stage is ahead.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        stop::check()?;
        self.write_faults.try_recv().map_or(Ok(()), Err)
    }

    /// Why a channel closed: whoever closed it has said so before.
    fn reason(&self) -> Fault {
        self.faults.try_recv().unwrap_or_else(|_| lost().into())
    }

    /// Why nobody writes any more.
    pub(crate) fn write_reason(&self) -> Fault {
        self.write_faults.try_recv().unwrap_or_else(|_| lost().into())
    }
}
