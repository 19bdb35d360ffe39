//! Running a grub.cfg ends, takes little memory, and what it starts are files that are there and one line of options.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use common::boot::{BootFile, Entry, Firmware, Volume, Volumes, Wanted, of_grub_cfg};
use common::root_dir::{Kind, RootDir};
use libfuzzer_sys::fuzz_target;
use nibs_fuzz::measured;

/// A system with entries of the Boot Loader Specification, an environment block and two kernels.
fn system() -> &'static Volumes {
    static SYSTEM: OnceLock<Volumes> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boot/good/fedora-40");
        let volume = |name: &str, mount_point: &str, number| Volume {
            partition: Some(number),
            uuid: Some(number.to_string()),
            label: Some(name.to_owned()),
            ..Volume::new(RootDir::open(&case.join(name)).expect("the case is there"), mount_point)
        };
        let mut volumes =
            Volumes::new(Volume { subvolume: "root".into(), at: "@".into(), ..volume("root", "/", 3) });
        volumes.add(volume("boot", "/boot", 2));
        volumes.add(volume("esp", "/boot/efi", 1));
        volumes
    })
}

fn check(volumes: &Volumes, entry: &Entry) {
    for file in entry.initrds.iter().chain([&entry.kernel]) {
        assert!(file.path.starts_with('/') && !file.path.contains("/../"), "{file:?}");
        assert_eq!(
            volumes.get(file.volume).dir.kind(&file.path).ok().flatten(),
            Some(Kind::File),
            "{file:?}"
        );
    }
    let plain = |text: &str| !text.chars().any(char::is_control);
    assert!(plain(&entry.options) && plain(&entry.title) && plain(&entry.describe(volumes)), "{entry:?}");
    assert!(entry.skipped.len() <= 65 && entry.skipped.iter().all(|note| plain(note)), "{:?}", entry.skipped);
}

fuzz_target!(|input: &[u8]| {
    let volumes = system();
    let firmware = if input.len() % 2 == 0 { Firmware::Uefi } else { Firmware::Bios };
    let wanted = Wanted::default_on(firmware);
    let boot = volumes.mounted_at("/boot").expect("it is one of these");
    let file = BootFile { volume: boot, path: "/grub2/grub.cfg".to_owned() };
    let (result, bytes) = measured(|| of_grub_cfg(volumes, &wanted, &file, input));
    // Values of variables, the words of one command, a menu, and files that are read: each has its bound.
    assert!(bytes <= (48 << 20) + 600 * input.len(), "{bytes} bytes of memory for {}", input.len());
    match result {
        Ok(Some(entry)) => check(volumes, &entry),
        Ok(None) => {}
        Err(failure) => {
            let said = failure.to_string();
            assert!(said.len() <= 4096 && !said.contains('\n'), "{said}");
        }
    }
});
