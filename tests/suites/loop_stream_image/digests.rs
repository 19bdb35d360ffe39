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
fn a_wrong_digest_leaves_a_disk_that_does_not_boot() {
    let bench = Bench::default();
    let url = bench.server.serve("/image", Packing::Zstd.pack(&IMAGE), &[Answer::Full]);
    bench.disk.show_partitions();
    let wrong = format!("sha256:{}", "0".repeat(64));
    for name in ["IMG_DIGEST", "RAW_DIGEST"] {
        let outcome = Outcome::of(bench.action(&url).env(name, &wrong));
        let message = outcome.failed("digest-mismatch");
        assert!(message.contains(&wrong) && message.contains("was left not bootable"), "{message}");
        bench.assert_not_bootable();
    }
    // A raw image and a zstd stream may carry no check of their own.
    let mut damaged = IMAGE.to_vec();
    damaged[7_000_000] ^= 1;
    let url = bench.server.serve("/image", damaged, &[Answer::Full]);
    let outcome = Outcome::of(bench.action(&url).env("IMG_DIGEST", format!("sha256:{}", sha256(&IMAGE))));
    outcome.failed("digest-mismatch");
    bench.assert_not_bootable();
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
fn a_file_that_gives_no_digest_is_an_error_before_the_first_write() {
    let bench = Bench::default();
    let image = bench.server.serve_shared("/debian.raw", IMAGE.clone(), &[Answer::Full]);
    for (text, says) in [
        (format!("{}  ubuntu.raw\n", "0".repeat(64)), "it lists no debian.raw"),
        ("<html>not here</html>".into(), "line 1 is no digest"),
        (String::new(), "there is no digest in it"),
        (format!("{}  debian.raw\n{}  debian.raw\n", "0".repeat(64), "1".repeat(64)), "different digests"),
        ("0".repeat(2 << 20), "no file of digests"),
    ] {
        let url = bench.server.serve("/sums", text, &[Answer::Full]);
        let outcome = Outcome::of(bench.action(&image).env("IMG_DIGEST", &url));
        let message = outcome.failed("digest-file");
        assert!(message.contains(says) && message.contains("nothing was written to"), "{message}");
    }
    let url = bench.server.serve("/sums", [0xff, 0xfe, 0x80], &[Answer::Full]);
    Outcome::of(bench.action(&image).env("IMG_DIGEST", &url)).failed("digest-file");
    let missing = bench.server.url("/nowhere");
    Outcome::of(bench.action(&image).env("IMG_DIGEST", missing)).failed("http-status");
    bench.assert_untouched();
    assert_eq!(
        bench.server.requests_for("/debian.raw"),
        0,
        "the image was fetched before its digest was known"
    );
}
