//! Removing what a refused pull wrote: nothing of an image that is not taken stays on the disk.
//!
//! Without it a pull that fails at its last layer would leave all others, again and again, until
//! somebody prunes. What a name, a mount or another running pull needs stays, so this is a sweep
//! over a few digests, under the same lock.

use rustix::fs::FlockOperation;

use super::blobs::open_regular;
use super::draft::is_locked;
use super::{Derived, Store, StoreError};
use crate::oci::Digest;

impl Store {
    /// Removes these blobs, their tables and what was fetched of them, but for those that something
    /// needs. Let go of the lease on them first.
    ///
    /// # Errors
    /// When the store cannot tell what is needed, or a file cannot be removed.
    pub fn discard(&self, fetched: &[Digest]) -> Result<(), StoreError> {
        let _lock = self.lock_exclusive()?;
        let index = self.index()?;
        let needed = self.needed(&index, |_| false)?;
        for digest in fetched.iter().filter(|digest| !needed.blobs.contains(digest)) {
            for kind in [Derived::Toc, Derived::Seekable] {
                self.unlink_if_there(&self.derived_path(kind, &(*digest).into()))?;
            }
            self.unlink_if_there(&self.blob_path(digest))?;
            let partial = self.partial_path(digest);
            // Open until it is unlinked, so that nobody takes it in between.
            let Ok(Some(file)) = open_regular(&partial) else { continue };
            let locked = is_locked(&file, FlockOperation::NonBlockingLockExclusive);
            if !locked.map_err(StoreError::at(&partial))? {
                self.unlink_if_there(&partial)?;
            }
        }
        Ok(())
    }

    fn unlink_if_there(&self, path: &std::path::Path) -> Result<(), StoreError> {
        match self.disk().unlink(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::at(path)(error))
            }
            _ => Ok(()),
        }
    }
}
