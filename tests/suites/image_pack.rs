//! The images that `make images` made, and the packer. No root needed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use images::layout::Index;
use images::rootfs::CERTIFICATES;
use nibs_tests::binaries::{binary, top};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// All six images of one platform, compressed, together.
const MOST_BYTES: u64 = 12_000_000;
const ACTIONS: [&str; 6] =
    ["wipe-disk", "stream-image", "grow-partition", "write-netplan", "write-cloud-init", "kexec-reboot"];

/// Packs this build's binaries.
fn pack(out: &Path) -> Index {
    let folder = binary("wipe-disk").parent().unwrap().to_owned();
    let platform = format!("{}={}", platform(), folder.display());
    images::cli::run(["images", "pack", "--platform", &platform, "--out", out.to_str().unwrap()]).unwrap();
    index(out)
}

fn platform() -> &'static str {
    if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" }
}

fn index(folder: &Path) -> Index {
    serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap()
}

/// Every file below a folder, by its path there.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn blob(layout: &Path, digest: &str) -> Vec<u8> {
    let bytes = fs::read(layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())).unwrap();
    let hex: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(format!("sha256:{hex}"), digest);
    bytes
}

fn json(layout: &Path, descriptor: &Value) -> Value {
    let bytes = blob(layout, descriptor["digest"].as_str().unwrap());
    assert_eq!(bytes.len() as u64, descriptor["size"].as_u64().unwrap());
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn packed_twice_is_the_same_to_the_byte() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, two] = folders.each_ref().map(|folder| pack(folder.path()));
    assert_eq!(one, two);
    let [one, two] = folders.each_ref().map(|folder| files(folder.path()));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    assert!(one == two, "some file differs");
}

#[test]
fn what_make_images_made_is_what_these_binaries_give() {
    let again = tempfile::tempdir().unwrap();
    assert_eq!(pack(again.path()), index(&top().join("target/oci")), "run `make images`");
}

#[test]
fn all_images_together_are_small() {
    let folder = tempfile::tempdir().unwrap();
    let index = pack(folder.path());
    let sizes: Vec<(&str, u64)> = index.images.iter().map(|i| (i.name.as_str(), i.size_bytes)).collect();
    assert_eq!(sizes.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ACTIONS);
    let total: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    assert!(total <= MOST_BYTES, "{total} bytes: {sizes:?}");
    // What the index says is what lies there.
    for image in &index.images {
        let blobs = files(&folder.path().join(&image.layout).join("blobs"));
        assert_eq!(blobs.values().map(|b| b.len() as u64).sum::<u64>(), image.size_bytes, "{}", image.name);
    }
}

#[test]
fn each_layout_holds_one_static_binary_and_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let list = pack(folder.path());
    for entry in &list.images {
        let layout = folder.path().join(&entry.layout);
        let marker: Value = serde_json::from_slice(&fs::read(layout.join("oci-layout")).unwrap()).unwrap();
        assert_eq!(marker["imageLayoutVersion"], "1.0.0");
        let top: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let [tagged] = &top["manifests"].as_array().unwrap()[..] else { panic!("{top}") };
        assert_eq!(tagged["annotations"]["org.opencontainers.image.ref.name"], list.version);
        assert_eq!(tagged["digest"], entry.digest);
        let index = json(&layout, tagged);
        let [descriptor] = &index["manifests"].as_array().unwrap()[..] else { panic!("{index}") };
        let platform = &descriptor["platform"];
        let named =
            format!("{}/{}", platform["os"].as_str().unwrap(), platform["architecture"].as_str().unwrap());
        assert_eq!(entry.platforms, [named]);
        let manifest = json(&layout, descriptor);
        let config = json(&layout, &manifest["config"]);
        let labels = &config["config"]["Labels"];
        for (key, value) in
            [("title", entry.name.as_str()), ("version", &list.version), ("licenses", "Apache-2.0")]
        {
            assert_eq!(labels[format!("org.opencontainers.image.{key}")], value);
        }
        for key in ["source", "description"] {
            assert!(labels[format!("org.opencontainers.image.{key}")].as_str().is_some_and(|v| v.len() > 10));
        }
        assert_eq!(&manifest["annotations"], labels);
        assert_eq!(&index["annotations"], labels);
        check_layer(&layout, &entry.name, &manifest, &config);
    }
}

fn check_layer(layout: &Path, name: &str, manifest: &Value, config: &Value) {
    let [layer] = &manifest["layers"].as_array().unwrap()[..] else { panic!("{manifest}") };
    let packed = blob(layout, layer["digest"].as_str().unwrap());
    let mut archive = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut archive).unwrap();
    let hex: String = Sha256::digest(&archive).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([format!("sha256:{hex}")]));
    let mut seen = BTreeMap::new();
    for entry in tar::Archive::new(&archive[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let path = entry.path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned();
        seen.insert(path, (entry.header().mode().unwrap(), bytes));
    }
    let mut expected = vec!["etc", "run", "tmp", name];
    if name == "stream-image" {
        expected.extend(["etc/ssl", "etc/ssl/certs", CERTIFICATES]);
    }
    expected.sort_unstable();
    assert_eq!(seen.keys().collect::<Vec<_>>(), expected);
    assert_eq!(seen["tmp"].0, 0o1777);
    assert_eq!(seen[name].0, 0o755);
    assert!(
        seen[name].1 == fs::read(binary(name)).unwrap(),
        "{name} in the image is not the binary that was built"
    );
}

#[test]
fn a_template_is_pinned_by_the_index_file() {
    let folder = tempfile::tempdir().unwrap();
    let index = pack(folder.path());
    let names =
        nibs::image_names::ImageNames::pinned("127.0.0.1:5000/nibs", &folder.path().join("index.json"))
            .unwrap();
    for image in &index.images {
        assert_eq!(
            names.of(&image.name).unwrap(),
            format!("127.0.0.1:5000/nibs/{}@{}", image.name, image.digest)
        );
    }
}

#[test]
fn what_cannot_be_packed_is_told_by_its_path() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pack = |platform: &str| {
        let platform = format!("{platform}={}", folder.path().display());
        let arguments = ["images", "pack", "--platform", &platform, "--out", out.path().to_str().unwrap()];
        format!("{:#}", images::cli::run(arguments).unwrap_err())
    };
    let path = folder.path().join("wipe-disk").display().to_string();
    assert!(pack(platform()).starts_with(&format!("reading the binary {path}: ")));
    fs::copy("/bin/true", folder.path().join("wipe-disk")).unwrap();
    assert!(pack(platform()).starts_with(&format!("packing {path}: it is linked dynamically")));
    fs::copy(binary("wipe-disk"), folder.path().join("wipe-disk")).unwrap();
    let other = if platform() == "linux/amd64" { "linux/arm64" } else { "linux/amd64" };
    assert!(pack(other).starts_with(&format!("packing {path}: it is for ")));
    assert!(!out.path().join("index.json").exists());
}
