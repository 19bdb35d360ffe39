//! Running a grub.cfg: what GRUB would do with it, but for starting anything.

use std::collections::HashMap;
use std::rc::Rc;

use super::lexer::{Piece, Word};
use super::parser::{Kind, Script, Source, Statement, parse};
use super::variables::{LONGEST_BYTES, Variables};
use crate::boot::Wanted;
use crate::boot::entry::{Notes, Way, plain};
use crate::boot::limits::{Budget, CONFIG_BYTES, TooMuch};
use crate::boot::volumes::{BootFile, VolumeId, Volumes};
use crate::cause::Cause;

/// Blocks in blocks, over all files and functions that call one another. Those of grub-mkconfig come to nine.
const DEEPEST: u32 = 80;

/// Functions at most.
const MOST_FUNCTIONS: usize = 1024;

/// Entries of a menu at most.
const MOST_ENTRIES: usize = 4096;

/// An entry of the menu.
#[derive(Debug, Clone)]
pub(super) struct MenuEntry {
    pub(super) title: String,
    /// What it is called by in `default`; its title where it has no `--id`.
    pub(super) id: String,
    /// `$1` and those behind it, while it runs: the title comes first.
    pub(super) arguments: Vec<String>,
    pub(super) body: Rc<Script>,
    pub(super) submenu: bool,
    /// Where it stands.
    pub(super) line: u32,
    /// How it came into the menu.
    pub(super) way: Way,
}

/// What the commands so far would have started.
#[derive(Debug, Clone, Default)]
pub(super) struct Loaded {
    pub(super) kernel: Option<BootFile>,
    pub(super) options: String,
    pub(super) initrds: Vec<BootFile>,
    /// What was to be started and cannot be, in words.
    pub(super) instead: Option<(Cause, String)>,
    /// Where the kernel was named.
    pub(super) place: Option<(Rc<Source>, u32)>,
}

/// Why a script ends early.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It took too much work.
    TooMuch,
    /// `return`.
    Return(bool),
    /// `break` and `continue`, and of how many loops.
    Break(u64),
    /// See [`Stop::Break`].
    Continue(u64),
    /// `exit`, or the like.
    Exit,
    /// What is started stands fast: `boot`, or another file that has a menu of its own.
    Settled,
}

impl From<TooMuch> for Stop {
    fn from(_: TooMuch) -> Self {
        Self::TooMuch
    }
}

/// Whether a command succeeded.
pub(super) type Outcome = Result<bool, Stop>;

/// GRUB, as far as it decides what is started.
pub(super) struct Machine<'a> {
    pub(super) volumes: &'a Volumes,
    pub(super) wanted: &'a Wanted,
    pub(super) notes: &'a mut Notes,
    pub(super) budget: &'a mut Budget,
    pub(super) variables: Variables,
    pub(super) menu: Vec<MenuEntry>,
    pub(super) loaded: Loaded,
    functions: HashMap<String, Rc<Script>>,
    pub(super) arguments: Rc<Vec<String>>,
    status: bool,
    depth: u32,
    /// Where the command stands that runs.
    pub(super) here: Option<(Rc<Source>, u32)>,
    /// Commands that were noted as unknown.
    unknown: Vec<String>,
    /// What `search` was to make the root and is on no volume, until it finds one.
    pub(super) lost: Option<String>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        volumes: &'a Volumes,
        wanted: &'a Wanted,
        notes: &'a mut Notes,
        budget: &'a mut Budget,
    ) -> Self {
        Self {
            volumes,
            wanted,
            notes,
            budget,
            variables: Variables::of_grub(wanted.firmware, wanted.machine),
            menu: Vec::new(),
            loaded: Loaded::default(),
            functions: HashMap::new(),
            arguments: Rc::default(),
            status: true,
            depth: 0,
            here: None,
            unknown: Vec::new(),
            lost: None,
        }
    }

    /// Makes a file's own volume and folder the `root` and `prefix`, as of the file that GRUB begins with.
    pub(super) fn begin_at(&mut self, file: &BootFile) {
        let device = self.volumes.device(file.volume);
        let at = &self.volumes.get(file.volume).at;
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let at = if at.is_empty() { String::new() } else { format!("/{}", at.trim_matches('/')) };
        self.variables.set("prefix", &format!("({device}){at}{folder}"));
        self.variables.set("cmdpath", &format!("({device}){at}{folder}"));
        self.variables.set("root", &device);
    }

    pub(super) fn note(&mut self, what: impl AsRef<str>) {
        match &self.here {
            Some((source, line)) => self.notes.add(format!("{} line {line}: {}", source.name, what.as_ref())),
            None => self.notes.add(what),
        }
    }

    /// The file that a path of GRUB means: `(DEVICE)/path`, or `/path` on `$root`.
    pub(super) fn file(&self, path: &str) -> Option<BootFile> {
        let (volume, path) = match path.strip_prefix('(') {
            Some(rest) => {
                let (device, path) = rest.split_once(')')?;
                (self.volumes.of_device(device)?, path)
            }
            None => (self.root()?, path),
        };
        (path.starts_with('/') || path.is_empty()).then(|| self.volumes.of_loader(volume, path))
    }

    /// The volume of `$root`.
    pub(super) fn root(&self) -> Option<VolumeId> {
        self.volumes.of_device(self.variables.get("root")?)
    }

    /// The content of a file; nothing where it is not there or cannot be read, which is noted.
    pub(super) fn read(&mut self, file: &BootFile, limit_bytes: u64) -> Result<Option<Vec<u8>>, Stop> {
        self.budget.look()?;
        if file.path.contains('\0') {
            return Ok(None);
        }
        match self.volumes.get(file.volume).dir.read(&file.path, limit_bytes) {
            Ok(Some(content)) => {
                self.budget.read(content.len())?;
                Ok(Some(content))
            }
            Ok(None) => Ok(None),
            Err(failure) => {
                self.note(failure.to_string());
                Ok(None)
            }
        }
    }

    /// Runs a file, nothing where it is not there.
    pub(super) fn run_file(&mut self, file: &BootFile) -> Result<Option<bool>, Stop> {
        let Some(content) = self.read(file, CONFIG_BYTES)? else { return Ok(None) };
        let source = Rc::new(Source { name: self.volumes.describe(file), file: file.clone() });
        let script = parse(&String::from_utf8_lossy(&content), &source, self.notes);
        self.run(&script).map(Some)
    }

    /// Runs the text of a command in the place of the command.
    pub(super) fn run_text(&mut self, text: &str) -> Outcome {
        let Some((source, _)) = self.here.clone() else { return Ok(false) };
        let script = parse(text, &source, self.notes);
        self.run(&script)
    }

    /// Runs a script, and comes back to the place where it was called.
    pub(super) fn run(&mut self, script: &Script) -> Outcome {
        let here = self.here.take();
        let outcome = self.statements(&script.statements, &script.source);
        self.here = here;
        outcome
    }

    fn statements(&mut self, statements: &[Statement], source: &Rc<Source>) -> Outcome {
        if self.depth == DEEPEST {
            self.note("files, functions or blocks are nested too deeply");
            return Err(Stop::TooMuch);
        }
        self.depth += 1;
        let outcome = self.one_by_one(statements, source);
        self.depth -= 1;
        outcome
    }

    fn one_by_one(&mut self, statements: &[Statement], source: &Rc<Source>) -> Outcome {
        let mut outcome = true;
        for statement in statements {
            self.budget.spend(0)?;
            self.here = Some((Rc::clone(source), statement.line));
            outcome = self.statement(statement, source)?;
            self.status = outcome;
        }
        Ok(outcome)
    }

    fn statement(&mut self, statement: &Statement, source: &Rc<Source>) -> Outcome {
        match &statement.kind {
            Kind::Broken => Ok(false),
            Kind::Command { words, block } => {
                let Some(words) = self.expand(words)? else { return Ok(false) };
                self.command(&words, block.as_ref(), statement.line)
            }
            Kind::If { arms, otherwise } => {
                for (condition, body) in arms {
                    if self.statements(condition, source)? {
                        return self.statements(body, source);
                    }
                }
                self.statements(otherwise, source)
            }
            Kind::For { name, words, body } => {
                let mut outcome = true;
                for value in self.expand(words)?.unwrap_or_default() {
                    self.set(name, &value);
                    let result = self.statements(body, source);
                    match self.looped(result)? {
                        Some(result) => outcome = result,
                        None => break,
                    }
                }
                Ok(outcome)
            }
            Kind::While { until, condition, body } => {
                let mut outcome = true;
                loop {
                    self.budget.spend(0)?;
                    if self.statements(condition, source)? == *until {
                        return Ok(outcome);
                    }
                    let result = self.statements(body, source);
                    match self.looped(result)? {
                        Some(result) => outcome = result,
                        None => return Ok(outcome),
                    }
                }
            }
            Kind::Function { name, body } => {
                if self.functions.len() < MOST_FUNCTIONS || self.functions.contains_key(name) {
                    self.functions.insert(name.clone(), Rc::clone(body));
                }
                Ok(true)
            }
        }
    }

    /// What the body of a loop came to; nothing where the loop ends.
    fn looped(&mut self, result: Outcome) -> Result<Option<bool>, Stop> {
        match result {
            Ok(outcome) => Ok(Some(outcome)),
            Err(Stop::Break(0 | 1)) => Ok(None),
            Err(Stop::Break(more)) => Err(Stop::Break(more - 1)),
            Err(Stop::Continue(0 | 1)) => Ok(Some(true)),
            Err(Stop::Continue(more)) => Err(Stop::Continue(more - 1)),
            Err(other) => Err(other),
        }
    }

    /// Sets a variable, or notes that there is no room for it.
    pub(super) fn set(&mut self, name: &str, value: &str) -> bool {
        let fits = self.variables.set(name, value);
        if !fits {
            self.note(format!("no room for ${} of {} bytes", plain(name, 40), value.len()));
        }
        fits
    }

    /// Adds an entry to the menu.
    pub(super) fn add_entry(&mut self, entry: MenuEntry) -> bool {
        if self.menu.len() == MOST_ENTRIES {
            self.note("the menu is too long");
            return false;
        }
        self.menu.push(entry);
        true
    }

    /// A function, run with these words; nothing where there is none of that name.
    pub(super) fn call(&mut self, words: &[String]) -> Result<Option<bool>, Stop> {
        let Some(body) = self.functions.get(&words[0]).cloned() else { return Ok(None) };
        let arguments = std::mem::replace(&mut self.arguments, Rc::new(words[1..].to_vec()));
        let outcome = match self.run(&body) {
            Err(Stop::Return(outcome)) => Ok(outcome),
            other => other,
        };
        self.arguments = arguments;
        outcome.map(Some)
    }

    /// Notes a command that is not known, once.
    pub(super) fn unknown(&mut self, name: &str) {
        if self.unknown.len() < 256 && !self.unknown.iter().any(|known| known == name) {
            self.unknown.push(name.to_owned());
            self.note(format!("`{}` is not known", plain(name, 60)));
        }
    }

    /// The words of a command, with the values of variables; nothing where one of them is too long.
    fn expand(&mut self, words: &[Word]) -> Result<Option<Vec<String>>, Stop> {
        let mut expanded = Vec::with_capacity(words.len());
        for word in words {
            self.expand_word(word, &mut expanded)?;
        }
        if expanded.iter().any(|word| word.len() > LONGEST_BYTES) {
            self.note(format!("a word of more than {LONGEST_BYTES} bytes"));
            return Ok(None);
        }
        Ok(Some(expanded))
    }

    fn expand_word(&mut self, word: &Word, expanded: &mut Vec<String>) -> Result<(), Stop> {
        // The word that is being put together, if there is one yet.
        let mut current: Option<String> = None;
        for piece in &word.pieces {
            match piece {
                Piece::Text { text, .. } => {
                    self.budget.spend(text.len())?;
                    current.get_or_insert_default().push_str(text);
                }
                Piece::Variable { name, quoted: true } if name == "@" => {
                    let arguments = Rc::clone(&self.arguments);
                    for (at, argument) in arguments.iter().enumerate() {
                        self.budget.spend(argument.len())?;
                        if at > 0 {
                            expanded.extend(current.take());
                        }
                        current.get_or_insert_default().push_str(argument);
                    }
                }
                Piece::Variable { name, quoted } => {
                    let value = self.value(name);
                    self.budget.spend(value.len())?;
                    if *quoted {
                        current.get_or_insert_default().push_str(&value);
                        continue;
                    }
                    let spaced = |c: char| matches!(c, ' ' | '\t' | '\n');
                    for (at, part) in value.split(spaced).enumerate() {
                        if at > 0 {
                            expanded.extend(current.take());
                        }
                        if !part.is_empty() {
                            current.get_or_insert_default().push_str(part);
                        }
                    }
                }
            }
        }
        expanded.extend(current);
        Ok(())
    }

    fn value(&self, name: &str) -> String {
        match name {
            "?" => u8::from(!self.status).to_string(),
            "#" => self.arguments.len().to_string(),
            "@" | "*" => self.arguments.join(" "),
            name => match name.parse::<usize>() {
                Ok(0) => String::new(),
                Ok(number) => self.arguments.get(number - 1).cloned().unwrap_or_default(),
                Err(_) => self.variables.get(name).unwrap_or_default().to_owned(),
            },
        }
    }
}
