//! A tar file whose members are read in place: the outer shell of image archives.
//!
//! The file is scanned once for its headers; after that a member is a range of the file. A file
//! that cannot be read in place (compressed, or a pipe) is first unpacked into a temporary file that
//! has no name. Links are resolved within the archive: docker's old archives have them for layers
//! that occur twice.

mod members;
mod unpack;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::members::{Member, Members};
use super::files::{Files, Slice};
use super::{Options, SourceError};
use crate::oci::escaped;

/// How many links may lead from a name to its bytes.
const LINKS: usize = 16;

/// An archive ready to be read.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: Arc<File>,
    members: Members,
}

impl Archive {
    /// Opens and scans the archive at `path`; `kind` is for messages.
    pub(super) fn open(
        path: &Path,
        kind: &'static str,
        options: &Options,
    ) -> Result<Self, SourceError> {
        let io = |source| SourceError::Io { path: path.to_owned(), source };
        let file = unpack::plain(File::open(path).map_err(io)?, options).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let members = Members::scan(&file, size).map_err(|error| SourceError::NotA {
            path: path.to_owned(),
            kind,
            reason: error.to_string(),
        })?;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), members })
    }
}

impl Files for Archive {
    fn place(&self) -> String {
        escaped(&self.path.display().to_string()).to_string()
    }

    fn open(&self, path: &str) -> Result<Option<Slice>, SourceError> {
        let mut name = members::normal(path);
        for _ in 0..LINKS {
            match self.members.get(&name) {
                Some(Member::File { offset, size }) => {
                    return Ok(Some(Slice::new(Arc::clone(&self.file), *offset, *size)));
                }
                Some(Member::Link(target)) => name.clone_from(target),
                None => return Ok(None),
            }
        }
        let reason = format!("{} leads through more than {LINKS} links", escaped(path));
        Err(SourceError::NotA { path: self.path.clone(), kind: "a usable archive", reason })
    }
}
