//! What can go wrong in the store, in words a user can act on.

use std::io;
use std::path::{Path, PathBuf};

use crate::oci::{Digest, DocumentError};

/// Errors, each with path or digest.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An I/O error at a path.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory holds something that is not a store.
    #[error("{path} is neither empty nor a store")]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// A later version of this program made the store.
    #[error("{path}: the store has format {found}, this program knows formats up to {known}")]
    Newer {
        /// The store's root.
        path: PathBuf,
        /// The format it has.
        found: u64,
        /// The highest format known here.
        known: u64,
    },
    /// Somebody else owns the store or can write to it.
    #[error("{path}: {why}")]
    Unsafe {
        /// The store's root.
        path: PathBuf,
        /// What is wrong with owner or mode.
        why: String,
    },
    /// A file of the store's own is not what it must be.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Bytes that do not hash to the digest they stand under or were promised with.
    #[error("digest mismatch: expected {expected}, found {found}")]
    DigestMismatch {
        /// What was asked for.
        expected: Digest,
        /// What the bytes hash to.
        found: Digest,
    },
    /// A blob of another length than its descriptor says.
    #[error("{digest}: expected {expected} bytes, found {found}")]
    SizeMismatch {
        /// The blob.
        digest: Digest,
        /// The descriptor's size in bytes.
        expected: u64,
        /// The bytes there are.
        found: u64,
    },
    /// A document that is too large to be one.
    #[error("{digest}: a document of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Something that a name needs is not there.
    #[error("{needed_by} needs blob {digest}, which is not in the store")]
    MissingBlob {
        /// What is missing.
        digest: Digest,
        /// The name or digest of what refers to it.
        needed_by: String,
    },
    /// A manifest or config in the store that cannot be used.
    #[error("{digest}: {source}")]
    Document {
        /// The document.
        digest: Digest,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// No image has this name or ID.
    #[error("no such image: {text}")]
    NoSuchImage {
        /// What the user wrote.
        text: String,
    },
    /// Several images have IDs that begin like this.
    #[error("{text} is ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// What the user wrote.
        text: String,
        /// The images that it could mean, `ID (name)`.
        candidates: Vec<String>,
    },
    /// The image is mounted.
    #[error("image {image} is in use: mounted on {mountpoint}")]
    InUse {
        /// What the user wrote.
        image: String,
        /// Where.
        mountpoint: PathBuf,
    },
    /// A command runs in the image, or it is about to be mounted.
    #[error("image {image} is in use: a command runs in it, or it is being mounted")]
    Running {
        /// What the user wrote.
        image: String,
    },
    /// An ID stands for an image with several names; removing it must be forced.
    #[error("image {id} has several names ({}); removing it by ID must be forced", names.join(", "))]
    SeveralNames {
        /// The image ID, short.
        id: String,
        /// Its names.
        names: Vec<String>,
    },
}

impl StoreError {
    /// Turns an I/O error at `path` into one of these; for `map_err`.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), source }
    }

    /// Whether bytes did not match the digest or size they must have (exit status 3).
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::DigestMismatch { .. } | Self::SizeMismatch { .. })
    }
}
