use common::table::{PartitionKind, read as read_table};

use super::*;

const MIB: u64 = 1 << 20;
const LINUX: [u8; 16] = [0xaf; 16];

/// A disk in memory, larger than the image that it was made as.
struct Image {
    bytes: Vec<u8>,
    block_size: u32,
}

impl Image {
    fn new(mib: u64, block_size: u32) -> Self {
        let mut bytes = vec![0; (mib * MIB) as usize];
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        Self { bytes, block_size }
    }

    fn block(&mut self, lba: u64) -> &mut [u8] {
        let size = self.block_size as usize;
        &mut self.bytes[lba as usize * size..][..size]
    }

    fn blocks(&self, mib: u64) -> u64 {
        mib * MIB / u64::from(self.block_size)
    }

    /// An entry of a boot record, in MiB from `base`.
    fn entry(&mut self, record_lba: u64, index: usize, kind: u8, first_lba: u64, blocks: u64) {
        let entry = &mut self.block(record_lba)[ENTRIES_AT + 16 * index..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&(first_lba as u32).to_le_bytes());
        entry[12..16].copy_from_slice(&(blocks as u32).to_le_bytes());
        self.block(record_lba)[510..512].copy_from_slice(&[0x55, 0xaa]);
    }

    /// A GPT for a disk of `mib`, with partitions from one MiB to another (exclusive).
    fn gpt(disk_mib: u64, mib: u64, block_size: u32, partitions: &[(u32, u64, u64)]) -> Self {
        let mut image = Self::new(disk_mib, block_size);
        let last_lba = image.blocks(mib) - 1;
        image.entry(0, 0, 0xee, 1, last_lba);
        let mut entries = vec![0; 128 * 128];
        for &(number, from_mib, to_mib) in partitions {
            let entry = &mut entries[128 * (number as usize - 1)..][..128];
            entry[..16].copy_from_slice(&LINUX);
            entry[16] = number as u8;
            entry[32..40].copy_from_slice(&image.blocks(from_mib).to_le_bytes());
            entry[40..48].copy_from_slice(&(image.blocks(to_mib) - 1).to_le_bytes());
        }
        let array_blocks = (entries.len() as u64).div_ceil(block_size.into());
        let (first_usable, last_usable) = (2 + array_blocks, last_lba - array_blocks - 1);
        for (own, other, at) in [(1, last_lba, 2), (last_lba, 1, last_usable + 1)] {
            let mut header = [0; 92];
            header[..8].copy_from_slice(b"EFI PART");
            for (at, value) in
                [(8, 0x0001_0000), (12, 92), (80, 128), (84, 128), (88, crc32fast::hash(&entries))]
            {
                header[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
            }
            for (at, value) in [(24, own), (32, other), (40, first_usable), (48, last_usable), (72, at)] {
                header[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
            }
            let checksum = crc32fast::hash(&header);
            header[16..20].copy_from_slice(&checksum.to_le_bytes());
            image.block(own)[..92].copy_from_slice(&header);
            let start = at as usize * block_size as usize;
            image.bytes[start..start + entries.len()].copy_from_slice(&entries);
        }
        image
    }

    fn table(&self) -> PartitionTable {
        read_table(&self.bytes[..], self.bytes.len() as u64, self.block_size).unwrap().unwrap()
    }

    fn plan(&self, number: u32) -> Plan {
        plan(&self.bytes[..], self.bytes.len() as u64, &self.table(), number).unwrap()
    }

    fn write(&mut self, step: &Step) {
        let start = step.extent.offset_bytes as usize;
        self.bytes[start..start + step.extent.bytes.len()].copy_from_slice(&step.extent.bytes);
    }

    /// Where a partition ends, in MiB.
    fn end_mib(&self, number: u32) -> f64 {
        let table = self.table();
        let partition = table.partitions.iter().find(|each| each.number == number).unwrap();
        ((partition.last_lba + 1) * u64::from(self.block_size)) as f64 / MIB as f64
    }
}

#[test]
fn the_last_partition_of_a_gpt_grows_to_the_end() {
    for block_size in [512, 4096] {
        // As Debian numbers them: the root is partition 1, and lies last.
        let mut image = Image::gpt(64, 32, block_size, &[(14, 1, 4), (15, 4, 8), (1, 8, 31)]);
        let plan = image.plan(1);
        assert_eq!(plan.room, Room::UpTo(image.blocks(63) - 1));
        let whats: Vec<&str> = plan.steps.iter().map(|step| step.what).collect();
        assert_eq!(
            whats,
            [
                "the last copy of the GPT",
                "zeros over the older last copy of the GPT",
                "the entries of the first copy of the GPT",
                "the header of the first copy of the GPT",
                "the protective MBR",
            ]
        );
        let before = image.table();
        plan.steps.iter().for_each(|step| image.write(step));
        assert_eq!(image.end_mib(1), 63.0);
        // The others, and their numbers, are as they were.
        assert_eq!(image.table().partitions[1..], before.partitions[1..]);
        assert_eq!(image.plan(1), Plan { room: Room::Full, steps: Vec::new(), beyond_mbr: false });
    }
}

#[test]
fn a_run_that_is_killed_between_two_writes_is_taken_up() {
    let image = Image::gpt(64, 32, 512, &[(1, 1, 8), (2, 8, 31)]);
    let steps = image.plan(2).steps;
    let mut finished = image.bytes.clone();
    for step in &steps {
        let start = step.extent.offset_bytes as usize;
        finished[start..start + step.extent.bytes.len()].copy_from_slice(&step.extent.bytes);
    }
    for done in 0..=steps.len() {
        let mut killed = Image { bytes: image.bytes.clone(), block_size: 512 };
        steps[..done].iter().for_each(|step| killed.write(step));
        // At every moment the table reads as before or as planned.
        assert!([31.0, 63.0].contains(&killed.end_mib(2)), "after {done} steps: {}", killed.end_mib(2));
        for step in killed.plan(2).steps {
            killed.write(&step);
        }
        assert!(killed.bytes == finished, "after {done} steps");
    }
}

#[test]
fn a_torn_write_is_taken_up() {
    let image = Image::gpt(64, 32, 512, &[(1, 1, 8), (2, 8, 31)]);
    let steps = image.plan(2).steps;
    for (index, torn) in steps.iter().enumerate() {
        let mut killed = Image { bytes: image.bytes.clone(), block_size: 512 };
        steps[..index].iter().for_each(|step| killed.write(step));
        let half = torn.extent.bytes[..torn.extent.bytes.len() / 2].to_vec();
        killed.write(&Step { what: torn.what, extent: Extent { bytes: half, ..torn.extent } });
        killed.plan(2).steps.iter().for_each(|step| killed.write(step));
        assert_eq!(killed.end_mib(2), 63.0, "torn at {}", torn.what);
        assert_eq!(killed.plan(2).steps, []);
    }
}

#[test]
fn what_follows_is_named_and_left() {
    let mut image = Image::gpt(64, 64, 512, &[(1, 1, 16), (2, 32, 40), (3, 40, 63)]);
    let before = image.bytes.clone();
    let plan = image.plan(1);
    assert_eq!(plan.room, Room::Followed("partition 2 (8 MiB)".into()));
    assert_eq!(plan.steps, []);
    // After an image was written to a larger disk the last copy moves, and nothing else.
    image.bytes.resize((128 * MIB) as usize, 0);
    let plan = image.plan(1);
    assert_eq!(plan.room, Room::Followed("partition 2 (8 MiB)".into()));
    plan.steps.iter().for_each(|step| image.write(step));
    assert_eq!(image.table().partitions, Image { bytes: before, block_size: 512 }.table().partitions);
}

#[test]
fn less_than_a_mebibyte_is_no_room() {
    // 63 is the last whole MiB before the entries of the last copy.
    assert_eq!(Image::gpt(64, 64, 512, &[(1, 1, 63)]).plan(1).room, Room::Full);
    assert_eq!(Image::gpt(64, 64, 512, &[(1, 1, 62)]).plan(1).room, Room::UpTo(63 * 2048 - 1));
}

#[test]
fn a_damaged_copy_is_mended() {
    for damaged in [1, 64 * 2048 - 1] {
        let mut image = Image::gpt(64, 64, 512, &[(1, 1, 63)]);
        let right = image.bytes.clone();
        image.block(damaged)[20] ^= 1;
        image.block(damaged)[60] ^= 1;
        let plan = image.plan(1);
        assert_eq!((&plan.room, plan.steps.len()), (&Room::Full, 1), "{damaged}");
        plan.steps.iter().for_each(|step| image.write(step));
        assert!(image.bytes == right);
    }
}

#[test]
fn the_last_primary_partition_of_an_mbr_grows() {
    for block_size in [512, 4096] {
        let mut image = Image::new(64, block_size);
        let mib = image.blocks(1);
        image.entry(0, 0, 0x83, mib, 8 * mib);
        image.entry(0, 1, 0x83, 9 * mib, 20 * mib);
        let plan = image.plan(2);
        assert_eq!((&plan.room, plan.steps.len()), (&Room::UpTo(64 * mib - 1), 1));
        plan.steps.iter().for_each(|step| image.write(step));
        assert_eq!((image.end_mib(1), image.end_mib(2)), (9.0, 64.0));
        assert_eq!(image.plan(2).room, Room::Full);
        assert_eq!(image.plan(1).room, Room::Followed("partition 2 (55 MiB)".into()));
    }
}

/// 1 primary, 2 extended with the logical partitions 5 and 6.
fn with_logical(block_size: u32) -> Image {
    let mut image = Image::new(64, block_size);
    let mib = image.blocks(1);
    image.entry(0, 0, 0x83, mib, 8 * mib);
    image.entry(0, 1, 0x05, 9 * mib, 23 * mib);
    image.entry(9 * mib, 0, 0x83, mib, 9 * mib);
    image.entry(9 * mib, 1, 0x05, 10 * mib, 13 * mib);
    image.entry(19 * mib, 0, 0x83, mib, 12 * mib);
    image
}

#[test]
fn the_last_logical_partition_grows_with_the_extended_one() {
    for block_size in [512, 4096] {
        let original = with_logical(block_size);
        let mib = original.blocks(1);
        let plan = original.plan(6);
        assert_eq!(plan.room, Room::UpTo(64 * mib - 1));
        for done in 0..=plan.steps.len() {
            let mut image = with_logical(block_size);
            plan.steps[..done].iter().for_each(|step| image.write(step));
            assert_eq!((image.end_mib(1), image.end_mib(5)), (9.0, 19.0));
            image.plan(6).steps.iter().for_each(|step| image.write(step));
            assert_eq!(image.end_mib(6), 64.0);
            let extended = BootRecord::parse(image.block(0)).unwrap().entries[1];
            let link = BootRecord::parse(image.block(9 * mib)).unwrap().entries[1];
            assert_eq!((u64::from(extended.blocks), u64::from(link.blocks)), (55 * mib, 45 * mib));
            assert_eq!(image.plan(6), Plan { room: Room::Full, steps: Vec::new(), beyond_mbr: false });
        }
    }
}

#[test]
fn what_follows_a_partition_of_an_mbr_is_named() {
    let mut image = with_logical(512);
    assert_eq!(image.plan(1).room, Room::Followed("the extended partition 2".into()));
    assert_eq!(image.plan(5).room, Room::Followed("partition 6 (12 MiB)".into()));
    let mib = image.blocks(1);
    image.entry(0, 2, 0x82, 32 * mib, 4 * mib);
    assert_eq!(image.plan(6).room, Room::Followed("partition 3 (4 MiB)".into()));
}

#[test]
fn an_mbr_ends_at_its_last_block() {
    let root = Partition {
        number: 1,
        first_lba: 2048,
        last_lba: 4095,
        kind: PartitionKind::Mbr(0x83),
        guid: None,
        name: None,
    };
    // 4 TiB in blocks of 512 bytes: 2 TiB can be used.
    struct Sparse(Vec<u8>);
    impl ReadAt for Sparse {
        fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
            assert_eq!(offset_bytes, 0);
            buffer.copy_from_slice(&self.0);
            Ok(())
        }
    }
    let mut image = Image::new(1, 512);
    image.entry(0, 0, 0x83, root.first_lba, 2048);
    let disk = Sparse(image.block(0).to_vec());
    let table = PartitionTable { kind: TableKind::Mbr, logical_block_size: 512, partitions: vec![root] };
    let plan = plan(&disk, 4 << 40, &table, 1).unwrap();
    assert!(plan.beyond_mbr);
    assert_eq!(plan.room, Room::UpTo((1 << 32) - 1));
    let entry = BootRecord::parse(&plan.steps[0].extent.bytes).unwrap().entries[0];
    assert_eq!(u64::from(entry.first_lba) + u64::from(entry.blocks), 1 << 32);
}
