//! A tree of files to read images from: a directory, or a tar read in place.
//!
//! Both look the same to the readers of layouts and docker archives. Paths are relative, their
//! parts joined by `/`; they come from digests and from `manifest.json`, never from a tar's names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Fetched, Mismatch, SourceError};
use crate::oci::{Algorithm, Descriptor, Digest, JSON_LIMIT, escaped};

/// Something with files in it.
pub(super) trait Files: Send + Sync {
    /// How to name it in a message.
    fn place(&self) -> String;

    /// The file at `path`, or `None` when there is none.
    fn open(&self, path: &str) -> Result<Option<Slice>, SourceError>;

    /// A document's bytes, not checked against anything.
    fn document(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(slice) = self.open(path)? else { return Ok(None) };
        let size = slice.size();
        if size > JSON_LIMIT {
            let (place, what) = (self.place(), path.to_owned());
            return Err(SourceError::TooLarge { place, what, size, limit: JSON_LIMIT });
        }
        let mut bytes = Vec::new();
        let io = |source| SourceError::Io { path: PathBuf::from(self.place()).join(path), source };
        slice.reader(0).read_to_end(&mut bytes).map_err(io)?;
        Ok(Some(bytes))
    }
}

/// A range of an open file.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    file: Arc<File>,
    start: u64,
    end: u64,
}

impl Slice {
    /// `size` bytes from `start` on.
    pub(super) fn new(file: Arc<File>, start: u64, size: u64) -> Self {
        Self { file, start, end: start.saturating_add(size) }
    }

    pub(super) fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Reads from `offset` (counted from the slice's start) to the end.
    pub(super) fn reader(&self, offset: u64) -> SliceReader {
        let position = self.start.saturating_add(offset).min(self.end);
        SliceReader { file: Arc::clone(&self.file), position, end: self.end }
    }

    /// The first bytes, as many as there are.
    pub(super) fn magic(&self) -> io::Result<Vec<u8>> {
        let mut start = Vec::new();
        self.reader(0).take(16).read_to_end(&mut start)?;
        Ok(start)
    }
}

/// Reads a [`Slice`]. Shares the file but not its position.
#[derive(Debug)]
pub(super) struct SliceReader {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Read for SliceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        if length == 0 {
            return Ok(0);
        }
        match self.file.read_at(&mut buffer[..length], self.position)? {
            // The file became shorter; an end here would be taken for the end of the blob.
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.position += count as u64;
                Ok(count)
            }
        }
    }
}

/// A directory.
#[derive(Debug)]
pub(super) struct Directory(pub(super) PathBuf);

impl Files for Directory {
    fn place(&self) -> String {
        escaped(&self.0.display().to_string()).to_string()
    }

    fn open(&self, path: &str) -> Result<Option<Slice>, SourceError> {
        let path = self.0.join(path);
        match open_regular(&path) {
            Ok((file, size)) => Ok(Some(Slice::new(Arc::new(file), 0, size))),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SourceError::Io { path, source }),
        }
    }
}

/// Opens a regular file and nothing else, without waiting for the other end of a pipe.
fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata.len()))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The path of a blob in an OCI image layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Compares bytes with what they are said to be.
pub(super) fn check(place: &str, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), SourceError> {
    let (place, digest) = (place.to_owned(), descriptor.digest);
    let (expected, found) = (descriptor.size, bytes.len() as u64);
    if found != expected {
        return Err(Box::new(Mismatch::Size { place, digest, expected, found }).into());
    }
    let found = Digest::of(digest.algorithm(), bytes);
    if found != digest {
        return Err(Box::new(Mismatch::Content { place, expected: digest, found }).into());
    }
    Ok(())
}

/// A document with the descriptor that fits its bytes.
pub(super) fn described(media_type: &str, bytes: Vec<u8>) -> Fetched {
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    Fetched { descriptor: Descriptor::new(media_type, digest, bytes.len() as u64), bytes }
}
