//! The directory of `--keep`: the changes of several runs, one after the other.
//!
//! ```text
//! DIR/image   the ID of the image that the changes were made to
//! DIR/upper   the changes, in overlayfs's form
//! DIR/work    overlayfs's own
//! ```
//!
//! One run at a time has it, under a lock on the directory. Changes to one image mean nothing on
//! another.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::oci::Digest;

/// Why changes cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Another command runs with it.
    #[error("{path}: another chroot keeps its changes there")]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// It holds changes to another image.
    #[error("{path}: the changes there were made to the image {other}")]
    OtherImage {
        /// The directory.
        path: PathBuf,
        /// What its file says.
        other: String,
    },
    /// It holds something else.
    #[error("{path}: neither empty nor a directory of changes")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The directory, locked while this lives.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    _lock: File,
}

impl Kept {
    /// Makes the directory when it is missing.
    pub(super) fn open(path: &Path, image: &Digest) -> Result<Self, KeepError> {
        let failed = |source: io::Error| KeepError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let lock = File::open(&path).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(KeepError::Busy { path }),
            Err(error) => return Err(failed(error.into())),
        }
        check_image(&path, image)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn check_image(path: &Path, image: &Digest) -> Result<(), KeepError> {
    let mark = path.join("image");
    let failed = |source| KeepError::Io { path: mark.clone(), source };
    match fs::read_to_string(&mark) {
        Ok(text) if text.trim() == image.to_string() => Ok(()),
        Ok(text) => {
            let other = text.trim().chars().take(100).collect();
            Err(KeepError::OtherImage { path: path.to_owned(), other })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::read_dir(path).map_err(failed)?.next().is_some() {
                return Err(KeepError::Foreign { path: path.to_owned() });
            }
            fs::write(&mark, format!("{image}\n")).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_at_a_time_on_one_image() {
        let top = tempfile::tempdir().expect("a directory");
        let path = top.path().join("a/keep");
        let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        let kept = Kept::open(&path, &one).expect("a new one");
        assert!(matches!(Kept::open(&path, &one), Err(KeepError::Busy { .. })));
        drop(kept);
        assert!(Kept::open(&path, &one).is_ok());
        let error = Kept::open(&path, &two).expect_err("another image");
        assert!(error.to_string().ends_with(&format!("to the image {one}")), "{error}");
        let other = top.path().join("a");
        assert!(matches!(Kept::open(&other, &one), Err(KeepError::Foreign { .. })));
    }
}
