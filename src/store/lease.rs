//! The store's lock, and leases: garbage collection roots of unfinished pulls.
//!
//! A pull writes the digests it is going to use into a lease *before* it looks whether
//! they are there, holding the store's lock shared for that moment. Garbage collection reads the
//! leases under the exclusive lock. So whatever is found present after taking a lease stays. Who
//! only reads an image that is there has a [`super::Hold`] instead.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::FlockOperation;

use super::draft::{self, Draft};
use super::{Store, StoreError};
use crate::oci::Digest;

/// How the name of a lease begins.
pub(super) const PREFIX: &str = "lease-";

/// The store's lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

/// Keeps objects from garbage collection until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    draft: Draft,
}

impl Store {
    /// Keeps `digests` (of documents, layers or chains, present or not) from being removed.
    pub fn lease(&self, digests: &[Digest]) -> Result<Lease, StoreError> {
        let _lock = self.lock_shared()?;
        let draft = Draft::named(self.disk(), &self.ingest_dir(), PREFIX)?;
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
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
        let mut text = String::new();
        for digest in digests {
            text.push_str(&digest.to_string());
            text.push('\n');
        }
        self.draft.write_all(text.as_bytes()).map_err(StoreError::at(&self.store.ingest_dir()))
    }
}
