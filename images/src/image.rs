//! One image: its configuration, a manifest for each platform, and the index over them.

use std::collections::HashMap;

use anyhow::{Context, Result};
use common::variables::ActionSpec;
use oci_spec::image::{
    ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_SOURCE, ANNOTATION_TITLE, ANNOTATION_VERSION,
    ConfigBuilder, Descriptor, DescriptorBuilder, Digest, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::platform::Platform;
use crate::{layer, rootfs};

/// The version of all images, and their tag.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The label `org.opencontainers.image.licenses`, an SPDX expression.
pub const LICENSE: &str = env!("CARGO_PKG_LICENSE");
/// The label `org.opencontainers.image.source`, when nothing else was asked for.
pub const SOURCE: &str = env!("CARGO_PKG_REPOSITORY");

/// A blob of the layout: what descriptors point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// `sha256:…` of the bytes.
    pub digest: Digest,
    /// As they are stored and served.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// A blob of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Blob { digest: sha256(&bytes), bytes }
    }

    /// A blob of this value as JSON, its keys sorted: the types of oci-spec keep labels in a hash map, whose order
    /// is another one at every run.
    fn json(value: &impl Serialize) -> Result<Self> {
        let mut value = serde_json::to_value(value).context("writing JSON")?;
        value.sort_all_objects();
        Ok(Blob::new(value.to_string().into_bytes()))
    }

    /// What points to it.
    fn descriptor(&self, media_type: MediaType) -> Descriptor {
        Descriptor::new(media_type, self.bytes.len() as u64, self.digest.clone())
    }
}

/// An image as a registry serves it.
#[derive(Debug, Clone)]
pub struct Image {
    /// Whose image it is.
    pub action: &'static ActionSpec,
    /// What it runs on, sorted.
    pub platforms: Vec<Platform>,
    /// The image index: its digest is the one to pin.
    pub index: Blob,
    /// Everything that the index refers to, directly and not.
    pub blobs: Vec<Blob>,
}

impl Image {
    /// Bytes of everything that the index refers to, and of itself: what a registry stores.
    pub fn size_bytes(&self) -> u64 {
        self.blobs.iter().chain([&self.index]).map(|b| b.bytes.len() as u64).sum()
    }

    /// What points to the index in a layout's `index.json`, tagged with `tag`.
    ///
    /// # Errors
    /// The descriptor lacks a field, which it does not.
    pub fn descriptor(&self, tag: &str) -> Result<Descriptor> {
        let mut descriptor = self.index.descriptor(MediaType::ImageIndex);
        let name = oci_spec::image::ANNOTATION_REF_NAME.to_owned();
        descriptor.set_annotations(Some(HashMap::from([(name, tag.to_owned())])));
        Ok(descriptor)
    }
}

/// Makes the image of `action` from its binary for each platform. `source` is the label of that name.
///
/// # Errors
/// A binary that cannot be packed.
pub fn build(action: &'static ActionSpec, binaries: &[(Platform, Vec<u8>)], source: &str) -> Result<Image> {
    let labels = labels(action, source);
    let mut blobs: Vec<Blob> = Vec::new();
    let mut manifests = Vec::new();
    let mut sorted: Vec<_> = binaries.iter().collect();
    sorted.sort_by_key(|(platform, _)| *platform);
    for (platform, binary) in &sorted {
        let archive = layer::archive(&rootfs::entries(action, binary))?;
        let layer = Blob::new(layer::gzip(&archive)?);
        let config = ImageConfigurationBuilder::default()
            .architecture(platform.arch())
            .os(Os::Linux)
            .config(
                ConfigBuilder::default()
                    .entrypoint(vec![format!("/{}", action.name)])
                    .working_dir("/")
                    .labels(labels.clone())
                    .build()?,
            )
            .rootfs(
                RootFsBuilder::default()
                    .typ("layers")
                    .diff_ids(vec![sha256(&archive).to_string()])
                    .build()?,
            )
            .build()?;
        let config = Blob::json(&config)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config.descriptor(MediaType::ImageConfig))
            .layers(vec![layer.descriptor(MediaType::ImageLayerGzip)])
            .annotations(labels.clone())
            .build()?;
        let manifest = Blob::json(&manifest)?;
        manifests.push(
            DescriptorBuilder::default()
                .media_type(MediaType::ImageManifest)
                .size(manifest.bytes.len() as u64)
                .digest(manifest.digest.clone())
                .platform(PlatformBuilder::default().architecture(platform.arch()).os(Os::Linux).build()?)
                .build()?,
        );
        blobs.extend([layer, config, manifest]);
    }
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .annotations(labels)
        .build()?;
    let platforms = sorted.iter().map(|(platform, _)| *platform).collect();
    Ok(Image { action, platforms, index: Blob::json(&index)?, blobs })
}

/// The same for configuration (labels), manifest and index (annotations).
fn labels(action: &ActionSpec, source: &str) -> HashMap<String, String> {
    [
        (ANNOTATION_TITLE, action.name),
        (ANNOTATION_DESCRIPTION, action.about),
        (ANNOTATION_VERSION, VERSION),
        (ANNOTATION_LICENSES, LICENSE),
        (ANNOTATION_SOURCE, source),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

fn sha256(bytes: &[u8]) -> Digest {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}").parse().expect("64 hexadecimal digits are a digest")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::by_name;

    fn image() -> Image {
        let binaries = [(Platform::Arm64, b"arm".to_vec()), (Platform::Amd64, b"amd".to_vec())];
        build(by_name("stream-image").unwrap(), &binaries, "https://example.invalid").unwrap()
    }

    fn json(image: &Image, digest: &str) -> serde_json::Value {
        let blob = image.blobs.iter().find(|b| b.digest.to_string() == digest).unwrap();
        serde_json::from_slice(&blob.bytes).unwrap()
    }

    #[test]
    fn one_index_over_both_platforms() {
        let image = image();
        let index: serde_json::Value = serde_json::from_slice(&image.index.bytes).unwrap();
        let architectures: Vec<_> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["platform"]["architecture"].clone())
            .collect();
        assert_eq!(architectures, ["amd64", "arm64"]);
        for manifest in index["manifests"].as_array().unwrap() {
            let architecture = &manifest["platform"]["architecture"];
            let manifest = json(&image, manifest["digest"].as_str().unwrap());
            let config = json(&image, manifest["config"]["digest"].as_str().unwrap());
            assert_eq!(&config["architecture"], architecture);
            assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/stream-image"]));
            assert_eq!(config["config"]["Labels"], manifest["annotations"]);
            assert_eq!(config["config"]["Labels"], index["annotations"]);
            assert_eq!(config["config"]["Labels"][ANNOTATION_LICENSES], "Apache-2.0");
            assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        }
    }

    #[test]
    fn again_is_the_same() {
        let (one, two) = (image(), image());
        assert_eq!(one.index, two.index);
        assert_eq!(one.blobs, two.blobs);
    }
}
