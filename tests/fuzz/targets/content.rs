//! What an object or an image begins with: told from its first bytes, the same whatever follows, and said in one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nibs_fuzz::measured;
use stream_image::fuzzing::{begins, filesystem, format, mistaken};

/// More than the farthest place that is looked at.
const ALL: usize = 66_000;

fuzz_target!(|input: &[u8]| {
    // Marks lie far apart: a place, and what stands from there on.
    let (mut start, mut head) = (0, vec![0; ALL]);
    for mark in input.split(|byte| *byte == 0xff) {
        let (place, bytes) = mark.split_at(mark.len().min(3));
        start += place.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let end = (start + bytes.len()).min(ALL);
        if start < end {
            head[start..end].copy_from_slice(&bytes[..end - start]);
        }
    }
    for head in [input, &head] {
        let ((format, filesystem, mistaken), bytes) =
            measured(|| (format(head), filesystem(head), mistaken(head)));
        assert!(bytes <= 1024, "{bytes} bytes of memory for a word");
        assert!(mistaken.len() < 200 && mistaken.chars().all(|c| !c.is_control()), "{mistaken:?}");
        assert_eq!(format == "raw", !begins(head, head));
        if head.len() >= 10 {
            assert_eq!(self::format(&head[..10]), format, "ten bytes tell");
        }
        for end in [head.len() / 2, head.len().saturating_sub(1), head.len().min(4096)] {
            let known = self::filesystem(&head[..end]);
            // More bytes can show another mark earlier in the list, but not take one away.
            assert!(known.is_none() || filesystem.is_some());
        }
    }
});
