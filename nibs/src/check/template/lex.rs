//! The text of a Template cut into what is printed as it stands and what Tinkerbell's engine (Go's text/template) works
//! out. Nothing is worked out here: expressions are found, the keys that they ask for collected, and words put into
//! their places, so that what is left can be read as YAML.

use std::ops::Range;

/// A Template's text in its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexed<'a> {
    /// All of the text.
    pub text: &'a str,
    /// The expressions, in their order. What is between them is printed as it stands.
    pub actions: Vec<Action<'a>>,
    /// What the engine would refuse.
    pub problems: Vec<Problem>,
}

/// One `{{ … }}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action<'a> {
    /// Where it is in the text, braces included.
    pub range: Range<usize>,
    /// The line of its beginning, from 1.
    pub line: usize,
    /// What is between the braces, without trim markers and space around it.
    pub code: &'a str,
    /// `{{-`: white space before it is not printed.
    pub trims_before: bool,
    /// `-}}`: white space after it is not printed.
    pub trims_after: bool,
    /// What it does.
    pub role: Role,
    /// The keys that it asks for.
    pub keys: Vec<Key<'a>>,
}

/// What an expression does to what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A value is printed.
    Value,
    /// Nothing is printed: a comment, or a variable's value.
    Silent,
    /// `if`, `range`, `with`, `define`, `block`: what follows is printed or not, once or often.
    Open,
    /// `else`
    Else,
    /// `end`
    End,
}

/// A key of the data that a Template is rendered with, as `.device_1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key<'a> {
    /// The first word alone: `Hardware` of `.Hardware.Disks`.
    pub name: &'a str,
    /// The line, from 1.
    pub line: usize,
    /// Whether it stands in a branch that may not be taken.
    pub conditional: bool,
}

/// Something that the engine would refuse, or that is printed though it was meant for the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What it is.
    pub kind: ProblemKind,
}

/// The kinds of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// `{{` without its `}}`, or a quote or comment without its end.
    Unclosed,
    /// More `}` than `{`, with `}}` among them.
    StrayClose,
    /// `{{ }}`
    Empty,
    /// A branch without `end`.
    NoEnd,
    /// `end` or `else` without a branch.
    NoBranch,
}

/// Which branches are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branches {
    /// Every condition holds.
    Then,
    /// None does: of `if` only what is behind its first `else` is there, if anything. The bodies of `with` and `range` are
    /// there all the same, since what they are about hardly ever is not.
    Else,
}

/// Text that can be read as YAML: each printed value is a word that stands nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substituted<'a> {
    /// The text. Of a branch and its `else` one is here, as [`Branches`] says; the body of a `range` is here once.
    pub text: String,
    /// The words, and the expression that each stands for.
    pub words: Vec<(String, &'a str)>,
    /// For each line of `text`, the line of the Template, both from 0.
    pub lines: Vec<usize>,
    /// Whether a branch or a loop was there, so that other texts may come out as well.
    pub has_branches: bool,
    prefix: String,
}

impl Substituted<'_> {
    /// Whether a value of the YAML holds an expression: what it will be is not known.
    pub fn is_open(&self, value: &str) -> bool {
        value.contains(&self.prefix)
    }

    /// A value of the YAML with its expressions as they stood in the Template.
    pub fn restore(&self, value: &str) -> String {
        let mut parts = value.split(&self.prefix);
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            // A word ends in a letter that no number has.
            let found = part
                .split_once('z')
                .and_then(|(number, rest)| Some((self.words.get(number.parse::<usize>().ok()?)?.1, rest)));
            match found {
                Some((code, rest)) => text.extend([code, rest]),
                None => text.extend([self.prefix.as_str(), part]),
            }
        }
        text
    }

    /// The line of the Template, from 1, for one of the text, from 1.
    pub fn line(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).or(self.lines.last()).map_or(1, |l| l + 1)
    }
}

/// Cuts a Template's text. What is broken is told in [`Lexed::problems`], and passed over.
pub fn lex(text: &str) -> Lexed<'_> {
    let mut lexed = Lexed { text, actions: Vec::new(), problems: Vec::new() };
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut at = 0;
    while let Some(found) = text[at..].find("{{") {
        let start = at + found;
        let line = lines.of(start);
        let (end, closed) = end_of(text, start);
        if !closed {
            lexed.problems.push(Problem { line, kind: ProblemKind::Unclosed });
        }
        let inner = text[start + 2..end].strip_suffix("}}").unwrap_or(&text[start + 2..end]);
        let (inner, trims_before) = match inner.strip_prefix('-') {
            Some(rest) if rest.starts_with(char::is_whitespace) => (rest, true),
            _ => (inner, false),
        };
        let (inner, trims_after) = match inner.strip_suffix('-') {
            Some(rest) if rest.ends_with(char::is_whitespace) => (rest, true),
            _ => (inner, false),
        };
        let code = inner.trim();
        if code.is_empty() && closed {
            lexed.problems.push(Problem { line, kind: ProblemKind::Empty });
        }
        let action = Action {
            range: start..end,
            line,
            code,
            trims_before,
            trims_after,
            role: role(code),
            keys: Vec::new(),
        };
        lexed.actions.push(action);
        at = end;
    }
    nest(&mut lexed);
    stray(&mut lexed);
    lexed.problems.sort_by_key(|p| p.line);
    lexed
}

/// Counts lines forwards.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(&mut self, at: usize) -> usize {
        self.line += self.text[self.at..at].matches('\n').count();
        self.at = at;
        self.line
    }
}

/// Where the expression that begins at `start` ends, and whether it does so by itself. One that does not is taken to
/// end with its line.
fn end_of(text: &str, start: usize) -> (usize, bool) {
    let bytes = text.as_bytes();
    let given_up = text[start..].find('\n').map_or(text.len(), |n| start + n);
    let mut at = start + 2;
    let after_marker = text[at..].strip_prefix("- ").unwrap_or(&text[at..]).trim_start();
    if let Some(comment) = after_marker.strip_prefix("/*") {
        let from = text.len() - comment.len();
        let Some(close) = text[from..].find("*/") else { return (given_up, false) };
        at = from + close + 2;
    }
    while at < bytes.len() {
        match bytes[at] {
            b'}' if bytes[at..].starts_with(b"}}") => return (at + 2, true),
            b'{' if bytes[at..].starts_with(b"{{") => return (given_up.min(at), false),
            quote @ (b'"' | b'`' | b'\'') => match end_of_quote(bytes, at, quote) {
                Some(end) => at = end,
                None => return (given_up, false),
            },
            _ => at += 1,
        }
    }
    (given_up, false)
}

fn end_of_quote(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote != b'`' => at += 2,
            b'\n' if quote != b'`' => return None,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

fn role(code: &str) -> Role {
    if code.starts_with("/*") || code.is_empty() {
        return Role::Silent;
    }
    let word = code.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    match word {
        "if" | "range" | "with" | "define" | "block" => Role::Open,
        "else" => Role::Else,
        "end" => Role::End,
        "break" | "continue" => Role::Silent,
        _ if code.starts_with('$') && is_assignment(code) => Role::Silent,
        _ => Role::Value,
    }
}

fn is_assignment(code: &str) -> bool {
    let name = code[1..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start();
    name.starts_with(":=") || (name.starts_with('=') && !name.starts_with("=="))
}

/// Collects keys, with what the dot is at each place, and matches branches with their ends.
fn nest(lexed: &mut Lexed<'_>) {
    // For each open branch: its line, and whether the dot is something else than all of the data in it.
    let mut open: Vec<(usize, bool)> = Vec::new();
    for action in &mut lexed.actions {
        if action.role == Role::End && open.pop().is_none() {
            lexed.problems.push(Problem { line: action.line, kind: ProblemKind::NoBranch });
        }
        if action.role == Role::Else && open.is_empty() {
            lexed.problems.push(Problem { line: action.line, kind: ProblemKind::NoBranch });
        }
        let rebound = open.iter().any(|(_, rebound)| *rebound);
        keys(action, rebound, !open.is_empty());
        if action.role == Role::Open {
            open.push((action.line, !action.code.starts_with("if")));
        }
    }
    for (line, _) in open {
        lexed.problems.push(Problem { line, kind: ProblemKind::NoEnd });
    }
}

fn keys(action: &mut Action<'_>, rebound: bool, conditional: bool) {
    if action.code.starts_with("/*") {
        return;
    }
    let (code, bytes) = (action.code, action.code.as_bytes());
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'`' | b'\'') => at = end_of_quote(bytes, at, quote).unwrap_or(bytes.len()),
            b'.' if bytes.get(at + 1).copied().is_some_and(word) => {
                let before = at.checked_sub(1).map(|i| bytes[i]);
                let is_root = before == Some(b'$');
                let continues = before.is_some_and(|b| word(b) || b == b')');
                let from = at + 1;
                at = from + bytes[from..].iter().take_while(|b| word(**b)).count();
                let number = bytes[from].is_ascii_digit();
                if is_root || (!continues && !rebound && !number) {
                    let line = action.line + lines_before(action.code, from);
                    action.keys.push(Key { name: &code[from..at], line, conditional });
                }
            }
            _ => at += 1,
        }
    }
}

fn lines_before(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count()
}

/// `{ .x }}` is printed as it stands. YAML's and JSON's own braces are in balance.
fn stray(lexed: &mut Lexed<'_>) {
    let mut balance = 0_i64;
    let mut lines = Lines { text: lexed.text, at: 0, line: 1 };
    let mut at = 0;
    let end = lexed.text.len();
    for range in lexed.actions.iter().map(|a| a.range.clone()).chain(std::iter::once(end..end)) {
        let bytes = &lexed.text.as_bytes()[at..range.start];
        for (i, byte) in bytes.iter().enumerate() {
            balance += i64::from(*byte == b'{') - i64::from(*byte == b'}');
            if balance < 0 && *byte == b'}' && i > 0 && bytes[i - 1] == b'}' {
                lexed.problems.push(Problem { line: lines.of(at + i), kind: ProblemKind::StrayClose });
                balance = 0;
            }
        }
        at = range.end;
    }
}

impl<'a> Lexed<'a> {
    /// Every key that is asked for.
    pub fn keys(&self) -> impl Iterator<Item = Key<'a>> + '_ {
        self.actions.iter().flat_map(|a| a.keys.iter().copied())
    }

    /// The text with a word in the place of each printed value.
    pub fn substitute(&self, branches: Branches) -> Substituted<'a> {
        let mut prefix = "NIBS".to_owned();
        while self.text.contains(&prefix) {
            prefix += "X";
        }
        let mut output = Output { text: String::new(), lines: vec![0], line: 0 };
        let mut words = Vec::new();
        // For each open branch, whether it is printed, and whether what comes behind its next `else` is.
        let mut open: Vec<(bool, bool)> = Vec::new();
        let (mut at, mut trim, mut has_branches) = (0, false, false);
        for action in &self.actions {
            let before = &self.text[at..action.range.start];
            let printed = open.iter().all(|(p, _)| *p);
            output.push(before, trim, action.trims_before, printed);
            match action.role {
                Role::Open => {
                    has_branches = true;
                    let waits = branches == Branches::Else && action.code.starts_with("if");
                    open.push((!waits && !action.code.starts_with("define"), waits));
                }
                Role::Else => {
                    if let Some(last) = open.last_mut() {
                        *last = (last.1, false);
                    }
                }
                Role::End => {
                    open.pop();
                }
                Role::Value if printed => {
                    let word = format!("{prefix}{}z", words.len());
                    output.push_word(&indented(action.code, &word));
                    words.push((word, &self.text[action.range.clone()]));
                }
                Role::Value | Role::Silent => {}
            }
            output.line += self.text[action.range.clone()].matches('\n').count();
            (at, trim) = (action.range.end, action.trims_after);
        }
        output.push(&self.text[at..], trim, false, open.iter().all(|(p, _)| *p));
        Substituted { text: output.text, words, lines: output.lines, has_branches, prefix }
    }
}

/// `| nindent 8` and `| indent 8` at the end of an expression say where its text stands.
fn indented(code: &str, word: &str) -> String {
    let mut parts = code.rsplit('|').next().unwrap_or_default().split_whitespace();
    let (function, width) = (parts.next(), parts.next().and_then(|n| n.parse::<usize>().ok()));
    match (function, width.filter(|w| *w <= 200)) {
        (Some("nindent"), Some(width)) => format!("\n{:width$}{word}", ""),
        (Some("indent"), Some(width)) => format!("{:width$}{word}", ""),
        _ => word.to_owned(),
    }
}

struct Output {
    text: String,
    lines: Vec<usize>,
    /// The line of the Template, from 0.
    line: usize,
}

impl Output {
    fn push(&mut self, text: &str, trim_start: bool, trim_end: bool, printed: bool) {
        let kept = if trim_start { text.trim_start() } else { text };
        self.line += text[..text.len() - kept.len()].matches('\n').count();
        let shown = if trim_end { kept.trim_end() } else { kept };
        if printed {
            for c in shown.chars() {
                self.text.push(c);
                if c == '\n' {
                    self.line += 1;
                    self.lines.push(self.line);
                }
            }
        } else {
            self.line += shown.matches('\n').count();
        }
        self.line += kept[shown.len()..].matches('\n').count();
        // What follows on this line of the output stands there.
        if printed && self.text.ends_with('\n') {
            *self.lines.last_mut().expect("it begins with one") = self.line;
        }
    }

    fn push_word(&mut self, word: &str) {
        for c in word.chars() {
            self.text.push(c);
            if c == '\n' {
                self.lines.push(self.line);
            }
        }
    }
}

#[cfg(test)]
mod tests;
