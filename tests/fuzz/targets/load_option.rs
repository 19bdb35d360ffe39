//! A load option that is read is written as it was, and a plan with it changes nobody else's entry and holds the next time.
#![no_main]

use common::efi::boot_next::{Choice, Entry, OWN, Seen, Wanted, plan};
use common::efi::device_path::{HardDrive, Node, Signature, same_file};
use common::efi::{LoadOption, variables};
use libfuzzer_sys::fuzz_target;
use nibs_fuzz::measured;

fuzz_target!(|input: &[u8]| {
    let (nodes, bytes) = measured(|| Node::parse_all(input));
    // A node of four bytes takes one of the list, doubled while it grows.
    assert!(bytes <= 1024 + 64 * input.len(), "{bytes} bytes of memory for a path of {}", input.len());
    if let Ok(nodes) = &nodes {
        assert_eq!(nodes.iter().flat_map(Node::to_bytes).collect::<Vec<u8>>(), input);
    }

    let (option, bytes) = measured(|| LoadOption::parse(input));
    assert!(bytes <= 1024 + 64 * input.len(), "{bytes} bytes of memory for an option of {}", input.len());
    let Ok(option) = option else { return };
    assert_eq!(option.to_bytes(), input);
    let name = option.name();
    assert!(name.chars().count() <= 80 && !name.contains(char::is_control), "{name:?}");

    // What it starts is what is wanted; or only the partition, or only the file, or nothing of it.
    let elsewhere =
        HardDrive { number: 1, first_lba: 2048, blocks: 4096, signature: Signature::Gpt([7; 16]) };
    let loader = "\\EFI\\BOOT\\BOOTX64.EFI".to_owned();
    let (drive, file) = option.starts().unwrap_or((elsewhere, loader.clone()));
    for (partition, loaders) in [
        (drive, vec![file.clone()]),
        (drive, vec![loader.clone(), file.clone()]),
        (elsewhere, vec![loader.clone()]),
        (HardDrive { number: drive.number.wrapping_add(1), ..drive }, vec![loader]),
    ] {
        let wanted = Wanted { partition, loaders };
        let others = [
            Entry { number: 0, option: None },
            Entry { number: 2, option: Some(LoadOption::to_start("x", elsewhere, "\\x")) },
        ];
        let mut entries = others.to_vec();
        entries.push(Entry { number: 3, option: Some(option.clone()) });
        let mut seen = Seen { entries, order: vec![3, 1], current: Some(4), next: None };
        let choice = plan(&seen, &wanted).expect("there is a loader, and a number");
        assert!(wanted.loaders.iter().any(|loader| loader == choice.loader()));
        match &choice {
            Choice::Existing { number: 3, .. } => {
                let (drive, file) = option.starts().expect("it starts something");
                assert!(option.is_for_booting() && drive.is_same_partition(&partition));
                assert!(same_file(&file, choice.loader()));
            }
            Choice::Own { number: 3, again: true, .. } => assert_eq!(option.name(), OWN),
            Choice::Own { number: 5, again: false, .. } => {}
            other => panic!("{other:?}"),
        }
        // What a later run sees.
        if let Choice::Own { number, option, .. } = &choice {
            assert_eq!(LoadOption::parse(&option.to_bytes()).as_ref(), Ok(option));
            seen.entries.retain(|entry| entry.number != *number);
            seen.entries.push(Entry { number: *number, option: Some(option.clone()) });
            // A path with an end in it, or without any name, is none that can be written.
            let is_path = !choice.loader().contains('\0') && same_file(choice.loader(), choice.loader());
            let again = plan(&seen, &wanted).expect("there is a loader, and a number");
            assert!(!is_path || matches!(again, Choice::Existing { .. }), "{again:?}");
            assert_eq!(again.number(), *number);
        }
        assert!(others.iter().all(|entry| seen.entries.contains(entry)));
        assert_eq!(variables::entry_name(choice.number()).len(), "Boot0000".len());
    }
});
