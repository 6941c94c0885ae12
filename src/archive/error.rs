//! Why an archive could not be written.

use std::io;

use crate::oci::Digest;
use crate::store::StoreError;

/// Errors of [`super::write`].
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store could not give something.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob of the store cannot be read or decoded.
    #[error("blob {digest}: {source}")]
    Blob {
        /// Which.
        digest: Digest,
        /// What went wrong.
        source: io::Error,
    },
    /// What a blob holds is not what its digest says.
    #[error("blob {digest}: its bytes have digest {found}")]
    Mismatch {
        /// What it should be.
        digest: Digest,
        /// What it is.
        found: Digest,
    },
    /// A blob has more or fewer bytes than it should.
    #[error("blob {digest}: has {found} bytes, not {expected}")]
    Size {
        /// Which.
        digest: Digest,
        /// What it should have.
        expected: u64,
        /// What it has; no more than one byte too many is looked at.
        found: u64,
    },
    /// The archive cannot be written.
    #[error("the archive cannot be written: {0}")]
    Write(#[source] io::Error),
}

impl ArchiveError {
    /// Whether bytes did not match the digest or size they must have (exit status 3).
    pub fn is_mismatch(&self) -> bool {
        match self {
            Self::Store(error) => error.is_mismatch(),
            Self::Mismatch { .. } | Self::Size { .. } => true,
            Self::Blob { .. } | Self::Write(_) => false,
        }
    }
}
