//! The small files of boot loaders: entries, environment blocks, and the versions that they are ordered by.
#![no_main]

use std::cmp::Ordering;

use common::boot::bls::BlsEntry;
use common::boot::{grubenv, version};
use libfuzzer_sys::fuzz_target;
use nibs_fuzz::measured;

fuzz_target!(|input: &[u8]| {
    let (variables, bytes) = measured(|| grubenv::parse(input));
    assert!(bytes <= 1024 + 64 * input.len(), "{bytes} bytes of memory for {}", input.len());
    for (name, value) in variables.iter().flatten() {
        // What is read is read again from what it would be written as.
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\\n");
        let block = format!("# GRUB Environment Block\n{}={}\n", escaped(name), escaped(value));
        if !name.starts_with('#') {
            assert_eq!(grubenv::parse(block.as_bytes()).as_deref(), Ok(&[(name.clone(), value.clone())][..]));
        }
    }

    let text = String::from_utf8_lossy(input);
    let (name, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let (entry, bytes) = measured(|| BlsEntry::parse(name, rest));
    assert!(bytes <= 1024 + 64 * input.len(), "{bytes} bytes of memory for {}", input.len());
    assert!(name.starts_with(&entry.id));
    let values =
        [&entry.title, &entry.version, &entry.sort_key, &entry.linux, &entry.program].into_iter().flatten();
    for value in values.chain(&entry.initrds).chain(&entry.options) {
        assert!(!value.contains('\n') && rest.contains(value.as_str()));
    }

    // The order of versions is one: it does not depend on who is asked first, and has no circles.
    let mut versions = text.split('\n').take(3);
    let [one, two, three] = [(); 3].map(|()| versions.next().unwrap_or_default());
    for compare in [version::compare, version::compare_kernels] {
        assert_eq!(compare(one, two), compare(two, one).reverse());
        assert_eq!(compare(one, one), Ordering::Equal);
        if compare(one, two) != Ordering::Greater && compare(two, three) != Ordering::Greater {
            assert_ne!(compare(one, three), Ordering::Greater, "{one:?} {two:?} {three:?}");
        }
    }
});
