//! Digests, given or listed in a file.

use std::process::Command;

use nibs_tests::disk_image::{Packing, pipe};
use nibs_tests::http::Answer;
use nibs_tests::outcome::Outcome;

use super::bench::{Bench, IMAGE};

fn hex(tool: &str, bytes: &[u8]) -> String {
    String::from_utf8(pipe(&mut Command::new(tool), bytes)).unwrap()[..].split(' ').next().unwrap().to_owned()
}

fn sha256(bytes: &[u8]) -> String {
    hex("sha256sum", bytes)
}

#[test]
fn right_digests_are_said_to_be_right() {
    let bench = Bench::default();
    for packing in [Packing::Raw, Packing::Gzip] {
        let object = packing.pack(&IMAGE);
        let url = bench.server.serve("/image", object.clone(), &[Answer::Full]);
        let outcome = Outcome::of(
            bench
                .action(&url)
                .env("IMG_DIGEST", format!("sha512:{}", hex("sha512sum", &object)))
                .env("RAW_DIGEST", format!("sha256:{}", sha256(&IMAGE))),
        );
        let said = outcome.succeeded();
        assert!(said.ends_with(", sha512 ok, sha256 of the decoded image ok, backup GPT moved"), "{said}");
        bench.assert_landed(&IMAGE, 512);
    }
}

#[test]
fn a_file_lists_the_digest() {
    let bench = Bench::default();
    let object = Packing::Gzip.pack(&IMAGE);
    let image = bench.server.serve("/os/debian%2012.raw.gz", object.clone(), &[Answer::Full]);
    let digest = sha256(&object);
    let raw = sha256(&IMAGE);
    for text in [
        format!("{digest}\n"),
        format!("{}  other.raw.gz\n{digest} *debian 12.raw.gz\n", "0".repeat(64)),
        format!("SHA256 (./debian 12.raw.gz) = {digest}\n"),
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{digest}  debian 12.raw.gz\n-----BEGIN PGP SIGNATURE-----\n"
        ),
    ] {
        // The first answer is an outage, which is no reason to go on without a digest.
        let url = bench.server.serve("/os/SHA256SUMS", text, &[Answer::Status(503, vec![]), Answer::Full]);
        let outcome = Outcome::of(bench.action(&image).env("RETRY_ENABLED", "true").env("IMG_DIGEST", &url));
        assert!(outcome.succeeded().contains("sha256 ok"), "{}", outcome.text);
    }
    let url = bench.server.serve(
        "/os/raw",
        format!("{digest}  debian 12.raw.gz\n{raw}  debian 12.raw\n"),
        &[Answer::Full],
    );
    Outcome::of(bench.action(&image).env("RAW_DIGEST", &url).env("IMG_DIGEST", &url)).succeeded();
    bench.assert_landed(&IMAGE, 512);
}

#[test]
fn a_file_that_is_none_is_an_error_before_the_first_write() {
    let bench = Bench::default();
    let image = bench.server.serve_shared("/debian.raw", IMAGE.clone(), &[Answer::Full]);
    for (bytes, says) in
        [(b"0".repeat(2 << 20), "no file of digests"), (vec![0xff, 0xfe, 0x80], "is no text")]
    {
        let url = bench.server.serve("/sums", bytes, &[Answer::Full]);
        let outcome = Outcome::of(bench.action(&image).env("IMG_DIGEST", &url));
        let message = outcome.failed("digest-file");
        assert!(message.contains(says) && message.contains("nothing was written to"), "{message}");
    }
    bench.assert_untouched();
    assert_eq!(bench.server.requests_for("/debian.raw"), 0, "fetched before its digest was known");
}
