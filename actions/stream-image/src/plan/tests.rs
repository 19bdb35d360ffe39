use super::*;

const MIB: u64 = 1 << 20;

/// The first bytes of an image of so many blocks with a GPT whose entries begin at `entries_lba`.
fn gpt_head(block_size: u32, blocks: u64, entries_lba: u64, partitions: &[(u64, u64)]) -> Vec<u8> {
    let size = block_size as usize;
    let mut entries = vec![0; 128 * 128];
    for (index, (first_lba, last_lba)) in partitions.iter().enumerate() {
        let entry = &mut entries[index * 128..];
        entry[..32].fill(0xa5);
        entry[32..40].copy_from_slice(&first_lba.to_le_bytes());
        entry[40..48].copy_from_slice(&last_lba.to_le_bytes());
    }
    let array_blocks = 128 * 128 / u64::from(block_size);
    let start = entries_lba as usize * size;
    let mut head = vec![0; (start + entries.len()).max(END_BYTES).next_multiple_of(END_BYTES)];
    head[start..start + entries.len()].copy_from_slice(&entries);
    head[446..462].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    head[510..512].copy_from_slice(&[0x55, 0xaa]);
    let header = &mut head[size..size + 92];
    header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
    let fields = [1, blocks - 1, entries_lba + array_blocks, blocks - 2 - array_blocks];
    for (at, field) in (24..).step_by(8).zip(fields) {
        header[at..at + 8].copy_from_slice(&field.to_le_bytes());
    }
    header[72..80].copy_from_slice(&entries_lba.to_le_bytes());
    header[80..84].copy_from_slice(&128u32.to_le_bytes());
    header[84..88].copy_from_slice(&128u32.to_le_bytes());
    header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
    let checksum = crc32fast::hash(header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
    head
}

fn mbr_head(entries: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut head = vec![0; END_BYTES];
    for (index, (kind, first_lba, blocks)) in entries.iter().enumerate() {
        let entry = &mut head[446 + 16 * index..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&first_lba.to_le_bytes());
        entry[12..16].copy_from_slice(&blocks.to_le_bytes());
    }
    head[510..512].copy_from_slice(&[0x55, 0xaa]);
    head
}

fn disk(size_bytes: u64, logical_block_size: u32) -> Target {
    Target { name: "/dev/sda (no serial, 1.0 GB)".into(), size_bytes, logical_block_size }
}

fn refused(head: &[u8], target: &Target, length_bytes: Option<u64>) -> (Cause, String) {
    let failure = plan(head, target, length_bytes, false).unwrap_err();
    (failure.cause, failure.to_string())
}

#[test]
fn a_gpt_is_planned_to_the_end_of_the_disk() {
    for block_size in [512, 4096] {
        let blocks = 64 * MIB / u64::from(block_size);
        let head = gpt_head(block_size, blocks, 2, &[(2048, 4095), (5000, 6000)]);
        assert_eq!(head_bytes(&head, block_size), END_BYTES);
        let target = disk(100 * MIB, block_size);
        let plan = plan(&head, &target, None, false).unwrap();
        let Layout::Gpt { fitted, moved: true, partitions: 2 } = &plan.layout else {
            panic!("{:?}", plan.layout)
        };
        assert_eq!(fitted.backup.offset_bytes + fitted.backup.bytes.len() as u64, 100 * MIB);
        assert_eq!((plan.least_bytes, plan.tail_start_bytes), (64 * MIB, 99 * MIB));
        assert_eq!(plan.describe(), "a GPT with 2 partitions, 64.0 MiB");
    }
}

#[test]
fn a_disk_exactly_as_large_does_and_one_block_less_does_not() {
    let head = gpt_head(512, 64 * MIB / 512, 2, &[(2048, 4095)]);
    let plan = plan(&head, &disk(64 * MIB, 512), Some(64 * MIB), false).unwrap();
    assert!(matches!(plan.layout, Layout::Gpt { moved: false, .. }));
    let (cause, message) = refused(&head, &disk(64 * MIB - 512, 512), None);
    assert_eq!(cause, Cause::DiskTooSmall);
    assert_eq!(message, "the image needs 67,108,864 bytes, and /dev/sda (no serial, 1.0 GB) has 67,108,352");
    // Known from the length alone, too.
    let filesystem = [&[0; 1080][..], &[0x53, 0xef], &vec![0; END_BYTES - 1082]].concat();
    assert_eq!(refused(&filesystem, &disk(64 * MIB, 512), Some(64 * MIB + 1)).0, Cause::DiskTooSmall);
    assert_eq!(refused(&filesystem, &disk(MIB, 512), None).0, Cause::DiskTooSmall);
}

#[test]
fn an_image_for_other_blocks_is_refused() {
    let made_for_4096 = gpt_head(4096, 64 * MIB / 4096, 2, &[(256, 511)]);
    let (cause, message) = refused(&made_for_4096, &disk(100 * MIB, 512), None);
    assert_eq!(cause, Cause::BlockSize);
    assert!(
        message.starts_with("the image was made for disks with logical blocks of 4096 bytes, and /dev/sda"),
        "{message}"
    );
    let made_for_512 = gpt_head(512, 64 * MIB / 512, 2, &[(2048, 4095)]);
    assert_eq!(refused(&made_for_512, &disk(100 * MIB, 4096), None).0, Cause::BlockSize);
    let mbr = mbr_head(&[(0x83, 2048, 4096)]);
    let target = disk(100 * MIB, 4096);
    assert_eq!(refused(&mbr, &target, Some(3 * MIB)).0, Cause::BlockSize);
    let compressed = plan(&mbr, &target, None, false).unwrap();
    assert_eq!(check_length(&compressed, &target, 3 * MIB).unwrap_err().cause, Cause::BlockSize);
    assert_eq!(check_length(&compressed, &target, 2 * MIB).unwrap_err().cause, Cause::ImageTruncated);
    assert!(check_length(&compressed, &target, 24 * MIB).is_ok());
}

#[test]
fn an_image_shorter_than_its_table_is_truncated() {
    let head = gpt_head(512, 64 * MIB / 512, 2, &[(2048, 4095)]);
    let (cause, message) = refused(&head, &disk(100 * MIB, 512), Some(64 * MIB - 512));
    assert_eq!(cause, Cause::ImageTruncated);
    assert_eq!(message, "the image has 67,108,352 bytes, and its partition table speaks of 67,108,864");
    assert_eq!(refused(&head[..8192], &disk(100 * MIB, 512), None).0, Cause::ImageTruncated);
    assert_eq!(
        refused(&mbr_head(&[(0x83, 2048, 4096)]), &disk(100 * MIB, 512), Some(2 * MIB)).0,
        Cause::ImageTruncated
    );
}

#[test]
fn entries_far_from_the_beginning_are_held_back_up_to_a_limit() {
    let head = gpt_head(512, 64 * MIB / 512, 4096, &[(8192, 9000)]);
    assert_eq!(head_bytes(&head[..END_BYTES], 512), 3 * END_BYTES);
    let plan = plan(&head, &disk(100 * MIB, 512), None, false).unwrap();
    let Layout::Gpt { fitted, .. } = plan.layout else { panic!("no GPT") };
    assert_eq!(fitted.entries.offset_bytes, 2 * MIB);
    let farther = gpt_head(512, 64 * MIB / 512, 40_000, &[]);
    assert_eq!(head_bytes(&farther[..END_BYTES], 512), END_BYTES);
    assert_eq!(refused(&farther[..END_BYTES], &disk(100 * MIB, 512), None).0, Cause::PartitionTable);
}

#[test]
fn a_damaged_gpt_is_refused_with_the_reason() {
    let good = gpt_head(512, 64 * MIB / 512, 2, &[(2048, 4095)]);
    for at in [512, 512 + 50, 2 * 512 + 33] {
        let mut head = good.clone();
        head[at] ^= 1;
        let (cause, message) = refused(&head, &disk(100 * MIB, 512), None);
        assert_eq!(cause, Cause::PartitionTable, "{at}: {message}");
        assert!(message.starts_with("the image announces a GPT, and it is damaged: "), "{message}");
    }
    let overlapping = gpt_head(512, 64 * MIB / 512, 2, &[(2048, 4095), (4000, 5000)]);
    assert!(refused(&overlapping, &disk(100 * MIB, 512), None).1.contains("partitions 1 and 2 overlap"));
    for length in [0, 1, 511, 512, 600] {
        assert!(plan(&good[..length], &disk(100 * MIB, 512), Some(length as u64), false).is_err());
    }
}

#[test]
fn what_is_no_disk_image_is_refused_unless_it_is_allowed() {
    let page = b"<!DOCTYPE html><html><title>Sign in</title>";
    let (cause, message) = refused(page, &disk(100 * MIB, 512), None);
    assert_eq!(cause, Cause::ImageContent);
    assert!(
        message.contains("it is a page of HTML") && message.contains("ALLOW_UNKNOWN_CONTENT=true"),
        "{message}"
    );
    let allowed = plan(page, &disk(100 * MIB, 512), None, true).unwrap();
    assert!(matches!(allowed.layout, Layout::Unknown(_)));
    assert_eq!(refused(b"", &disk(100 * MIB, 512), None).0, Cause::ImageEmpty);
    // An MBR without a partition in it says nothing.
    assert_eq!(refused(&mbr_head(&[]), &disk(100 * MIB, 512), None).0, Cause::ImageContent);
}

#[test]
fn an_mbr_speaks_of_its_farthest_partition() {
    let head = mbr_head(&[(0x0c, 2048, 2048), (0x05, 20_480, 81_920), (0, 1 << 30, 1 << 30)]);
    let plan = plan(&head, &disk(100 * MIB, 512), None, false).unwrap();
    assert_eq!(
        (plan.layout.clone(), plan.least_bytes, plan.tail_start_bytes),
        (Layout::Mbr, 50 * MIB, 99 * MIB)
    );
    assert_eq!(
        refused(&mbr_head(&[(0x83, u32::MAX, u32::MAX)]), &disk(100 * MIB, 512), None).0,
        Cause::DiskTooSmall
    );
}
