//! The store's lock, and leases: what must stay while somebody is at work who has no name yet.
//!
//! A pull or a mount writes the digests it is going to use into a lease *before* it looks whether
//! they are there, holding the store's lock shared for that moment. Garbage collection reads the
//! leases under the exclusive lock. So whatever is found present after taking a lease stays.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::FlockOperation;

use super::draft::{self, Draft};
use super::{Store, StoreError};
use crate::oci::Digest;

/// How the name of a lease begins.
pub(super) const PREFIX: &str = "lease-";

/// How the name of a lease begins whose image is not to be removed, even by name.
pub(super) const IN_USE: &str = "lease-use-";

/// The store's lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

/// Keeps objects from garbage collection until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    /// `None` on a read-only file system, where nothing can be removed either.
    draft: Option<Draft>,
}

impl Store {
    /// Keeps `digests` (of documents, layers or chains, present or not) from being removed.
    pub fn lease(&self, digests: &[Digest]) -> Result<Lease, StoreError> {
        self.lease_named(PREFIX, digests)
    }

    /// The same for a command that runs in an image, `digests` being all that it needs: the image
    /// then counts as in use, as a mounted one does.
    pub fn lease_in_use(&self, digests: &[Digest]) -> Result<Lease, StoreError> {
        self.lease_named(IN_USE, digests)
    }

    fn lease_named(&self, prefix: &str, digests: &[Digest]) -> Result<Lease, StoreError> {
        let _lock = self.lock_shared()?;
        let draft = match Draft::named(self.disk(), &self.ingest_dir(), prefix) {
            Ok(draft) => Some(draft),
            Err(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let mut lease = Lease { store: self.clone(), draft };
        lease.write(digests)?;
        Ok(lease)
    }

    pub(super) fn lock_exclusive(&self) -> Result<StoreLock, StoreError> {
        self.lock(FlockOperation::LockExclusive)
    }

    pub(super) fn lock_shared(&self) -> Result<StoreLock, StoreError> {
        self.lock(FlockOperation::LockShared)
    }

    fn lock(&self, operation: FlockOperation) -> Result<StoreLock, StoreError> {
        let path = self.lock_path();
        // Read-only is enough for flock, and works where nothing can be written.
        let opened = match OpenOptions::new().read(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)
            }
            other => other,
        };
        let file = opened.map_err(StoreError::at(&path))?;
        draft::lock(&file, operation).map_err(StoreError::at(&path))?;
        Ok(StoreLock { _file: file })
    }
}

impl Lease {
    /// Adds more digests.
    pub fn extend(&mut self, digests: &[Digest]) -> Result<(), StoreError> {
        let _lock = self.store.lock_shared()?;
        self.write(digests)
    }

    fn write(&mut self, digests: &[Digest]) -> Result<(), StoreError> {
        let Some(draft) = &mut self.draft else { return Ok(()) };
        let mut text = String::new();
        for digest in digests {
            text.push_str(&digest.to_string());
            text.push('\n');
        }
        draft.write_all(text.as_bytes()).map_err(StoreError::at(&self.store.ingest_dir()))
    }
}
