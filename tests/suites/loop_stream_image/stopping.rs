//! Signals: a stop that is asked for, and one that is not.

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use nibs_tests::disk_image::Packing;
use nibs_tests::http::Answer;
use nibs_tests::loop_device::run;
use nibs_tests::outcome::Outcome;
use nibs_tests::signal::{self, Signal};

use super::bench::{Bench, IMAGE};

/// Starts the action on an object that comes slowly.
fn start(bench: &Bench, bytes_per_sec: usize) -> Child {
    let url = bench.server.serve_shared("/slow", IMAGE.clone(), &[Answer::Slow(bytes_per_sec)]);
    bench.action(&url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

#[test]
fn sigterm_ends_it_within_seconds() {
    for (before, untouched) in [(Duration::from_millis(300), true), (Duration::from_millis(3000), false)] {
        let bench = Bench::default();
        let child = start(&bench, 1_000_000);
        std::thread::sleep(before);
        let asked = Instant::now();
        signal::send(child.id(), Signal::TERM).unwrap();
        let outcome = Outcome::read(&end(child));
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        let message = outcome.failed("stopped");
        if untouched {
            assert!(message.contains("nothing was written to"), "{message}");
            bench.assert_untouched();
        } else {
            assert!(message.contains("was left not bootable"), "{message}");
            bench.assert_not_bootable();
        }
    }
}

#[test]
fn sigterm_ends_a_wait_for_another_try_and_for_an_answer() {
    let bench = Bench::default();
    for answer in [Answer::Status(503, vec![("Retry-After", "60".into())]), Answer::Stalled(0)] {
        let url = bench.server.serve("/image", IMAGE.to_vec(), &[answer]);
        let mut action = bench.action(&url);
        action.env("RETRY_ENABLED", "true").env("IMG_DIGEST", &url).stdout(Stdio::piped());
        let child = action.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        signal::send(child.id(), Signal::TERM).unwrap();
        let outcome = Outcome::read(&end(child));
        outcome.failed("stopped");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
    bench.assert_untouched();
}

#[test]
fn sigkill_at_any_moment_and_then_again() {
    let bench = Bench::default();
    for millis in [0, 30, 300, 900, 1300, 1700, 2100, 2300] {
        let child = start(&bench, 6_000_000);
        std::thread::sleep(Duration::from_millis(millis));
        signal::send(child.id(), Signal::KILL).unwrap();
        end(child);
        bench.stream(Packing::Zstd.pack(&IMAGE), Answer::Full).succeeded();
        let table = run(std::process::Command::new("sgdisk").arg("--verify").arg(bench.disk.node()));
        assert!(table.contains("No problems found"), "after {millis} ms: {table}");
        bench.assert_landed(&IMAGE, 512);
    }
}
