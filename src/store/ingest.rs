//! Blobs on their way in: a file by digest that survives interruptions, fetched by one at a time.
//!
//! The file is `ingest/ALG-HEX`, locked by who fetches it. Others wait for the lock, and then find
//! the blob in place, or the bytes so far and go on from there. The bytes in it are unchecked
//! until [`Partial::commit`]: after a crash even those that were written may be wrong, so who
//! resumes hashes them from the start and calls [`Partial::restart`] when the sum is wrong.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::disk::write_all_at;
use super::draft::{create_dirs, is_locked, lock};
use super::{BlobId, Store, StoreError};
use crate::oci::{Algorithm, Digest};

/// What [`Store::ingest`] found.
#[derive(Debug)]
pub enum Ingest {
    /// It is there (maybe another process just finished it).
    Present(BlobId),
    /// To be fetched from byte [`Partial::have`] on; the bytes before are in the file already.
    Partial(Partial),
}

/// A blob in the store whose bytes were found to be wrong. Made by [`Store::check_blob`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadBlob {
    /// What the bytes hash to; `None` when they could not all be read.
    pub found: Option<Digest>,
    /// Device and inode, to tell it from a good one that took its place meanwhile.
    file: (u64, u64),
}

/// A blob being fetched, under a lock that dies with the process. Writing appends. Dropping it
/// without [`Partial::commit`] keeps the bytes for the next try.
#[derive(Debug)]
pub struct Partial {
    store: Store,
    digest: Digest,
    size: u64,
    file: File,
    path: PathBuf,
    length: u64,
}

impl Store {
    /// Begins or resumes fetching a blob; waits while another process fetches the same one.
    pub fn ingest(&self, digest: &Digest, size: u64) -> Result<Ingest, StoreError> {
        self.ingest_or(digest, size, None, || {})
    }

    /// The same: calls `waiting` before it waits, and replaces the blob that is there when it is
    /// `bad`.
    pub fn ingest_or(
        &self,
        digest: &Digest,
        size: u64,
        bad: Option<&BadBlob>,
        waiting: impl Fn(),
    ) -> Result<Ingest, StoreError> {
        let path = self.partial_path(digest);
        let at = || StoreError::at(&path);
        loop {
            if let Some(blob) = self.good_blob(digest, size, bad)? {
                return Ok(Ingest::Present(blob));
            }
            let Some(file) = self.open_partial(&path)? else { continue };
            if is_locked(&file, FlockOperation::NonBlockingLockExclusive).map_err(at())? {
                waiting();
                lock(&file, FlockOperation::LockExclusive).map_err(at())?;
            }
            // Who had the lock may have moved the file to its place, or gc removed it.
            if file_id(&path).map_err(at())? != Some(id(&file).map_err(at())?) {
                continue;
            }
            if let Some(blob) = self.good_blob(digest, size, bad)? {
                self.disk().unlink(&path).map_err(at())?;
                return Ok(Ingest::Present(blob));
            }
            let length = file.metadata().map_err(at())?.len();
            let store = self.clone();
            let mut partial = Partial { store, digest: *digest, size, file, path, length };
            if length > size {
                partial.restart()?;
            }
            return Ok(Ingest::Partial(partial));
        }
    }

    /// Reads a blob whole: `None` when it is what its name says. `pull` asks this of blobs it
    /// finds, so that pulling again heals.
    pub fn check_blob(&self, blob: &BlobId) -> Result<Option<BadBlob>, StoreError> {
        let path = self.blob_path(blob.digest());
        let Some(file) = file_id(&path).map_err(StoreError::at(&path))? else { return Ok(None) };
        match self.hash_blob(blob) {
            Ok(found) if found == *blob.digest() => Ok(None),
            Ok(found) => Ok(Some(BadBlob { found: Some(found), file })),
            // Unreadable sectors are damage that a new copy heals.
            Err(StoreError::Io { source, .. }) if source.raw_os_error() == Some(libc::EIO) => {
                Ok(Some(BadBlob { found: None, file }))
            }
            Err(error) => Err(error),
        }
    }

    fn good_blob(
        &self,
        digest: &Digest,
        size: u64,
        bad: Option<&BadBlob>,
    ) -> Result<Option<BlobId>, StoreError> {
        let Some(bad) = bad else { return self.blob(digest, Some(size)) };
        let path = self.blob_path(digest);
        if file_id(&path).map_err(StoreError::at(&path))? == Some(bad.file) {
            return Ok(None);
        }
        self.blob(digest, Some(size))
    }

    /// Opens or makes the file; `None` when somebody else did something in between.
    fn open_partial(&self, path: &Path) -> Result<Option<File>, StoreError> {
        match self.disk().open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::EISDIR | libc::ELOOP)) => {
                return self.quarantine(path).map(|_| None);
            }
            other => return other.map(Some).map_err(StoreError::at(path)),
        }
        match self.disk().create(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_dirs(&**self.disk(), &self.ingest_dir()).map(|()| None)
            }
            Err(error) => Err(StoreError::at(path)(error)),
        }
    }

    pub(super) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.ingest_dir().join(format!("{}-{}", digest.algorithm().name(), digest.hex()))
    }
}

/// The digest that a file in `ingest/` is a part of, `None` for other files.
pub(super) fn partial_digest(name: &str) -> Option<Digest> {
    let known = [Algorithm::Sha256, Algorithm::Sha512];
    let (algorithm, hex) = name.split_once('-')?;
    known.iter().find(|known| known.name() == algorithm)?;
    format!("{algorithm}:{hex}").parse().ok()
}

impl Partial {
    /// Bytes there already, unchecked.
    pub fn have(&self) -> u64 {
        self.length
    }

    /// Reads what is there already.
    pub fn reader(&self) -> Result<PartialReader, StoreError> {
        let file = self.file.try_clone().map_err(StoreError::at(&self.path))?;
        Ok(PartialReader { file, position: 0, end: self.length })
    }

    /// Forgets everything fetched so far (its bytes did not match).
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.store.disk().truncate(&self.file, 0).map_err(StoreError::at(&self.path))?;
        self.length = 0;
        Ok(())
    }

    /// Removes it: none of its bytes are of use.
    pub fn discard(self) -> Result<(), StoreError> {
        self.store.disk().unlink(&self.path).map_err(StoreError::at(&self.path))
    }

    /// The whole blob is in the file and hashed to `digest` over `size` bytes: makes it visible.
    pub fn commit(self, digest: &Digest, size: u64) -> Result<BlobId, StoreError> {
        if *digest != self.digest {
            return Err(StoreError::DigestMismatch { expected: self.digest, found: *digest });
        }
        let found = self.file.metadata().map_err(StoreError::at(&self.path))?.len();
        if size != self.size || found != self.size {
            let found = if size == self.size { found } else { size };
            return Err(StoreError::SizeMismatch { digest: *digest, expected: self.size, found });
        }
        let disk = self.store.disk();
        disk.sync(&self.file).map_err(StoreError::at(&self.path))?;
        let target = self.store.blob_path(digest);
        let readers = self.store.readers().bits();
        if readers != 0 {
            let mode = 0o600 | readers & 0o044;
            disk.set_mode(&self.path, mode).map_err(StoreError::at(&self.path))?;
        }
        self.store.make_room(&target)?;
        match disk.rename(&self.path, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_dirs(&**disk, &self.store.blobs_dir(digest.algorithm()))?;
                disk.rename(&self.path, &target).map_err(StoreError::at(&target))?;
            }
            other => other.map_err(StoreError::at(&target))?,
        }
        Ok(BlobId(*digest))
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all_at(&**self.store.disk(), &self.file, bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the bytes that a [`Partial`] had.
#[derive(Debug)]
pub struct PartialReader {
    file: File,
    position: u64,
    end: u64,
}

impl Read for PartialReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count =
            self.file.read_at(buffer.get_mut(..length).unwrap_or_default(), self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// Device and inode of an open file.
pub(super) fn id(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Device and inode of what stands at `path`, `None` for nothing.
pub(super) fn file_id(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
