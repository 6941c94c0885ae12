//! Compressed bytes on their way into a decoder: a `BufRead` that knows its offset in the blob.
//!
//! Decoders ask it for bytes and for nothing else, so one decoder serves the pass over a whole
//! blob (fed by another thread) and the reading of a few spans (fed by `read_at`). It gives out no
//! byte beyond what is allowed, which ends every loop over bytes that decode to nothing.

use std::io::{self, BufRead, Read};

use super::DecodeError;
use crate::limits::Exceeded;

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
    format: &'static str,
    /// Up to which offset bytes may be taken, and what is exceeded there.
    allowed: Option<(u64, Exceeded)>,
}

impl<R: BufRead> Input<R> {
    /// `reader` yields the blob's bytes from `offset` on; `format` is for errors.
    pub(super) fn new(reader: R, offset: u64, format: &'static str) -> Self {
        Self { reader, offset, format, allowed: None }
    }

    /// Offset of the next byte in the blob.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// See [`super::Decode::allow`].
    pub(super) fn allow(&mut self, until: u64, otherwise: Exceeded) {
        self.allowed = Some((until, otherwise));
    }

    /// The next bytes, at least one unless the blob has ended.
    pub(super) fn fill(&mut self) -> Result<&[u8], DecodeError> {
        // Twice, because a loop around a borrow that is returned does not pass the checker.
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error.into());
            }
        }
        let bytes = self.reader.fill_buf()?;
        let Some((until, source)) = self.allowed else { return Ok(bytes) };
        let left = usize::try_from(until.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if left == 0 && !bytes.is_empty() {
            return Err(DecodeError::Limit { format: self.format, source });
        }
        Ok(bytes.get(..left).unwrap_or(bytes))
    }

    /// The bytes of the last `fill` up to `count` are used.
    pub(super) fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.offset += count as u64;
    }

    /// Fills `bytes` as far as the blob goes; the number of bytes read.
    pub(super) fn read_up_to(&mut self, bytes: &mut [u8]) -> Result<usize, DecodeError> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let got = self.fill()?.read(rest)?;
            if got == 0 {
                break;
            }
            self.consume(got);
            done += got;
        }
        Ok(done)
    }

    /// The next byte, `None` at the end.
    pub(super) fn byte(&mut self) -> Result<Option<u8>, DecodeError> {
        let byte = self.fill()?.first().copied();
        self.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Skips `count` bytes; how many of them there were.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64, DecodeError> {
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
    pub(super) fn after_member(&mut self) -> Result<After, DecodeError> {
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
