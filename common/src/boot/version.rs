//! The order of versions, as the UAPI group's version format specification (UAPI.10) has it.

use std::cmp::Ordering;

/// Which of two versions is newer: `Greater` when the first one is.
///
/// A version is a row of numbers and of words. What stands before a part counts as well: `~` makes it older than no part at
/// all, and of parts with `-`, `^`, `.` and nothing before them each is newer than the one named before it. A number is newer
/// than a word. What is no ASCII letter, digit or one of these four is skipped.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        (one, other) = (skip_foreign(one), skip_foreign(other));
        if let Some(order) = separator(b'~', &mut one, &mut other) {
            return order;
        }
        if one.is_empty() || other.is_empty() {
            return one.len().min(1).cmp(&other.len().min(1));
        }
        for mark in [b'-', b'^', b'.'] {
            if let Some(order) = separator(mark, &mut one, &mut other) {
                return order;
            }
        }
        let numbers = [one, other].iter().any(|rest| rest.first().is_some_and(u8::is_ascii_digit));
        let order = if numbers { number(&mut one, &mut other) } else { word(&mut one, &mut other) };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The order of kernels' versions: as [`compare`], with `-rc1` and the like before the release. GRUB's own scripts see them so.
pub fn compare_kernels(one: &str, other: &str) -> Ordering {
    compare(&with_previews(one), &with_previews(other))
}

/// Puts a `~` before what marks a preview.
fn with_previews(version: &str) -> String {
    let mut text = String::with_capacity(version.len());
    let mut rest = version;
    while let Some(at) = rest.find(['.', '_', '-']) {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        text.push_str(before);
        let preview = ["pre", "rc", "test", "git", "old", "trunk"].iter().any(|word| after.starts_with(word));
        text.push(if preview { '~' } else { char::from(rest.as_bytes()[at]) });
        rest = after;
    }
    text + rest
}

fn skip_foreign(text: &[u8]) -> &[u8] {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"~-^.".contains(byte);
    &text[text.iter().position(known).unwrap_or(text.len())..]
}

/// Skips the mark where both have it; where one has it, that one is older.
fn separator(mark: u8, one: &mut &[u8], other: &mut &[u8]) -> Option<Ordering> {
    match (one.strip_prefix(&[mark]), other.strip_prefix(&[mark])) {
        (Some(rest), Some(other_rest)) => {
            (*one, *other) = (rest, other_rest);
            None
        }
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (None, None) => None,
    }
}

/// Takes what fits off the beginning.
fn take<'a>(text: &mut &'a [u8], fits: fn(&u8) -> bool) -> &'a [u8] {
    let (taken, rest) = text.split_at(text.iter().position(|byte| !fits(byte)).unwrap_or(text.len()));
    *text = rest;
    taken
}

fn number(one: &mut &[u8], other: &mut &[u8]) -> Ordering {
    let (mut first, mut second) = (take(one, u8::is_ascii_digit), take(other, u8::is_ascii_digit));
    let order = (!first.is_empty()).cmp(&!second.is_empty());
    take(&mut first, |digit| *digit == b'0');
    take(&mut second, |digit| *digit == b'0');
    order.then(first.len().cmp(&second.len())).then_with(|| first.cmp(second))
}

fn word(one: &mut &[u8], other: &mut &[u8]) -> Ordering {
    take(one, u8::is_ascii_alphabetic).cmp(take(other, u8::is_ascii_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_order_holds_between_any_two() {
        let oldest_first = [
            "~",
            "",
            "0",
            "122.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
        ];
        for (i, one) in oldest_first.iter().enumerate() {
            for (j, other) in oldest_first.iter().enumerate() {
                assert_eq!(compare(one, other), i.cmp(&j), "{one} and {other}");
            }
        }
    }

    #[test]
    fn the_rules_hold_one_by_one() {
        for (one, order, other) in [
            ("11", Ordering::Equal, "11"),
            ("systemd-123", Ordering::Equal, "systemd-123"),
            ("bar-123", Ordering::Less, "foo-123"),
            ("123a", Ordering::Greater, "123"),
            ("123.a", Ordering::Greater, "123"),
            ("123.a", Ordering::Less, "123.b"),
            ("123a", Ordering::Greater, "123.a"),
            ("11α", Ordering::Equal, "11β"),
            ("B", Ordering::Less, "a"),
            ("", Ordering::Less, "0"),
            ("0.", Ordering::Greater, "0"),
            ("0.0", Ordering::Greater, "0"),
            ("0", Ordering::Greater, "~"),
            ("", Ordering::Greater, "~"),
            ("1_", Ordering::Equal, "1"),
            ("_1", Ordering::Equal, "1"),
            ("1_", Ordering::Less, "1.2"),
            ("1_2_3", Ordering::Greater, "1.3.3"),
            ("1+", Ordering::Equal, "1"),
            ("00123", Ordering::Equal, "123"),
            ("9", Ordering::Less, "10"),
            ("99999999999999999999999", Ordering::Less, "100000000000000000000000"),
            ("5.14.0-362.8.1.el9_3", Ordering::Greater, "5.14.0-362.el9"),
            ("5.14.0-362.el9", Ordering::Greater, "5.14.0-70.el9"),
        ] {
            assert_eq!(compare(one, other), order, "{one} and {other}");
            assert_eq!(compare(other, one), order.reverse(), "{other} and {one}");
        }
    }

    #[test]
    fn a_preview_of_a_kernel_is_older() {
        for (older, newer) in [
            ("6.12.0-rc1", "6.12.0"),
            ("6.11.9", "6.12.0-rc1"),
            ("6.1.0-9-amd64", "6.1.0-18-amd64"),
            ("5.4.0-150-generic", "5.15.0-94-generic"),
            ("6.1.0-18-amd64", "6.1.0-18-amd64a"),
        ] {
            assert_eq!(compare_kernels(older, newer), Ordering::Less, "{older} and {newer}");
        }
    }
}
