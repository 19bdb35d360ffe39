//! The statements of a grub.cfg.
//!
//! What GRUB could not read is passed over with a note, and as little of it as can be: a command that has a character of no
//! use in it, or a whole block that does not end.

use std::rc::Rc;

use super::lexer::{Lexer, Token, Word};
use crate::boot::entry::Notes;

/// Blocks in blocks in blocks: grub-mkconfig's own have five.
const DEEPEST: u32 = 24;

/// The words of a file. One with 100 kernels has 20,000.
const MOST_WORDS: u32 = 150_000;

/// A statement.
#[derive(Debug)]
pub(super) struct Statement {
    /// Where it begins.
    pub(super) line: u32,
    pub(super) kind: Kind,
}

/// What a statement is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A command with its words, and the block behind them, as of `menuentry`.
    Command { words: Vec<Word>, block: Option<Rc<Script>> },
    /// A command that cannot be read; it fails.
    Broken,
    /// `if`, and its `elif`s: conditions and what follows from them.
    If { arms: Vec<(Vec<Statement>, Vec<Statement>)>, otherwise: Vec<Statement> },
    /// `for NAME in WORDS`.
    For { name: String, words: Vec<Word>, body: Vec<Statement> },
    /// `while`, or `until`.
    While { until: bool, condition: Vec<Statement>, body: Vec<Statement> },
    /// `function NAME`.
    Function { name: String, body: Rc<Script> },
}

/// Statements, and the file that they are from.
#[derive(Debug)]
pub(super) struct Script {
    /// Of the file, as for a log line.
    pub(super) source: Rc<Source>,
    pub(super) statements: Vec<Statement>,
}

/// A file that statements are from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: crate::boot::volumes::BootFile,
    /// How it is called in a note.
    pub(super) name: String,
}

/// Why a statement could not be read.
enum Trouble {
    /// It is wrong; the next line may be right.
    Wrong(String),
    /// Nothing that follows is looked at.
    Enough(&'static str),
}

/// Reads a file.
pub(super) fn parse(text: &str, source: &Rc<Source>, notes: &mut Notes) -> Script {
    let mut parser = Parser { lexer: Lexer::new(text, 1), ahead: None, words: 0, source, notes };
    let mut statements = Vec::new();
    while let Some((token, line)) = parser.peek() {
        if is_end(&token) {
            parser.next();
            continue;
        }
        match parser.statement(0) {
            Ok(statement) => statements.push(statement),
            Err(Trouble::Wrong(what)) => {
                parser.note(line, &what);
                parser.skip_line();
            }
            Err(Trouble::Enough(what)) => {
                let line = parser.lexer.line();
                parser.note(line, what);
                break;
            }
        }
    }
    Script { source: Rc::clone(source), statements }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Option<Option<(Token, u32)>>,
    words: u32,
    source: &'a Rc<Source>,
    notes: &'a mut Notes,
}

fn is_end(token: &Token) -> bool {
    matches!(token, Token::Newline | Token::Semicolon)
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<(Token, u32)> {
        self.ahead.get_or_insert_with(|| self.lexer.next()).clone()
    }

    fn next(&mut self) -> Option<(Token, u32)> {
        self.ahead.take().unwrap_or_else(|| self.lexer.next())
    }

    fn note(&mut self, line: u32, what: &str) {
        let name = &self.source.name;
        self.notes.add(format!("{name} line {line}: {what}"));
    }

    /// Passes over the rest of the line, and over at least one token.
    fn skip_line(&mut self) {
        while let Some((token, _)) = self.next() {
            if token == Token::Newline {
                break;
            }
        }
    }

    fn count(&mut self) -> Result<(), Trouble> {
        self.words += 1;
        if self.words > MOST_WORDS {
            Err(Trouble::Enough("the file has too many words; the rest is not read"))
        } else {
            Ok(())
        }
    }

    /// A statement, whose first token is there.
    fn statement(&mut self, depth: u32) -> Result<Statement, Trouble> {
        if depth > DEEPEST {
            return Err(Trouble::Enough("blocks are nested too deeply; the rest is not read"));
        }
        let Some((token, line)) = self.peek() else {
            return Err(Trouble::Wrong("the file ends where a command is expected".to_owned()));
        };
        let keyword = match &token {
            Token::Word(word) => word.bare(),
            _ => None,
        };
        let kind = match keyword {
            Some("if") => self.if_statement(depth)?,
            Some("for") => self.for_statement(depth)?,
            Some(word @ ("while" | "until")) => {
                let until = word == "until";
                self.next();
                let condition = self.block(depth, &["do"], line)?.0;
                Kind::While { until, condition, body: self.block(depth, &["done"], line)?.0 }
            }
            Some("function") => self.function(depth)?,
            Some(word @ ("then" | "elif" | "else" | "fi" | "do" | "done")) => {
                return Err(Trouble::Wrong(format!("`{word}` that belongs to nothing")));
            }
            _ => self.command(depth)?,
        };
        Ok(Statement { line, kind })
    }

    /// Statements up to one of the words, and which it was.
    fn block(
        &mut self,
        depth: u32,
        ends: &[&'static str],
        begun: u32,
    ) -> Result<(Vec<Statement>, &'static str), Trouble> {
        let mut statements = Vec::new();
        loop {
            let Some((token, _)) = self.peek() else {
                return Err(Trouble::Wrong(format!("the file ends before `{}`", ends.join("` or `"))));
            };
            let found = match &token {
                Token::Close => Some("}"),
                Token::Word(word) => word.bare(),
                _ => None,
            };
            if let Some(end) = ends.iter().find(|end| found == Some(**end)) {
                self.next();
                return Ok((statements, end));
            }
            if is_end(&token) {
                self.next();
            } else if token == Token::Close {
                return Err(Trouble::Wrong(format!(
                    "no `{}` for what begins in line {begun}",
                    ends.join("` or `")
                )));
            } else {
                statements.push(self.statement(depth + 1)?);
            }
        }
    }

    fn if_statement(&mut self, depth: u32) -> Result<Kind, Trouble> {
        let line = self.next().map_or(0, |(_, line)| line);
        let mut arms = Vec::new();
        loop {
            let condition = self.block(depth, &["then"], line)?.0;
            let (body, end) = self.block(depth, &["elif", "else", "fi"], line)?;
            arms.push((condition, body));
            match end {
                "elif" => self.count()?,
                "else" => return Ok(Kind::If { arms, otherwise: self.block(depth, &["fi"], line)?.0 }),
                _ => return Ok(Kind::If { arms, otherwise: Vec::new() }),
            }
        }
    }

    fn for_statement(&mut self, depth: u32) -> Result<Kind, Trouble> {
        let line = self.next().map_or(0, |(_, line)| line);
        let name = self.name("for")?;
        match self.next() {
            Some((Token::Word(word), _)) if word.bare() == Some("in") => {}
            _ => return Err(Trouble::Wrong("`for` without `in`".to_owned())),
        }
        let mut words = Vec::new();
        while let Some((Token::Word(word), _)) = self.peek() {
            self.count()?;
            self.next();
            words.push(word);
        }
        let before = self.block(depth, &["do"], line)?.0;
        if !before.is_empty() {
            return Err(Trouble::Wrong("`for` without `do`".to_owned()));
        }
        Ok(Kind::For { name, words, body: self.block(depth, &["done"], line)?.0 })
    }

    fn function(&mut self, depth: u32) -> Result<Kind, Trouble> {
        let line = self.next().map_or(0, |(_, line)| line);
        let name = self.name("function")?;
        while matches!(self.peek(), Some((Token::Newline, _))) {
            self.next();
        }
        if !matches!(self.next(), Some((Token::Open, _))) {
            return Err(Trouble::Wrong("`function` without `{`".to_owned()));
        }
        let statements = self.block(depth, &["}"], line)?.0;
        Ok(Kind::Function { name, body: Rc::new(Script { source: Rc::clone(self.source), statements }) })
    }

    fn name(&mut self, of: &str) -> Result<String, Trouble> {
        match self.peek() {
            Some((Token::Word(word), _)) if word.bare().is_some() => {
                self.next();
                Ok(word.bare().unwrap_or_default().to_owned())
            }
            _ => Err(Trouble::Wrong(format!("`{of}` without a name"))),
        }
    }

    /// Words up to the end of the line, and a block behind them.
    fn command(&mut self, depth: u32) -> Result<Kind, Trouble> {
        let mut words = Vec::new();
        while let Some((token, line)) = self.peek() {
            self.count()?;
            match token {
                Token::Newline | Token::Semicolon => break,
                // The one that the block around ends with.
                Token::Close if depth > 0 && !words.is_empty() => break,
                Token::Word(word) => {
                    self.next();
                    words.push(word);
                }
                Token::Open if !words.is_empty() => {
                    self.next();
                    let statements = self.block(depth, &["}"], line)?.0;
                    let block = Some(Rc::new(Script { source: Rc::clone(self.source), statements }));
                    return Ok(Kind::Command { words, block });
                }
                Token::Open | Token::Close => {
                    return Err(Trouble::Wrong(format!(
                        "`{}` that belongs to nothing",
                        if token == Token::Open { '{' } else { '}' }
                    )));
                }
                Token::Foreign(c) => {
                    self.note(line, &format!("a command with `{c}`, which GRUB cannot read"));
                    while let Some((token, _)) = self.peek() {
                        if is_end(&token) {
                            break;
                        }
                        self.next();
                    }
                    return Ok(Kind::Broken);
                }
                Token::Unended(c) => {
                    self.next();
                    return Err(Trouble::Wrong(format!("a {c} that does not end")));
                }
            }
        }
        Ok(Kind::Command { words, block: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::volumes::Volumes;
    use crate::boot::volumes::{BootFile, Volume};
    use crate::root_dir::RootDir;

    /// The number of statements, and the notes.
    fn parsed(text: &str) -> (Script, Vec<String>) {
        let volumes = Volumes::new(Volume::new(RootDir::open("/".as_ref()).unwrap(), "/"));
        let file = BootFile { volume: volumes.root(), path: "/grub.cfg".into() };
        let source = Rc::new(Source { file, name: "grub.cfg".into() });
        let mut notes = Notes::default();
        (parse(text, &source, &mut notes), notes.into_kept())
    }

    #[test]
    fn statements_are_told_apart() {
        let (script, notes) = parsed(
            "set a=b\nif [ a ]; then b; elif c; then d\nelse\ne\nfi\nfunction f {\n a\n}\nmenuentry 'x' --id y {\n linux /a\n}\n\
             for x in 1 2; do echo $x; done\nwhile a; do b; done\nuntil a; do b; done\necho if then fi\n",
        );
        assert_eq!(notes, [""; 0]);
        let kinds: Vec<u32> = script.statements.iter().map(|statement| statement.line).collect();
        assert_eq!(kinds, [1, 2, 6, 9, 12, 13, 14, 15]);
        let Kind::If { arms, otherwise } = &script.statements[1].kind else { panic!("{script:?}") };
        assert_eq!((arms.len(), otherwise.len()), (2, 1));
        let Kind::Command { words, block: Some(block) } = &script.statements[3].kind else {
            panic!("{script:?}")
        };
        assert_eq!((words.len(), block.statements.len(), block.statements[0].line), (4, 1, 10));
        let Kind::Command { words, block: None } = &script.statements[7].kind else { panic!("{script:?}") };
        assert_eq!(words.len(), 4);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_alone() {
        for (text, statements, note) in [
            ("a\nb && c\nd", 3, "grub.cfg line 2: a command with `&`, which GRUB cannot read"),
            ("a\nfi\nd", 2, "grub.cfg line 2: `fi` that belongs to nothing"),
            ("a\n}\nd", 2, "grub.cfg line 2: `}` that belongs to nothing"),
            ("a\nmenuentry x {\n linux /a\n", 1, "grub.cfg line 2: the file ends before `}`"),
            (
                "menuentry x {\n if a; then b\n}\nc",
                1,
                "grub.cfg line 1: no `elif` or `else` or `fi` for what begins in line 2",
            ),
            ("a\nset b='c\nd\ne", 1, "grub.cfg line 2: a ' that does not end"),
            ("for in x; do y; done", 0, "grub.cfg line 1: `for` without `in`"),
            ("function {\n}\nb", 1, "grub.cfg line 1: `function` without a name"),
        ] {
            let (script, notes) = parsed(text);
            assert_eq!(notes.first().map(String::as_str), Some(note), "{text:?}");
            assert_eq!(script.statements.len(), statements, "{text:?}: {script:?}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let (_, notes) = parsed(&"if a; then ".repeat(20_000));
        assert_eq!(notes, ["grub.cfg line 1: blocks are nested too deeply; the rest is not read"]);
        let (_, notes) = parsed(&"a {\n".repeat(20_000));
        assert!(notes[0].contains("nested too deeply"), "{notes:?}");
        let (script, notes) = parsed(&"a ".repeat(400_000));
        assert_eq!(script.statements.len(), 0);
        assert!(notes[0].contains("too many words"), "{notes:?}");
        let (script, _) = parsed(&"a\n".repeat(100_000));
        assert!(script.statements.len() <= MOST_WORDS as usize);
    }
}
