//! Where an image has data, and where zeros, as `stream-image` tells them apart.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

/// Zeros are told from data in blocks of this size; and a piece that is written ends where a buffer would.
const BLOCK_BYTES: usize = 64 << 10;
const BUFFER_BYTES: usize = 1 << 20;

/// A piece of the image that is not zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins.
    pub offset_bytes: u64,
    /// At most a buffer.
    pub length: usize,
}

/// Finds all data of an image.
///
/// # Errors
/// When it cannot be read.
pub fn find(image: &Path) -> Result<Vec<Extent>> {
    let mut file = File::open(image).with_context(|| format!("opening {}", image.display()))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut extents = Vec::new();
    let mut offset_bytes = 0;
    loop {
        let length = read_full(&mut file, &mut buffer)?;
        if length == 0 {
            return Ok(extents);
        }
        extents.extend(in_buffer(&buffer[..length], offset_bytes));
        offset_bytes += length as u64;
    }
}

fn in_buffer(buffer: &[u8], offset_bytes: u64) -> Vec<Extent> {
    let zeros = [0; BLOCK_BYTES];
    let mut extents: Vec<Extent> = Vec::new();
    for (index, block) in buffer.chunks(BLOCK_BYTES).enumerate() {
        if *block == zeros[..block.len()] {
            continue;
        }
        let start_bytes = offset_bytes + (index * BLOCK_BYTES) as u64;
        match extents.last_mut() {
            Some(last) if last.offset_bytes + last.length as u64 == start_bytes => last.length += block.len(),
            _ => extents.push(Extent { offset_bytes: start_bytes, length: block.len() }),
        }
    }
    extents
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// Keeps them in a file, so that who writes them spends no time on looking for them.
///
/// # Errors
/// When it cannot be written.
pub fn save(extents: &[Extent], path: &Path) -> Result<()> {
    let lines = extents.iter().map(|extent| format!("{} {}\n", extent.offset_bytes, extent.length));
    fs::write(path, lines.collect::<String>()).with_context(|| format!("writing {}", path.display()))
}

/// Those of such a file.
///
/// # Errors
/// When it cannot be read.
pub fn load(path: &Path) -> Result<Vec<Extent>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let extents = text.lines().map(|line| {
        let (offset, length) = line.split_once(' ').context("two numbers a line")?;
        Ok(Extent { offset_bytes: offset.parse()?, length: length.parse()? })
    });
    extents.collect::<Result<_>>().with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_found_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (image, kept) = (folder.path().join("image"), folder.path().join("extents"));
        let mut bytes = vec![0; BUFFER_BYTES + 2 * BLOCK_BYTES + 512];
        bytes[BLOCK_BYTES] = 1;
        bytes[BUFFER_BYTES - 1] = 1;
        bytes[BUFFER_BYTES] = 1;
        bytes[BUFFER_BYTES + 2 * BLOCK_BYTES] = 1;
        fs::write(&image, &bytes).unwrap();
        let found = find(&image).unwrap();
        let all = |list: &[Extent]| {
            list.iter().map(|extent| (extent.offset_bytes, extent.length)).collect::<Vec<_>>()
        };
        let buffer = BUFFER_BYTES as u64;
        let block = BLOCK_BYTES as u64;
        assert_eq!(
            all(&found),
            [
                (block, BLOCK_BYTES),
                (buffer - block, BLOCK_BYTES),
                (buffer, BLOCK_BYTES),
                (buffer + 2 * block, 512)
            ]
        );
        save(&found, &kept).unwrap();
        assert_eq!(load(&kept).unwrap(), found);
    }
}
