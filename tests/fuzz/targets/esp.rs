//! Whatever an EFI system partition holds, looking at it ends, takes little memory, and gives names that are names.
#![no_main]

use common::efi::Architecture;
use common::esp::{self, Esp, EspError};
use common::table::{Partition, PartitionKind, PartitionTable, TableKind};
use libfuzzer_sys::fuzz_target;
use nibs_fuzz::{Disk, measured, take};

/// Behind this block of the disk it begins.
const FIRST_LBA: u64 = 3;

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let [flags, low, high] = take(&mut input);
    // The signature, unless it is that which is tried.
    let mut filesystem = input.to_vec();
    if let (0, Some(signature)) = (flags & 1, filesystem.get_mut(510..512)) {
        signature.copy_from_slice(&[0x55, 0xaa]);
    }
    let blocks = (1 + u64::from(u16::from_le_bytes([low, high]))) << (flags >> 5);
    let mut head = vec![0xee; FIRST_LBA as usize * 512];
    head.append(&mut filesystem);
    let size_bytes = (FIRST_LBA + blocks) * 512;
    let disk = Disk::new(size_bytes, &head, &[]);
    let partition = Partition {
        number: 1,
        first_lba: FIRST_LBA,
        last_lba: FIRST_LBA + blocks - 1,
        kind: PartitionKind::Gpt(esp::GPT_TYPE),
        guid: None,
        name: None,
    };
    let table = PartitionTable { kind: TableKind::Gpt, logical_block_size: 512, partitions: vec![partition] };
    let partition = &table.partitions[0];
    assert_eq!(esp::partitions(&table).count(), 1);

    for firmware in [Architecture::X64, Architecture::Aarch64] {
        disk.reads.set(0);
        let (found, bytes) = measured(|| esp::look(&disk, &table, partition, firmware));
        // Every entry takes some reads, of which there are so many at most.
        assert!(disk.reads.get() <= (1 << 18) + 1, "{} reads", disk.reads.get());
        assert!(bytes <= 16 << 20, "{bytes} bytes of memory");
        match found {
            Ok(found) => {
                for loader in found.loaders.iter().chain(&found.foreign) {
                    let name = loader.path.strip_prefix("\\EFI\\").expect("it lies in a vendor's folder");
                    assert_eq!(name.matches('\\').count(), 1, "{name:?}");
                    assert!(name.chars().count() <= 129 && !name.contains(char::is_control), "{name:?}");
                }
                assert!(found.loaders.iter().all(|loader| loader.architecture == firmware));
                assert!(found.fallback(firmware).is_none_or(|loader| found.loaders.contains(loader)));
            }
            Err(EspError::NoFat(why)) => assert!(!why.is_empty()),
            // What is not on the disk cannot be read, and what was too much is not.
            Err(EspError::Io(_)) => {}
        }
    }

    let Ok(esp) = Esp::open(&disk, FIRST_LBA * 512, blocks * 512) else { return };
    if let Ok(Some(items)) = esp.list("\\") {
        assert!(items.len() <= 4096);
        for item in items.iter().take(8) {
            assert!(!item.name.contains(['\\', '/']) && !item.name.contains(char::is_control));
            if let Ok(Some(content)) = esp.read(&item.name, 5000) {
                assert!(content.len() <= 5000 && esp.has_file(&item.name).unwrap_or(true));
            }
        }
    }
});
