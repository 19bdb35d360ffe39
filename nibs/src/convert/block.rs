//! One action of a Template, as the lines that it takes.

/// A variable of an action: its name, and the lines of its value, the first behind the colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Vec<String>,
}

/// The lines of one action, with the comments before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) lines: Vec<String>,
    /// Where its first key stands, in spaces.
    indent: usize,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// The actions that begin at `from`, and where they end.
pub(super) fn read(lines: &[&str], from: usize) -> (Vec<Block>, usize) {
    let Some(first) =
        lines[from..].iter().find(|l| !is_blank(l)).filter(|l| l.trim_start().starts_with("- "))
    else {
        return (Vec::new(), from);
    };
    let dash = indent(first);
    let mut blocks: Vec<Block> = Vec::new();
    let mut waiting: Vec<String> = Vec::new();
    let mut end = from;
    for (index, line) in lines.iter().enumerate().skip(from) {
        if is_blank(line) && indent(line) <= dash {
            waiting.push((*line).to_owned());
            continue;
        }
        let begins = indent(line) == dash && line.trim_start().starts_with("- ");
        if !begins && indent(line) <= dash {
            break;
        }
        end = index + 1;
        if begins {
            let key = dash + 1 + indent(&line[dash + 1..]);
            let mut own = std::mem::take(&mut waiting);
            own.push((*line).to_owned());
            blocks.push(Block { lines: own, indent: key });
        } else if let Some(block) = blocks.last_mut() {
            block.lines.append(&mut waiting);
            block.lines.push((*line).to_owned());
        }
    }
    (blocks, end)
}

impl Block {
    /// The line from its key on, when one of the action's own keys stands in it.
    fn key<'a>(&self, line: &'a str) -> Option<&'a str> {
        let text = line.get(self.indent..)?;
        let before = line[..self.indent].trim();
        ((before.is_empty() || before == "-") && !text.starts_with([' ', '#', '-'])).then_some(text)
    }

    /// The lines of a key of the action: from its own to before the next key.
    fn range(&self, key: &str) -> Option<std::ops::Range<usize>> {
        let start = self.lines.iter().position(|line| {
            self.key(line).and_then(|t| t.strip_prefix(key)).is_some_and(|rest| rest.starts_with(':'))
        })?;
        let length = self.lines[start + 1..]
            .iter()
            .take_while(|l| l.trim().is_empty() || self.key(l).is_none())
            .count();
        Some(start..start + 1 + length)
    }

    /// The text of a key's lines.
    pub(super) fn text(&self, key: &str) -> String {
        self.range(key).map_or_else(String::new, |range| self.lines[range].join("\n"))
    }

    /// The value of a key that has one on its line, without quotes and comment.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        let line = &self.lines[self.range(key)?.start];
        let value = line.split_once(':')?.1;
        let value = value.split(" #").next().unwrap_or_default();
        Some(value.trim().trim_matches(['"', '\'']).to_owned())
    }

    /// The variables, when there is each on lines of its own.
    pub(super) fn variables(&self) -> Option<Vec<Variable>> {
        let Some(range) = self.range("environment") else { return Some(Vec::new()) };
        let lines = &self.lines[range];
        if !lines[0].split_once(':').is_some_and(|(_, rest)| is_blank(rest)) {
            return None;
        }
        let own = indent(lines[1..].iter().find(|l| !is_blank(l))?);
        let mut variables: Vec<Variable> = Vec::new();
        for line in &lines[1..] {
            match line.trim().split_once(':') {
                Some((name, value)) if indent(line) == own && !is_blank(line) => {
                    variables.push(Variable { name: name.to_owned(), value: vec![value.to_owned()] });
                }
                _ => variables.last_mut()?.value.push(line.clone()),
            }
        }
        Some(variables)
    }

    /// Puts another image in, and these variables in the place of its own; `takes_down` gives it the host's
    /// processes.
    pub(super) fn replace(&mut self, image: &str, variables: &[Variable], takes_down: bool) {
        if let Some(range) = self.range("image") {
            let line = &mut self.lines[range.start];
            let colon = line.find("image:").map_or(line.len(), |at| at + "image:".len());
            *line = format!("{} {image}", &line[..colon]);
        }
        // Arguments of the old program, and what only that needed.
        for key in ["command", "environment"] {
            self.remove(key);
        }
        if self.text("volumes").contains("docker.sock") && self.text("volumes").lines().count() == 2 {
            self.remove("volumes");
        }
        let pad = " ".repeat(self.indent);
        if takes_down && self.range("pid").is_none() {
            self.push(vec![format!("{pad}pid: host")]);
        }
        if !variables.is_empty() {
            let mut lines = vec![format!("{pad}environment:")];
            for Variable { name, value } in variables {
                lines.push(format!("{pad}  {name}:{}", value[0]));
                lines.extend_from_slice(&value[1..]);
            }
            self.push(lines);
        }
    }

    /// Adds lines behind the last that say something.
    fn push(&mut self, lines: Vec<String>) {
        let end = self.lines.iter().rposition(|l| !l.trim().is_empty()).map_or(0, |at| at + 1);
        self.lines.splice(end..end, lines);
    }

    fn remove(&mut self, key: &str) {
        let Some(range) = self.range(key) else { return };
        let prefix = self.lines[range.start][..self.indent].to_owned();
        // A blank line at its end belongs to what follows.
        let blank = self.lines[range.clone()].iter().rev().take_while(|l| l.trim().is_empty()).count();
        self.lines.drain(range.start..range.end - blank);
        // The dash of the list goes to the key that is now the first.
        if prefix.contains('-')
            && let Some(next) = (range.start..self.lines.len()).find(|i| self.key(&self.lines[*i]).is_some())
        {
            self.lines[next].replace_range(..self.indent, &prefix);
        }
    }

    /// Says something on a line before the action.
    pub(super) fn comment(&mut self, text: &str) {
        let at = self.lines.iter().position(|l| l.trim_start().starts_with("- ")).unwrap_or(0);
        let dash = " ".repeat(indent(&self.lines[at]));
        let line = format!("{dash}{text}");
        if !self.lines.contains(&line) {
            self.lines.insert(at, line);
        }
    }
}
