//! Why something of an image cannot be found, read or written.

use std::io;
use std::path::PathBuf;

use crate::content::ContentError;
use crate::oci::escaped;
use crate::tree::{RowNo, TableError};

/// Errors of browsing. Paths of the image are shown with a leading `/`, escaped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image's table is damaged.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A name leads to a row that is not there.
    #[error("the tree has a name for row {}, which it does not have", .0.0)]
    NoRow(RowNo),
    /// A file's bytes cannot be had.
    #[error("{path}: {source}")]
    Content {
        /// Which file.
        path: String,
        /// Why.
        source: ContentError,
    },
    /// A file has fewer bytes than its size says.
    #[error("{path}: it ends before its size")]
    Short {
        /// Which file.
        path: String,
    },
    /// No such name.
    #[error("{path}: the image has no such file")]
    Absent {
        /// Which.
        path: String,
    },
    /// A symbolic link leads to nothing.
    #[error("{path}: a symbolic link to {target}, which the image does not have")]
    Dangling {
        /// Which link.
        path: String,
        /// Its text.
        target: String,
    },
    /// Something that must be a directory is none.
    #[error("{path}: not a directory")]
    NotDirectory {
        /// The path that was asked for.
        path: String,
    },
    /// Symbolic links that lead to each other.
    #[error("{path}: too many symbolic links")]
    Loop {
        /// The path that was asked for.
        path: String,
    },
    /// A directory where a file is needed.
    #[error("{path}: is a directory")]
    IsDirectory {
        /// Which.
        path: String,
    },
    /// Neither a regular file nor a directory.
    #[error("{path}: is a {what}, which has no bytes in an image")]
    Special {
        /// Which.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// The output refuses.
    #[error("cannot write: {0}")]
    Write(#[source] io::Error),
    /// The destination refuses.
    #[error("{path}: {source}")]
    Destination {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The destination cannot take what is to be copied there.
    #[error("{path}: {what}")]
    Unfit {
        /// Where.
        path: PathBuf,
        /// Why not.
        what: &'static str,
    },
}

impl Error {
    /// Whether bytes did not match the digest that they must have (exit status 3).
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::Table(_) | Self::Content { .. } | Self::Short { .. })
    }
}

/// A path of the image for a message.
pub(super) fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let slash = if text.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", escaped(&text))
}
