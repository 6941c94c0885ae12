//! The decoding thread: compressed bytes in, pieces of spans out.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use super::buffer::{Buffer, Pool, Stream};
use super::{CHUNK, DECODED, ScanError};
use crate::codec::{self, Decode, Guard, Stop};
use crate::layer::cut::{Cutter, Opening};
use crate::limits::Limits;
use crate::oci::{Compression, Digest};

/// Decoded bytes, all of one span.
#[derive(Debug)]
pub(super) struct Piece {
    /// With the first piece of a span: how it begins.
    pub(super) opening: Option<Opening>,
    /// The bytes, at least one.
    pub(super) bytes: Arc<Buffer>,
}

/// Who gets the decoded bytes.
#[derive(Debug)]
pub(super) struct Outlets {
    pub(super) survey: SyncSender<Piece>,
    pub(super) diff: Option<SyncSender<Arc<Buffer>>>,
    /// The DiffID of a plain tar is the blob's digest: the same bytes, the same algorithm.
    pub(super) plain_is_blob: bool,
}

/// Decodes a blob to its end, or until the survey wants no more.
pub(super) fn run(
    compressed: Receiver<Buffer>,
    mut outlets: Outlets,
    limits: &Limits,
    blob: Digest,
) -> Result<Compression, ScanError> {
    let error = |source| ScanError::Decode { blob, source };
    let mut stream = Stream::new(compressed);
    // The first buffer is full, or all there is.
    let magic = stream.fill_buf().map_err(|source| ScanError::Read { blob, source })?;
    let compression = Compression::of(magic);
    if compression == Compression::None && outlets.plain_is_blob {
        outlets.diff = None;
    }
    let run = Run {
        decoder: codec::begin(compression, stream, limits.window).map_err(error)?,
        cutter: Cutter::new(compression),
        pool: Pool::new(DECODED, CHUNK),
        outlets,
        opening: None,
    };
    run.through(limits, blob)?;
    Ok(compression)
}

struct Run {
    decoder: Box<dyn Decode>,
    cutter: Cutter,
    pool: Pool,
    outlets: Outlets,
    /// How the span begins whose first piece was not sent yet.
    opening: Option<Opening>,
}

impl Run {
    fn through(mut self, limits: &Limits, blob: Digest) -> Result<(), ScanError> {
        let mut buffer = self.pool.take();
        let mut guard = Guard::new(limits);
        loop {
            guard.allow(&mut *self.decoder);
            let most = usize::try_from(self.cutter.room()).unwrap_or(usize::MAX);
            let room = buffer.room();
            let most = most.min(room.len());
            let room = room.get_mut(..most).unwrap_or_default();
            let decoded = self.decoder.decode(room, self.cutter.until());
            let (count, stop) = decoded.map_err(|source| ScanError::Decode { blob, source })?;
            let passed = guard.pass(room.get(..count).unwrap_or_default(), &*self.decoder);
            passed.map_err(|source| ScanError::Limit { blob, source })?;
            buffer.grow(count);
            self.cutter.advance(count as u64);
            let ended = stop == Stop::End;
            let opening = match stop {
                Stop::At(checkpoint) => {
                    self.cutter.checkpoint();
                    Some(Opening::At(checkpoint))
                }
                Stop::Full | Stop::End => self.cutter.cut(self.decoder.offset()),
            };
            let due = opening.is_some() || ended || buffer.room().is_empty();
            if due && !buffer.bytes().is_empty() {
                if !self.send(buffer) {
                    return Ok(());
                }
                buffer = self.pool.take();
            }
            if ended {
                return Ok(());
            }
            if opening.is_some() {
                self.opening = opening;
            }
        }
    }

    /// `false`: nobody wants more.
    fn send(&mut self, buffer: Buffer) -> bool {
        let bytes = Arc::new(buffer);
        if let Some(diff) = &self.outlets.diff {
            // It ends only when this thread does.
            let _ = diff.send(Arc::clone(&bytes));
        }
        let opening = self.opening.take();
        self.outlets.survey.send(Piece { opening, bytes }).is_ok()
    }
}
