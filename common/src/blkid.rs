//! What is on a block device, or on a range of it, by libblkid; and erasing that until nothing is left.
//!
//! A range is looked at as if it were a device of its own, so a partition needs no node of the kernel.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};
use std::sync::Once;

use anyhow::{Context, anyhow};
use blkid_sys as c;

use crate::cause::Cause;
use crate::failure::{Because, Failure};

/// No range has more signatures than this. The most that one format has are the 4 × 128 uberblocks of a ZFS disk.
const MAX_ROUNDS: usize = 4096;

/// libblkid hides some signatures while others are there (a RAID superblock that a partition table covers), so a range is
/// gone through again until nothing is found. Two passes were the most that was seen.
const MAX_PASSES: usize = 16;

/// What was recognised on a device or a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// libblkid's name of the format: `ext4`, `vfat`, `LVM2_member`, `crypto_LUKS`; nothing where only a partition table
    /// was found.
    pub kind: Option<String>,
    /// What the format is for: `filesystem`, `raid`, `crypto` or `other`.
    pub usage: Option<String>,
    /// The filesystem's label.
    pub label: Option<String>,
    /// The filesystem's UUID, in the format's own notation.
    pub uuid: Option<String>,
    /// The kind of partition table: `gpt`, `dos`.
    pub table: Option<String>,
    /// Formats that were recognised besides `kind`: leftovers, or a filesystem made over another. Whoever relies on
    /// `kind` has to look.
    pub others: Vec<String>,
}

/// Recognises what is on `length_bytes` from `start_bytes`, by the formats' magic numbers and checksums.
///
/// Where several formats claim the range, `kind` is the first of them in libblkid's order (RAID, then filesystems), and
/// `others` lists the rest.
///
/// # Errors
/// When the range lies outside the file, or reading it fails.
pub fn probe(file: &File, start_bytes: u64, length_bytes: u64) -> io::Result<Option<Signature>> {
    if length_bytes == 0 {
        return Ok(None);
    }
    let superblocks =
        c::BLKID_SUBLKS_LABEL | c::BLKID_SUBLKS_UUID | c::BLKID_SUBLKS_TYPE | c::BLKID_SUBLKS_USAGE;
    let mut probe = Probe::new(file, start_bytes, length_bytes, superblocks, Some(0))?;
    match probe.safely()? {
        Verdict::Nothing => Ok(None),
        Verdict::One => Ok(Some(probe.signature())),
        Verdict::Ambivalent => {
            let mut all = Vec::new();
            while all.len() < MAX_ROUNDS && probe.next()? {
                all.push(probe.signature());
            }
            Ok(merge(all))
        }
    }
}

/// The first format and the first partition table of several, with the other formats beside it.
fn merge(all: Vec<Signature>) -> Option<Signature> {
    let table = all.iter().find_map(|each| each.table.clone());
    let mut formats = all.into_iter().filter(|each| each.kind.is_some());
    let first = formats.next();
    let others = formats.filter_map(|each| each.kind).collect();
    match first {
        Some(first) => Some(Signature { table, others, ..first }),
        None => table.map(|table| Signature { table: Some(table), ..Signature::default() }),
    }
}

/// The usage of a [`Found`] partition table; libblkid has a word for formats only.
pub const PARTITION_TABLE: &str = "partition table";

/// What [`erase`] looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Filesystems, RAID, LVM, encryption, swap, whatever their checksums say.
    Superblocks,
    /// Those, and partition tables.
    Everything,
}

/// A signature, and the place of the bytes by which it is recognised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// libblkid's name of the format or partition table.
    pub kind: String,
    /// What it is for: `filesystem`, `raid`, `crypto`, `other`, or [`PARTITION_TABLE`].
    pub usage: String,
    /// Where its magic number begins, in bytes from the start of the device; nothing for a format that has none.
    pub offset_bytes: Option<u64>,
    /// How long the magic number is, in bytes.
    pub length_bytes: u64,
}

/// Finds every signature of a range, and overwrites the magic number of each with zeros, until none is found; on return that
/// is durable. `before` is called with each one before it is erased, and can stop the work by an error.
///
/// A format without a magic number is reported and left: whoever calls has to overwrite what it is made of, and to look
/// again.
///
/// # Errors
/// [`Cause::DiskIo`] when reading or writing fails, [`Cause::VerifyFailed`] when there is no end to what is found, and
/// whatever `before` gives.
pub fn erase(
    file: &File,
    start_bytes: u64,
    length_bytes: u64,
    search: Search,
    mut before: impl FnMut(&Found) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if length_bytes == 0 {
        return Ok(());
    }
    let doing = || format!("looking for signatures in {length_bytes} bytes from byte {start_bytes}");
    let superblocks =
        c::BLKID_SUBLKS_MAGIC | c::BLKID_SUBLKS_TYPE | c::BLKID_SUBLKS_USAGE | c::BLKID_SUBLKS_BADCSUM;
    // FORCE_GPT: a GPT counts also where its protective MBR is gone.
    let tables = (search == Search::Everything).then_some(c::BLKID_PARTS_MAGIC | c::BLKID_PARTS_FORCE_GPT);
    let mut erased = BTreeSet::new();
    let mut left = BTreeSet::new();
    let mut rounds = 0;
    for _ in 0..MAX_PASSES {
        // A new probe each time: one that came to its end keeps what it has read.
        let mut probe = Probe::new(file, start_bytes, length_bytes, superblocks, tables)
            .with_context(doing)
            .because(Cause::DiskIo)?;
        let mut clean = true;
        while probe.next().with_context(doing).because(Cause::DiskIo)? {
            rounds += 1;
            let found = probe.found(start_bytes);
            let Some(offset_bytes) = found.offset_bytes else {
                if left.insert(found.kind.clone()) {
                    before(&found)?;
                }
                continue;
            };
            clean = false;
            if rounds > MAX_ROUNDS || !erased.insert(found.clone()) {
                return Err(Failure::new(
                    Cause::VerifyFailed,
                    format_args!("{} at byte {offset_bytes} is still there after it was erased", found.kind),
                ));
            }
            before(&found)?;
            // libblkid can do this too (blkid_do_wipe), but flushes each one, and does not look at whether that worked.
            let zeros = vec![0; usize::try_from(found.length_bytes).because(Cause::Internal)?];
            file.write_all_at(&zeros, offset_bytes)
                .with_context(|| format!("erasing {} at byte {offset_bytes}", found.kind))
                .because(Cause::DiskIo)?;
            probe.step_back().with_context(doing).because(Cause::DiskIo)?;
        }
        if clean {
            return Ok(());
        }
        file.sync_data().context("flushing erased signatures").because(Cause::DiskIo)?;
    }
    Err(Failure::new(
        Cause::VerifyFailed,
        format_args!(
            "after {MAX_PASSES} passes there are still signatures in {length_bytes} bytes from byte {start_bytes}"
        ),
    ))
}

/// Finds what [`erase`] would find, without writing: one entry for each format and partition table.
///
/// # Errors
/// As [`probe`].
pub fn list(file: &File, start_bytes: u64, length_bytes: u64) -> io::Result<Vec<Found>> {
    if length_bytes == 0 {
        return Ok(Vec::new());
    }
    let superblocks =
        c::BLKID_SUBLKS_MAGIC | c::BLKID_SUBLKS_TYPE | c::BLKID_SUBLKS_USAGE | c::BLKID_SUBLKS_BADCSUM;
    let tables = Some(c::BLKID_PARTS_MAGIC | c::BLKID_PARTS_FORCE_GPT);
    let mut probe = Probe::new(file, start_bytes, length_bytes, superblocks, tables)?;
    let mut all = Vec::new();
    while all.len() < MAX_ROUNDS && probe.next()? {
        all.push(probe.found(start_bytes));
    }
    Ok(all)
}

enum Verdict {
    Nothing,
    One,
    Ambivalent,
}

/// A `blkid_probe` over a range of an open file. It stays on the thread that made it: the pointer is not Send.
struct Probe<'file> {
    raw: NonNull<c::blkid_struct_probe>,
    /// libblkid reads from the file's descriptor.
    file: PhantomData<&'file File>,
}

impl<'file> Probe<'file> {
    /// `superblocks` and `tables` are libblkid's flags; without `tables`, partition tables are not looked for.
    fn new(
        file: &'file File,
        start_bytes: u64,
        length_bytes: u64,
        superblocks: u32,
        tables: Option<u32>,
    ) -> io::Result<Self> {
        static DEBUG: Once = Once::new();
        // SAFETY: takes a number. It sets a global that each new probe would set else, so it runs once and before any.
        DEBUG.call_once(|| unsafe { c::blkid_init_debug(0) });
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let (start, length) =
            (start_bytes.try_into().map_err(invalid)?, length_bytes.try_into().map_err(invalid)?);

        // SAFETY: allocates, and takes nothing.
        let raw = NonNull::new(unsafe { c::blkid_new_probe() }).ok_or(io::ErrorKind::OutOfMemory)?;
        let probe = Self { raw, file: PhantomData };
        let raw = raw.as_ptr();
        // SAFETY: `raw` is a live probe, which only this value has, and the descriptor is open as long as 'file lasts. The
        // calls keep no pointer to anything of ours.
        let codes = unsafe {
            [
                c::blkid_probe_set_device(raw, file.as_raw_fd(), start, length),
                c::blkid_probe_enable_superblocks(raw, 1),
                c::blkid_probe_set_superblocks_flags(raw, superblocks as libc::c_int),
                c::blkid_probe_enable_partitions(raw, tables.is_some().into()),
                c::blkid_probe_set_partitions_flags(raw, tables.unwrap_or(0) as libc::c_int),
            ]
        };
        if codes.iter().any(|code| *code != 0) {
            let error = io::Error::last_os_error();
            return Err(io::Error::new(
                error.kind(),
                format!("libblkid takes no {length_bytes} bytes from byte {start_bytes}: {error}"),
            ));
        }
        Ok(probe)
    }

    /// Goes through all formats and tables, and says whether they contradict each other.
    fn safely(&mut self) -> io::Result<Verdict> {
        // SAFETY: the probe is live, and its file is open.
        match unsafe { c::blkid_do_safeprobe(self.raw.as_ptr()) } {
            0 => Ok(Verdict::One),
            1 => Ok(Verdict::Nothing),
            -2 => Ok(Verdict::Ambivalent),
            code => Err(error(code)),
        }
    }

    /// Goes on to the next format or table that is there.
    fn next(&mut self) -> io::Result<bool> {
        // SAFETY: the probe is live, and its file is open.
        match unsafe { c::blkid_do_probe(self.raw.as_ptr()) } {
            0 => Ok(true),
            1 => Ok(false),
            code => Err(error(code)),
        }
    }

    /// Makes the next [`Probe::next`] look for the same format again, on what the device has by then.
    fn step_back(&mut self) -> io::Result<()> {
        // SAFETY: the probe is live.
        match unsafe { c::blkid_probe_step_back(self.raw.as_ptr()) } {
            0 => Ok(()),
            code => Err(error(code)),
        }
    }

    fn signature(&self) -> Signature {
        Signature {
            kind: self.text("TYPE"),
            usage: self.text("USAGE"),
            label: self.text("LABEL"),
            uuid: self.text("UUID"),
            table: self.text("PTTYPE"),
            others: Vec::new(),
        }
    }

    fn found(&self, start_bytes: u64) -> Found {
        let (kind, usage, magic, offset) = match self.text("TYPE") {
            Some(kind) => (kind, self.text("USAGE").unwrap_or_default(), "SBMAGIC", "SBMAGIC_OFFSET"),
            None => (
                self.text("PTTYPE").unwrap_or_else(|| "unknown".into()),
                PARTITION_TABLE.into(),
                "PTMAGIC",
                "PTMAGIC_OFFSET",
            ),
        };
        let length_bytes = self.value(magic).map_or(0, |value| value.len() as u64);
        // libblkid counts from the beginning of the range.
        let offset = self.text(offset).and_then(|text| text.parse::<u64>().ok()).filter(|_| length_bytes > 0);
        Found { kind, usage, offset_bytes: offset.map(|offset| start_bytes + offset), length_bytes }
    }

    /// A result that is text; nothing where it is missing or empty.
    fn text(&self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        let text = CStr::from_bytes_until_nul(&value).map_or(&value[..], CStr::to_bytes);
        let text = String::from_utf8_lossy(text).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// A result's bytes, copied: they are gone with the next call.
    fn value(&self, name: &str) -> Option<Vec<u8>> {
        let name = CString::new(name).ok()?;
        let mut data: *const libc::c_char = ptr::null();
        let mut length = 0;
        // SAFETY: the probe is live, the name ends with a zero, and the library writes to two live locals.
        let code = unsafe {
            c::blkid_probe_lookup_value(self.raw.as_ptr(), name.as_ptr(), &raw mut data, &raw mut length)
        };
        if code != 0 || data.is_null() {
            return None;
        }
        // SAFETY: on success `data` points to `length` bytes that the probe owns; nothing changes it before they are copied.
        Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) }.to_vec())
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        // SAFETY: the probe is live and is used no more. The file was given, not opened by the library, which leaves it open.
        unsafe { c::blkid_free_probe(self.raw.as_ptr()) }
    }
}

/// libblkid gives -1 or a negated error number.
fn error(code: libc::c_int) -> io::Error {
    match code {
        ..-2 => io::Error::from_raw_os_error(-code),
        _ => {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                None | Some(0) => io::Error::other(anyhow!("libblkid gave {code}")),
                Some(_) => error,
            }
        }
    }
}

#[cfg(test)]
mod tests;
