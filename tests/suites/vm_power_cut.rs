//! A power cut in the middle of a stream, and at every other moment of one.
//!
//! QEMU keeps a log of the disk's writes and flushes. What was not flushed may be lost in a power cut, or any part of it:
//! so the log gives what a cut at any moment could have left, and not only what this one did.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nibs_tests::binaries;
use nibs_tests::disk_image::{DiskImage, MIB};
use nibs_tests::http::{Answer, HttpServer};
use nibs_tests::landed::older_system;
use nibs_tests::soak::state::{State, state};
use nibs_tests::vm::{Disk, Entry, Guest, Nic, Vm, WriteLog};

const SIZE_MIB: u64 = 16;

/// What is on the disks after a cut at a moment is worked out so many times, each with other writes lost.
const LOSSES: u64 = 8;

struct Cutting {
    folder: tempfile::TempDir,
    server: HttpServer,
}

impl Cutting {
    /// Boots a guest with both disks, whose writes are logged, and the action.
    fn boot(&self) -> Guest {
        let path = |name: &str| self.folder.path().join(name);
        let vm = ["WHOLE", "CUT"].into_iter().fold(Vm::new("power-cut"), |vm, serial| {
            let log = path(&format!("{serial}.log"));
            File::create(&log).expect("a log");
            vm.disk(Disk::raw(path(serial)).serial(serial).log_writes(log))
        });
        let guest = Guest::boot(vm.nic(Nic::new("52:54:00:00:00:01"))).expect("a booted guest");
        guest.put(binaries::binary("stream-image"), "/usr/local/bin/stream-image").expect("the action");
        let network = "ip link set eth0 up; ip addr show dev eth0 | grep -q 10.0.2.15/ || ip addr add 10.0.2.15/24 dev eth0";
        guest.run(network).and_then(|output| output.succeeded()).expect("a network");
        guest
    }

    /// The command that streams to a disk.
    fn command(&self, serial: &str, path: &str) -> String {
        let port = self.server.port();
        format!(
            "IMG_URL=http://10.0.2.2:{port}{path} DEST_DISK=serial:{serial} RETRY_ENABLED=false stream-image"
        )
    }

    fn stream(&self, guest: &Guest, serial: &str) {
        let output = guest.run_within(&self.command(serial, "/image"), Duration::from_secs(180));
        output.and_then(|output| output.succeeded()).expect("a success");
    }

    fn log(&self, serial: &str) -> WriteLog {
        WriteLog::read(self.folder.path().join(format!("{serial}.log"))).expect("a log of writes")
    }
}

/// What a cut after each of these entries leaves, counted; it must be something that it may be.
fn cuts(
    log: &WriteLog,
    after: impl Iterator<Item = usize>,
    before: &[u8],
    right: &[u8],
) -> BTreeMap<State, u32> {
    let mut rng = fastrand::Rng::with_seed(20_261_123);
    let mut seen = BTreeMap::new();
    for count in after {
        for loss in 0..LOSSES {
            // All is lost, or nothing, or some of it.
            let share = loss as f64 / (LOSSES - 1) as f64;
            let content = log.cut(before, count, || rng.f64() < share);
            match state(&content, before, right) {
                Ok(state) => *seen.entry(state).or_default() += 1,
                Err(wrong) => panic!("a power cut after request {count} of {}: {wrong}", log.entries.len()),
            }
        }
    }
    seen
}

#[test]
fn vm_a_power_cut_at_any_moment_leaves_no_half_of_a_system() {
    let image = Arc::new(DiskImage { size_mib: SIZE_MIB, ..DiskImage::default() }.make());
    let cutting = Cutting { folder: tempfile::tempdir().expect("a folder"), server: HttpServer::plain() };
    cutting.server.serve_shared("/image", image.clone(), &[Answer::Full]);
    cutting.server.serve_shared("/half", image.clone(), &[Answer::Stalled(image.len() / 2)]);
    let file = |serial: &str| cutting.folder.path().join(serial);
    File::create(file("CUT")).expect("a disk's file");
    older_system(&file("CUT"), SIZE_MIB * MIB);
    fs::copy(file("CUT"), file("WHOLE")).expect("a copy of it");
    let read = |path: &Path| fs::read(path).expect("a disk's file");
    let before = read(&file("CUT"));

    let guest = cutting.boot();
    cutting.stream(&guest, "WHOLE");
    assert!(read(&file("WHOLE")) == *image, "an undisturbed run put something else on the disk");

    let half = format!("({}) >/tmp/half.log 2>&1 &", cutting.command("CUT", "/half"));
    guest.run(&half).expect("a start");
    let log = file("CUT.log");
    let wanted = (SIZE_MIB / 2 - 2) * MIB;
    let there = || fs::metadata(&log).is_ok_and(|log| log.len() > wanted);
    guest.machine().wait_until("half of the image on the disk", Duration::from_secs(120), there).expect("it");
    // Dropped, a machine is killed: nothing in it hears of that.
    drop(guest);

    // This cut: the ends were zeroed and flushed, and of all that came after them any part may be there.
    let log = cutting.log("CUT");
    let seen = cuts(&log, std::iter::once(log.entries.len()), &before, &image);
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&State::NotBootable]);
    let mut rng = fastrand::Rng::with_seed(1);
    fs::write(file("CUT"), log.cut(&before, log.entries.len(), || rng.bool())).expect("a disk's file");

    // Every cut of the whole run, also while its ends were written.
    let log = cutting.log("WHOLE");
    let flushes = log.entries.iter().filter(|entry| **entry == Entry::Flush).count();
    let seen = cuts(&log, 0..=log.entries.len(), &before, &image);
    println!("{} requests, {flushes} flushes, what a power cut leaves: {seen:?}", log.entries.len());
    assert_eq!(seen.keys().collect::<Vec<_>>(), State::ALL.iter().collect::<Vec<_>>());

    let guest = cutting.boot();
    cutting.stream(&guest, "CUT");
    assert!(read(&file("CUT")) == *image, "the run after the power cut put something else on the disk");
}
