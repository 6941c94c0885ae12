//! A compressed stream of unknown bytes as a reader of what it unpacks to, within bounds.

use std::io::{self, BufRead, Read};

use super::{Decode, Guard, Until, begin};
use crate::limits::Limits;
use crate::oci::Compression;

/// Reads the uncompressed bytes of a stream, or the error that it deserves.
pub struct Decoded {
    stream: Box<dyn Decode>,
    guard: Guard,
}

impl Decoded {
    /// Of a stream from its beginning. What its bytes are, the first of them say: `reader` must
    /// have [`Compression::MAGIC`] of them in its buffer, or all there are.
    ///
    /// # Errors
    /// When the reader or the decoder fails at the beginning.
    pub fn new(mut reader: impl BufRead + Send + 'static, limits: &Limits) -> io::Result<Self> {
        let compression = Compression::of(reader.fill_buf()?);
        let stream = begin(compression, reader, limits.window).map_err(io::Error::other)?;
        Ok(Self { stream, guard: Guard::new(limits) })
    }
}

impl Read for Decoded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        self.guard.allow(&mut *self.stream);
        let (count, _) = self.stream.decode(out, Until::Full).map_err(io::Error::other)?;
        let bytes = out.get(..count).unwrap_or_default();
        self.guard.pass(bytes, &*self.stream).map_err(io::Error::other)?;
        Ok(count)
    }
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoded").finish_non_exhaustive()
    }
}
