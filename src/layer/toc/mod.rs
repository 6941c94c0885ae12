//! The TOC file: what one pass over a layer blob found out, kept beside the blob as
//! `toc/ALG/HEX` of the blob's digest.
//!
//! ```text
//! head     magic, version
//! log      windows of checkpoints and blocks of entries and warnings, each a zstd frame, in the
//!          order in which the pass made them
//! spans    64 bytes a span
//! blocks   where in the log each block of entries and warnings is
//! footer   what it says of the whole layer, where the parts are, and checksums
//! ```
//!
//! Written strictly forwards, so the pass needs no second file and no memory that grows with the
//! layer (but for 64 bytes a span). Opening reads the footer only; spans and blocks are read, and
//! checked, when wanted, and a window is one `pread`. Every byte that is used is covered by a
//! checksum, so damage is an error and never other entries; nothing here proves that a TOC
//! belongs to its blob beyond saying so, because it lies in the same private store and can be
//! made again from the blob at any time. docs/toc-format.md has the format byte by byte.

mod file;
mod read;
mod write;

pub use read::Toc;
pub use write::{Found, TocWriter};

use std::io;

use super::Compression;
use super::entries::EntriesError;
use crate::oci::{DiffId, Digest};

/// The version of the format that this program reads and writes.
pub const VERSION: u32 = 1;

/// Why a TOC file cannot be used. It can always be made again from its blob.
#[derive(Debug, thiserror::Error)]
pub enum TocError {
    /// The file cannot be read.
    #[error("cannot read the table of contents: {0}")]
    Read(#[from] io::Error),
    /// Not a TOC file.
    #[error("not a table of contents")]
    Foreign,
    /// A TOC file of another version.
    #[error("a table of contents of version {0}, not {VERSION}")]
    Version(u32),
    /// A checksum or bound does not hold.
    #[error("the table of contents is damaged: {0}")]
    Damaged(&'static str),
    /// The entries or warnings in it are not what they should be.
    #[error(transparent)]
    Entries(EntriesError),
}

impl From<EntriesError> for TocError {
    fn from(error: EntriesError) -> Self {
        match error {
            EntriesError::Read(source) => match source.downcast::<TocError>() {
                Ok(inner) => inner,
                Err(source) => Self::Read(source),
            },
            other => Self::Entries(other),
        }
    }
}

/// What the footer says of the whole layer; all that [`Toc::open`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The layer blob it was made from.
    pub source: Digest,
    /// That blob's size in bytes.
    pub source_size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// How the blob is compressed.
    pub compression: Compression,
    /// Size of the uncompressed tar in bytes.
    pub unpacked: u64,
    /// Entries in [`Toc::entries`].
    pub entries: u64,
    /// How many of them are whiteouts or opaque markers.
    pub whiteouts: u64,
    /// Bytes of all regular files, holes excluded.
    pub stored: u64,
    /// Warnings in [`Toc::warnings`].
    pub warnings: u64,
    /// Spans in [`Toc::spans`].
    pub spans: u32,
    /// How many spans are not decoded from the blob but looked up in the layer's seekable form.
    pub kept: u32,
}
