//! What the fuzz targets in `tests/fuzz` reach of the parsers, which are nobody else's. Built with the feature `fuzzing`
//! alone.

pub use common::cause::Cause;
use common::failure::Failure;
use common::table::relocate::Fitted;
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{StatusCode, Url};

pub use crate::decode::fuzzing::{Decoded, End, Walked, begins, decode, format, walk};
use crate::disk::HeldBack;
pub use crate::fetch::fuzzing::{content_range, continued};
use crate::plan::{Layout, Target};

/// The URL as it may be shown.
pub fn shown(url: &Url) -> String {
    crate::address::shown(url)
}

/// The name of the file that a URL speaks of.
pub fn file_name(url: &Url) -> String {
    crate::address::file_name(url)
}

/// The filesystem that begins so.
pub fn filesystem(head: &[u8]) -> Option<&'static str> {
    crate::content::filesystem(head)
}

/// What begins so instead, in words.
pub fn mistaken(head: &[u8]) -> String {
    crate::content::mistaken(head)
}

/// The digest, as text, that a file of digests has for one of these names.
///
/// # Errors
/// Why there is none.
pub fn find_digest(text: &str, names: &[String]) -> Result<String, String> {
    let found = crate::digest_file::find(text, names);
    found.map(|digest| digest.to_string()).map_err(|why| why.to_string())
}

/// What will be written where.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the layout is a GPT.
    pub fitted: Option<Fitted>,
    /// So many bytes the image has at least.
    pub least_bytes: u64,
    /// From here to the disk's end the image is held back.
    pub tail_start_bytes: u64,
    /// For a log line.
    pub description: String,
    /// The disk's first and last bytes as they are written in the end, where all that the plan rests on was there.
    pub ends: Option<(Vec<u8>, Vec<u8>)>,
}

/// How many bytes of an image that begins so must be known before it can be planned.
pub fn head_bytes(first: &[u8], logical_block_size: u32) -> usize {
    crate::plan::head_bytes(first, logical_block_size)
}

/// Plans an image that begins so, for a disk of this size.
///
/// # Errors
/// Whatever is wrong with it.
pub fn plan(
    head: &[u8],
    size_bytes: u64,
    logical_block_size: u32,
    length_bytes: Option<u64>,
    allow_unknown_content: bool,
) -> Result<Plan, Failure> {
    let target = Target { name: "/dev/sda".into(), size_bytes, logical_block_size };
    let plan = crate::plan::plan(head, &target, length_bytes, allow_unknown_content)?;
    let ends = (head.len() == head_bytes(head, logical_block_size)).then(|| {
        let mut held = HeldBack::new(head.to_vec(), &plan, size_bytes);
        held.fit(&plan);
        (held.head, held.tail)
    });
    Ok(Plan {
        ends,
        description: plan.describe(),
        least_bytes: plan.least_bytes,
        tail_start_bytes: plan.tail_start_bytes,
        fitted: match plan.layout {
            Layout::Gpt { fitted, .. } => Some(*fitted),
            _ => None,
        },
    })
}
