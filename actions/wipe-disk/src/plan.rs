//! In which order a disk is wiped, and what is zeroed.
//!
//! The tables go last: whoever begins again after a kill finds through them where the partitions were.

use common::blkid::{Found, Search};

use crate::layout::{Area, Layout};
use crate::options::Method;
use crate::range::Range;

/// What is zeroed at both ends of the disk and of every partition. All that libblkid knows and all copies that it does not
/// know of lie there, but for those in [`copies`].
pub(crate) const END_BYTES: u64 = 1 << 20;

/// Places are zeroed in these units: the largest logical block there is on disks, and the page of the cache.
const UNIT_BYTES: u64 = 4096;

/// What a disk is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) size_bytes: u64,
    pub(crate) can_discard: bool,
}

/// One step of wiping a disk. What a step wrote is flushed before the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Erase every signature in a part of the disk.
    Erase(Area, Search),
    /// Discard.
    Discard {
        range: Range,
        /// Whether a disk that cannot is a failure.
        must: bool,
    },
    /// Zero all of a range, however large.
    ZeroAll(Range),
    /// Zero what was found so far and not zeroed yet, and these.
    ZeroFound(Vec<Range>),
    /// Zero an end of the disk.
    ZeroEnd(Range),
    /// Read back: what was zeroed is zeros, and in these parts of the disk nothing is found.
    Verify(Vec<Area>),
}

/// The steps by which a disk is wiped.
pub(crate) fn steps(facts: Facts, layout: &Layout, method: Method) -> Vec<Step> {
    let whole =
        Area { name: "the whole disk".into(), range: Range { start_bytes: 0, end_bytes: facts.size_bytes } };
    let (first, middle, last) = split(facts.size_bytes);
    let mut steps: Vec<Step> =
        layout.partitions.iter().map(|area| Step::Erase(area.clone(), Search::Everything)).collect();
    steps.push(Step::Erase(whole.clone(), Search::Superblocks));
    if let Some(range) = middle {
        match method {
            Method::Auto if facts.can_discard => steps.push(Step::Discard { range, must: false }),
            Method::Discard => steps.push(Step::Discard { range, must: true }),
            Method::Zero => steps.push(Step::ZeroAll(range)),
            Method::Auto | Method::Signatures => {}
        }
    }
    let ends = layout.partitions.iter().flat_map(|area| ends(area.range)).collect();
    steps.push(Step::ZeroFound(within(middle, ends)));
    // From here on nothing tells any more where the partitions were.
    steps.extend(layout.extended.iter().map(|area| Step::Erase(area.clone(), Search::Everything)));
    steps.push(Step::Erase(whole.clone(), Search::Everything));
    steps.push(Step::ZeroFound(within(middle, layout.headers.iter().copied().map(whole_units).collect())));
    steps.extend(last.map(Step::ZeroEnd));
    steps.push(Step::ZeroEnd(first));
    let areas = layout.partitions.iter().chain(&layout.extended).cloned().chain([whole]).collect();
    steps.push(Step::Verify(areas));
    steps
}

/// The first MiB, what lies between, and the last MiB. A disk of up to 2 MiB is all first.
fn split(size_bytes: u64) -> (Range, Option<Range>, Option<Range>) {
    if size_bytes <= 2 * END_BYTES {
        return (Range { start_bytes: 0, end_bytes: size_bytes }, None, None);
    }
    let last = size_bytes - END_BYTES;
    let range = |start_bytes, end_bytes| Range { start_bytes, end_bytes };
    (range(0, END_BYTES), Some(range(END_BYTES, last)), Some(range(last, size_bytes)))
}

/// Both ends of a partition, or all of a small one.
fn ends(range: Range) -> Vec<Range> {
    let Range { start_bytes, end_bytes } = range;
    if range.length_bytes() <= 2 * END_BYTES {
        return vec![range];
    }
    vec![
        Range { start_bytes, end_bytes: start_bytes + END_BYTES },
        Range { start_bytes: end_bytes - END_BYTES, end_bytes },
    ]
}

/// What is zeroed for the signatures that were found in a part of the disk.
pub(crate) fn places(size_bytes: u64, area: Range, found: &[Found]) -> Vec<Range> {
    let all = found.iter().flat_map(|found| {
        let own = found
            .offset_bytes
            .map(|start_bytes| Range { start_bytes, end_bytes: start_bytes + found.length_bytes });
        own.into_iter().chain(copies(area, &found.kind))
    });
    within(split(size_bytes).1, all.map(whole_units).collect())
}

/// Copies of a superblock that libblkid does not look at, and that lie farther inside than both ends.
fn copies(area: Range, kind: &str) -> Vec<Range> {
    /// `btrfs_sb_offset`, fs/btrfs/disk-io.h: the second and the third superblock, of 4 KiB each.
    const BTRFS_BYTES: [u64; 2] = [64 << 20, 256 << 30];
    let offsets: &[u64] = if kind == "btrfs" { &BTRFS_BYTES } else { &[] };
    offsets
        .iter()
        .map(|offset| area.start_bytes + offset)
        .map(|start_bytes| Range { start_bytes, end_bytes: start_bytes + 4096 })
        .filter(|range| range.end_bytes <= area.end_bytes)
        .collect()
}

fn whole_units(range: Range) -> Range {
    Range {
        start_bytes: range.start_bytes / UNIT_BYTES * UNIT_BYTES,
        end_bytes: range.end_bytes.next_multiple_of(UNIT_BYTES),
    }
}

/// The parts of ranges that lie between the disk's ends (which are zeroed anyway, and late), sorted and joined.
fn within(middle: Option<Range>, ranges: Vec<Range>) -> Vec<Range> {
    let Some(middle) = middle else { return Vec::new() };
    let cut = ranges.into_iter().map(|range| Range {
        start_bytes: range.start_bytes.max(middle.start_bytes),
        end_bytes: range.end_bytes.min(middle.end_bytes),
    });
    joined(cut.filter(|range| range.start_bytes < range.end_bytes).collect())
}

/// Ranges sorted, and those that touch made one.
pub(crate) fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(before) if range.start_bytes <= before.end_bytes => {
                before.end_bytes = before.end_bytes.max(range.end_bytes);
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn range(start_bytes: u64, end_bytes: u64) -> Range {
        Range { start_bytes, end_bytes }
    }

    fn area(name: &str, range: Range) -> Area {
        Area { name: name.into(), range }
    }

    fn layout() -> Layout {
        Layout {
            tables: vec!["MBR with 2 partitions".into()],
            partitions: vec![
                area("partition 1 of the MBR", range(MIB / 2, 3 * MIB / 2)),
                area("partition 5 of the MBR", range(20 * MIB, 60 * MIB)),
            ],
            extended: vec![area("the extended partition", range(19 * MIB, 80 * MIB))],
            headers: vec![range(512, 1024), range(90 * MIB + 512, 90 * MIB + 1024)],
        }
    }

    const FACTS: Facts = Facts { size_bytes: 100 * MIB, can_discard: true };

    /// Each step's place in the plan, or its absence.
    fn at(steps: &[Step], wanted: impl Fn(&Step) -> bool) -> Option<usize> {
        steps.iter().position(wanted)
    }

    #[test]
    fn partitions_go_first_and_tables_last() {
        let whole = area("the whole disk", range(0, 100 * MIB));
        let middle = range(MIB, 99 * MIB);
        let layout = layout();
        assert_eq!(
            steps(FACTS, &layout, Method::Auto),
            [
                Step::Erase(layout.partitions[0].clone(), Search::Everything),
                Step::Erase(layout.partitions[1].clone(), Search::Everything),
                Step::Erase(whole.clone(), Search::Superblocks),
                Step::Discard { range: middle, must: false },
                Step::ZeroFound(vec![
                    range(MIB, 3 * MIB / 2),
                    range(20 * MIB, 21 * MIB),
                    range(59 * MIB, 60 * MIB)
                ]),
                Step::Erase(layout.extended[0].clone(), Search::Everything),
                Step::Erase(whole.clone(), Search::Everything),
                Step::ZeroFound(vec![range(90 * MIB, 90 * MIB + 4096)]),
                Step::ZeroEnd(range(99 * MIB, 100 * MIB)),
                Step::ZeroEnd(range(0, MIB)),
                Step::Verify(vec![
                    layout.partitions[0].clone(),
                    layout.partitions[1].clone(),
                    layout.extended[0].clone(),
                    whole
                ]),
            ]
        );
    }

    #[test]
    fn the_method_says_what_happens_to_the_middle() {
        let middle = range(MIB, 99 * MIB);
        let of = |method, can_discard| {
            let steps = steps(Facts { can_discard, ..FACTS }, &layout(), method);
            let before = at(&steps, |step| matches!(step, Step::ZeroFound(_))).unwrap();
            match &steps[before - 1] {
                Step::Erase(..) => None,
                step => Some(step.clone()),
            }
        };
        assert_eq!(of(Method::Auto, true), Some(Step::Discard { range: middle, must: false }));
        assert_eq!(of(Method::Auto, false), None);
        assert_eq!(of(Method::Signatures, true), None);
        assert_eq!(of(Method::Discard, true), Some(Step::Discard { range: middle, must: true }));
        assert_eq!(of(Method::Zero, true), Some(Step::ZeroAll(middle)));
    }

    #[test]
    fn a_disk_of_two_mebibytes_is_zeroed_as_a_whole() {
        let facts = Facts { size_bytes: 2 * MIB, can_discard: true };
        let steps = steps(facts, &Layout::default(), Method::Auto);
        assert!(at(&steps, |step| matches!(step, Step::Discard { .. })).is_none());
        assert!(at(&steps, |step| *step == Step::ZeroEnd(range(0, 2 * MIB))).is_some());
        assert_eq!(split(2 * MIB + 512).1, Some(range(MIB, MIB + 512)));
    }

    #[test]
    fn found_places_are_whole_units_between_the_ends() {
        let found = |kind: &str, offset_bytes| Found {
            kind: kind.into(),
            usage: "filesystem".into(),
            offset_bytes,
            length_bytes: 8,
        };
        let disk = range(0, 100 * MIB);
        let all = [
            found("ext4", Some(30 * MIB + 1080)),
            found("xfs", Some(30 * MIB + 4092)),
            found("crypto_LUKS", Some(100)),
            found("zfs_member", None),
        ];
        assert_eq!(places(100 * MIB, disk, &all), [range(30 * MIB, 30 * MIB + 8192)]);
        // The second superblock of a btrfs, counted from its partition; the third would lie outside of it.
        let partition = range(10 * MIB, 90 * MIB);
        assert_eq!(
            places(100 * MIB, partition, &[found("btrfs", Some(10 * MIB + 65600))]),
            [range(10 * MIB + 65536, 10 * MIB + 65536 + 4096), range(74 * MIB, 74 * MIB + 4096)]
        );
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(
            joined(vec![range(8, 9), range(0, 4), range(4, 6), range(1, 3)]),
            [range(0, 6), range(8, 9)]
        );
    }
}
