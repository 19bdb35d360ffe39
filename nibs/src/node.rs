//! YAML and JSON as a tree in which every value knows where it stands, and every scalar how it was written.
//!
//! Deserialising would lose both: `22.10` would come back as the number 22.1, and a wrong value without its line.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag, options};

/// How many values the anchors and aliases of a file may stand for: a bound on what a few lines can ask for.
const MAX_NODES: usize = 500_000;
/// For that, so many bytes of text count as a value of their own.
const BYTES_A_NODE: usize = 64;
/// How deep values may lie in each other. The parser bounds what is written, not what aliases make of it.
const MAX_DEPTH: usize = 600;

/// A place in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl Position {
    fn new(line: usize, column: usize) -> Self {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position { line: small(line), column: small(column + 1) }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A scalar, as written but for quotes and escapes.
    Scalar {
        /// Its text.
        text: Box<str>,
        /// Whether it stands without quotes, so that it may be a number, a boolean or null.
        plain: bool,
        /// Whether it is a literal block (`|`): its lines are those that follow.
        literal: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the file's order.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key's text, which is the same piece of memory wherever it is in the file.
    pub key: Rc<str>,
    /// Where the key stands.
    pub at: Position,
    /// The value.
    pub node: Node,
}

/// What a plain scalar means to the Kubernetes API's YAML (1.1, as kubectl reads it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number,
    /// Text after all.
    Text,
}

/// What the plain scalar `text` means.
pub fn plain(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            Plain::Bool(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            Plain::Bool(false)
        }
        _ if is_number(text) => Plain::Number,
        _ => Plain::Text,
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let radix = |prefix: &str, radix: u32| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_digit(radix) || c == '_'))
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if radix("0x", 16) || radix("0b", 2) || radix("0o", 8) {
        return true;
    }
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.replace('_', "").parse::<f64>().is_ok()
}

impl Node {
    /// The value of `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| &*e.key == key),
            _ => None,
        }
    }

    /// Whether it is nothing: an empty or `null` scalar.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true, .. } if plain(text) == Plain::Null)
    }

    /// What it is, for a message about what it should have been.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar { text, plain: true, .. } => match plain(text) {
                Plain::Null => "nothing",
                Plain::Bool(_) => "a boolean",
                Plain::Number => "a number",
                Plain::Text => "text",
            },
            Value::Scalar { .. } => "text",
        }
    }
}

/// How a file's form is wrong: never with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is no YAML, and why.
    Form(String),
    /// A key is there twice.
    Twice(Rc<str>),
}

/// What a file holds, and what is wrong with its form.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Its documents, without empty ones.
    pub documents: Vec<Node>,
    /// Where its form is wrong, and how.
    pub problems: Vec<(Position, Fault)>,
}

/// Reads YAML or JSON. What comes before a syntax error is still returned.
pub fn parse(text: &str) -> Parsed {
    let options: Options = options! { emit_comments: false };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text.trim_start_matches('\u{feff}'), options),
        anchors: HashMap::new(),
        keys: HashSet::new(),
        nodes: 0,
        depth: 0,
        problems: Vec::new(),
    };
    let mut documents = Vec::new();
    loop {
        match reader.next() {
            Ok(Some((Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _))) => {
                reader.anchors.clear();
            }
            Ok(Some((Event::StreamEnd, _)) | None) => break,
            Ok(Some((event, span))) => match reader.node(event, span) {
                Ok(node) if node.is_null() => {}
                Ok(node) => documents.push(node),
                Err((at, said)) => {
                    reader.problems.push((at, Fault::Form(said)));
                    break;
                }
            },
            Err((at, said)) => {
                reader.problems.push((at, Fault::Form(said)));
                break;
            }
        }
    }
    Parsed { documents, problems: reader.problems }
}

type Problem = (Position, String);

struct Reader<'a, P: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> {
    events: P,
    anchors: HashMap<usize, (Node, Size)>,
    keys: HashSet<Rc<str>>,
    nodes: usize,
    /// How many collections the current value lies in.
    depth: usize,
    problems: Vec<(Position, Fault)>,
}

impl<'a, P: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Reader<'a, P> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        self.events.next().transpose().map_err(|error| {
            let marker = error.marker();
            let at = Position::new(marker.line(), marker.col());
            (at, error.info().to_string())
        })
    }

    /// The node that begins with `event`. What is written is no deeper than the parser's own limit.
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Problem> {
        self.depth += 1;
        let node = self.node_here(event, span);
        self.depth -= 1;
        node
    }

    fn node_here(&mut self, event: Event<'a>, span: Span) -> Result<Node, Problem> {
        let at = Position::new(span.start.line(), span.start.col());
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !tag.as_deref().is_some_and(is_text);
                let literal = style == ScalarStyle::Literal;
                (Value::Scalar { text: text.into(), plain, literal }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Some((Event::SequenceEnd, _)) => break,
                        Some((event, span)) => items.push(self.node(event, span)?),
                        None => return Err((at, "the list has no end".into())),
                    }
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => (Value::Map(self.entries(at)?), anchor),
            Event::Alias(id) => {
                const WITHIN: &str = "an alias within its own anchor";
                let size = self.anchors.get(&id).map(|(_, size)| *size);
                self.count(size.ok_or((at, WITHIN.to_owned()))?, at)?;
                let node = self.anchors.get(&id).map(|(node, _)| node.clone());
                return node.map(|node| Node { at, ..node }).ok_or((at, WITHIN.to_owned()));
            }
            _ => return Err((at, "something else where a value belongs".to_owned())),
        };
        let node = Node { at, value };
        if anchor != 0 {
            // It is kept, so it counts as if it stood twice.
            let size = size(&node);
            self.count(size, at)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn entries(&mut self, at: Position) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys: HashSet<Rc<str>> = HashSet::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                Some((Event::MappingEnd, _)) => break,
                Some(next) => next,
                None => return Err((at, "the mapping has no end".into())),
            };
            let key = self.node(event, span)?;
            let Value::Scalar { text, plain, .. } = key.value else {
                return Err((key.at, format!("a key is {}; text is accepted", key.kind())));
            };
            let Some((event, span)) = self.next()? else {
                return Err((key.at, "a key has no value".into()));
            };
            let node = self.node(event, span)?;
            let text = self.keys.get(&*text).cloned().unwrap_or_else(|| text.into());
            self.keys.insert(text.clone());
            if plain && &*text == "<<" {
                merged.push(node);
            } else if !keys.insert(text.clone()) {
                self.problems.push((key.at, Fault::Twice(text)));
            } else {
                entries.push(Entry { key: text, at: key.at, node });
            }
        }
        for node in merged {
            let sources = match node.value {
                Value::List(items) => items,
                value => vec![Node { at: node.at, value }],
            };
            for source in sources {
                let Value::Map(more) = source.value else {
                    return Err((source.at, "the value of << is no mapping".into()));
                };
                for entry in more {
                    if keys.insert(entry.key.clone()) {
                        entries.push(entry);
                    }
                }
            }
        }
        Ok(entries)
    }

    fn count(&mut self, more: Size, at: Position) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more.nodes);
        if self.nodes > MAX_NODES {
            Err((at, format!("its aliases stand for more than {MAX_NODES} values")))
        } else if self.depth + more.depth > MAX_DEPTH {
            Err((at, format!("its aliases lie more than {MAX_DEPTH} values deep")))
        } else {
            Ok(())
        }
    }
}

fn is_text(tag: &Tag) -> bool {
    tag.core_suffix() == Some("str")
}

/// How much a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    nodes: usize,
    depth: usize,
}

fn size(node: &Node) -> Size {
    let all = |sizes: &mut dyn Iterator<Item = Size>| {
        sizes.fold(Size { nodes: 1, depth: 1 }, |sum, one| Size {
            nodes: sum.nodes + one.nodes,
            depth: sum.depth.max(one.depth + 1),
        })
    };
    match &node.value {
        Value::Scalar { text, .. } => Size { nodes: 1 + text.len() / BYTES_A_NODE, depth: 1 },
        Value::List(items) => all(&mut items.iter().map(size)),
        Value::Map(entries) => all(&mut entries.iter().map(|e| {
            let Size { nodes, depth } = size(&e.node);
            Size { nodes: nodes + 1, depth }
        })),
    }
}

#[cfg(test)]
mod tests;
