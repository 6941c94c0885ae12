//! Decoding spans from the middle of a blob.
//!
//! A [`SpanDecoder`] enters at a checkpoint and gives one span after the other, so a reader that
//! goes through a layer in order enters it once and inflates nothing twice. No span comes out
//! whose digest does not match. What is here was taken before, so any window is allowed that could
//! have been then.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{Advice, fadvise};

use super::span::{Access, REACH, SPAN, Span, SpanNo, SpanTable};
use super::toc::{Toc, TocError};
use super::{Compression, DecodeError};
use crate::codec::{self, Checkpoint, Decode, State, Stop, Until};
use crate::limits::Limits;

/// Compressed bytes are read in pieces of this size: of `node` spans (160 KiB compressed) a third.
const PIECE: usize = 64 << 10;

/// The window that a stream may ask for.
const WINDOW: u64 = Limits::HIGHEST.window;

/// Compressed bytes that can be read anywhere: a blob in the store, later one in a registry too.
pub trait CompressedBytes: Send + Sync {
    /// Reads bytes from `offset` on into `out`; how many, 0 only at the end.
    ///
    /// # Errors
    /// Whatever keeps it from reading; `Interrupted` is tried again by the caller.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// These bytes will be read soon: a hint, for which nobody waits.
    fn will_need(&self, range: Range<u64>) {
        let _ = range;
    }
}

impl CompressedBytes for File {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, out, offset)
    }

    fn will_need(&self, range: Range<u64>) {
        let length = NonZeroU64::new(range.end.saturating_sub(range.start));
        // Without a length it would be the whole rest.
        if length.is_some() {
            let _ = fadvise(self, range.start, length, Advice::WillNeed);
        }
    }
}

/// Why a span cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SpanError {
    /// The blob cannot be decoded there.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The table of contents cannot be used.
    #[error(transparent)]
    Toc(#[from] TocError),
    /// The blob decodes, but not to the bytes that were seen when it was checked.
    #[error("the bytes from {} to {} do not match their digest", .0.start, .0.end())]
    Digest(Span),
    /// The stream ends before the span does.
    #[error("the stream ends at byte {0} of the uncompressed tar")]
    Short(u64),
    /// There is no such span, or no way to it from the blob.
    #[error("span {} cannot be decoded from the blob", .0.0)]
    Unreachable(SpanNo),
}

/// A decoder that stands at the beginning of a span.
pub struct SpanDecoder {
    stream: Box<dyn Decode>,
    next: SpanNo,
}

impl std::fmt::Debug for SpanDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanDecoder").field("next", &self.next).finish_non_exhaustive()
    }
}

impl SpanDecoder {
    /// Enters at the checkpoint that leads to `wanted`: at it or some spans before it.
    ///
    /// # Errors
    /// When there is no way to `wanted`, or its checkpoint is damaged.
    pub fn enter(
        bytes: Arc<dyn CompressedBytes>,
        toc: &Toc,
        spans: &SpanTable,
        wanted: SpanNo,
    ) -> Result<Self, SpanError> {
        let at = spans.checkpoint(wanted).ok_or(SpanError::Unreachable(wanted))?;
        let span = spans.get(at).ok_or(SpanError::Unreachable(wanted))?;
        // First: the disk can bring them while the window is read from elsewhere.
        will_need(&*bytes, spans, at, wanted);
        let checkpoint = match span.access {
            Access::Start { offset } => Checkpoint { offset, state: State::Start },
            Access::Block { offset, bits, window } => {
                let window = toc.window(window)?;
                Checkpoint { offset, state: State::Block { bits, window } }
            }
            Access::Follows { .. } | Access::Kept { .. } => {
                return Err(SpanError::Unreachable(wanted));
            }
        };
        let cursor = Cursor::new(bytes, checkpoint.offset);
        let stream = codec::enter(toc.header().compression, cursor, &checkpoint, WINDOW)?;
        Ok(Self { stream, next: at })
    }

    /// The span that comes next.
    pub fn next(&self) -> SpanNo {
        self.next
    }

    /// Decodes the next span into `out`, in place of what was there, and checks its digest. After
    /// an error the decoder is of no use, and neither is what `out` holds.
    ///
    /// # Errors
    /// When the blob is damaged or there is no next span.
    pub fn decode(&mut self, spans: &SpanTable, out: &mut Vec<u8>) -> Result<(), SpanError> {
        let span = spans.get(self.next).ok_or(SpanError::Unreachable(self.next))?;
        out.resize(span.length as usize, 0);
        self.fill(&span, out)?;
        self.next = self.next.next();
        Ok(())
    }

    fn fill(&mut self, span: &Span, to: &mut [u8]) -> Result<(), SpanError> {
        let mut done = 0;
        while done < to.len() {
            let rest = to.get_mut(done..).unwrap_or_default();
            let (new, stop) = self.stream.decode(rest, Until::Full)?;
            done += new;
            if stop == Stop::End && done < to.len() {
                return Err(SpanError::Short(span.start + done as u64));
            }
        }
        if blake3::hash(to) == blake3::Hash::from(span.digest) {
            Ok(())
        } else {
            Err(SpanError::Digest(*span))
        }
    }
}

/// Says that the spans `first..=last` will be decoded. Where they are in the blob is known well
/// enough for a hint, which makes a cold random read a tenth faster. (Hints for a decoder that goes
/// on were tried too: the kernel has read ahead by then.)
fn will_need(bytes: &dyn CompressedBytes, spans: &SpanTable, first: SpanNo, last: SpanNo) {
    let offset = |number: SpanNo| match spans.get(number)?.access {
        Access::Start { offset } | Access::Block { offset, .. } | Access::Follows { offset } => {
            Some(offset)
        }
        Access::Kept { .. } => None,
    };
    if let Some(start) = offset(first) {
        let end = offset(last.next()).unwrap_or(start.saturating_add(SPAN));
        bytes.will_need(start..end.min(start.saturating_add(REACH)));
    }
}

/// A decoder at the beginning of a blob, for going through it whole.
pub(super) fn whole(
    bytes: Arc<dyn CompressedBytes>,
    compression: Compression,
) -> Result<Box<dyn Decode>, DecodeError> {
    codec::begin(compression, Cursor::new(bytes, 0), WINDOW)
}

/// [`CompressedBytes`] as a stream.
struct Cursor {
    bytes: Arc<dyn CompressedBytes>,
    /// Offset of what follows the buffer.
    offset: u64,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
}

impl Cursor {
    fn new(bytes: Arc<dyn CompressedBytes>, offset: u64) -> Self {
        Self { bytes, offset, buffer: vec![0; PIECE].into(), at: 0, end: 0 }
    }
}

impl Read for Cursor {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Cursor {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.end {
            self.at = 0;
            self.end = 0;
            self.end = self.bytes.read_at(self.offset, &mut self.buffer)?.min(self.buffer.len());
            self.offset += self.end as u64;
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at = self.end.min(self.at + count);
    }
}
