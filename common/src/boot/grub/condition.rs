//! `[ ... ]` and `test` of GRUB.

/// Parentheses in parentheses.
const DEEPEST: u32 = 32;

/// What is asked of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// `-d`: it is a folder.
    Folder,
    /// `-e`: it is there.
    There,
    /// `-f`: it is there and no folder.
    File,
    /// `-s`: it is a file that is not empty.
    Filled,
}

/// Whether the words hold. `look` answers what is asked of a file.
///
/// Terms that stand side by side must all hold, with or without `-a`; `-o` binds less. No word at all holds. Times of files
/// (`-nt`, `-ot`) are not compared: such a term does not hold.
pub(super) fn holds(words: &[String], look: &mut dyn FnMut(Ask, &str) -> bool) -> bool {
    let words = match words {
        [rest @ .., last] if last == "]" => rest,
        all => all,
    };
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.reverse();
    group(&mut words, look, 0)
}

/// A group up to its `)`. The words are in reverse, so that the next one is the last.
fn group(words: &mut Vec<&str>, look: &mut dyn FnMut(Ask, &str) -> bool, depth: u32) -> bool {
    let (mut any, mut all, mut inverted) = (false, true, false);
    while let Some(first) = words.pop() {
        let next = |offset: usize| words.len().checked_sub(offset).map(|at| words[at]);
        let value = if let Some(value) =
            next(1).zip(next(2)).and_then(|(sign, right)| compare(first, sign, right))
        {
            words.truncate(words.len() - 2);
            value
        } else if let (Some(second), true) = (next(1), ["-d", "-e", "-f", "-s", "-n", "-z"].contains(&first))
        {
            words.pop();
            match first {
                "-n" => !second.is_empty(),
                "-z" => second.is_empty(),
                "-d" => look(Ask::Folder, second),
                "-e" => look(Ask::There, second),
                "-f" => look(Ask::File, second),
                _ => look(Ask::Filled, second),
            }
        } else {
            match first {
                ")" => return any || all,
                "(" if depth < DEEPEST => group(words, look, depth + 1),
                "!" => {
                    inverted = !inverted;
                    continue;
                }
                "-a" => continue,
                "-o" => {
                    any |= all;
                    all = true;
                    continue;
                }
                text => !text.is_empty(),
            }
        };
        all &= value != inverted;
        inverted = false;
    }
    any || all
}

fn compare(left: &str, sign: &str, right: &str) -> Option<bool> {
    Some(match sign {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        "-eq" => signed(left) == signed(right),
        "-ne" => signed(left) != signed(right),
        "-lt" => signed(left) < signed(right),
        "-le" => signed(left) <= signed(right),
        "-gt" => signed(left) > signed(right),
        "-ge" => signed(left) >= signed(right),
        "-plt" | "-pgt" => {
            let (left, right) = without_prefix(left, right);
            let (left, right) = (signed(left), signed(right));
            if sign == "-plt" { left < right } else { left > right }
        }
        sign if sign.starts_with("-nt") || sign.starts_with("-ot") => false,
        _ => return None,
    })
}

/// The two without what both begin with, but with all digits of a number that differs.
fn without_prefix<'a>(left: &'a str, right: &'a str) -> (&'a str, &'a str) {
    let same = left.bytes().zip(right.bytes()).take_while(|(a, b)| a == b).count();
    let digits = left.as_bytes()[..same].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let at = same - digits;
    (left.get(at..).unwrap_or(""), right.get(at..).unwrap_or(""))
}

fn signed(text: &str) -> i128 {
    match text.strip_prefix('-') {
        Some(rest) => -i128::from(number(rest).map_or(0, |(number, _)| number)),
        None => i128::from(number(text).map_or(0, |(number, _)| number)),
    }
}

/// The number that a text begins with, and the rest, as GRUB reads it: `0x` is hexadecimal, a zero before a digit octal.
pub(super) fn number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_ascii_start();
    let bytes = text.as_bytes();
    let (radix, digits) = match bytes {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (16, &text[2..]),
        [b'0', b'0'..=b'7', ..] => (8, &text[1..]),
        _ => (10, text),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    Some((u64::from_str_radix(digits, radix).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(text: &str) -> bool {
        let words: Vec<String> = text.split(' ').map(|word| word.trim_matches('"').to_owned()).collect();
        holds(&words, &mut |ask, path| match ask {
            Ask::Folder => path == "/boot",
            Ask::There => path == "/boot" || path == "/file" || path == "/empty",
            Ask::File => path == "/file" || path == "/empty",
            Ask::Filled => path == "/file",
        })
    }

    #[test]
    fn conditions_hold_as_in_grub() {
        for (text, expected) in [
            ("-s /file ]", true),
            ("-s /empty ]", false),
            ("-f /boot ]", false),
            ("-e /boot ]", true),
            ("-d /boot ]", true),
            ("xy = xy ]", true),
            ("x = xy ]", false),
            ("x != xy ]", true),
            ("\"\" ]", false),
            ("a ]", true),
            ("]", true),
            ("-n ]", true),
            ("-z \"\" ]", true),
            ("-n \"\" ]", false),
            ("! -f /file ]", false),
            ("! ! a ]", true),
            ("a -a \"\" ]", false),
            ("a \"\" ]", false),
            ("\"\" -o a ]", true),
            ("a -o \"\" -a \"\" ]", true),
            ("\"\" -a a -o a ]", true),
            ("! ( \"\" -o \"\" ) ]", true),
            ("( a ]", true),
            ("1 -eq 01 ]", true),
            ("-1 -lt 0 ]", true),
            ("0x10 -ge 16 ]", true),
            ("vmlinuz-2 -plt vmlinuz-11 ]", true),
            ("vmlinuz-21 -pgt vmlinuz-22 ]", false),
            ("a < b ]", true),
            ("/file -nt /empty ]", false),
            ("a", true),
        ] {
            assert_eq!(test(text), expected, "[ {text}");
        }
    }

    #[test]
    fn deep_parentheses_end() {
        test(&"( ".repeat(100_000));
        test(&"! ".repeat(100_000));
    }

    #[test]
    fn numbers_are_read_as_grub_reads_them() {
        for (text, expected) in [
            ("0", Some((0, ""))),
            ("1>2", Some((1, ">2"))),
            ("010", Some((8, ""))),
            ("08", Some((8, ""))),
            ("0x1f", Some((31, ""))),
            ("0x", Some((0, "x"))),
            (" 2 3", Some((2, " 3"))),
            ("abc", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }
}
