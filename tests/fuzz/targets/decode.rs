//! One decoder and three give the same image, or both a failure, of whatever is served, in bounded memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nibs_fuzz::{measured, pieces};
use stream_image::fuzzing::{Cause, Decoded, End, decode};

/// More is not looked at: a few bytes can decode to gigabytes.
const ENOUGH_BYTES: usize = 3 << 20;
/// Both hand on at most 24 buffers of 1 MiB. A decoder takes up to 4 MiB (bzip2), and the image is kept here.
const MEMORY_BYTES: usize = (24 << 20) + 4 * (4 << 20) + 2 * (ENOUGH_BYTES + (2 << 20));

fuzz_target!(|object: &[u8]| {
    let run = |threads| {
        let (decoded, bytes) = measured(|| decode(pieces(object), threads, ENOUGH_BYTES));
        assert!(bytes <= MEMORY_BYTES + 8 * object.len(), "{bytes} bytes of memory with {threads} threads");
        if let End::Failed(cause, why) = &decoded.end {
            let known = [
                Cause::ImageCorrupt,
                Cause::ImageTruncated,
                Cause::ImageTrailingData,
                Cause::ImageUnsupported,
            ];
            assert!(known.contains(cause), "{cause:?}: {why}");
            assert!(why.len() < 400 && why.contains("at byte "), "{why}");
        }
        decoded
    };
    let (one, three) = (run(1), run(3));
    let both = one.image.len().min(three.image.len());
    assert!(one.image[..both] == three.image[..both], "other bytes: {:?}, {:?}", one.end, three.end);
    match (&one.end, &three.end) {
        (End::Complete, End::Complete) => assert_eq!(one.image.len(), three.image.len()),
        (End::Failed(..), End::Failed(..)) | (End::Enough, End::Enough) => {}
        // What is damaged behind the place where one of them had enough.
        (End::Enough, End::Failed(..)) | (End::Failed(..), End::Enough) => {}
        // One decoder needs no lengths in headers, and does not look at them.
        (End::Complete, End::Failed(Cause::ImageCorrupt, why)) if why.contains("than its header says") => {}
        (one, three) => panic!("{one:?} by one decoder, {three:?} by three"),
    }
    let Decoded { image, end } = one;
    // All formats but raw carry a check or an end of their own: half of what was complete is not.
    if end == End::Complete && image != object && object.len() > 1 {
        let cut = decode([&object[..object.len() - 1]], 1, ENOUGH_BYTES);
        assert!(cut.image.len() <= image.len());
    }
});
