use super::gpt::{GptError, Header};
use super::*;

const BLOCK: usize = 512;
const BLOCKS: u64 = 2048;

/// A disk of 1 MiB with a GPT of `count` entries of `size` bytes, both copies, and these partitions.
pub(super) fn gpt_disk(count: u32, size: u32, partitions: &[(u32, u64, u64)]) -> Vec<u8> {
    let mut disk = vec![0; BLOCK * BLOCKS as usize];
    disk[446..462].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 7, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mut entries = vec![0; (count * size) as usize];
    for &(number, first_lba, last_lba) in partitions {
        let entry = &mut entries[((number - 1) * size) as usize..];
        entry[..16].fill(0xa0 + number as u8);
        entry[16..32].fill(number as u8);
        entry[32..40].copy_from_slice(&first_lba.to_le_bytes());
        entry[40..48].copy_from_slice(&last_lba.to_le_bytes());
        entry[56..60].copy_from_slice(&[b'p', 0, b'0' + number as u8, 0]);
    }
    let array_blocks = entries.len().div_ceil(BLOCK) as u64;
    let places = [(1, BLOCKS - 1, 2), (BLOCKS - 1, 1, BLOCKS - 1 - array_blocks)];
    for (own, other, at) in places {
        let fields = [own, other, 2 + array_blocks, BLOCKS - 2 - array_blocks];
        put_header(&mut disk, own, fields, at, (count, size), crc32fast::hash(&entries));
        let at = at as usize * BLOCK;
        if at + entries.len() <= disk.len() {
            disk[at..at + entries.len()].copy_from_slice(&entries);
        }
    }
    disk
}

fn put_header(
    disk: &mut [u8],
    lba: u64,
    fields: [u64; 4],
    entries_lba: u64,
    entries: (u32, u32),
    entries_crc: u32,
) {
    let header = &mut disk[lba as usize * BLOCK..][..92];
    header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
    header[16..24].fill(0);
    for (index, field) in fields.into_iter().enumerate() {
        header[24 + 8 * index..32 + 8 * index].copy_from_slice(&field.to_le_bytes());
    }
    header[56..72].fill(0x77);
    header[72..80].copy_from_slice(&entries_lba.to_le_bytes());
    header[80..84].copy_from_slice(&entries.0.to_le_bytes());
    header[84..88].copy_from_slice(&entries.1.to_le_bytes());
    header[88..92].copy_from_slice(&entries_crc.to_le_bytes());
    let checksum = crc32fast::hash(header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
}

/// Writes a value into a header and makes its checksum right again.
fn set(disk: &mut [u8], lba: u64, at: usize, value: &[u8]) {
    let header = &mut disk[lba as usize * BLOCK..][..92];
    header[at..at + value.len()].copy_from_slice(value);
    header[16..20].fill(0);
    let checksum = crc32fast::hash(header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
}

fn read_disk(disk: &[u8]) -> Result<Option<PartitionTable>, TableError> {
    read(disk, disk.len() as u64, BLOCK as u32)
}

fn numbers(table: &PartitionTable) -> Vec<(u32, u64, u64)> {
    table.partitions.iter().map(|each| (each.number, each.first_lba, each.last_lba)).collect()
}

const THREE: &[(u32, u64, u64)] = &[(1, 1024, 1535), (14, 64, 71), (15, 72, 1023)];

#[test]
fn a_gpt_keeps_its_numbers_names_and_types() {
    let table = read_disk(&gpt_disk(128, 128, THREE)).unwrap().unwrap();
    assert_eq!(table.kind, TableKind::Gpt);
    assert_eq!(numbers(&table), THREE);
    assert_eq!(table.partitions[0].name.as_deref(), Some("p1"));
    assert_eq!(table.partitions[1].kind, PartitionKind::Gpt([0xa0 + 14; 16]));
    assert_eq!(table.partitions[1].guid, Some([14; 16]));
    assert_eq!(table.partitions[0].start_bytes(&table), 1024 * 512);
    assert_eq!(table.partitions[0].length_bytes(&table), 512 * 512);
}

#[test]
fn entries_may_be_larger_fewer_and_more() {
    for (count, size) in [(128, 256), (15, 128), (20, 4096), (1024, 128)] {
        assert_eq!(
            numbers(&read_disk(&gpt_disk(count, size, &[(3, 500, 600)])).unwrap().unwrap()),
            [(3, 500, 600)]
        );
    }
}

#[test]
fn the_last_copy_counts_where_the_first_is_damaged() {
    for damage in [BLOCK, BLOCK + 40, 2 * BLOCK + 3] {
        let mut disk = gpt_disk(128, 128, THREE);
        disk[damage] ^= 1;
        assert_eq!(numbers(&read_disk(&disk).unwrap().unwrap()), THREE, "byte {damage}");
    }
}

#[test]
fn a_grown_disk_has_its_last_copy_in_the_middle() {
    let mut disk = gpt_disk(128, 128, THREE);
    disk.resize(3 << 20, 0);
    assert_eq!(numbers(&read_disk(&disk).unwrap().unwrap()), THREE);
    disk[2 * BLOCK] ^= 1;
    assert_eq!(numbers(&read_disk(&disk).unwrap().unwrap()), THREE);
}

#[test]
fn two_damaged_copies_are_an_error_that_says_what_is_wrong() {
    let mut disk = gpt_disk(128, 128, THREE);
    disk[2 * BLOCK] ^= 1;
    let end = disk.len();
    disk[end - BLOCK] ^= 1;
    let error = read_disk(&disk).unwrap_err();
    assert!(matches!(
        error,
        TableError::Gpt { primary: GptError::EntriesChecksum { .. }, backup: GptError::NoSignature(2047) }
    ));
    assert!(
        error.to_string().starts_with("both copies of the GPT are damaged: the first (entries' checksum 0x"),
        "{error}"
    );
}

#[test]
fn fields_that_cannot_be_right_are_refused_before_they_are_used() {
    // Behind a right checksum, each of these has made a reader panic or ask for all memory there is.
    let hostile: &[(usize, &[u8])] = &[
        (12, &91u32.to_le_bytes()),
        (12, &513u32.to_le_bytes()),
        (12, &u32::MAX.to_le_bytes()),
        (24, &2u64.to_le_bytes()),
        (40, &1u64.to_le_bytes()),
        (48, &u64::MAX.to_le_bytes()),
        (48, &2u64.to_le_bytes()),
        (72, &0u64.to_le_bytes()),
        (72, &1u64.to_le_bytes()),
        (72, &40u64.to_le_bytes()),
        (72, &u64::MAX.to_le_bytes()),
        (80, &0u32.to_le_bytes()),
        (80, &u32::MAX.to_le_bytes()),
        (84, &0u32.to_le_bytes()),
        (84, &64u32.to_le_bytes()),
        (84, &129u32.to_le_bytes()),
        (84, &(1u32 << 31).to_le_bytes()),
        (8, &[0, 0, 2, 0]),
    ];
    for (at, value) in hostile {
        let mut disk = gpt_disk(128, 128, THREE);
        set(&mut disk, 1, *at, value);
        set(&mut disk, BLOCKS - 1, *at, value);
        assert!(matches!(read_disk(&disk), Err(TableError::Gpt { .. })), "offset {at}: {value:?}");
    }
}

#[test]
fn a_longer_header_is_a_header() {
    let mut disk = gpt_disk(128, 128, THREE);
    let header = &mut disk[BLOCK..2 * BLOCK];
    header[12..16].copy_from_slice(&512u32.to_le_bytes());
    header[300] = 9;
    header[16..20].fill(0);
    let checksum = crc32fast::hash(header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(Header::parse(header, 1).unwrap().bytes().len(), 512);
}

#[test]
fn partitions_that_overlap_or_leave_the_disk_are_errors() {
    let of = |partitions| read_disk(&gpt_disk(128, 128, partitions)).unwrap_err().to_string();
    assert_eq!(of(&[(1, 100, 200), (2, 200, 300)]), "partitions 1 and 2 overlap");
    assert_eq!(of(&[(1, 100, 2048)]), "partition 1 goes from block 100 to 2048, the disk from 0 to 2047");
    assert_eq!(of(&[(7, 200, 100)]), "partition 7 goes from block 200 to 100, the disk from 0 to 2047");
    assert_eq!(
        of(&[(1, u64::MAX, u64::MAX)]),
        format!("partition 1 goes from block {0} to {0}, the disk from 0 to 2047", u64::MAX)
    );
}

#[test]
fn a_gpt_without_its_mbr_is_none_but_leaves_a_trace() {
    let mut disk = gpt_disk(128, 128, THREE);
    disk[..BLOCK].fill(0);
    assert_eq!(read_disk(&disk).unwrap(), None);
    let traces = traces(&disk[..], disk.len() as u64, 512).unwrap();
    assert_eq!(traces.iter().map(numbers).collect::<Vec<_>>(), [THREE]);
}

fn entry(disk: &mut [u8], block: usize, index: usize, kind: u8, first_lba: u32, blocks: u32) {
    let at = block * BLOCK + 446 + 16 * index;
    disk[at + 4] = kind;
    disk[at + 8..at + 12].copy_from_slice(&first_lba.to_le_bytes());
    disk[at + 12..at + 16].copy_from_slice(&blocks.to_le_bytes());
    disk[block * BLOCK + 510..block * BLOCK + 512].copy_from_slice(&[0x55, 0xaa]);
}

#[test]
fn an_mbr_beside_a_stale_gpt_is_an_mbr() {
    let mut disk = gpt_disk(128, 128, THREE);
    disk[446..510].fill(0);
    entry(&mut disk, 0, 1, 0x83, 64, 100);
    let table = read_disk(&disk).unwrap().unwrap();
    assert_eq!((table.kind, numbers(&table)), (TableKind::Mbr, vec![(2, 64, 163)]));
    assert_eq!(traces(&disk[..], disk.len() as u64, 512).unwrap().len(), 2);
}

#[test]
fn a_hybrid_mbr_announces_a_gpt() {
    let mut disk = gpt_disk(128, 128, THREE);
    entry(&mut disk, 0, 0, 0x83, 64, 100);
    entry(&mut disk, 0, 2, 0xee, 1, 63);
    assert_eq!(read_disk(&disk).unwrap().unwrap().kind, TableKind::Gpt);
}

#[test]
fn logical_partitions_count_from_five() {
    let mut disk = vec![0; 1 << 20];
    entry(&mut disk, 0, 0, 0x0c, 63, 37);
    entry(&mut disk, 0, 3, 0x05, 100, 900);
    entry(&mut disk, 100, 0, 0x83, 10, 90);
    entry(&mut disk, 100, 1, 0x05, 200, 300);
    // An empty record in the chain takes no number.
    entry(&mut disk, 300, 1, 0x05, 500, 300);
    entry(&mut disk, 600, 0, 0x82, 1, 50);
    let table = read_disk(&disk).unwrap().unwrap();
    assert_eq!(numbers(&table), [(1, 63, 99), (5, 110, 199), (6, 601, 650)]);
    assert_eq!(table.partitions[2].kind, PartitionKind::Mbr(0x82));
}

#[test]
fn a_chain_that_turns_back_or_leaves_the_disk_is_broken() {
    for next in [0u32, 50, u32::MAX] {
        let mut disk = vec![0; 1 << 20];
        entry(&mut disk, 0, 0, 0x0f, 100, 900);
        entry(&mut disk, 100, 1, 0x05, 50, 10);
        entry(&mut disk, 150, 1, 0x05, next, 10);
        assert!(matches!(read_disk(&disk), Err(TableError::BrokenChain(_))), "{next}");
    }
}

#[test]
fn boot_sectors_and_rubbish_are_no_tables() {
    assert_eq!(read_disk(&vec![0; 1 << 20]).unwrap(), None);
    assert_eq!(read_disk(&vec![0xff; 1 << 20]).unwrap(), None);
    let mut fat = vec![0; 1 << 20];
    fat[54..59].copy_from_slice(b"FAT16");
    fat[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(read_disk(&fat).unwrap(), None);
    fat[446..510].fill(0x6c);
    assert_eq!(read_disk(&fat).unwrap(), None);
    assert_eq!(read(&[0u8; 100][..], 100, 512).unwrap(), None);
}

#[test]
fn a_short_disk_is_an_error_and_no_panic() {
    let disk = gpt_disk(128, 128, THREE);
    assert!(matches!(read(&disk[..2048], disk.len() as u64, 512), Err(TableError::Io(_))));
    let tiny = &disk[..512];
    assert!(matches!(read(tiny, 512, 512), Err(TableError::Gpt { .. })));
}

fn fitted(disk: &[u8], size_bytes: u64) -> Vec<u8> {
    let blocks = disk.len() as u64 / 512;
    let copy = match gpt::read_primary(disk, blocks, 512).unwrap() {
        Ok(copy) => copy,
        Err(_) => gpt::read_backup(disk, blocks, 512).unwrap().unwrap(),
    };
    let fitted = relocate::fit(&copy, disk, size_bytes).unwrap();
    let mut new = disk.to_vec();
    new.resize(size_bytes as usize, 0);
    for extent in [&fitted.backup, &fitted.entries, &fitted.header, &fitted.boot_record] {
        let at = extent.offset_bytes as usize;
        new[at..at + extent.bytes.len()].copy_from_slice(&extent.bytes);
    }
    if let Some(lba) = fitted.stale_backup_lba {
        new[lba as usize * BLOCK..][..BLOCK].fill(0);
    }
    new
}

#[test]
fn a_gpt_is_fitted_to_a_larger_disk_and_keeps_its_entries() {
    for (count, size) in [(128, 128), (1024, 128), (20, 4096), (15, 128)] {
        let image = gpt_disk(count, size, &[(1, 1024, 1535), (14, 400, 410)]);
        let disk = fitted(&image, 3 << 20);
        let blocks = disk.len() as u64 / 512;
        let primary = gpt::read_primary(&disk[..], blocks, 512).unwrap().unwrap();
        let backup = gpt::read_backup(&disk[..], blocks, 512).unwrap().unwrap();
        assert_eq!(primary.entries, backup.entries);
        assert_eq!((backup.header.own_lba(), primary.header.other_lba()), (blocks - 1, blocks - 1));
        assert_eq!(primary.header.last_usable_lba(), backup.header.entries_lba() - 1);
        assert_eq!(read_disk(&disk).unwrap(), read_disk(&image).unwrap());
        assert_eq!(disk[(1 << 20) - BLOCK..1 << 20], [0; BLOCK], "the old backup header is gone");
        assert_eq!(disk[446..462], [0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0x17, 0, 0]);
    }
}

#[test]
fn fitting_to_the_same_size_changes_nothing() {
    let image = gpt_disk(128, 128, THREE);
    assert!(fitted(&image, 1 << 20) == image);
}

#[test]
fn the_smallest_disk_is_found_and_one_block_less_is_refused() {
    let image = gpt_disk(128, 128, THREE);
    let copy = gpt::read_primary(&image[..], BLOCKS, 512).unwrap().unwrap();
    let needed_bytes = relocate::needed_bytes(&copy);
    assert_eq!(needed_bytes, (1536 + 32 + 1) * 512);
    let disk = fitted(&image, needed_bytes);
    assert_eq!(numbers(&read_disk(&disk).unwrap().unwrap()), THREE);
    let disk_bytes = needed_bytes - 1;
    let error = relocate::fit(&copy, &image, disk_bytes).unwrap_err();
    assert_eq!(error, relocate::FitError::TooSmall { needed_bytes, disk_bytes });
}

#[test]
fn a_damaged_first_copy_is_made_again_from_the_last() {
    let image = gpt_disk(128, 128, THREE);
    let mut damaged = image.clone();
    damaged[BLOCK..40 * BLOCK].fill(0x5a);
    let disk = fitted(&damaged, 2 << 20);
    assert!(disk[..34 * BLOCK] == fitted(&image, 2 << 20)[..34 * BLOCK]);
}

#[test]
fn a_hybrid_record_keeps_its_own_entries_and_a_partial_cover() {
    let mut image = gpt_disk(128, 128, THREE);
    image[446..510].fill(0);
    entry(&mut image, 0, 0, 0xee, 1, 1023);
    entry(&mut image, 0, 1, 0x83, 1024, 512);
    let disk = fitted(&image, 3 << 20);
    assert_eq!(disk[446..510], image[446..510]);
    entry(&mut image, 0, 0, 0xee, 1, 2047);
    assert_eq!(fitted(&image, 3 << 20)[458..462], 6143u32.to_le_bytes());
}

#[test]
fn a_stale_backup_that_would_lie_in_a_partition_is_no_backup() {
    let mut image = gpt_disk(128, 128, THREE);
    set(&mut image, 1, 32, &1100u64.to_le_bytes());
    let copy = gpt::read_primary(&image[..], BLOCKS, 512).unwrap().unwrap();
    assert_eq!(relocate::fit(&copy, &image, 3 << 20).unwrap().stale_backup_lba, None);
}

#[test]
fn a_gpt_is_not_written_over_a_partition() {
    let fit_with = |partitions: &[(u32, u64, u64)]| {
        let image = gpt_disk(128, 128, partitions);
        let primary = gpt::read_primary(&image[..], BLOCKS, 512).unwrap().unwrap();
        let backup = gpt::read_backup(&image[..], BLOCKS, 512).unwrap().unwrap();
        let error = relocate::fit(&primary, &image, 3 << 20).err();
        assert_eq!(error, relocate::fit(&backup, &image, 3 << 20).err());
        error
    };
    // Behind the header are 32 blocks of entries, which no partition of a right GPT begins before the end of.
    for first_lba in [1, 2, 33] {
        let error = fit_with(&[(3, 100, 200), (7, first_lba, 40)]);
        assert_eq!(error, Some(relocate::FitError::Occupied(7)), "{first_lba}");
    }
    assert_eq!(fit_with(&[(7, 34, 40)]), None);
}

#[test]
fn traces_keep_what_the_kernel_shows_of_a_table_that_is_wrong() {
    let mut disk = vec![0; 1 << 20];
    // It reaches beyond the disk, which was larger once.
    entry(&mut disk, 0, 0, 0x83, 1000, 5000);
    entry(&mut disk, 0, 1, 0x83, 3000, 10);
    // The chain of logical partitions breaks behind the first.
    entry(&mut disk, 0, 3, 0x05, 100, 800);
    entry(&mut disk, 100, 0, 0x83, 10, 90);
    entry(&mut disk, 100, 1, 0x05, 5000, 300);
    assert!(read_disk(&disk).is_err());
    let traces = traces(&disk[..], disk.len() as u64, 512).unwrap();
    assert_eq!(traces.iter().map(numbers).collect::<Vec<_>>(), [[(1, 1000, 2047), (5, 110, 199)]]);
}
