//! Images that land.

use std::process::Command;

use common::disk::System;
use nibs_tests::certificates::Authority;
use nibs_tests::disk_image::{DiskImage, MIB, Packing, Table, pipe};
use nibs_tests::http::{Answer, HttpServer};
use nibs_tests::landed::assert_same;
use nibs_tests::loop_device::run;
use nibs_tests::outcome::Outcome;

use super::bench::{Bench, DISK_MIB, IMAGE};

fn shown(bench: &Bench) -> Vec<(u32, u64, u64)> {
    let system = System::default();
    let name = bench.disk.node().file_name().unwrap().to_str().unwrap().to_owned();
    let disk = system.disk(&name).unwrap();
    system
        .partitions(&disk)
        .into_iter()
        .map(|node| (node.number, node.start_bytes, node.length_bytes))
        .collect()
}

#[test]
fn every_format_lands_on_every_block_size() {
    for logical_block_size in [512, 4096] {
        let image = DiskImage { logical_block_size, ..DiskImage::default() }.make();
        for packing in Packing::ALL {
            let bench = Bench::new(DISK_MIB * MIB, logical_block_size);
            let outcome = bench.stream(packing.pack(&image), Answer::Full);
            let said = outcome.succeeded();
            assert!(said.starts_with("12.0 MiB at ") && said.ends_with(", backup GPT moved"), "{said}");
            bench.assert_landed(&image, logical_block_size);
            assert_eq!(
                shown(&bench),
                [(1, 5 * MIB, 6 * MIB), (14, 3 * MIB, MIB), (15, 4 * MIB, MIB)],
                "{packing:?}"
            );
        }
    }
}

#[test]
fn what_packs_in_many_parts_lands() {
    let image = &**IMAGE;
    let parts =
        |packing: Packing| image.chunks(3_000_000).flat_map(|part| packing.pack(part)).collect::<Vec<u8>>();
    let objects = [
        ("gzip members", parts(Packing::Gzip)),
        ("zstd frames", parts(Packing::Zstd)),
        ("xz streams", parts(Packing::Xz)),
        ("bzip2 streams", parts(Packing::Bzip2)),
        ("pigz", pipe(Command::new("pigz").args(["-p", "2", "-b", "128", "-c"]), image)),
        ("pzstd", pipe(Command::new("pzstd").args(["-p", "2", "-1", "-q", "-c"]), image)),
        ("xz blocks", pipe(Command::new("xz").args(["-0", "-T2", "--block-size=1MiB", "-c"]), image)),
        ("zeros behind gzip", [Packing::Gzip.pack(image), vec![0; 10_000]].concat()),
        ("zstd --long=27", pipe(Command::new("zstd").args(["-1", "--quiet", "--long=27", "-c"]), image)),
    ];
    for (what, object) in objects {
        let bench = Bench::default();
        eprintln!("{what}");
        bench.stream(object, Answer::Full).succeeded();
        bench.assert_landed(image, 512);
    }
}

#[test]
fn a_disk_exactly_as_large_does() {
    let bench = Bench::new(12 * MIB, 512);
    let outcome = bench.stream(Packing::Gzip.pack(&IMAGE), Answer::Full);
    assert!(outcome.succeeded().ends_with(", GPT fits the disk"), "{}", outcome.text);
    assert_same(&bench.disk.content(), &IMAGE);
}

#[test]
fn a_disk_little_larger_has_the_image_s_end_in_its_own() {
    // The image's own last copy lies in what is held back.
    for more in [512, 4096, 20 * 1024, 700 * 1024] {
        let bench = Bench::new(12 * MIB + more, 512);
        bench.stream(Packing::Raw.pack(&IMAGE), Answer::Full).succeeded();
        let said = run(Command::new("sgdisk").arg("--verify").arg(bench.disk.node()));
        assert!(said.contains("No problems found"), "{said}");
        let content = bench.disk.content();
        assert_same(&content[2 * 512..11 * MIB as usize], &IMAGE[2 * 512..11 * MIB as usize]);
        let headers = content.chunks(512).filter(|block| block.starts_with(b"EFI PART")).count();
        assert_eq!(headers, 2, "with {more} bytes more");
    }
}

#[test]
fn entries_may_lie_anywhere_before_the_partitions() {
    // As boards need it whose firmware reads a boot loader where entries usually are.
    for block in [1024, 4096] {
        let image = DiskImage { table: Table::GptWithEntriesAt(block), ..DiskImage::default() }.make();
        let bench = Bench::default();
        bench.stream(Packing::Zstd.pack(&image), Answer::Full).succeeded();
        bench.assert_landed(&image, 512);
    }
}

#[test]
fn an_mbr_lands_as_it_is() {
    let image = DiskImage { table: Table::Mbr, ..DiskImage::default() }.make();
    let bench = Bench::default();
    bench.stream(Packing::Xz.pack(&image), Answer::Full).succeeded();
    assert_same(&bench.disk.content(), &bench.expected(&image));
    assert_eq!(shown(&bench), [(1, 3 * MIB, MIB), (5, 6 * MIB, MIB), (6, 8 * MIB, 3 * MIB)]);
}

#[test]
fn a_filesystem_without_a_table_lands_as_it_is() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(8 * MIB).unwrap();
    run(Command::new("mkfs.ext4").arg("-q").arg(file.path()));
    let image = std::fs::read(file.path()).unwrap();
    let bench = Bench::default();
    let outcome = bench.stream(Packing::Gzip.pack(&image), Answer::Full);
    outcome.succeeded();
    assert!(outcome.text.contains("a filesystem without a partition table (ext2/3/4)"), "{}", outcome.text);
    assert_same(&bench.disk.content(), &bench.expected(&image));
    assert_eq!(shown(&bench), []);
}

#[test]
fn an_image_shorter_than_what_is_held_back_lands() {
    let image = {
        let mut image = IMAGE[..700_001].to_vec();
        image[..512].fill(0);
        image[1080..1082].copy_from_slice(&[0x53, 0xef]);
        image
    };
    let bench = Bench::default();
    bench.stream(image.clone(), Answer::Full).succeeded();
    assert_same(&bench.disk.content()[..700_001], &image);
}

#[test]
fn unknown_content_lands_when_it_is_allowed() {
    let bench = Bench::default();
    let image: Vec<u8> = (0..5_000_001u32).map(|index| (index % 241) as u8).collect();
    let url = bench.server.serve("/image", image.clone(), &[Answer::Full]);
    let outcome = Outcome::of(bench.action(&url).env("ALLOW_UNKNOWN_CONTENT", "true"));
    outcome.succeeded();
    assert!(outcome.text.contains("\"level\":\"warn\""), "{}", outcome.text);
    assert_same(&bench.disk.content()[..5_000_001], &image);
}

#[test]
fn partitions_of_an_older_table_are_gone() {
    let bench = Bench::default();
    bench.disk.show_partitions();
    assert_eq!(shown(&bench).len(), 1);
    bench.stream(Packing::Gzip.pack(&IMAGE), Answer::Full).succeeded();
    assert_eq!(shown(&bench).len(), 3);
    let root = std::fs::read(bench.disk.partition(1)).unwrap();
    assert_same(&root, &IMAGE[5 * MIB as usize..11 * MIB as usize]);
}

#[test]
fn progress_is_said_as_often_as_asked() {
    let bench = Bench::default();
    let url = bench.server.serve_shared("/image", IMAGE.clone(), &[Answer::Slow(8_000_000)]);
    let outcome = Outcome::of(bench.action(&url).env("PROGRESS_INTERVAL_SECONDS", "0.2"));
    outcome.succeeded();
    let lines: Vec<_> = outcome.lines.iter().filter(|line| line["in_bytes"].is_u64()).collect();
    assert!(lines.len() >= 3, "{}", outcome.text);
    let last = lines.last().unwrap();
    for field in ["in_bytes", "out_bytes", "secs_left"] {
        assert!(last[field].is_u64(), "{last}");
    }
    assert!(last["mb_per_sec"].is_f64() && last["percent"].as_f64().unwrap() > 10.0, "{last}");
    let silent = Outcome::of(bench.action(&url).env("PROGRESS_INTERVAL_SECONDS", "0"));
    silent.succeeded();
    assert!(!silent.lines.iter().any(|line| line["in_bytes"].is_u64()), "{}", silent.text);
}

#[test]
fn a_redirect_into_tls_is_followed() {
    let bench = Bench::default();
    let authority = Authority::default();
    let server = HttpServer::tls(authority.server(&["127.0.0.1"]));
    let there = server.serve("/there", Packing::Xz.pack(&IMAGE), &[Answer::Full]);
    let url = bench.server.serve("/first", "", &[Answer::Status(307, vec![("Location", there)])]);
    Outcome::of(bench.action(&url).env("CA_CERT", authority.pem())).succeeded();
    bench.assert_landed(&IMAGE, 512);
}
