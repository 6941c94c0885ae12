//! What is said of words that are no command line: clap's text, and for the slips of people who
//! come from Docker a line that helps.

use std::io::{self, Write as _};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::error::{Error, status};
use crate::cli::terminal::{ColorChoice, Output};

/// Docker's commands that are not here, and what to do instead.
const ELSEWHERE: [(&[&str], &str); 4] = [
    (
        &["run", "exec", "create", "start", "stop", "kill", "logs", "attach", "container"],
        "shale runs no containers; `shale chroot IMAGE COMMAND` runs a program in an image, \
         `shale mount IMAGE DIR` shows its files",
    ),
    (&["ps"], "`shale mounts` lists what is mounted; shale runs no containers"),
    (
        &["build", "push", "commit", "import", "buildx", "compose"],
        "shale changes no images; buildah, skopeo and docker do",
    ),
    (&["system"], "`shale df`, `shale info` and `shale prune` look after the store"),
];

/// Says what is wrong. Help goes to standard output and is no error. Returns the exit status.
pub fn refuse(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| io::stdout().flush());
        let Err(failed) = printed.map_err(Error::stdout) else { return 0 };
        // Help that nobody reads any more is no error either.
        Output::new(ColorChoice::Auto, false).error(&failed);
        return failed.status();
    }
    // Nor can anything be done about messages that nobody reads.
    let _ = std::io::stderr().write_all(text(error).as_bytes());
    status::USAGE
}

fn text(error: &clap::Error) -> String {
    let text = error.render().to_string();
    match error.kind() {
        // This is the help, and not a message.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => text,
        ErrorKind::InvalidSubcommand => match remedy(error, &text) {
            Some((word, hint)) => {
                format!("shale: '{word}' is not a command of shale\nhint: {hint}\n")
            }
            None => plain(&text),
        },
        _ => plain(&text),
    }
}

fn plain(text: &str) -> String {
    format!("shale: {}", text.strip_prefix("error: ").unwrap_or(text))
}

fn remedy(error: &clap::Error, text: &str) -> Option<(String, String)> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    if text.contains("Usage: shale manifest ") || text.contains("Usage: shale image manifest ") {
        return Some((format!("manifest {word}"), format!("`shale manifest inspect {word}`")));
    }
    let known = ELSEWHERE.iter().find(|(words, _)| words.contains(&word.as_str()))?;
    Some((word.clone(), known.1.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> clap::Error {
        let words = line.split(' ').map(Into::into).collect();
        let words = crate::cli::args::plain(words);
        crate::cli::args::command().try_get_matches_from(words).expect_err(line)
    }

    #[test]
    fn slips() {
        for (line, words) in [
            ("shale run debian", "'run' is not a command of shale\nhint: shale runs no containers"),
            ("shale image push x", "hint: shale changes no images"),
            ("shale manifest debian", "hint: `shale manifest inspect debian`"),
            ("shale lss", "shale: unrecognized subcommand 'lss'"),
            ("shale tag x", "shale: the following required arguments were not provided:"),
            ("shale help nope", "shale: unrecognized subcommand 'nope'"),
        ] {
            let said = text(&error(line));
            assert!(said.contains(words), "{line}: {said}");
        }
        for line in ["shale help", "shale help ls", "shale version", "shale help image tag"] {
            assert!(!error(line).use_stderr(), "{line} is asked for, and no error");
        }
    }
}
