//! A FAT filesystem that is only read, and that anybody may have written. The crate `fatfs` follows whatever chain a
//! filesystem has, also one that leads back into itself, and computes with 32 bits: so the boot sector is looked at before
//! the crate sees it, and what it reads is counted.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom, Write};

use fatfs::{Dir, DirEntry, FileSystem, FsOptions};

use super::EspError;
use crate::table::ReadAt;

/// As often as this something is read at most, for one [`Esp`]. A folder of 10,000 files takes 150,000 reads.
const MOST_READS: u32 = 1 << 18;

/// So many entries of a folder are given at most.
const MOST_ITEMS: usize = 4096;

/// What is read at once from the disk.
const PAGE_BYTES: usize = 4096;

/// The FAT filesystem of an EFI system partition. Paths have `\` or `/` between their parts, and do not tell capital letters
/// from small ones.
pub struct Esp<'a> {
    files: FileSystem<Window<'a>>,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name as it is written there.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The length of a file in bytes.
    pub length_bytes: u64,
}

impl<'a> Esp<'a> {
    /// The filesystem in this range of a disk.
    ///
    /// # Errors
    /// [`EspError::NoFat`] where there is none, [`EspError::Io`] where the disk cannot be read.
    pub fn open(disk: &'a dyn ReadAt, start_bytes: u64, length_bytes: u64) -> Result<Self, EspError> {
        let mut sector = [0; 512];
        if length_bytes < sector.len() as u64 {
            return Err(EspError::NoFat("the partition is smaller than a boot sector"));
        }
        disk.read_exact_at(&mut sector, start_bytes)?;
        check(&sector, length_bytes).map_err(EspError::NoFat)?;
        let window = Window::new(disk, start_bytes, length_bytes);
        Ok(Self { files: FileSystem::new(window, FsOptions::new())? })
    }

    /// What is in a folder, at most 4,096 entries, without `.` and `..` and what cannot be a name; `\` is the root. `None`
    /// where there is no such folder.
    ///
    /// # Errors
    /// [`EspError::Io`]
    pub fn list(&self, folder: &str) -> Result<Option<Vec<Item>>, EspError> {
        let Some(folder) = self.folder(folder)? else { return Ok(None) };
        let mut items = Vec::new();
        for entry in folder.iter().take(MOST_ITEMS) {
            let entry = entry?;
            let name = entry.file_name();
            if is_name(&name) {
                items.push(Item { name, is_folder: entry.is_dir(), length_bytes: entry.len() });
            }
        }
        Ok(Some(items))
    }

    /// The first bytes of a file, `limit_bytes` at most. `None` where there is no such file.
    ///
    /// # Errors
    /// [`EspError::Io`]
    pub fn read(&self, path: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, EspError> {
        let Some((folder, name)) = split(path) else { return Ok(None) };
        let Some(folder) = self.folder(folder)? else { return Ok(None) };
        let Some(entry) = find(&folder, name)?.filter(DirEntry::is_file) else { return Ok(None) };
        let mut content = Vec::new();
        entry.to_file().take(limit_bytes).read_to_end(&mut content)?;
        if (content.len() as u64) < entry.len().min(limit_bytes) {
            let text = format!("{path} ends after {} of {} bytes", content.len(), entry.len());
            return Err(io::Error::other(text).into());
        }
        Ok(Some(content))
    }

    /// Whether there is such a file.
    ///
    /// # Errors
    /// [`EspError::Io`]
    pub fn has_file(&self, path: &str) -> Result<bool, EspError> {
        let Some((folder, name)) = split(path) else { return Ok(false) };
        let Some(folder) = self.folder(folder)? else { return Ok(false) };
        Ok(find(&folder, name)?.is_some_and(|entry| entry.is_file()))
    }

    fn folder(&self, path: &str) -> Result<Option<Dir<'_, Window<'a>>>, EspError> {
        let mut folder = self.files.root_dir();
        for part in parts(path) {
            match find(&folder, part)?.filter(DirEntry::is_dir) {
                Some(entry) => folder = entry.to_dir(),
                None => return Ok(None),
            }
        }
        Ok(Some(folder))
    }
}

fn find<'b, 'a: 'b>(
    folder: &Dir<'b, Window<'a>>,
    name: &str,
) -> io::Result<Option<DirEntry<'b, Window<'a>>>> {
    for entry in folder.iter() {
        let entry = entry?;
        let is_named = |own: &str| own.to_uppercase() == name.to_uppercase();
        if is_named(&entry.file_name()) || is_named(&entry.short_file_name()) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// Whether a FAT filesystem allows this name. What does not would lead elsewhere as a part of a path, or break a log's line.
fn is_name(name: &str) -> bool {
    let is_forbidden = |c: char| c.is_control() || "\"*/:<>?\\|".contains(c);
    !name.contains(is_forbidden) && !["", ".", ".."].contains(&name)
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split(['\\', '/']).filter(|part| !part.is_empty())
}

/// The folder of a path, and the name in it.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_matches(['\\', '/']);
    let at = path.rfind(['\\', '/']).map_or(0, |at| at + 1);
    (at < path.len()).then(|| (&path[..at], &path[at..]))
}

/// Whether a boot sector speaks of a FAT filesystem that fits into its partition (Microsoft's FAT specification, 1.03). The
/// rest is the crate's to say; this is what it computes with before it looks, and would not notice.
fn check(sector: &[u8; 512], length_bytes: u64) -> Result<(), &'static str> {
    let u16_at = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
    let u32_at = |at: usize| {
        u64::from(u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]))
    };
    if sector[510..] != [0x55, 0xaa] {
        return Err("its boot sector has no signature");
    }
    let (sector_bytes, cluster_sectors) = (u16_at(11), u64::from(sector[13]));
    if !sector_bytes.is_power_of_two()
        || !(512..=4096).contains(&sector_bytes)
        || !cluster_sectors.is_power_of_two()
    {
        return Err("its boot sector has impossible block sizes");
    }
    let either = |short: u64, long: u64| if short == 0 { long } else { short };
    let (sectors, fat_sectors) = (either(u16_at(19), u32_at(32)), either(u16_at(22), u32_at(36)));
    let first = u16_at(14) + u64::from(sector[16]) * fat_sectors + (u16_at(17) * 32).div_ceil(sector_bytes);
    if fat_sectors == 0 || first >= sectors || sectors * sector_bytes > length_bytes {
        return Err("its boot sector speaks of more than the partition has");
    }
    // 12 bits for each cluster at least, and no more than can be counted in bits by 32 bits.
    if fat_sectors * sector_bytes < 4 || fat_sectors * sector_bytes * 8 > u64::from(u32::MAX) {
        return Err("its allocation table has an impossible size");
    }
    Ok(())
}

/// A range of a disk, as something to read and seek in. Writing fails.
struct Window<'a> {
    disk: &'a dyn ReadAt,
    start_bytes: u64,
    length_bytes: u64,
    at: u64,
    page: Box<[u8]>,
    page_at: Option<u64>,
    reads_left: Cell<u32>,
}

impl<'a> Window<'a> {
    fn new(disk: &'a dyn ReadAt, start_bytes: u64, length_bytes: u64) -> Self {
        let page = vec![0; PAGE_BYTES].into();
        Self {
            disk,
            start_bytes,
            length_bytes,
            at: 0,
            page,
            page_at: None,
            reads_left: Cell::new(MOST_READS),
        }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.reads_left.get().checked_sub(1).ok_or_else(|| {
            io::Error::other(format!(
                "it was not read to its end after {MOST_READS} reads; a chain in it may have none"
            ))
        })?;
        self.reads_left.set(left);
        let left = self.length_bytes.saturating_sub(self.at);
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let page_at = self.at / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        let page_bytes = (self.length_bytes - page_at).min(PAGE_BYTES as u64) as usize;
        if self.page_at != Some(page_at) {
            self.page_at = None;
            self.disk
                .read_exact_at(&mut self.page[..page_bytes], self.start_bytes.saturating_add(page_at))?;
            self.page_at = Some(page_at);
        }
        let from = (self.at - page_at) as usize;
        let length = buffer.len().min(page_bytes - from);
        buffer[..length].copy_from_slice(&self.page[from..from + length]);
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length_bytes.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Write for Window<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
