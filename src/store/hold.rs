//! Holding an image while it is read: shared locks on its documents.
//!
//! ```text
//! whoever reads an image      locks its manifest
//! a mount, a running command  locks its config too: the image is in use and is not removed
//! ```
//!
//! A lock needs no room on the disk and no right to write, so this works on a full disk, on a
//! read-only file system and in another user's store; and the processes that inherit its descriptor
//! go on holding it when the one that took it has ended.
//!
//! **Why nothing held can go.** Removal writes `index.json` without the image first and looks at
//! the locks then. A reader takes the lock first and looks whether `index.json` has the image then.
//! One of the two sees the other.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use rustix::fs::FlockOperation;

use super::blobs::open_regular;
use super::draft::is_locked;
use super::ingest::{file_id, id};
use super::reach::{DEPTH, Needed, names_in};
use super::{MountRecord, Store, StoreError, StoredImage};
use crate::oci::{Algorithm, Digest};

/// How often a lock is tried, and the time between: who looks for locks has one for microseconds.
const ATTEMPTS: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(2);

/// Keeps an image from being removed until the last clone of it is dropped, in this process and in
/// all that inherited it.
#[derive(Debug, Clone)]
pub struct Hold {
    _locks: Arc<[File]>,
}

/// Who uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum User {
    /// A mount, which its record describes.
    Mount(MountRecord),
    /// A command that runs in it, or a mount that another user made.
    Command,
}

impl Store {
    /// Holds an image for reading: its objects stay, also if its names go.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`] when somebody has removed it meanwhile.
    pub fn hold(&self, image: &StoredImage) -> Result<Hold, StoreError> {
        self.hold_documents(image, &[image.manifest.digest])
    }

    /// The same for a mount, or a command that runs in it: the image is in use and not removed.
    pub fn hold_in_use(&self, image: &StoredImage) -> Result<Hold, StoreError> {
        self.hold_documents(image, &[image.manifest.digest, image.id])
    }

    fn hold_documents(&self, image: &StoredImage, of: &[Digest]) -> Result<Hold, StoreError> {
        let missing = |digest: &Digest| StoreError::MissingBlob {
            digest: *digest,
            needed_by: image.names.first().cloned().unwrap_or_else(|| image.short_id()),
        };
        let mut locks = Vec::new();
        for digest in of {
            locks.push(self.lock_document(digest)?.ok_or_else(|| missing(digest))?);
        }
        let index = self.index()?;
        if !index.images().any(|row| row.manifest.digest == image.manifest.digest) {
            return Err(missing(&image.manifest.digest));
        }
        Ok(Hold { _locks: locks.into() })
    }

    /// Locks a document; `None` when it is not there.
    fn lock_document(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let path = self.blob_path(digest);
        let at = || StoreError::at(&path);
        for _ in 0..ATTEMPTS {
            let Some(file) = open_regular(&path).map_err(at())? else { return Ok(None) };
            if is_locked(&file, FlockOperation::NonBlockingLockShared).map_err(at())? {
                thread::sleep(BETWEEN);
            } else if file_id(&path).map_err(at())? == Some(id(&file).map_err(at())?) {
                return Ok(Some(file));
            }
        }
        Err(at()(io::Error::other("somebody keeps it locked")))
    }

    /// Who uses the image with this ID: the one definition, for everything that removes images.
    /// The caller holds the store's exclusive lock.
    pub(super) fn user_of(&self, image: &Digest) -> Result<Option<User>, StoreError> {
        let mut mounts = self.live_mounts()?.into_iter();
        if let Some(record) = mounts.find(|record| record.image_id == *image) {
            return Ok(Some(User::Mount(record)));
        }
        Ok(self.is_held(image)?.then_some(User::Command))
    }

    /// Adds what the images need that somebody holds: those whose manifest is a blob that is not
    /// needed otherwise, and of `among` if that is given. Called when `index.json` is written and
    /// nothing is removed yet, under the exclusive lock.
    pub(super) fn add_held(
        &self,
        needed: &mut Needed,
        among: Option<&Needed>,
    ) -> Result<(), StoreError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for name in names_in(&self.blobs_dir(algorithm))? {
                let digest = format!("{}:{name}", algorithm.name()).parse::<Digest>();
                let Ok(digest) = digest else { continue };
                let comes = among.is_none_or(|among| among.blobs.contains(&digest));
                if comes && !needed.blobs.contains(&digest) && self.is_held(&digest)? {
                    self.add_image(&digest, needed, DEPTH)?;
                }
            }
        }
        Ok(())
    }

    fn is_held(&self, digest: &Digest) -> Result<bool, StoreError> {
        let path = self.blob_path(digest);
        let locked = open_regular(&path).and_then(|file| match file {
            Some(file) => is_locked(&file, FlockOperation::NonBlockingLockExclusive),
            None => Ok(false),
        });
        locked.map_err(StoreError::at(&path))
    }
}
