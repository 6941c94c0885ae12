//! Blobs and the files derived from them: presence, reading, writing whole ones.
//!
//! Presence is a `stat`: a regular file of the right size under the digest's name. Whoever reads
//! bytes checks them: documents here, layers by the span digests of their table.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::draft::{self, Draft};
use super::{Store, StoreError};
use crate::oci::{Algorithm, ChainId, Digest, Hasher, JSON_LIMIT};

/// A blob that is in the store and matched its digest and size when it was put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub(super) Digest);

impl BlobId {
    /// Its digest.
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

/// Files that the blobs can rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Derived {
    /// `toc/ALG/HEX` of a layer blob's digest.
    Toc,
    /// `tree/ALG/HEX` of a ChainId.
    Tree,
    /// `content/blake3/HEX` of a ContentId.
    Content,
    /// `seekable/ALG/HEX`: our own seekable form of a blob that cannot be entered (one zstd frame,
    /// xz, bzip2).
    Seekable,
}

impl Derived {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Toc, Self::Tree, Self::Content, Self::Seekable];

    /// The directory below the root.
    pub fn directory(self) -> &'static str {
        match self {
            Self::Toc => "toc",
            Self::Tree => "tree",
            Self::Content => "content",
            Self::Seekable => "seekable",
        }
    }

    /// The directory below that for keys of `algorithm`; content is named by our own hash.
    pub(super) fn algorithm(self, algorithm: Algorithm) -> &'static str {
        match self {
            Self::Content => "blake3",
            _ => algorithm.name(),
        }
    }
}

/// What a derived file is kept under: an algorithm's name and lower-case hexadecimal digits, so
/// that it may be part of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    algorithm: &'static str,
    hex: String,
}

impl Key {
    /// The file's name.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The key of the content object with this file name.
    pub(super) fn of_content(name: &str) -> Option<Self> {
        let hash = blake3::Hash::from_hex(name).ok()?;
        (hash.to_hex().as_str() == name).then(|| Self::from(*hash.as_bytes()))
    }
}

impl From<&Digest> for Key {
    fn from(digest: &Digest) -> Self {
        Self { algorithm: digest.algorithm().name(), hex: digest.hex() }
    }
}

impl From<Digest> for Key {
    fn from(digest: Digest) -> Self {
        Self::from(&digest)
    }
}

impl From<&BlobId> for Key {
    fn from(blob: &BlobId) -> Self {
        Self::from(&blob.0)
    }
}

impl From<&ChainId> for Key {
    fn from(chain: &ChainId) -> Self {
        Self::from(&chain.0)
    }
}

impl From<[u8; 32]> for Key {
    /// The key of content with this BLAKE3 hash.
    fn from(hash: [u8; 32]) -> Self {
        Self { algorithm: "blake3", hex: blake3::Hash::from_bytes(hash).to_hex().to_string() }
    }
}

impl Store {
    /// The blob, when the store has it (existence and size only; `verify` and reads check bytes).
    pub fn blob(&self, digest: &Digest, size: Option<u64>) -> Result<Option<BlobId>, StoreError> {
        let found = self.blob_size(digest)?;
        Ok(found.filter(|found| size.is_none_or(|size| size == *found)).map(|_| BlobId(*digest)))
    }

    /// The size in bytes of the blob, `None` when the store does not have it. A symlink or
    /// directory in its place does not count as one.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::at(&path)(error)),
        }
    }

    /// Opens a blob for reading.
    pub fn open_blob(&self, blob: &BlobId) -> Result<File, StoreError> {
        let path = self.blob_path(&blob.0);
        let file = open_regular(&path).map_err(StoreError::at(&path))?;
        file.ok_or_else(|| StoreError::at(&path)(io::ErrorKind::NotFound.into()))
    }

    /// A small blob's bytes, digest checked again; `None` when the store does not have it.
    pub fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(size) = self.blob_size(digest)? else { return Ok(None) };
        if size > JSON_LIMIT {
            return Err(StoreError::TooLarge { digest: *digest, size, limit: JSON_LIMIT });
        }
        let path = self.blob_path(digest);
        let file = self.open_blob(&BlobId(*digest))?;
        let mut bytes = Vec::new();
        file.take(JSON_LIMIT).read_to_end(&mut bytes).map_err(StoreError::at(&path))?;
        let found = Digest::of(digest.algorithm(), &bytes);
        if found != *digest {
            return Err(StoreError::DigestMismatch { expected: *digest, found });
        }
        Ok(Some(bytes))
    }

    /// Puts a small blob. One that is there and right is left alone, a damaged one replaced.
    pub fn put_document(&self, digest: &Digest, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let found = Digest::of(digest.algorithm(), bytes);
        if found != *digest {
            return Err(StoreError::DigestMismatch { expected: *digest, found });
        }
        let path = self.blob_path(digest);
        let same = open_regular(&path).ok().flatten().is_some_and(|file| {
            let mut there = Vec::new();
            let limit = bytes.len() as u64 + 1;
            file.take(limit).read_to_end(&mut there).is_ok_and(|_| there == bytes)
        });
        if !same {
            let mut draft = self.draft()?;
            draft.write_all(bytes).map_err(StoreError::at(&path))?;
            self.make_room(&path)?;
            draft.publish(&path)?;
        }
        Ok(BlobId(*digest))
    }

    /// Reads a blob whole and says what it hashes to.
    pub fn hash_blob(&self, blob: &BlobId) -> Result<Digest, StoreError> {
        let path = self.blob_path(&blob.0);
        let mut file = self.open_blob(blob)?;
        let mut hasher = Hasher::new(blob.0.algorithm());
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::at(&path)(error)),
            }
        }
    }

    /// Opens a derived file, `None` when there is none (or something else in its place).
    pub fn open_derived(
        &self,
        kind: Derived,
        key: impl Into<Key>,
    ) -> Result<Option<File>, StoreError> {
        let path = self.derived_path(kind, &key.into());
        open_regular(&path).map_err(StoreError::at(&path))
    }

    /// A temporary next to where derived files of this kind are, so that a server whose sandbox
    /// lets it write to that directory alone can make one.
    pub fn draft_derived(&self, kind: Derived, key: impl Into<Key>) -> Result<Draft, StoreError> {
        let draft = Draft::create(self.disk(), &self.derived_dir(kind, key.into().algorithm))?;
        Ok(draft.readable_by(self.readers().bits()))
    }

    /// Makes the directories that a server writes to once it may make none itself, when they are
    /// missing. Where that cannot be, nothing is written to them either.
    pub fn make_derived_dirs(&self) {
        let objects = self.derived_dir(Derived::Content, "blake3");
        let forms = self.root().join(Derived::Seekable.directory());
        for directory in [objects, forms] {
            if let Err(error) = draft::create_dirs(&**self.disk(), &directory) {
                log::info!("{error}");
            }
        }
    }

    /// A file without a name, next to extracted files: gone when it is closed.
    pub fn scratch(&self) -> Result<File, StoreError> {
        let directory = self.derived_dir(Derived::Content, "blake3");
        Draft::create(self.disk(), &directory)?.nameless()
    }

    /// Makes a finished temporary visible as the derived file; one that is there is replaced.
    pub fn publish_derived(
        &self,
        kind: Derived,
        key: impl Into<Key>,
        draft: Draft,
    ) -> Result<File, StoreError> {
        let path = self.derived_path(kind, &key.into());
        self.make_room(&path)?;
        draft.publish(&path)
    }

    /// As [`Store::publish_derived`] for a file that is checked whenever it is read and can be made
    /// again: not synced, so a crash of the machine may leave it damaged.
    pub fn publish_unsynced(
        &self,
        kind: Derived,
        key: impl Into<Key>,
        draft: Draft,
    ) -> Result<(), StoreError> {
        let path = self.derived_path(kind, &key.into());
        self.make_room(&path)?;
        drop(draft.publish_for_now(&path)?);
        Ok(())
    }

    /// Writes a derived file whole. After a crash it is there whole or not at all.
    pub fn put_derived(
        &self,
        kind: Derived,
        key: impl Into<Key>,
        write: &mut dyn FnMut(&mut Draft) -> io::Result<()>,
    ) -> Result<File, StoreError> {
        let key = key.into();
        let mut draft = self.draft_derived(kind, key.clone())?;
        write(&mut draft).map_err(StoreError::at(&self.derived_path(kind, &key)))?;
        self.publish_derived(kind, key, draft)
    }

    /// Removes a derived file that turned out stale or damaged.
    pub fn remove_derived(&self, kind: Derived, key: impl Into<Key>) -> Result<(), StoreError> {
        let path = self.derived_path(kind, &key.into());
        match self.disk().unlink(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(StoreError::at(&path)),
        }
    }

    pub(super) fn derived_dir(&self, kind: Derived, algorithm: &str) -> PathBuf {
        self.root().join(kind.directory()).join(algorithm)
    }

    pub(crate) fn derived_path(&self, kind: Derived, key: &Key) -> PathBuf {
        self.derived_dir(kind, key.algorithm).join(&key.hex)
    }

    /// A rename cannot replace a directory: moves one that stands in `path`'s place away.
    pub(super) fn make_room(&self, path: &Path) -> Result<(), StoreError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.quarantine(path).map(|_| ()),
            _ => Ok(()),
        }
    }
}

/// Opens a regular file for reading; `None` when there is none, or something else in its place.
/// Never follows a symlink and never blocks on a FIFO.
pub(super) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file).filter(|file| file.metadata().is_ok_and(|m| m.is_file()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A symlink, a socket.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => Ok(None),
        Err(error) => Err(error),
    }
}
