//! Other ways to write a command line, turned into the plain one before the words are read.
//!
//! Scripts written for Docker hold switches with a value, as Go's programs take them:
//! `--no-trunc=false`, `-a=1`. One that is on stands without its value, one that is off does not
//! stand at all. Words after `--`, and those of a command that `chroot` runs, are nobody's business
//! here. `shale help ls` is `shale ls --help`, `shale version` is `shale --version`.

use std::cell::LazyCell;
use std::ffi::OsString;

use clap::{ArgAction, Command};

/// The words in the plain form. What is no switch, or no value of one, is left as it is.
pub fn plain(words: Vec<OsString>) -> Vec<OsString> {
    let switches = LazyCell::new(Switches::all);
    let words = as_options(words);
    let foreign = ["--", "chroot"];
    let end = words.iter().position(|word| foreign.iter().any(|end| word == end));
    let end = end.unwrap_or(words.len());
    let mut plain = Vec::with_capacity(words.len());
    for (number, word) in words.into_iter().enumerate() {
        let parts = word.to_str().filter(|_| number < end).and_then(assigned);
        match parts.and_then(|(name, value)| Some((switches.get(name)?, value))) {
            Some((switch, true)) => plain.push(switch.into()),
            Some((_, false)) => {}
            None => plain.push(word),
        }
    }
    plain
}

/// `help` and `version` in the place of a command.
fn as_options(mut words: Vec<OsString>) -> Vec<OsString> {
    let Some(mut at) = command_place(&words, 1) else { return words };
    if words.get(at).is_some_and(|word| word == "image") {
        at = command_place(&words, at + 1).unwrap_or(at);
    }
    let option = match words.get(at).and_then(|word| word.to_str()) {
        Some("help") => "--help",
        Some("version") => "--version",
        _ => return words,
    };
    words.remove(at);
    words.push(option.into());
    words
}

/// Where the first word from `at` on is that is no global option and no value of one.
fn command_place(words: &[OsString], mut at: usize) -> Option<usize> {
    loop {
        match words.get(at)?.to_str() {
            Some("--root" | "--log-level" | "--color") => at += 2,
            Some(word) if word.starts_with('-') => at += 1,
            _ => return Some(at),
        }
    }
}

/// The switches of all commands, as they are written.
#[derive(Default)]
struct Switches(Vec<String>);

impl Switches {
    /// Has every command make its options, which takes a while.
    fn all() -> Self {
        let mut command = super::command();
        command.build();
        let mut switches = Self::default();
        switches.collect(&command);
        switches
    }

    fn collect(&mut self, command: &Command) {
        for arg in command.get_arguments().filter(|a| matches!(a.get_action(), ArgAction::SetTrue))
        {
            self.0.extend(arg.get_long().map(|name| format!("--{name}")));
            self.0.extend(arg.get_short().map(|name| format!("-{name}")));
        }
        for command in command.get_subcommands() {
            self.collect(command);
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|switch| *switch == name).map(String::as_str)
    }
}

/// What may be a switch, and its value.
fn assigned(word: &str) -> Option<(&str, bool)> {
    let (name, value) = word.split_once('=').filter(|_| word.starts_with('-'))?;
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some((name, true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some((name, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_switches() {
        for (line, wanted) in [
            ("shale ls --no-trunc=false -a=1 x", "shale ls -a x"),
            ("shale ls --digests=TRUE --quiet=f", "shale ls --digests"),
            ("shale ls --filter=dangling=true --format=true", ""),
            ("shale ls --no-trunc=maybe --nope=true", ""),
            ("shale rm -- --force=true", ""),
            ("shale help image tag", "shale image tag --help"),
            ("shale version", "shale --version"),
            ("shale -q --root help help ls", "shale -q --root help ls --help"),
            ("shale image help ls", "shale image ls --help"),
            ("shale --color=never image -v help", "shale --color=never image -v --help"),
            ("shale image ls help", ""),
            ("shale tag help version", ""),
            ("shale chroot x prog --all=false", ""),
        ] {
            let words = line.split(' ').map(OsString::from).collect();
            let plain = plain(words);
            let plain: Vec<String> =
                plain.into_iter().filter_map(|w| w.into_string().ok()).collect();
            assert_eq!(plain.join(" "), if wanted.is_empty() { line } else { wanted });
        }
    }
}
