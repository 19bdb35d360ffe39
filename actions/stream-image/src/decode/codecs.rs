//! The decoders behind one face: bytes in, bytes out, and whether a member is complete.

use bzip2::Decompress as Bzip2;
use flate2::{Decompress as Gzip, FlushDecompress, Status};
use liblzma::stream::{Action, Error as XzError, MtStreamBuilder, Status as XzStatus, Stream as Xz};
use zstd::stream::raw::{DParameter, Decoder as Zstd, Operation};

use super::bgzf::{self, Bgzf};
use super::broken::Damage;
use super::format::Format;
use super::step::Step;
use super::window::{LARGEST_WINDOW_BYTES, ZSTD_WINDOW_LOG_MAX};

/// Above this, blocks are decoded one at a time.
const XZ_THREADED_BYTES: u64 = 192 << 20;
/// A dictionary of 1.5 GiB, the format's largest, is more than a machine that boots from memory can spare.
const XZ_LARGEST_BYTES: u64 = 256 << 20;
/// The largest window that a gzip member can have, and its header says nothing about it.
const GZIP_WINDOW_BITS: u8 = 15;

/// A decoder for one member, and, where it can go on, for those after it.
pub(super) enum Codec {
    Gzip(Gzip),
    Bgzf(Bgzf),
    Zstd(Box<Zstd<'static>>),
    Xz(Xz),
    Bzip2(Bzip2),
    Raw,
}

impl Codec {
    /// For a member that begins so; with so many threads, where the decoder itself can use several.
    ///
    /// # Errors
    /// When a decoder cannot be had, for lack of memory.
    pub(super) fn new(format: Format, head: &[u8], threads: usize) -> Result<Self, Damage> {
        let unsupported = |error: &dyn std::fmt::Display| Damage::Unsupported(error.to_string());
        Ok(match format {
            Format::Gzip if bgzf::begins(head) => Self::Bgzf(Bgzf::new()),
            Format::Gzip => Self::Gzip(Gzip::new_gzip(GZIP_WINDOW_BITS)),
            Format::Zstd => {
                let mut decoder = Zstd::new().map_err(|error| unsupported(&error))?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                    .map_err(|error| unsupported(&error))?;
                Self::Zstd(Box::new(decoder))
            }
            Format::Xz => {
                let decoder = MtStreamBuilder::new()
                    .threads(u32::try_from(threads).unwrap_or(u32::MAX))
                    .memlimit_threading(XZ_THREADED_BYTES)
                    .memlimit_stop(XZ_LARGEST_BYTES)
                    .decoder();
                Self::Xz(decoder.map_err(|error| unsupported(&error))?)
            }
            Format::Bzip2 => Self::Bzip2(Bzip2::new(false)),
            Format::Raw => Self::Raw,
        })
    }

    /// Whether a decoder that has come to a member's end takes the next one, which begins so, as well.
    pub(super) fn goes_on(&self, head: &[u8]) -> bool {
        match self {
            Self::Bgzf(_) => bgzf::begins(head),
            // It begins another frame by itself, within the memory that it has.
            Self::Zstd(_) => true,
            Self::Gzip(_) | Self::Xz(_) | Self::Bzip2(_) | Self::Raw => false,
        }
    }

    /// Decodes as much as it can. At the end of the object `input` is empty, and `at_end` says so.
    ///
    /// # Errors
    /// [`Damage`]
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8], at_end: bool) -> Result<Step, Damage> {
        match self {
            Self::Gzip(decoder) => {
                let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
                let status = decoder.decompress(input, output, FlushDecompress::None);
                let status =
                    status.map_err(|error| Damage::Corrupt(error.message().unwrap_or("bad data").into()))?;
                Ok(Step {
                    consumed: (decoder.total_in() - before_in) as usize,
                    produced: (decoder.total_out() - before_out) as usize,
                    ended: status == Status::StreamEnd,
                })
            }
            Self::Bgzf(decoder) => decoder.step(input, output),
            // zstd takes a call without input as one that should make progress, and fails when none does.
            Self::Zstd(_) if at_end && input.is_empty() && output.is_empty() => Ok(Step::NONE),
            Self::Zstd(decoder) => {
                let status =
                    decoder.run_on_buffers(input, output).map_err(|error| zstd_damage(&error.to_string()))?;
                let ended = status.remaining == 0 && !(at_end && status.bytes_written == 0);
                Ok(Step { consumed: status.bytes_read, produced: status.bytes_written, ended })
            }
            Self::Xz(decoder) => {
                let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
                let action = if at_end { Action::Finish } else { Action::Run };
                let status = decoder.process(input, output, action).map_err(xz_damage)?;
                Ok(Step {
                    consumed: (decoder.total_in() - before_in) as usize,
                    produced: (decoder.total_out() - before_out) as usize,
                    ended: status == XzStatus::StreamEnd,
                })
            }
            Self::Bzip2(decoder) => {
                let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
                let status =
                    decoder.decompress(input, output).map_err(|error| Damage::Corrupt(error.to_string()))?;
                Ok(Step {
                    consumed: (decoder.total_in() - before_in) as usize,
                    produced: (decoder.total_out() - before_out) as usize,
                    ended: status == bzip2::Status::StreamEnd,
                })
            }
            Self::Raw => {
                let length = input.len().min(output.len());
                output[..length].copy_from_slice(&input[..length]);
                Ok(Step { consumed: length, produced: length, ended: at_end })
            }
        }
    }
}

fn zstd_damage(error: &str) -> Damage {
    // ZSTD_error_frameParameter_windowTooLarge and the dictionary's, by the names that the library gives them.
    if error.contains("too much memory") {
        return Damage::Unsupported(format!(
            "its window is larger than {} MiB; pack it with --long={ZSTD_WINDOW_LOG_MAX} or less",
            LARGEST_WINDOW_BYTES >> 20
        ));
    }
    if error.contains("Dictionary") {
        return Damage::Unsupported("it was packed with a dictionary".into());
    }
    Damage::Corrupt(error.into())
}

fn xz_damage(error: XzError) -> Damage {
    match error {
        XzError::MemLimit => {
            Damage::Unsupported(format!("it takes more than {} MiB of memory", XZ_LARGEST_BYTES >> 20))
        }
        XzError::Options | XzError::UnsupportedCheck | XzError::Mem => Damage::Unsupported(error.to_string()),
        _ => Damage::Corrupt(error.to_string()),
    }
}
