//! GRUB's environment block (`grubenv`): the variables that it keeps from one start to the next.

/// The first line; GRUB takes no file without it.
const SIGNATURE: &[u8] = b"# GRUB Environment Block\n";

/// The block is 1,024 bytes where its own tool made it; some install a longer one.
pub const LIMIT_BYTES: u64 = 64 * 1024;

/// The variables of an environment block, in their order.
///
/// A line is `name=value`; a backslash takes the next character, also a line's end, as it is. `#` fills the block.
///
/// # Errors
/// In words, when GRUB itself would not take it.
pub fn parse(block: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let mut rest =
        block.strip_prefix(SIGNATURE).ok_or("it does not begin as GRUB's environment block does")?;
    let mut variables = Vec::new();
    while !rest.is_empty() {
        let (line, after) = line(rest);
        rest = after;
        if line.first().is_none_or(|first| *first == b'#') {
            continue;
        }
        let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
        let value = String::from_utf8_lossy(&line[at + 1..]).into_owned();
        variables.push((String::from_utf8_lossy(&line[..at]).into_owned(), value));
    }
    Ok(variables)
}

/// The first line without its backslashes, and what follows it.
fn line(block: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut line = Vec::new();
    let mut bytes = block.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\n' => return (line, &block[at + 1..]),
            b'\\' => line.extend(bytes.next().map(|(_, next)| *next)),
            _ => line.push(*byte),
        }
    }
    (line, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        parse(format!("# GRUB Environment Block\n{text}").as_bytes()).unwrap()
    }

    #[test]
    fn variables_are_read_in_order() {
        let expected = [("saved_entry", "1>2"), ("kernelopts", "root=/dev/sda1 ro a=b"), ("next_entry", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = "saved_entry=1>2\n# a comment\nkernelopts=root=/dev/sda1 ro a=b\nnext_entry=\n#######";
        assert_eq!(parsed(text), expected);
    }

    #[test]
    fn a_backslash_takes_the_next_character() {
        assert_eq!(parsed("a=one\\\\two\\\nthree\n"), [("a".to_owned(), "one\\two\nthree".to_owned())]);
        assert_eq!(parsed("a=b\\"), [("a".to_owned(), "b".to_owned())]);
        assert_eq!(parsed("no value here\n"), []);
    }

    #[test]
    fn what_grub_would_not_take_is_refused() {
        for text in ["", "saved_entry=0\n", "# GRUB Environment Block", "\0\0\0\0"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
