//! What a failed command says, and its exit status.
//!
//! One line `WHAT: WHY`, then a hint where a remedy is known. Exit status: 1 failed, 2 usage, 3 a
//! digest did not match. The library's errors name path or digest; [`hint`] adds what the user can
//! do.

use std::error::Error as StdError;
use std::io;

pub mod hint;
pub mod invalid_arguments;
pub mod suggest;

use crate::archive::ArchiveError;
use crate::browse;
use crate::mount;
use crate::pull::PullError;
use crate::source::SourceError;
use crate::source::registry::RegistryError;
use crate::store::StoreError;

/// Exit statuses.
pub mod status {
    /// The command failed.
    pub const FAILED: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// Bytes did not have the digest that they must have.
    pub const MISMATCH: u8 = 3;
}

/// Why a command ends early.
#[derive(Debug)]
pub enum Error {
    /// It failed, and this is what to say.
    Failed {
        /// `WHAT: WHY`, one line.
        message: String,
        /// A remedy.
        hint: Option<String>,
        /// See [`status`].
        status: u8,
    },
    /// Nobody reads standard output any more. No reason to say anything.
    ClosedPipe,
    /// It failed, and everything was said.
    Said {
        /// See [`status`].
        status: u8,
    },
}

impl Error {
    /// A failure with status 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: None, status: status::FAILED }
    }

    /// A wrong command line that the parser could not know to be wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: None, status: status::USAGE }
    }

    /// The same error with a remedy.
    #[must_use]
    pub fn hint(self, text: impl Into<String>) -> Self {
        match self {
            Self::Failed { message, status, .. } => {
                Self::Failed { message, hint: Some(text.into()), status }
            }
            other => other,
        }
    }

    /// The same error with another word for what it is about.
    #[must_use]
    pub fn about(self, old: &str, new: &str) -> Self {
        match self {
            Self::Failed { message, hint, status } => {
                Self::Failed { message: message.replace(old, new), hint, status }
            }
            other => other,
        }
    }

    /// An error of the system about something: a path, a device.
    pub fn io(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::failed(format!("{what}: {error}"))
    }

    /// An error of writing to standard output.
    pub fn stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::failed(format!("standard output: {error}")),
        }
    }

    /// The message and the hint; `None` when there is nothing to say.
    pub fn words(&self) -> Option<(String, Option<String>)> {
        match self {
            Self::Failed { message, hint, .. } => Some((message.clone(), hint.clone())),
            Self::ClosedPipe | Self::Said { .. } => None,
        }
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Failed { status, .. } | Self::Said { status } => *status,
            Self::ClosedPipe => 0,
        }
    }
}

/// An error with all its causes in one line, each said once.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// Makes an [`Error`] of a library's error.
fn of(error: &(dyn StdError + 'static), hint: Option<String>, is_mismatch: bool) -> Error {
    let status = if is_mismatch { status::MISMATCH } else { status::FAILED };
    Error::Failed { message: chain(error), hint, status }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        of(&error, hint::store(&error), error.is_mismatch())
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        of(&error, hint::source(&error), error.is_mismatch())
    }
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        SourceError::from(error).into()
    }
}

impl From<PullError> for Error {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Store(error) => error.into(),
            PullError::Source(error) => error.into(),
            error => of(&error, hint::pull(&error), error.is_mismatch()),
        }
    }
}

impl From<mount::Error> for Error {
    fn from(error: mount::Error) -> Self {
        match error {
            mount::Error::Store(error) => error.into(),
            mount::Error::Tables(error) => error.into(),
            error => of(&error, error.hint().map(str::to_owned), false),
        }
    }
}

impl From<browse::Error> for Error {
    fn from(error: browse::Error) -> Self {
        of(&error, hint::browse(&error), error.is_mismatch())
    }
}

impl From<ArchiveError> for Error {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => error.into(),
            error => of(&error, hint::archive(&error), error.is_mismatch()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let io = io::Error::other("disk on fire");
        let error = StoreError::Io { path: "/s".into(), source: io };
        assert_eq!(chain(&error), "/s: disk on fire");
    }

    #[test]
    fn a_closed_pipe_is_silent() {
        let error = Error::stdout(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(error.words().is_none());
        assert_eq!(error.status(), 0);
    }
}
