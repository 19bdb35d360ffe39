//! GRUB's commands, as far as they decide what is started.

use std::rc::Rc;

use super::condition::{Ask, holds, number};
use super::machine::{Loaded, Machine, MenuEntry, Outcome, Stop};
use super::options::Options;
use super::parser::Script;
use crate::boot::Machine as Processor;
use crate::boot::entry::{Way, plain};
use crate::boot::grubenv;
use crate::boot::volumes::BootFile;
use crate::cause::Cause;
use crate::root_dir::Kind;

/// Commands that change nothing of what is started.
const INERT: [&str; 41] = [
    "acpi",
    "authenticate",
    "background_color",
    "background_image",
    "badram",
    "clear",
    "cutmem",
    "date",
    "devicetree",
    "echo",
    "fdt",
    "hexdump",
    "insmod",
    "keymap",
    "loadfont",
    "ls",
    "lsmod",
    "lspci",
    "module",
    "module2",
    "nativedisk",
    "outb",
    "password",
    "password_pbkdf2",
    "play",
    "rdmsr",
    "read",
    "rmmod",
    "save_env",
    "serial",
    "setpci",
    "sleep",
    "terminal",
    "terminal_input",
    "terminal_output",
    "tpm",
    "true",
    "uki",
    "videoinfo",
    "videotest",
    "wrmsr",
];

/// Commands that start something else than a Linux kernel.
const OTHERS: [&str; 14] = [
    "appleloader",
    "chainloader",
    "freedos",
    "fwsetup",
    "halt",
    "kfreebsd",
    "knetbsd",
    "kopenbsd",
    "legacy_kernel",
    "multiboot",
    "multiboot2",
    "ntldr",
    "reboot",
    "xen_hypervisor",
];

/// Commands of GRUB whose answer cannot be known here; they fail.
const UNKNOWABLE: [&str; 21] = [
    "cmp",
    "cryptomount",
    "file",
    "getenv",
    "hashsum",
    "hwmatch",
    "inb",
    "inl",
    "inw",
    "legacy_configfile",
    "legacy_source",
    "list_env",
    "loopback",
    "md5sum",
    "regexp",
    "smbios",
    "stat",
    "syslinux_configfile",
    "syslinux_source",
    "verify_detached",
    "zfs-bootfs",
];

impl Machine<'_> {
    /// Runs a command.
    pub(super) fn command(&mut self, words: &[String], block: Option<&Rc<Script>>, line: u32) -> Outcome {
        let Some((name, rest)) = words.split_first() else { return Ok(true) };
        match name.as_str() {
            "!" => self.command(rest, block, line).map(|outcome| !outcome),
            "[" | "test" => self.condition(rest),
            "set" => Ok(rest.first().is_none_or(|word| self.assign(word))),
            "unset" => {
                rest.iter().for_each(|name| self.variables.unset(name));
                Ok(true)
            }
            "export" => {
                rest.iter().for_each(|name| self.variables.export(name));
                Ok(true)
            }
            "false" | "keystatus" => Ok(false),
            "cpuid" => Ok(self.wanted.machine == Processor::X86_64),
            "increment" => Ok(self.count(rest, 1)),
            "decrement" => Ok(self.count(rest, -1)),
            "eval" => self.run_text(&rest.join(" ")),
            "load_env" => self.load_env(rest),
            "search" | "search.file" | "search.fs_label" | "search.fs_uuid" => self.search(name, rest),
            "probe" => Ok(self.probe(rest)),
            "gptprio.next" => Ok(self.next_prioritised(rest)),
            "menuentry" | "submenu" => Ok(self.menu_entry(rest, block, name == "submenu", line)),
            "blscfg" => self.entries(rest),
            "linux" | "linux16" | "linuxefi" => self.linux(rest, line),
            "initrd" | "initrd16" | "initrdefi" => self.initrd(rest),
            "source" | "." => self.source(rest),
            "configfile" | "normal" => self.configfile(rest),
            "boot" => Err(Stop::Settled),
            "exit" | "normal_exit" => Err(Stop::Exit),
            "return" => Err(Stop::Return(rest.first().is_none_or(|word| word == "0"))),
            "break" => Err(Stop::Break(levels(rest))),
            "continue" => Err(Stop::Continue(levels(rest))),
            "setparams" => {
                self.arguments = Rc::new(rest.to_vec());
                Ok(true)
            }
            "shift" => {
                let by = rest.first().map_or(1, |word| number(word).map_or(0, |(number, _)| number));
                let by = usize::try_from(by).unwrap_or(usize::MAX).min(self.arguments.len());
                self.arguments = Rc::new(self.arguments[by..].to_vec());
                Ok(true)
            }
            name => match self.call(words)? {
                Some(outcome) => Ok(outcome),
                None if OTHERS.contains(&name) => {
                    let what = plain(&words.join(" "), 120);
                    let instead = format!("`{what}`, which starts no Linux kernel");
                    self.loaded = Loaded { instead: Some((Cause::BootEntry, instead)), ..Loaded::default() };
                    Ok(true)
                }
                None if INERT.contains(&name) => Ok(true),
                None if name.contains('=') => Ok(self.assign(name)),
                // GRUB itself says that it cannot find such a command, and goes on as if it had succeeded.
                None => {
                    self.unknown(name);
                    Ok(!UNKNOWABLE.contains(&name))
                }
            },
        }
    }

    /// `NAME=VALUE`.
    fn assign(&mut self, word: &str) -> bool {
        match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => self.set(name, value),
            _ => false,
        }
    }

    fn count(&mut self, words: &[String], by: i64) -> bool {
        let Some(name) = words.first() else { return false };
        let value = self.variables.get(name).and_then(|value| value.parse::<i64>().ok()).unwrap_or(0);
        self.set(name, &value.saturating_add(by).to_string())
    }

    fn condition(&mut self, words: &[String]) -> Outcome {
        let mut enough = true;
        let outcome = holds(words, &mut |ask, path| {
            enough &= self.budget.look().is_ok();
            enough && self.ask(ask, path)
        });
        if enough { Ok(outcome) } else { Err(Stop::TooMuch) }
    }

    fn ask(&mut self, ask: Ask, path: &str) -> bool {
        let Some(file) = self.file(path) else { return false };
        let kind = self.volumes.kind(&file);
        match ask {
            Ask::Folder => kind == Some(Kind::Folder),
            Ask::There => kind.is_some(),
            Ask::File => kind.is_some_and(|kind| kind != Kind::Folder),
            // A limit of nothing fails for every file that has a byte.
            Ask::Filled => {
                kind == Some(Kind::File) && self.volumes.get(file.volume).dir.read(&file.path, 0).is_err()
            }
        }
    }

    /// Reads the environment block, `$prefix/grubenv` unless another file is named.
    fn load_env(&mut self, words: &[String]) -> Outcome {
        let mut options = Options::new(words);
        let mut path = format!("{}/grubenv", self.variables.get("prefix").unwrap_or_default());
        let mut only = Vec::new();
        while let Some((option, word)) = options.next() {
            match option {
                Some("-f" | "--file") => path = options.value(word).unwrap_or_default(),
                Some(_) => {}
                None => only.push(word.to_owned()),
            }
        }
        let Some(file) = self.file(&path) else { return Ok(false) };
        let Some(block) = self.read(&file, grubenv::LIMIT_BYTES)? else { return Ok(false) };
        match grubenv::parse(&block) {
            Ok(variables) => {
                for (name, value) in variables {
                    self.budget.spend(value.len())?;
                    if only.is_empty() || only.contains(&name) {
                        self.set(&name, &value);
                    }
                }
                Ok(true)
            }
            Err(why) => {
                let name = self.volumes.describe(&file);
                self.note(format!("{name} is no environment block: {why}"));
                Ok(false)
            }
        }
    }

    /// Adds an entry or a submenu.
    fn menu_entry(&mut self, words: &[String], block: Option<&Rc<Script>>, submenu: bool, line: u32) -> bool {
        let mut options = Options::new(words);
        let mut id = None;
        let mut arguments = Vec::new();
        while let Some((option, word)) = options.next() {
            match option {
                Some("--id") => id = options.value(word),
                Some("--class" | "--users" | "--hotkey" | "--source") => drop(options.value(word)),
                Some(_) => {}
                None => arguments.push(word.to_owned()),
            }
        }
        let (Some(title), Some(body)) = (arguments.first().cloned(), block) else {
            self.note("an entry without a title or a block");
            return false;
        };
        let id = id.unwrap_or_else(|| title.clone());
        self.add_entry(MenuEntry {
            title,
            id,
            arguments,
            body: Rc::clone(body),
            submenu,
            line,
            way: Way::Grub,
        })
    }

    fn source(&mut self, words: &[String]) -> Outcome {
        let Some(file) = words.first().and_then(|path| self.file(path)) else { return Ok(false) };
        match self.run_file(&file)? {
            Some(outcome) => Ok(outcome),
            None => Ok(self.missing(&file)),
        }
    }

    fn missing(&mut self, file: &BootFile) -> bool {
        let name = self.volumes.describe(file);
        self.note(format!("{name} is not there"));
        false
    }

    /// Goes on with another file. It has a menu of its own, and sees only what was exported.
    fn configfile(&mut self, words: &[String]) -> Outcome {
        let usual = || format!("{}/grub.cfg", self.variables.get("prefix").unwrap_or_default());
        let path = words.first().cloned().unwrap_or_else(usual);
        let Some(file) = self.file(&path) else { return Ok(false) };
        self.budget.spend(self.variables.bytes())?;
        let inner = self.variables.exported();
        let variables = std::mem::replace(&mut self.variables, inner);
        let menu = std::mem::take(&mut self.menu);
        let ran = match self.run_file(&file) {
            Err(Stop::Exit | Stop::Return(_)) => Ok(Some(true)),
            other => other,
        }?;
        if !self.menu.is_empty() || self.loaded.kernel.is_some() {
            return Err(Stop::Settled);
        }
        (self.variables, self.menu) = (variables, menu);
        match ran {
            Some(outcome) => Ok(outcome),
            None => Ok(self.missing(&file)),
        }
    }
}

fn levels(words: &[String]) -> u64 {
    words.first().and_then(|word| number(word)).map_or(1, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(INERT.is_sorted() && OTHERS.is_sorted() && UNKNOWABLE.is_sorted());
    }
}
