//! The walker finds a member's end where its decoder does, in whatever pieces it comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nibs_fuzz::{measured, pieces};
use stream_image::fuzzing::{Walked, format, walk};

fuzz_target!(|object: &[u8]| {
    let (walked, bytes) = measured(|| walk(object, [object]));
    // What is held is a header: of gzip's extra fields 64 KiB at most, and never more than there was.
    assert!(bytes <= 256 + 2 * object.len(), "{bytes} bytes of memory");
    let pieces = pieces(object);
    assert_eq!(walk(object, pieces), walked, "in pieces");
    assert_eq!(walk(object, object.chunks(1)), walked, "byte by byte");
    if let Walked::Ends { bytes, .. } = walked {
        assert!(0 < bytes && bytes <= object.len());
        // Nothing behind the end matters, and nothing less is enough.
        assert_eq!(walk(object, [&object[..bytes]]), walked);
        assert_eq!(walk(object, [&object[..bytes - 1]]), Walked::Beyond);
    }
    match format(object) {
        "zstd" => zstd(object, walked),
        "gzip" => bgzf(object, walked),
        _ => assert_eq!(walked, Walked::Unknown),
    }
});

fn zstd(object: &[u8], walked: Walked) {
    // The library walks headers, too, and refuses more of them.
    let Ok(bytes) = zstd_safe::find_frame_compressed_size(object) else { return };
    let Walked::Ends { bytes: ours, decoded_bytes } = walked else {
        panic!("zstd: {bytes}, walker: {walked:?}")
    };
    assert_eq!(ours, bytes);
    let mut image = vec![0; 1 << 20];
    if let Ok(length) = zstd_safe::decompress(&mut image[..], &object[..bytes]) {
        assert!(length as u64 <= decoded_bytes, "{length} bytes came out, {decoded_bytes} at most were told");
    }
}

fn bgzf(object: &[u8], walked: Walked) {
    let Walked::Ends { bytes, decoded_bytes } = walked else { return };
    // SAM/BAM, 4.1: the whole member's length less one, and at its end, of what comes out.
    assert_eq!(bytes, usize::from(u16::from_le_bytes([object[16], object[17]])) + 1);
    let length: [u8; 4] = object[bytes - 4..bytes].try_into().expect("four bytes");
    assert_eq!(decoded_bytes, u64::from(u32::from_le_bytes(length)));
}
