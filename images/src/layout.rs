//! Writing images to a folder: an OCI layout for each, and one index file over all.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use oci_spec::image::{ImageIndexBuilder, MediaType, OciLayoutBuilder, SCHEMA_VERSION};
use serde::{Deserialize, Serialize};

use crate::image::{Blob, Image, VERSION};

/// The index file, `index.json`: what `nibs template --images` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The version of all images, and the tag that each has in its layout.
    pub version: String,
    /// In the order in which a Workflow runs them.
    pub images: Vec<Indexed>,
}

/// One image in the index file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed {
    /// `wipe-disk`
    pub name: String,
    /// `sha256:…` of the image index, as a registry serves it.
    pub digest: String,
    /// Everything that the digest stands for, as a registry stores it: all platforms, compressed.
    pub size_bytes: u64,
    /// `linux/amd64`
    pub platforms: Vec<String>,
    /// The folder of the OCI layout, beside the index file.
    pub layout: String,
}

impl Index {
    /// The index of these images.
    pub fn of(images: &[Image]) -> Self {
        let images = images.iter().map(|image| Indexed {
            name: image.action.name.to_owned(),
            digest: image.index.digest.to_string(),
            size_bytes: image.size_bytes(),
            platforms: image.platforms.iter().map(ToString::to_string).collect(),
            layout: image.action.name.to_owned(),
        });
        Index { version: VERSION.to_owned(), images: images.collect() }
    }
}

/// Writes the images' layouts and the index file to `folder`. What an earlier run wrote for the same images goes.
///
/// # Errors
/// A folder or a file could not be written; the message has its path.
pub fn write(images: &[Image], folder: &Path) -> Result<Index> {
    for image in images {
        write_layout(image, &folder.join(image.action.name))?;
    }
    let index = Index::of(images);
    let mut text = serde_json::to_string_pretty(&index).context("writing JSON")?;
    text.push('\n');
    write_file(&folder.join("index.json"), text.as_bytes())?;
    Ok(index)
}

/// One image as an OCI layout (image-spec 1.0, image-layout.md), tagged with the version.
fn write_layout(image: &Image, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("making {}", blobs.display()))?;
    for Blob { digest, bytes } in image.blobs.iter().chain([&image.index]) {
        write_file(&blobs.join(digest.digest()), bytes)?;
    }
    let marker = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
    write_file(&folder.join("oci-layout"), marker.to_string()?.as_bytes())?;
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![image.descriptor(VERSION)?])
        .build()?;
    write_file(&folder.join("index.json"), index.to_string()?.as_bytes())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
