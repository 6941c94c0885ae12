//! A layer's uncompressed tar as a stream, from the beginning to the end.
//!
//! For whoever needs all of a layer in order, once: archives, deep checks. It looks at nothing but
//! the compressed bytes, so it checks nothing either: compare what it gives with the DiffID.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use super::Compression;
use super::resume::{CompressedBytes, whole};
use crate::codec::{Decode, Until};

/// Reads the uncompressed bytes of a blob.
pub struct Unpacked {
    stream: Box<dyn Decode>,
}

impl Unpacked {
    /// Of a blob that begins at the start of `file`, wherever `file` stands now. What the bytes
    /// are, the first of them say.
    ///
    /// # Errors
    /// When the file cannot be read, or its first bytes cannot be decoded.
    pub fn open(file: File) -> io::Result<Self> {
        let mut magic = [0; Compression::MAGIC];
        let mut known = 0;
        while let Some(rest) = magic.get_mut(known..).filter(|rest| !rest.is_empty()) {
            match CompressedBytes::read_at(&file, known as u64, rest)? {
                0 => break,
                count => known += count,
            }
        }
        let compression = Compression::of(magic.get(..known).unwrap_or_default());
        let stream = whole(Arc::new(file), compression).map_err(io::Error::other)?;
        Ok(Self { stream })
    }
}

impl Read for Unpacked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let (count, _) = self.stream.decode(out, Until::Full).map_err(io::Error::other)?;
        Ok(count)
    }
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacked").finish_non_exhaustive()
    }
}
