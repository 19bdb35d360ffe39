//! What was wrong with an object, and where.

use common::cause::Cause;
use common::failure::Failure;

use super::format::Format;
use crate::figures::grouped;

/// What was wrong with a piece of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Damage {
    /// A check inside the format failed.
    Corrupt(String),
    /// It is right, and more than we do.
    Unsupported(String),
}

/// How far a decoder came, and why not farther.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) why: Why,
    /// The byte of the object where it stopped.
    pub(super) object_bytes: u64,
    /// The byte of its part of the image.
    pub(super) image_bytes: u64,
}

/// Why a decoder stopped before the end.
#[derive(Debug)]
pub(super) enum Why {
    /// Its input ended within a member; so many came before.
    Truncated {
        members_before: u64,
    },
    Damaged(Damage),
    /// Something that belongs to no member comes next.
    Trailing,
}

impl Broken {
    /// The failure, for a part of the image that begins at this byte. `last`: nothing of the object follows the part.
    pub(super) fn failure(self, format: Format, start_bytes: u64, last: bool) -> Failure {
        let name = format.name();
        let object = grouped(self.object_bytes);
        let place = format!(
            "at byte {object} of the object, byte {} of the image",
            grouped(start_bytes + self.image_bytes)
        );
        match self.why {
            Why::Truncated { .. } if !last => Failure::new(
                Cause::ImageCorrupt,
                format_args!(
                    "the {name} stream is damaged {place}: one of its parts is longer than its header says"
                ),
            ),
            Why::Truncated { members_before } => {
                let which = match members_before {
                    0 => String::new(),
                    _ => format!(" (part {})", members_before + 1),
                };
                Failure::new(
                    Cause::ImageTruncated,
                    format_args!("the image ended within its {name} stream{which} {place}"),
                )
            }
            Why::Damaged(Damage::Corrupt(why)) => {
                Failure::new(Cause::ImageCorrupt, format_args!("the {name} stream is damaged {place}: {why}"))
            }
            Why::Damaged(Damage::Unsupported(why)) => Failure::new(
                Cause::ImageUnsupported,
                format_args!("the {name} stream cannot be decoded {place}: {why}"),
            ),
            Why::Trailing => Failure::new(
                Cause::ImageTrailingData,
                format_args!(
                    "something that is no {name} follows the end of the image at byte {object} of the object"
                ),
            ),
        }
    }
}
