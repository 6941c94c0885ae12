//! Where output goes: data to standard output, messages to standard error, both made harmless on a
//! terminal.
//!
//! Standard output carries nothing but what was asked for. A reader that closes the pipe ends the
//! command without a word ([`Error::ClosedPipe`]). What is written to a terminal is escaped here,
//! at the last step, so no command can forget it; colours are added after that, and only when
//! the terminal may have them (`--color`, `NO_COLOR`, `TERM=dumb`).

use std::io::{self, BufWriter, IsTerminal, Write};

use crate::cli::error::Error;
use crate::cli::terminal::{escape, escape_lines};

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Whether a stream gets colours.
    fn allows(self, terminal: bool) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && !set("NO_COLOR") && !dumb,
        }
    }
}

/// How a piece of text looks where colours are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A title.
    Bold,
    /// Something wrong.
    Red,
    /// Something to look at.
    Yellow,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Red => "31",
            Self::Yellow => "33",
        }
    }
}

/// Standard output and standard error of one command.
pub struct Output {
    stdout: BufWriter<io::Stdout>,
    /// Standard output is a terminal.
    terminal: bool,
    color: bool,
    messages_on_terminal: bool,
    message_color: bool,
    /// Say only what was asked for.
    pub quiet: bool,
}

impl Output {
    /// The process's own streams.
    pub fn new(color: ColorChoice, quiet: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let messages_on_terminal = io::stderr().is_terminal();
        Self {
            stdout: BufWriter::new(io::stdout()),
            terminal,
            color: color.allows(terminal),
            messages_on_terminal,
            message_color: color.allows(messages_on_terminal),
            quiet,
        }
    }

    /// Whether messages go to a terminal, so that progress can be drawn.
    pub fn can_draw(&self) -> bool {
        self.messages_on_terminal
    }

    /// Whether data goes to a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes text that was asked for.
    pub fn data(&mut self, text: &str) -> Result<(), Error> {
        if self.terminal {
            self.raw(escape_lines(text).as_bytes())
        } else {
            self.raw(text.as_bytes())
        }
    }

    /// The same, and a newline.
    pub fn line(&mut self, text: &str) -> Result<(), Error> {
        self.data(text)?;
        self.raw(b"\n")
    }

    /// Text that was asked for, in a style.
    pub fn styled(&mut self, style: Style, text: &str) -> Result<(), Error> {
        if !self.color {
            return self.data(text);
        }
        self.raw(format!("\x1b[{}m", style.code()).as_bytes())?;
        self.data(text)?;
        self.raw(b"\x1b[0m")
    }

    /// A name that was asked for: its bytes as they are, escaped on a terminal.
    pub fn name(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.terminal { self.raw(escape(bytes).as_bytes()) } else { self.raw(bytes) }
    }

    /// Bytes that were asked for, as they are: documents, archives.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stdout.write_all(bytes).map_err(Error::stdout)
    }

    /// Writes everything out.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.stdout.flush().map_err(Error::stdout)
    }

    /// A message to the user, unless they asked for quiet.
    pub fn message(&mut self, text: &str) {
        if !self.quiet {
            self.always(text);
        }
    }

    /// A message that even the quiet get to see. Data comes first, so that the order on a terminal
    /// is that of events.
    pub fn always(&mut self, text: &str) {
        // A closed standard output is reported by the next write.
        let _ = self.stdout.flush();
        say(&self.shown(text));
    }

    /// An error, and its hint.
    pub fn error(&mut self, error: &Error) {
        let Some((message, hint)) = error.words() else { return };
        let paint = |style: Style, word: &str| {
            if self.message_color {
                format!("\x1b[{}m{word}\x1b[0m", style.code())
            } else {
                word.to_owned()
            }
        };
        let mut text = format!("{} {}", paint(Style::Red, "shale:"), self.shown(&message));
        if let Some(hint) = hint {
            text.push_str(&format!("\n{} {}", paint(Style::Yellow, "hint:"), self.shown(&hint)));
        }
        let _ = self.stdout.flush();
        say(&text);
    }

    fn shown(&self, text: &str) -> String {
        if self.messages_on_terminal { escape_lines(text) } else { text.to_owned() }
    }
}

/// Writes a line to standard error. There is nobody to tell when that fails.
fn say(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
