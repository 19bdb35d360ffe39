//! What an image without a partition table begins with: a filesystem, or something that is no disk image at all.

/// A name and the bytes by which it is known, at their place.
type Mark = (&'static str, usize, &'static [u8]);

/// What a disk can begin with; places and numbers are those of the kernel's headers and of libblkid.
const DISKS: &[Mark] = &[
    ("ext2/3/4", 1080, &[0x53, 0xef]),
    ("xfs", 0, b"XFSB"),
    ("btrfs", 65_600, b"_BHRfS_M"),
    ("f2fs", 1024, &[0x10, 0x20, 0xf5, 0xf2]),
    ("erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    ("squashfs", 0, b"hsqs"),
    ("FAT32", 82, b"FAT32   "),
    ("FAT16", 54, b"FAT16   "),
    ("FAT12", 54, b"FAT12   "),
    ("NTFS", 3, b"NTFS    "),
    ("exFAT", 3, b"EXFAT   "),
    ("ISO 9660", 32_769, b"CD001"),
    ("LVM", 536, b"LVM2 001"),
    ("LVM", 24, b"LVM2 001"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
];

/// What is served in an image's place by mistake, and what to do about it.
const MISTAKES: &[(Mark, &str)] = &[
    (("a qcow2 image", 0, b"QFI\xfb"), "convert it: qemu-img convert -O raw"),
    (("a VMDK image", 0, b"KDMV"), "convert it: qemu-img convert -O raw"),
    (("a VMDK description", 0, b"# Disk DescriptorFile"), "convert it: qemu-img convert -O raw"),
    (("a VHDX image", 0, b"vhdxfile"), "convert it: qemu-img convert -O raw"),
    (("a VDI image", 64, &[0x7f, 0x10, 0xda, 0xbe]), "convert it: qemu-img convert -O raw"),
    (("a zip archive", 0, b"PK\x03\x04"), "serve the image that is in it"),
    (("a 7z archive", 0, b"7z\xbc\xaf\x27\x1c"), "serve the image that is in it"),
    (("a tar archive", 257, b"ustar"), "serve the image that is in it"),
    (("an lz4 stream", 0, &[0x04, 0x22, 0x4d, 0x18]), "pack it with gzip, zstd, xz or bzip2"),
    (("an lzip stream", 0, b"LZIP"), "pack it with gzip, zstd, xz or bzip2"),
    (("a gzip stream within another", 0, &[0x1f, 0x8b, 8]), "pack it once"),
    (("a zstd stream within another", 0, &[0x28, 0xb5, 0x2f, 0xfd]), "pack it once"),
    (("an xz stream within another", 0, b"\xfd7zXZ\0"), "pack it once"),
];

fn is_at(head: &[u8], (_, at, bytes): &Mark) -> bool {
    head.get(*at..).is_some_and(|rest| rest.starts_with(bytes))
}

/// The filesystem, or what else a whole disk can hold, that begins so.
pub(crate) fn filesystem(head: &[u8]) -> Option<&'static str> {
    DISKS.iter().find(|mark| is_at(head, mark)).map(|mark| mark.0)
}

/// What it looks like instead, in words, with what to do.
pub(crate) fn mistaken(head: &[u8]) -> String {
    if let Some(((what, ..), advice)) = MISTAKES.iter().find(|(mark, _)| is_at(head, mark)) {
        return format!("it is {what}: {advice}");
    }
    let start = head.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let text = &head[start..head.len().min(start + 512)];
    let printable =
        !text.is_empty() && text.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    match (printable, text.first()) {
        (true, Some(b'<')) => "it is a page of HTML or XML: look at the URL in a browser".into(),
        (true, Some(b'{' | b'[')) => "it is JSON: look at the URL in a browser".into(),
        (true, _) => "it is text: look at the URL in a browser".into(),
        (false, _) if head.iter().all(|byte| *byte == 0) => {
            format!("its first {} bytes are zeros", head.len())
        }
        (false, _) => "its first bytes are of no kind that is known here".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_and_mistakes_are_told_apart() {
        for mark in DISKS {
            let mut head = vec![0; 1 << 20];
            head[mark.1..mark.1 + mark.2.len()].copy_from_slice(mark.2);
            assert_eq!(filesystem(&head), Some(mark.0));
        }
        for ((what, at, bytes), advice) in MISTAKES {
            let mut head = vec![0; 4096];
            head[*at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(filesystem(&head), None);
            assert_eq!(mistaken(&head), format!("it is {what}: {advice}"));
        }
        assert!(mistaken(b"\r\n<!DOCTYPE html><html>").starts_with("it is a page of HTML"));
        assert!(mistaken(b"{\"error\": 1}").starts_with("it is JSON"));
        assert!(mistaken(b"no such file\n").starts_with("it is text"));
        assert_eq!(mistaken(&[0; 100]), "its first 100 bytes are zeros");
        assert_eq!(mistaken(&[1, 2, 3]), "its first bytes are of no kind that is known here");
        assert_eq!(filesystem(b"XF"), None);
    }
}
