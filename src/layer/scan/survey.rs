//! The survey thread: decoded pieces in, TOC out; and the thread behind it that writes the
//! seekable form.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use super::buffer::Buffer;
use super::decode::Piece;
use super::{ScanError, join, spawn};
use crate::codec::{Checkpoint, State};
use crate::layer::cut::Opening;
use crate::layer::seekable::SeekableWriter;
use crate::layer::span::{Access, Span};
use crate::layer::tar::{self, Walker};
use crate::layer::toc::TocWriter;
use crate::layer::{Entry, Warning};
use crate::limits::Limits;
use crate::oci::Digest;

/// Pieces that may wait for the seekable form.
const WAITING: usize = 4;

/// Everything that looks at the decoded bytes in order, but for the DiffID.
pub(super) struct Survey<'scope, 'env, T: Write, S> {
    scope: &'scope Scope<'scope, 'env>,
    walker: Walker,
    toc: TocWriter<T>,
    open: Option<Open>,
    /// Offset in the tar of what comes next.
    offset: u64,
    source: Digest,
    seekable: Option<S>,
    keep: Option<Keep<'scope>>,
}

/// A span that is not complete.
struct Open {
    start: u64,
    hasher: blake3::Hasher,
    access: Access,
}

/// The thread that writes the seekable form.
struct Keep<'scope> {
    to: SyncSender<Kept>,
    thread: ScopedJoinHandle<'scope, io::Result<()>>,
}

enum Kept {
    Piece(Arc<Buffer>),
    EndOfSpan,
}

impl<'scope, 'env, T: Write, S: Write + Send + 'scope> Survey<'scope, 'env, T, S> {
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        toc: T,
        seekable: Option<S>,
        limits: &Limits,
        source: Digest,
    ) -> Result<Self, ScanError> {
        let toc = TocWriter::new(toc).map_err(|error| toc_error(source, error))?;
        let walker = Walker::new(*limits);
        Ok(Self { scope, walker, toc, open: None, offset: 0, source, seekable, keep: None })
    }

    /// Takes all pieces; the TOC, complete but for its end.
    pub(super) fn run(mut self, pieces: &Receiver<Piece>) -> Result<TocWriter<T>, ScanError> {
        for piece in pieces {
            self.piece(piece)?;
        }
        self.close()?;
        if let Some(Keep { to, thread }) = self.keep {
            drop(to);
            join(thread).map_err(|error| seekable_error(self.source, error))?;
        }
        let blob = self.source;
        self.walker.finish().map_err(|source| ScanError::Tar { blob, source })?;
        Ok(self.toc)
    }

    fn piece(&mut self, piece: Piece) -> Result<(), ScanError> {
        if let Some(opening) = piece.opening {
            self.close()?;
            self.open(opening)?;
        }
        let bytes = piece.bytes.bytes();
        self.offset += bytes.len() as u64;
        let mut sink = Sink { toc: &mut self.toc, error: None };
        let walked = self.walker.feed(bytes, &mut sink);
        if let Some(error) = sink.error {
            return Err(toc_error(self.source, error));
        }
        walked.map_err(|source| ScanError::Tar { blob: self.source, source })?;
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.hasher.update(bytes);
        if let Access::Kept { .. } = open.access {
            self.keep(Kept::Piece(piece.bytes))?;
        }
        Ok(())
    }

    fn open(&mut self, opening: Opening) -> Result<(), ScanError> {
        let access = match opening {
            Opening::At(Checkpoint { offset, state: State::Start }) => Access::Start { offset },
            Opening::At(Checkpoint { offset, state: State::Block { bits, window } }) => {
                let place = self.toc.window(&window);
                let window = place.map_err(|error| toc_error(self.source, error))?;
                Access::Block { offset, bits, window }
            }
            Opening::Follows(offset) => Access::Follows { offset },
            Opening::Kept => Access::Kept { frame: self.toc.kept() },
        };
        self.open = Some(Open { start: self.offset, hasher: blake3::Hasher::new(), access });
        Ok(())
    }

    fn close(&mut self) -> Result<(), ScanError> {
        let Some(Open { start, hasher, access }) = self.open.take() else {
            return Ok(());
        };
        let length = u32::try_from(self.offset - start).unwrap_or(u32::MAX);
        self.toc.span(&Span { start, length, digest: hasher.finalize().into(), access });
        if let Access::Kept { .. } = access {
            self.keep(Kept::EndOfSpan)?;
        }
        Ok(())
    }

    /// Hands something to the keeping thread, which is started when first needed.
    fn keep(&mut self, kept: Kept) -> Result<(), ScanError> {
        if let Some(out) = self.seekable.take() {
            let (to, from) = sync_channel(WAITING);
            let source = self.source;
            let work = move || write_seekable(out, &from, &source);
            let thread = spawn(self.scope, source, "keep", work)?;
            self.keep = Some(Keep { to, thread });
        }
        let lost = self.keep.as_ref().is_some_and(|keep| keep.to.send(kept).is_err());
        match self.keep.take_if(|_| lost) {
            None => Ok(()),
            Some(keep) => {
                let ended = || io::Error::other("the thread that writes it ended early");
                let error = join(keep.thread).err().unwrap_or_else(ended);
                Err(seekable_error(self.source, error))
            }
        }
    }
}

fn write_seekable(out: impl Write, from: &Receiver<Kept>, source: &Digest) -> io::Result<()> {
    let mut writer = SeekableWriter::new(out)?;
    let mut span = Vec::new();
    for kept in from {
        match kept {
            Kept::Piece(buffer) => span.extend_from_slice(buffer.bytes()),
            Kept::EndOfSpan => {
                writer.span(&span)?;
                span.clear();
            }
        }
    }
    writer.finish(source)
}

fn toc_error(blob: Digest, source: io::Error) -> ScanError {
    ScanError::Write { blob, what: "table of contents", source }
}

fn seekable_error(blob: Digest, source: io::Error) -> ScanError {
    ScanError::Write { blob, what: "seekable form", source }
}

/// What the walker finds goes into the TOC.
struct Sink<'a, T: Write> {
    toc: &'a mut TocWriter<T>,
    error: Option<io::Error>,
}

impl<T: Write> tar::Sink for Sink<'_, T> {
    fn entry(&mut self, entry: Entry) {
        if let Err(error) = self.toc.entry(&entry) {
            self.error.get_or_insert(error);
        }
    }

    fn warning(&mut self, warning: Warning) {
        if let Err(error) = self.toc.warning(&warning) {
            self.error.get_or_insert(error);
        }
    }
}
