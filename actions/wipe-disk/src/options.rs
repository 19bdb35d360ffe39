//! What is to be wiped, and how.

use common::cause::Cause;
use common::failure::Failure;
use common::values::Values;
use common::variables::{DEST_DISK, DISKS, WIPE_METHOD};

/// How a disk is wiped. Every method erases all signatures, and zeros what was found and both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Discards what lies between where the disk can.
    Auto,
    /// Leaves what lies between.
    Signatures,
    /// Discards what lies between, or fails.
    Discard,
    /// Zeros what lies between.
    Zero,
}

impl Method {
    /// For a log line.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Auto => "method auto: signatures, and a discard where the disk can",
            Self::Signatures => "method signatures",
            Self::Discard => "method discard: signatures, and a discard",
            Self::Zero => "method zero: signatures, and zeros from one end to the other",
        }
    }
}

/// The action's options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The selectors of the disks, at least one, in the order given.
    pub(crate) disks: Vec<String>,
    pub(crate) method: Method,
}

impl Options {
    /// # Errors
    /// [`Cause::Configuration`].
    pub(crate) fn read(values: &Values) -> Result<Self, Failure> {
        let method = match values.choice(&WIPE_METHOD)? {
            "auto" => Method::Auto,
            "signatures" => Method::Signatures,
            "discard" => Method::Discard,
            "zero" => Method::Zero,
            word => {
                return Err(Failure::configuration(
                    &WIPE_METHOD,
                    word,
                    "auto, signatures, discard, zero; secure-erase is not there yet",
                ));
            }
        };
        let given = match (values.given(&DISKS).map(str::trim), values.given(&DEST_DISK).map(str::trim)) {
            (Some(disks), Some(disk)) if disks != disk => {
                return Err(Failure::new(
                    Cause::Configuration,
                    format_args!(
                        "both DISKS={disks:?} and DEST_DISK={disk:?} are set; accepted: one of them"
                    ),
                ));
            }
            (Some(disks), _) => disks,
            (None, Some(disk)) if disk.contains(',') => {
                return Err(Failure::configuration(&DEST_DISK, disk, "one disk; DISKS takes several"));
            }
            (None, Some(disk)) => disk,
            (None, None) => {
                return Err(Failure::new(
                    Cause::Configuration,
                    format_args!("neither DISKS nor DEST_DISK is set; DISKS takes: {}", DISKS.doc),
                ));
            }
        };
        let disks: Vec<String> = given.split(',').map(|disk| disk.trim().to_owned()).collect();
        if disks.iter().any(String::is_empty) {
            let variable = if values.given(&DISKS).is_some() { &DISKS } else { &DEST_DISK };
            return Err(Failure::configuration(variable, given, "disks, with one comma between two"));
        }
        if let Some(twice) =
            disks.iter().enumerate().find_map(|(at, disk)| disks[..at].contains(disk).then_some(disk))
        {
            return Err(Failure::configuration(
                &DISKS,
                given,
                format_args!("each disk once; {twice} is there twice"),
            ));
        }
        Ok(Self { disks, method })
    }
}

#[cfg(test)]
mod tests {
    use common::variables::WIPE_DISK;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Options, Failure> {
        Options::read(&Values::from_pairs(&WIPE_DISK, pairs)?)
    }

    #[test]
    fn disks_come_from_either_variable() {
        let several = read(&[("DISKS", "/dev/sda, serial:S4EVNX0R ,/dev/nvme0n1")]).unwrap();
        assert_eq!(several.disks, ["/dev/sda", "serial:S4EVNX0R", "/dev/nvme0n1"]);
        assert_eq!(several.method, Method::Auto);
        let one = read(&[("DEST_DISK", "/dev/sda"), ("WIPE_METHOD", "zero")]).unwrap();
        assert_eq!(one, Options { disks: vec!["/dev/sda".into()], method: Method::Zero });
        assert_eq!(read(&[("DEST_DISK", "/dev/sda"), ("DISKS", "/dev/sda")]).unwrap().disks, ["/dev/sda"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (pairs, message) in [
            (&[][..], "neither DISKS nor DEST_DISK is set"),
            (&[("DISKS", ""), ("DEST_DISK", "")], "neither DISKS nor DEST_DISK is set"),
            (
                &[("DISKS", "/dev/sda"), ("DEST_DISK", "/dev/sdb")],
                "both DISKS=\"/dev/sda\" and DEST_DISK=\"/dev/sdb\" are set; accepted: one of them",
            ),
            (&[("DISKS", "/dev/sda,,/dev/sdb")], "DISKS=\"/dev/sda,,/dev/sdb\" is not valid"),
            (&[("DISKS", "/dev/sda,/dev/sda")], "accepted: each disk once; /dev/sda is there twice"),
            (&[("DEST_DISK", "/dev/sda,/dev/sdb")], "accepted: one disk; DISKS takes several"),
            (&[("DEST_DISK", " ")], "DEST_DISK=\"\" is not valid"),
            (
                &[("DEST_DISK", "/dev/sda"), ("WIPE_METHOD", "secure-erase")],
                "WIPE_METHOD=\"secure-erase\" is not valid; accepted: auto, signatures, discard, zero",
            ),
            (&[("DEST_DISK", "/dev/sda"), ("WIPE_METHOD", "shred")], "WIPE_METHOD=\"shred\" is not valid"),
        ] {
            let failure = read(pairs).unwrap_err();
            assert_eq!(failure.cause, Cause::Configuration, "{pairs:?}");
            assert!(failure.to_string().contains(message), "{pairs:?}: {failure}");
        }
    }
}
