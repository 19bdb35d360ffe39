//! The words of a grub.cfg, as GRUB's own lexer cuts them.

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is. `quoted` keeps a word alive that is otherwise empty.
    Text {
        /// The text, without its quotes and backslashes.
        text: String,
        /// Whether it stood in quotes.
        quoted: bool,
    },
    /// The value of a variable, which is cut at spaces where it is not quoted.
    Variable {
        /// Its name, as `root`, `1`, `@`.
        name: String,
        /// Whether it stood in double quotes.
        quoted: bool,
    },
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
}

impl Word {
    /// The text of a word without quotes, backslashes and variables, which alone can be a keyword.
    pub(super) fn bare(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text { text, quoted: false }] => Some(text),
            _ => None,
        }
    }
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word.
    Word(Word),
    /// The end of a line.
    Newline,
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
    /// What GRUB's grammar has no use for: `&`, `|`, `<`, `>`.
    Foreign(char),
    /// A quote that does not end.
    Unended(char),
}

/// Cuts a text into tokens.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    /// A lexer of a text whose first line has this number.
    pub(super) fn new(text: &'a str, line: u32) -> Self {
        Self { text, at: 0, line }
    }

    /// The line that the next token is looked for from.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        self.line += u32::from(next == '\n');
        Some(next)
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count() as u32;
        taken
    }

    /// The next token and its line; nothing at the end.
    pub(super) fn next(&mut self) -> Option<(Token, u32)> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r'));
            let line = self.line;
            let token = match self.peek()? {
                '#' => {
                    self.take_while(|c| c != '\n');
                    continue;
                }
                '\n' => Token::Newline,
                ';' => Token::Semicolon,
                '{' => Token::Open,
                '}' => Token::Close,
                c @ ('&' | '|' | '<' | '>') => Token::Foreign(c),
                _ => match self.word() {
                    // A line's end behind a backslash alone is no word.
                    Token::Word(word) if word.pieces.is_empty() => continue,
                    token => return Some((token, line)),
                },
            };
            self.advance();
            return Some((token, line));
        }
    }

    fn word(&mut self) -> Token {
        let mut pieces = Vec::new();
        let mut text = String::new();
        // Whether a backslash was in the text: then it is no keyword.
        let mut escaped = false;
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '{' | '}' | '&' | '|' | '<' | '>' => break,
                '\\' => {
                    self.advance();
                    match self.advance() {
                        Some('\n') => {}
                        Some(next) => {
                            text.push(next);
                            escaped = true;
                        }
                        None => text.push('\\'),
                    }
                }
                '\'' => {
                    finish(&mut pieces, &mut text, &mut escaped);
                    self.advance();
                    let inner = self.take_while(|c| c != '\'');
                    if self.advance().is_none() {
                        return Token::Unended('\'');
                    }
                    pieces.push(Piece::Text { text: inner.to_owned(), quoted: true });
                }
                '"' => {
                    finish(&mut pieces, &mut text, &mut escaped);
                    self.advance();
                    if !self.double_quoted(&mut pieces) {
                        return Token::Unended('"');
                    }
                }
                '$' => {
                    self.advance();
                    if self.peek() == Some('"') {
                        continue;
                    }
                    match self.variable() {
                        Some(name) => {
                            finish(&mut pieces, &mut text, &mut escaped);
                            pieces.push(Piece::Variable { name, quoted: false });
                        }
                        None => text.push('$'),
                    }
                }
                _ => {
                    let plain = self.take_while(|c| {
                        !matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '{' | '}') && !"&|<>\\'\"$".contains(c)
                    });
                    text.push_str(plain);
                }
            }
        }
        finish(&mut pieces, &mut text, &mut escaped);
        Token::Word(Word { pieces })
    }

    /// What stands in double quotes, after the first of them. Says whether it ends.
    fn double_quoted(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let mut text = String::new();
        let before = pieces.len();
        loop {
            match self.advance() {
                None => return false,
                Some('"') => break,
                Some('\\') => match self.peek() {
                    Some('\n') => drop(self.advance()),
                    Some('$' | '"' | '\\') => text.extend(self.advance()),
                    _ => text.push('\\'),
                },
                Some('$') => match self.variable() {
                    Some(name) => {
                        if !text.is_empty() {
                            pieces.push(Piece::Text { text: std::mem::take(&mut text), quoted: true });
                        }
                        pieces.push(Piece::Variable { name, quoted: true });
                    }
                    None => text.push('$'),
                },
                Some(c) => text.push(c),
            }
        }
        if !text.is_empty() || pieces.len() == before {
            pieces.push(Piece::Text { text, quoted: true });
        }
        true
    }

    /// The name of a variable, after its `$`.
    fn variable(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let (skip, inner, braces) = match rest.strip_prefix('{') {
            Some(inner) => (1, inner, true),
            None => (0, rest, false),
        };
        let first = inner.chars().next()?;
        let length = match first {
            '?' | '#' | '*' | '@' => 1,
            '0'..='9' => inner.find(|c: char| !c.is_ascii_digit()).unwrap_or(inner.len()),
            c if c.is_ascii_alphabetic() || c == '_' => {
                inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len())
            }
            _ => return None,
        };
        let (name, after) = inner.split_at(length);
        if braces && !after.starts_with('}') {
            return None;
        }
        self.at += skip + length + usize::from(braces);
        Some(name.to_owned())
    }
}

/// Ends the text without quotes that was gathered.
fn finish(pieces: &mut Vec<Piece>, text: &mut String, escaped: &mut bool) {
    if !text.is_empty() {
        pieces.push(Piece::Text { text: std::mem::take(text), quoted: std::mem::take(escaped) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens as words of a test: variables as `$name`, quoted parts in `<>`.
    fn cut(text: &str) -> Vec<String> {
        let mut lexer = Lexer::new(text, 1);
        let mut tokens = Vec::new();
        while let Some((token, _)) = lexer.next() {
            tokens.push(match token {
                Token::Word(word) => word
                    .pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Text { text, quoted: true } => format!("<{text}>"),
                        Piece::Text { text, .. } => text.clone(),
                        Piece::Variable { name, quoted: true } => format!("<${name}>"),
                        Piece::Variable { name, .. } => format!("${name}"),
                    })
                    .collect(),
                other => format!("{other:?}"),
            });
        }
        tokens
    }

    #[test]
    fn words_are_cut_as_grub_cuts_them() {
        for (text, expected) in [
            ("set a=b # no", vec!["set", "a=b"]),
            ("a#b", vec!["a#b"]),
            ("'a b'\"c $d\"e", vec!["<a b><c ><$d>e"]),
            ("''", vec!["<>"]),
            ("\"\"", vec!["<>"]),
            ("\"${a}b\"", vec!["<$a><b>"]),
            ("x${a}y$1$@$?", vec!["x$ay$1$@$?"]),
            ("'it'\"'\"'s'", vec!["<it><'><s>"]),
            ("a\\ b\\$c", vec!["<a b$c>"]),
            ("\"a\\\"b\\\\c\\n\\$d\"", vec!["<a\"b\\c\\n$d>"]),
            ("one\\\n two", vec!["one", "two"]),
            ("\\\n\\\n", vec![]),
            ("if [ x ]; then", vec!["if", "[", "x", "]", "Semicolon", "then"]),
            ("a{b}c", vec!["a", "Open", "b", "Close", "c"]),
            ("a&&b", vec!["a", "Foreign('&')", "Foreign('&')", "b"]),
            ("a 'b", vec!["a", "Unended('\\'')"]),
            ("\"${a\"", vec!["<${a>"]),
            ("$ $- ${}", vec!["$", "$-", "$", "Open", "Close"]),
            ("$\"Linux\"", vec!["<Linux>"]),
            ("a\r\n#c\nb", vec!["a", "Newline", "Newline", "b"]),
            ("\\", vec!["\\"]),
        ] {
            assert_eq!(cut(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted() {
        let mut lexer = Lexer::new("a\n'b\nc' d\\\n e\nf", 1);
        let mut lines = Vec::new();
        while let Some((token, line)) = lexer.next() {
            if matches!(token, Token::Word(_)) {
                lines.push(line);
            }
        }
        assert_eq!(lines, [1, 2, 3, 4, 5]);
    }
}
