//! Compressed bytes on their way into a decoder: a `BufRead` that knows its offset in the blob.
//!
//! Decoders ask it for bytes and for nothing else, so one decoder serves the pass over a whole
//! blob (fed by another thread) and the reading of a few spans (fed by `read_at`).

use std::io::{self, BufRead, Read};

/// What stands after the end of a gzip member, zstd frame or the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The end of the blob, or zeros up to it.
    End,
    /// Something else at once.
    More,
    /// Zeros, then something else.
    Padded,
}

/// A reader with an offset.
#[derive(Debug)]
pub(super) struct Input<R> {
    reader: R,
    offset: u64,
}

impl<R: BufRead> Input<R> {
    /// `reader` yields the blob's bytes from `offset` on.
    pub(super) fn new(reader: R, offset: u64) -> Self {
        Self { reader, offset }
    }

    /// Offset of the next byte in the blob.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes, at least one unless the blob has ended.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        // Twice, because a loop around a borrow that is returned does not pass the checker.
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.reader.fill_buf()
    }

    /// Fills `bytes` as far as the blob goes; the number of bytes read.
    pub(super) fn read_up_to(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let got = self.read(bytes.get_mut(done..).unwrap_or_default())?;
            if got == 0 {
                break;
            }
            done += got;
        }
        Ok(done)
    }

    /// The next byte, `None` at the end.
    pub(super) fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.fill()?.first().copied();
        self.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Skips `count` bytes; how many of them there were.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let there = self.fill()?.len();
            if there == 0 {
                break;
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(there);
            self.consume(step);
            left -= step as u64;
        }
        Ok(count - left)
    }

    /// Looks what follows, and swallows zero padding.
    pub(super) fn after_member(&mut self) -> io::Result<After> {
        let mut padded = false;
        loop {
            let bytes = self.fill()?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let more = zeros < bytes.len();
            if bytes.is_empty() {
                return Ok(After::End);
            }
            padded |= zeros > 0;
            self.consume(zeros);
            if more {
                return Ok(if padded { After::Padded } else { After::More });
            }
        }
    }
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill()?;
        let count = bytes.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill()
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.offset += count as u64;
    }
}
