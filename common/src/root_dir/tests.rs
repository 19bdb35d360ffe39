use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, Instant};

use super::*;

const PLAIN: Attributes = Attributes::of_root(0o644);

/// A folder with a secret beside the root of an installed system, and that root.
fn system() -> (tempfile::TempDir, RootDir) {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("secret"), "outside").unwrap();
    fs::create_dir_all(outer.path().join("root/etc")).unwrap();
    let root = RootDir::open(&outer.path().join("root")).unwrap();
    (outer, root)
}

/// Attributes that a test may set without being root.
fn own(mode: u32) -> Attributes {
    Attributes { mode, uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() }
}

#[test]
fn no_link_leads_out() {
    let (outer, root) = system();
    let inside = outer.path().join("root");
    let secret = outer.path().join("secret");
    symlink(&secret, inside.join("absolute")).unwrap();
    symlink("../secret", inside.join("above")).unwrap();
    symlink("../../../../../../../../etc", inside.join("far-above")).unwrap();
    symlink(outer.path(), inside.join("folder")).unwrap();
    symlink("/etc", inside.join("own-etc")).unwrap();
    for path in ["absolute", "above", "../secret", "folder/secret", "etc/../../secret", "/../secret"] {
        assert_eq!(root.read(path, 100).unwrap(), None, "{path}");
        assert_eq!(root.kind(path).unwrap(), None, "{path}");
    }
    // They lead to the installed system's own files, as they will when it runs.
    fs::write(inside.join("etc/hostname"), "node").unwrap();
    for path in ["own-etc/hostname", "far-above/hostname", "/etc/hostname", "../etc/hostname"] {
        assert_eq!(root.read(path, 100).unwrap().unwrap(), b"node", "{path}");
    }
}

#[test]
fn nothing_is_written_outside() {
    let (outer, root) = system();
    let inside = outer.path().join("root");
    symlink(outer.path(), inside.join("out")).unwrap();
    symlink(outer.path().join("secret"), inside.join("etc/file")).unwrap();
    symlink("/tmp", inside.join("tmp-link")).unwrap();
    for path in ["out/new", "tmp-link/new"] {
        assert_eq!(root.write_atomic(path, b"x", own(0o600)).unwrap_err().cause, Cause::File, "{path}");
    }
    assert!(root.create_dir_all("out/new", own(0o700)).is_err());
    assert!(root.create_dir_all("etc/../../new", own(0o700)).is_err());
    assert!(!root.remove("out/secret").unwrap());
    assert!(root.rename("etc/file", "out/moved").is_err());
    // The link itself is replaced, what it points to stays.
    root.write_atomic("etc/file", b"inside", own(0o600)).unwrap();
    assert_eq!(fs::read(outer.path().join("secret")).unwrap(), b"outside");
    assert_eq!(fs::read(inside.join("etc/file")).unwrap(), b"inside");
    let mut names: Vec<_> =
        fs::read_dir(outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["root", "secret"]);
}

#[test]
fn a_fifo_does_not_block_and_is_no_file() {
    let (outer, root) = system();
    let fifo = outer.path().join("root/etc/os-release");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("os-release", outer.path().join("root/etc/link")).unwrap();
    let start = Instant::now();
    for path in ["etc/os-release", "etc/link"] {
        let failure = root.read(path, 100).unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!("reading /{path} of the installed system: it is no regular file")
        );
        assert_eq!(root.kind(path).unwrap(), Some(Kind::Special));
    }
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(root.kind_of_link("etc/link").unwrap(), Some(Kind::Link));
}

#[test]
fn reading_is_bounded() {
    let (outer, root) = system();
    let huge = fs::File::create(outer.path().join("root/etc/huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let failure = root.read("etc/huge", 4096).unwrap_err();
    assert!(
        failure.to_string().ends_with("it is longer than 4096 bytes, which none of its kind is"),
        "{failure}"
    );
    fs::write(outer.path().join("root/etc/fits"), [1; 4096]).unwrap();
    assert_eq!(root.read("etc/fits", 4096).unwrap().unwrap().len(), 4096);
    assert!(root.read("etc", 4096).is_err());
}

#[test]
fn a_loop_of_links_is_an_error() {
    let (outer, root) = system();
    symlink("b", outer.path().join("root/a")).unwrap();
    symlink("a", outer.path().join("root/b")).unwrap();
    assert_eq!(root.read("a", 10).unwrap_err().cause, Cause::File);
}

#[test]
fn magic_links_are_not_followed() {
    let proc = RootDir::open(Path::new("/proc")).unwrap();
    assert!(proc.read("self/exe", 1 << 30).is_err());
    assert!(proc.read("self/root/etc/passwd", 1 << 20).is_err());
}

#[test]
fn a_file_is_written_whole_with_its_mode() {
    let (outer, root) = system();
    let inside = outer.path().join("root");
    let leftover = inside.join("etc/.shadow.nibs-new");
    fs::write(&leftover, "of a run that was killed").unwrap();
    // An open handle shows whether the old file was written over.
    fs::write(inside.join("etc/shadow"), "old").unwrap();
    fs::set_permissions(inside.join("etc/shadow"), fs::Permissions::from_mode(0o666)).unwrap();
    let before = fs::metadata(inside.join("etc/shadow")).unwrap().ino();
    root.write_atomic("/etc/shadow", b"new", own(0o600)).unwrap();
    let metadata = fs::metadata(inside.join("etc/shadow")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    assert_ne!(metadata.ino(), before);
    assert_eq!(root.read("etc/shadow", 10).unwrap().unwrap(), b"new");
    assert_eq!(root.list("etc").unwrap(), ["shadow"]);
    // The umask has no say.
    root.write_atomic("etc/open", b"", own(0o666)).unwrap();
    assert_eq!(fs::metadata(inside.join("etc/open")).unwrap().permissions().mode() & 0o7777, 0o666);
}

#[test]
fn a_failed_write_leaves_the_old_and_no_leftover() {
    let (outer, root) = system();
    fs::create_dir_all(outer.path().join("root/etc/name/full")).unwrap();
    let failure = root.write_atomic("etc/name", b"x", own(0o600)).unwrap_err();
    assert!(failure.to_string().starts_with("writing /etc/name of the installed system: "), "{failure}");
    assert_eq!(root.list("etc").unwrap(), ["name"]);
    assert!(root.write_atomic("missing/name", b"x", own(0o600)).is_err());
    for path in ["", "/", "etc/.."] {
        assert!(root.write_atomic(path, b"x", own(0o600)).is_err(), "{path:?}");
    }
}

#[test]
fn folders_are_made_with_their_mode_and_old_ones_stay() {
    let (outer, root) = system();
    let inside = outer.path().join("root");
    let mode = |path: &str| fs::metadata(inside.join(path)).unwrap().permissions().mode() & 0o7777;
    fs::create_dir(inside.join("var")).unwrap();
    fs::set_permissions(inside.join("var"), fs::Permissions::from_mode(0o751)).unwrap();
    root.create_dir_all("/var/lib/cloud", own(0o700)).unwrap();
    assert_eq!((mode("var"), mode("var/lib"), mode("var/lib/cloud")), (0o751, 0o700, 0o700));
    root.create_dir_all("/var/lib/cloud", own(0o755)).unwrap();
    assert_eq!(mode("var/lib/cloud"), 0o700);
    root.set_attributes("var/lib/cloud", own(0o755)).unwrap();
    assert_eq!(mode("var/lib/cloud"), 0o755);
    // Through a link of the image, as /var/run is one.
    symlink("/var/lib", inside.join("link")).unwrap();
    root.create_dir_all("link/new", own(0o755)).unwrap();
    assert!(inside.join("var/lib/new").is_dir());
    // A link to nowhere and a file are in the way.
    symlink("/nowhere", inside.join("dangling")).unwrap();
    fs::write(inside.join("file"), "").unwrap();
    for path in ["dangling/new", "file/new"] {
        assert_eq!(root.create_dir_all(path, own(0o755)).unwrap_err().cause, Cause::File, "{path}");
    }
}

#[test]
fn what_is_not_there_is_nothing() {
    let (_outer, root) = system();
    assert_eq!(root.read("etc/os-release", 10).unwrap(), None);
    assert_eq!(root.list("etc/netplan").unwrap(), [""; 0]);
    assert!(!root.exists("etc/os-release/below").unwrap());
    assert!(!root.remove("etc/os-release").unwrap());
    assert!(root.exists("etc").unwrap() && root.exists("/").unwrap() && root.exists("").unwrap());
    assert!(root.rename("etc/a", "etc/b").is_err());
    assert_eq!(PLAIN, Attributes { mode: 0o644, uid: 0, gid: 0 });
}

#[test]
fn a_subfolder_is_a_root_of_its_own() {
    let (outer, root) = system();
    fs::create_dir_all(outer.path().join("root/@/etc")).unwrap();
    fs::write(outer.path().join("root/top"), "").unwrap();
    let sub = root.subfolder("@").unwrap();
    assert!(sub.exists("etc").unwrap());
    assert!(!sub.exists("../top").unwrap());
}
