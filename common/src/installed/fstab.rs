//! What an installed system mounts (fstab(5)).

use super::devices::Source;
use crate::failure::Failure;
use crate::root_dir::RootDir;

/// No fstab is near to this.
const LIMIT_BYTES: u64 = 256 * 1024;

/// As many lines are read.
const MOST_LINES: usize = 1024;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What is mounted.
    pub source: Source,
    /// Where: from a slash on, without one at its end; `none` for swap space.
    pub mount_point: String,
    /// The filesystem's type.
    pub kind: String,
    /// The options.
    pub options: Vec<String>,
    /// Its number, from 1 on.
    pub number: usize,
}

impl Line {
    /// The value of an option, as of `subvol` in `rw,subvol=@`: the last one counts.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether the system does without it, where it is not there.
    pub fn may_be_missing(&self) -> bool {
        self.options.iter().any(|option| option == "nofail" || option == "noauto")
    }
}

/// Reads the fstab in a root; nothing where there is none.
///
/// # Errors
/// [`crate::cause::Cause::File`].
pub fn read(root: &RootDir) -> Result<Vec<Line>, Failure> {
    let text = root.read("/etc/fstab", LIMIT_BYTES)?.unwrap_or_default();
    Ok(parse(&String::from_utf8_lossy(&text)))
}

fn parse(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate().take(MOST_LINES) {
        let line = line.trim_start();
        if line.starts_with('#') {
            continue;
        }
        let mut fields = line.split_ascii_whitespace().map(unescaped);
        let (Some(source), Some(mount_point)) = (fields.next(), fields.next()) else { continue };
        let mount_point = match mount_point.trim_end_matches('/') {
            "" => "/".to_owned(),
            other => other.to_owned(),
        };
        lines.push(Line {
            source: Source::parse(&source),
            mount_point,
            kind: fields.next().unwrap_or_default(),
            options: fields.next().unwrap_or_default().split(',').map(str::to_owned).collect(),
            number: number + 1,
        });
    }
    lines
}

/// A blank in a field is written as `\040`, in octal digits.
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'\\')
            .then(|| std::str::from_utf8(after.get(..3)?).ok())
            .flatten()
            .and_then(|octal| u8::from_str_radix(octal, 8).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_mount_does() {
        let text = "# a comment\n\n  UUID=1 / ext4 rw,errors=remount-ro 0 1\n\
            LABEL=a\\040b /mnt/with\\040blank/ xfs\n/dev/sda1\tnone\tswap\tsw\nhalf\n\
            UUID=2 /boot btrfs nofail,subvol=/@x,subvol=/@boot\n\\9 /x\n";
        let lines = parse(text);
        let all: Vec<(usize, &str, &str)> =
            lines.iter().map(|line| (line.number, line.mount_point.as_str(), line.kind.as_str())).collect();
        assert_eq!(
            all,
            [
                (3, "/", "ext4"),
                (4, "/mnt/with blank", "xfs"),
                (5, "none", "swap"),
                (7, "/boot", "btrfs"),
                (8, "/x", "")
            ]
        );
        assert_eq!(lines[1].source, Source::Label("a b".into()));
        assert_eq!(lines[3].option("subvol"), Some("/@boot"));
        assert_eq!((lines[3].may_be_missing(), lines[0].may_be_missing()), (true, false));
        assert_eq!(lines[0].option("subvol"), None);
        assert_eq!(lines[4].source, Source::Other("\\9".into()));
    }
}
