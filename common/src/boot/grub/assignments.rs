//! Assignments of a shell, as /etc/default/grub has them: the shell's words are GRUB's.

use std::collections::HashMap;

use super::lexer::{Lexer, Piece, Token, Word};
use super::variables::LONGEST_BYTES;

/// Variables at most.
const MOST: usize = 256;

/// Reads lines of `NAME=VALUE` into `values`. What is not that is passed over.
pub(in crate::boot) fn assignments(text: &str, values: &mut HashMap<String, String>) {
    let mut lexer = Lexer::new(text, 1);
    let mut line: Vec<Word> = Vec::new();
    loop {
        let token = lexer.next().map(|(token, _)| token);
        match token {
            Some(Token::Word(word)) => line.push(word),
            Some(Token::Newline | Token::Semicolon) | None => {
                if let [word] | [_, word] = line.as_slice()
                    && (line.len() == 1 || line[0].bare() == Some("export"))
                {
                    assign(word, values);
                }
                line.clear();
                if token.is_none() {
                    return;
                }
            }
            // A command or a condition: no assignment that counts by itself.
            Some(_) => line.push(Word { pieces: Vec::new() }),
        }
    }
}

fn assign(word: &Word, values: &mut HashMap<String, String>) {
    let Some((Piece::Text { text, quoted: false }, rest)) = word.pieces.split_first() else { return };
    let Some((name, first)) = text.split_once('=') else { return };
    let mut value = first.to_owned();
    for piece in rest {
        match piece {
            Piece::Text { text, .. } => value.push_str(text),
            Piece::Variable { name, .. } => value.push_str(values.get(name).map_or("", String::as_str)),
        }
    }
    if value.len() <= LONGEST_BYTES && values.len() < MOST {
        values.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shells_assignments_are_read() {
        let mut values = HashMap::new();
        let text = "# a comment\nA=one\nexport B=\"two $A\"\nC='it'\\''s'\nif [ x ]; then D=5; fi\nE=`date`\nB=\"$B ${A}\"\nF=\n";
        assignments(text, &mut values);
        let value = |name: &str| values.get(name).map(String::as_str);
        assert_eq!((value("A"), value("B"), value("C")), (Some("one"), Some("two one one"), Some("it's")));
        assert_eq!((value("F"), value("x")), (Some(""), None));
    }

    #[test]
    fn a_value_that_doubles_ends() {
        let mut values = HashMap::new();
        assignments(&format!("A=aaaaaaaaaaaaaaaa\n{}", "A=\"$A$A\"\n".repeat(1000)), &mut values);
        assert!(values["A"].len() <= LONGEST_BYTES);
    }
}
