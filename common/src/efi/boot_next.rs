//! Which boot entry the firmware shall start next. What is planned here never changes the boot order, nor an entry that
//! somebody else made.

use super::device_path::{HardDrive, same_file};
use super::load_option::LoadOption;

/// The description of the one entry that is ours, by which a later run finds it again.
pub const OWN: &str = "Nibs: installed system";

/// What the firmware's variables say (3.3, table 3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// All `Boot####`, in any order.
    pub entries: Vec<Entry>,
    /// `BootOrder`.
    pub order: Vec<u16>,
    /// `BootCurrent`: what this system was started by.
    pub current: Option<u16>,
    /// `BootNext`, where it is set already.
    pub next: Option<u16>,
}

/// A variable `Boot####`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: u16,
    /// What it holds; `None` where that is no load option. Its number is taken all the same.
    pub option: Option<LoadOption>,
}

/// What shall be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The EFI system partition.
    pub partition: HardDrive,
    /// The loaders on it that would do, as `\EFI\BOOT\BOOTX64.EFI`; the best one first.
    pub loaders: Vec<String>,
}

/// The entry that `BootNext` shall name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// One that is there.
    Existing {
        /// Its number.
        number: u16,
        /// Its description.
        name: String,
        /// What it starts.
        loader: String,
    },
    /// One of ours, which has to be written first.
    Own {
        /// Its number.
        number: u16,
        /// Whether it takes the place of an older one of ours.
        again: bool,
        /// What to write.
        option: LoadOption,
        /// What it starts.
        loader: String,
    },
}

impl Choice {
    /// Its number.
    pub fn number(&self) -> u16 {
        match self {
            Self::Existing { number, .. } | Self::Own { number, .. } => *number,
        }
    }

    /// What it starts.
    pub fn loader(&self) -> &str {
        match self {
            Self::Existing { loader, .. } | Self::Own { loader, .. } => loader,
        }
    }
}

/// Why there is no choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoChoice {
    /// Nothing to start.
    #[error("there is no loader to start")]
    NoLoader,
    /// All numbers from 0000 to FFFF are taken.
    #[error("the firmware has no number left for a boot entry")]
    NoNumber,
}

/// Chooses: an entry that is there and starts one of the loaders, the best loader first, and of several for one loader the
/// first in the boot order; else our own older entry, written anew; else a new one in a number that nothing speaks of.
///
/// # Errors
/// [`NoChoice`].
pub fn plan(seen: &Seen, wanted: &Wanted) -> Result<Choice, NoChoice> {
    let best = wanted.loaders.first().ok_or(NoChoice::NoLoader)?;
    for loader in &wanted.loaders {
        if let Some((number, option)) = starting(seen, &wanted.partition, loader) {
            return Ok(Choice::Existing { number, name: option.name(), loader: loader.clone() });
        }
    }
    let option = LoadOption::to_start(OWN, wanted.partition, best);
    let own = seen.entries.iter().filter(|entry| is_own(entry)).map(|entry| entry.number).min();
    let number = own.or_else(|| free(seen)).ok_or(NoChoice::NoNumber)?;
    Ok(Choice::Own { number, again: own.is_some(), option, loader: best.clone() })
}

/// The entry that starts this file.
fn starting<'a>(seen: &'a Seen, partition: &HardDrive, loader: &str) -> Option<(u16, &'a LoadOption)> {
    let place = |number: u16| seen.order.iter().position(|each| *each == number).unwrap_or(usize::MAX);
    seen.entries
        .iter()
        .filter_map(|entry| Some((entry.number, entry.option.as_ref()?)))
        .filter(|(_, option)| {
            option.is_for_booting()
                && option.starts().is_some_and(|(drive, file)| {
                    drive.is_same_partition(partition) && same_file(&file, loader)
                })
        })
        .min_by_key(|(number, _)| (place(*number), *number))
}

fn is_own(entry: &Entry) -> bool {
    entry.option.as_ref().is_some_and(|option| option.description.iter().copied().eq(OWN.encode_utf16()))
}

/// The lowest number that neither an entry has nor another variable names: the firmware may mean one that is gone.
fn free(seen: &Seen) -> Option<u16> {
    let taken = |number: u16| {
        seen.entries.iter().any(|entry| entry.number == number)
            || seen.order.contains(&number)
            || [seen.current, seen.next].contains(&Some(number))
    };
    (0..=u16::MAX).find(|number| !taken(*number))
}

#[cfg(test)]
mod tests {
    use super::super::device_path::{Node, Signature};
    use super::super::load_option::{ACTIVE, HIDDEN};
    use super::*;

    const FALLBACK: &str = "\\EFI\\BOOT\\BOOTX64.EFI";
    const SHIM: &str = "\\EFI\\debian\\shimx64.efi";

    fn partition() -> HardDrive {
        HardDrive { number: 2, first_lba: 4096, blocks: 131_072, signature: Signature::Gpt([7; 16]) }
    }

    fn wanted() -> Wanted {
        Wanted { partition: partition(), loaders: vec![FALLBACK.into(), SHIM.into()] }
    }

    fn entry(number: u16, option: LoadOption) -> Entry {
        Entry { number, option: Some(option) }
    }

    fn starts(description: &str, file: &str) -> LoadOption {
        LoadOption::to_start(description, partition(), file)
    }

    fn network(number: u16) -> Entry {
        let mac = Node::Other { kind: 3, subtype: 11, data: vec![0; 33] };
        entry(number, LoadOption { paths: vec![mac, Node::End], ..starts("UEFI PXEv4", "\\x") })
    }

    fn seen(entries: Vec<Entry>) -> Seen {
        Seen { order: vec![3, 1], current: Some(3), entries, next: None }
    }

    #[test]
    fn an_entry_that_is_there_is_taken_whatever_its_spelling() {
        let there = vec![network(3), entry(1, starts("debian", "\\efi\\DEBIAN\\SHIMX64.EFI"))];
        let expected = Choice::Existing { number: 1, name: "debian".into(), loader: SHIM.into() };
        assert_eq!(plan(&seen(there.clone()), &wanted()), Ok(expected));
        // The best loader goes first, and for one loader the boot order.
        let mut there = there;
        there.push(entry(0, starts("older", FALLBACK)));
        assert_eq!(plan(&seen(there.clone()), &wanted()).unwrap().number(), 0);
        there.push(entry(9, starts("UEFI OS", "\\EFI\\BOOT\\BOOTX64.EFI")));
        assert_eq!(plan(&seen(there.clone()), &wanted()).unwrap().number(), 0);
        let ordered = Seen { order: vec![3, 9, 1], ..seen(there) };
        assert_eq!(plan(&ordered, &wanted()).unwrap().number(), 9);
    }

    #[test]
    fn an_entry_for_something_else_is_not_taken() {
        let elsewhere = HardDrive { signature: Signature::Gpt([8; 16]), ..partition() };
        let second = HardDrive { number: 3, ..partition() };
        let there = vec![
            network(3),
            entry(0, LoadOption::to_start("other disk", elsewhere, FALLBACK)),
            entry(1, LoadOption::to_start("other partition", second, FALLBACK)),
            entry(2, starts("other file", "\\EFI\\BOOT\\MMX64.EFI")),
            entry(4, LoadOption { attributes: 0, ..starts("switched off", FALLBACK) }),
            entry(5, LoadOption { attributes: ACTIVE | HIDDEN, ..starts("hidden", FALLBACK) }),
            Entry { number: 6, option: None },
        ];
        let choice = plan(&seen(there), &wanted()).unwrap();
        let option = starts(OWN, FALLBACK);
        assert_eq!(choice, Choice::Own { number: 7, again: false, option, loader: FALLBACK.into() });
    }

    #[test]
    fn a_number_that_anything_speaks_of_is_not_free() {
        let state = Seen { order: vec![0, 2], current: Some(1), next: Some(3), entries: vec![network(4)] };
        assert_eq!(plan(&state, &wanted()).unwrap().number(), 5);
        let all = Seen { entries: (0..=u16::MAX).map(network).collect(), ..Seen::default() };
        assert_eq!(plan(&all, &wanted()), Err(NoChoice::NoNumber));
        assert_eq!(plan(&state, &Wanted { loaders: vec![], ..wanted() }), Err(NoChoice::NoLoader));
    }

    #[test]
    fn a_rerun_finds_its_own_entry_and_makes_no_second() {
        let first = plan(&seen(vec![network(3)]), &wanted()).unwrap();
        let Choice::Own { number, again: false, option, .. } = first else { panic!("{first:?}") };
        let there = vec![network(3), entry(number, option)];
        let expected = Choice::Existing { number, name: OWN.into(), loader: FALLBACK.into() };
        assert_eq!(plan(&seen(there.clone()), &wanted()), Ok(expected));
        // Another image was streamed meanwhile: the entry is written anew, in its place.
        let other = HardDrive { signature: Signature::Gpt([9; 16]), ..partition() };
        let choice = plan(&seen(there.clone()), &Wanted { partition: other, ..wanted() }).unwrap();
        let Choice::Own { number: second, again: true, option, .. } = choice else { panic!("{choice:?}") };
        assert_eq!((second, option.starts().unwrap().0), (number, other));
        // So it is when somebody has switched it off, and of two the first stays ours.
        let mut off = there;
        for number in [20, 10] {
            off.push(entry(number, LoadOption { attributes: 0, ..starts(OWN, FALLBACK) }));
        }
        off.remove(1);
        assert!(matches!(plan(&seen(off), &wanted()).unwrap(), Choice::Own { number: 10, again: true, .. }));
    }
}
