//! Values of `default`, and what GRUB 2.06 itself (grub-emu of Debian 12) started of this menu.

use std::fs;

use super::super::*;
use crate::root_dir::RootDir;

#[test]
fn a_default_is_the_entry_that_grub_takes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("linux"), "x").unwrap();
    let volumes = Volumes::new(Volume::new(RootDir::open(folder.path()).unwrap(), "/"));
    let file = BootFile { volume: volumes.root(), path: "/grub.cfg".into() };
    for (default, chosen) in [
        ("", "first"),
        ("sub>a>>b", "a>b"),
        ("More>a>>b", "a>b"),
        ("first", "first"),
        ("010", "n8"),
        ("08", "n8"),
        ("1>1", "a>b"),
        ("1", "c"),
        ("2>x", "second"),
        ("99", "first"),
        ("1>7", "c"),
        ("0x1", "c"),
        ("More", "c"),
        ("1>", "c"),
        ("sub>", "c"),
        ("3", "n3"),
        ("a>>b", "first"),
        ("second thing", "second"),
        ("5 x", "n5"),
        ("2x", "second"),
    ] {
        let menu = format!(
            "set default=\"{default}\"
            menuentry first {{ linux /linux first }}
            submenu More --id=sub {{
              menuentry c {{ linux /linux c }}
              menuentry 'a>b' {{ linux /linux 'a>b' }}
            }}
            menuentry 'second thing' --id third {{ linux /linux second }}
            for n in n3 n4 n5 n6 n7 n8 n9; do menuentry $n {{ linux /linux $1 }}; done"
        );
        let entry =
            of_grub_cfg(&volumes, &Wanted::default_on(Firmware::Bios), &file, menu.as_bytes()).unwrap();
        assert_eq!(entry.map(|entry| entry.options).as_deref(), Some(chosen), "{default:?}");
    }
}
