//! Files of variables, as docker's `--env-file` takes them: a line `NAME=VALUE` sets one, a line
//! `NAME` passes the caller's on if there is one, empty lines and those that begin with `#` are
//! passed over. Values are taken as they stand: no quotes, no escapes.

use std::path::Path;

use crate::cli::error::Error;

/// The variables of `path`, as `--env` takes them.
pub fn read(path: &Path) -> Result<Vec<String>, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path.display()))?;
    parse(&text, |name| std::env::var(name).ok())
        .map_err(|why| Error::failed(format!("{}: {why}", path.display())))
}

fn parse(text: &str, caller: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!("line {}: {line:?} is neither NAME=VALUE nor NAME", number + 1));
        }
        if line.contains('=') {
            found.push(line.to_owned());
        } else {
            found.extend(caller(line).map(|value| format!("{line}={value}")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_docker_has_them() {
        let caller = |name: &str| (name == "MINE").then(|| "here".to_owned());
        let text = "\u{feff}# comment\n\n  A=1\nB= \"x\" # y\nMINE\nOTHER\nC=\r\n";
        let found = parse(text, caller).expect("valid");
        assert_eq!(found, ["A=1", "B= \"x\" # y", "MINE=here", "C="]);
        for wrong in ["=x", "A B=1", "A B"] {
            let why = parse(&format!("X=1\n{wrong}\n"), caller).expect_err(wrong);
            assert!(why.starts_with("line 2:"), "{why}");
        }
    }
}
