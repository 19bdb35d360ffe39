//! Files that are made to keep a reader busy.

use std::fs;
use std::time::{Duration, Instant};

use super::super::*;
use crate::root_dir::RootDir;

/// What a grub.cfg of this content comes to beside a kernel, which must not take long.
fn run(text: &[u8]) -> Result<Entry, Failure> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("boot/grub")).unwrap();
    fs::write(folder.path().join("boot/grub/grub.cfg"), text).unwrap();
    for file in ["boot/vmlinuz-6.1", "boot/initrd.img-6.1"] {
        fs::write(folder.path().join(file), "x").unwrap();
    }
    let root =
        Volume { uuid: Some("1234".into()), ..Volume::new(RootDir::open(folder.path()).unwrap(), "/") };
    let volumes = Volumes::new(root);
    let began = Instant::now();
    let result = default_entry(&volumes, &Wanted::default_on(Firmware::Bios));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    result
}

/// It ends in a failure that says so.
fn too_much(text: &str) {
    let failure = run(text.as_bytes()).unwrap_err();
    assert_eq!(failure.cause, Cause::BootEntry, "{failure}");
    assert!(failure.to_string().ends_with("takes more work than any that starts a system"), "{failure}");
}

/// It is passed over, and the newest kernel is taken.
fn passed_over(text: &[u8], note: &str) {
    let entry = run(text).unwrap();
    assert_eq!((entry.way, entry.options.as_str()), (Way::Newest, "root=UUID=1234 ro"));
    assert!(entry.skipped.iter().any(|skipped| skipped.contains(note)), "{:?}", entry.skipped);
}

#[test]
fn a_file_of_ten_megabytes_is_passed_over() {
    passed_over(&b"menuentry a { linux /boot/vmlinuz-6.1 }\n".repeat(250_000), "longer than 1048576 bytes");
    passed_over(&vec![0; 10 << 20], "longer than 1048576 bytes");
}

#[test]
fn a_megabyte_of_anything_ends() {
    passed_over(&b"{".repeat(1 << 20), "belongs to nothing");
    passed_over(&b"'".repeat((1 << 20) - 1), "does not end");
    passed_over(&vec![0xff; 1 << 20], "a word of more than 65536 bytes");
    passed_over(&b"if [ ".repeat(200_000), "too many words");
    passed_over(&b"a $".repeat(300_000), "too many words");
    passed_over(&b"\\\n ".repeat(300_000), "leads to no menu entry");
    passed_over(&b"#".repeat(1 << 20), "leads to no menu entry");
    passed_over(&b"function a {\n".repeat(70_000), "nested too deeply");
}

#[test]
fn loops_end() {
    too_much("while true; do true; done");
    too_much("until false; do set a=b; done");
    too_much("function f { f; }\nf");
    too_much("function f { g; }\nfunction g { f; }\ng");
    too_much("source /boot/grub/grub.cfg");
    too_much("configfile /boot/grub/grub.cfg");
    too_much("eval 'eval $0; while true; do echo; done'");
    too_much("while true; do configfile /boot/nothing; done");
    too_much("while true; do [ -f /boot/grub/grub.cfg ]; done");
    too_much("while true; do search --file /x; done");
    too_much("while true; do menuentry a { b; }; done");
    too_much("while true; do blscfg; done");
    too_much("set a='eval $a'; $a");
}

#[test]
fn variables_that_grow_end() {
    let doubling = "set a=aaaaaaaaaaaaaaaa\nwhile true; do set a=\"$a$a\"; done\n";
    too_much(doubling);
    let doubling = format!("set a=aaaaaaaaaaaaaaaa\n{}", "set a=\"$a$a\"\n".repeat(60));
    passed_over(doubling.as_bytes(), "a word of more than 65536 bytes");
    let mut bomb = String::from("set v0=xxxxxxxxxxxxxxxx\n");
    for n in 0..30 {
        let reference = format!("$v{n}").repeat(10);
        bomb += &format!("set v{}=\"{reference}\"\n", n + 1);
    }
    assert!(
        run(bomb.as_bytes()).is_ok_and(|entry| entry.way == Way::Newest) || run(bomb.as_bytes()).is_err()
    );
    too_much("set a=x\nwhile true; do set a=$a.x; set b$a=1; done");
    too_much("function f { f $@ $@ $@ $@; }\nf a b c d e");
}

#[test]
fn a_configuration_that_is_no_file_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("boot/grub")).unwrap();
    fs::write(folder.path().join("boot/vmlinuz-6.1"), "x").unwrap();
    nix::unistd::mkfifo(&folder.path().join("boot/grub/grub.cfg"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let root = Volume {
        partition_uuid: Some("12-01".into()),
        ..Volume::new(RootDir::open(folder.path()).unwrap(), "/")
    };
    let entry = default_entry(&Volumes::new(root), &Wanted::default_on(Firmware::Uefi)).unwrap();
    assert_eq!((entry.way, entry.options.as_str()), (Way::Newest, "root=PARTUUID=12-01 ro"));
    assert!(entry.skipped[0].contains("no regular file"), "{:?}", entry.skipped);
}
