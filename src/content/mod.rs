//! File bytes on demand: spans decoded from checkpoints, checked, cached, shared.
//!
//! ```text
//! read(file, range) --> extracted object of the file? --> checked groups of it
//!                   \-> spans that hold the range ------> cache, swap, or a decoder; checked
//!                                      |-> next span, on the read-ahead thread
//!                                      \-> how far a large file was read, to the extraction thread
//! ```
//!
//! Guarantees: no byte is given out that was not checked against a digest chained to the layer's
//! (span) or the file's (object); damage is an error that names the layer's digest, with one line
//! in the log a layer; a read never waits for anything but decoding that is going on. Memory is
//! bounded by [`Options::cache`] and a few MiB, however many layers, files and readers there are.
//!
//! It knows files by [`FileData`] only, and no names. It opens and starts nothing before the first
//! read, so a mount may fork after opening it.

mod budget;
mod decoded;
mod extract;
mod flight;
mod job;
mod layers;
pub mod object;
mod spans;
mod stats;
mod swap;

pub use stats::Stats;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use self::budget::Budget;
use self::extract::{Objects, Served};
use self::layers::{Layer, Layers};
use self::spans::Spans;
use self::swap::Swap;
use crate::layer::Extent;
use crate::layer::span::SpanNo;
use crate::oci::Digest;
use crate::store::{BlobId, Store};
use crate::sys::worker::Worker;
use crate::tree::FileData;

/// Spans that may wait for the read-ahead thread.
const AHEAD: usize = 2;

/// Served ranges that may wait for the extraction thread: they are small, and the later ones say
/// all that the earlier ones did.
const SERVED: usize = 64;

/// Why bytes cannot be had. Reads as EIO; already in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A span's bytes do not match their digest, or the blob or its tables are missing or damaged.
    #[error("layer {blob}: {what}")]
    Damaged {
        /// The blob's digest.
        blob: Digest,
        /// What was found.
        what: String,
    },
    /// The row names a layer or bytes that the image does not have.
    #[error("the tree names bytes that no layer has: layer {layer}, offset {offset}")]
    OutOfRange {
        /// Position of the layer.
        layer: u32,
        /// Offset in its uncompressed tar.
        offset: u64,
    },
}

/// What a [`Content`] may use.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most bytes of decoded spans kept in memory; fewer are while fewer are enough.
    pub cache: usize,
    /// Files of this many bytes and more are extracted into the store's `content/` when they are
    /// read whole; `None`: never.
    pub extract_from: Option<u64>,
    /// Another mount comes right after this one, for readers who read the same again: files are
    /// extracted beside the readers and before the end, not when there is time, and stay in the
    /// kernel's memory. The first 64 MiB of files of up to 16 MiB; others as without this.
    pub for_the_next: bool,
    /// Decode the next span on another thread when a reader goes through a layer in order.
    pub read_ahead: bool,
    /// Layers that can be read by turns without entering them anew: a decoder is kept for each,
    /// of about 110 KiB.
    pub streams: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: 16 << 20,
            extract_from: Some(extract::LARGE),
            for_the_next: false,
            read_ahead: true,
            streams: 6,
        }
    }
}

impl Options {
    /// How loud to say that something is slower than it might be: a command's standard error is no
    /// place for that.
    fn complaints(&self) -> log::Level {
        if self.for_the_next { log::Level::Info } else { log::Level::Warn }
    }

    /// For the files that a command reads: its next run finds them extracted. It is over before a
    /// cache that grows as needed has grown: with 6 MiB instead, the first `python3 -c pass` decodes
    /// 61 spans, with this 46.
    pub fn for_command() -> Self {
        Self { cache: 48 << 20, extract_from: Some(1), for_the_next: true, ..Self::default() }
    }
}

/// The bytes of one image's files.
#[derive(Debug)]
pub struct Content {
    // Before `shared`, so that the threads end before what they use.
    ahead: Worker<(u32, SpanNo)>,
    extraction: Worker<Served>,
    shared: Arc<Shared>,
}

/// What readers and threads share.
#[derive(Debug)]
struct Shared {
    layers: Layers,
    spans: Spans,
    objects: Objects,
    stats: Stats,
    options: Options,
    /// The span of each layer that was read last, plus 1.
    last: Vec<AtomicU64>,
}

impl Content {
    /// For an image of these layers, bottom first. Opens nothing and starts no thread.
    pub fn open(store: Store, layers: Vec<BlobId>, options: Options) -> Self {
        let budget = if options.for_the_next {
            Budget::fixed(options.cache)
        } else {
            Budget::new(options.cache)
        };
        let shared = Shared {
            last: layers.iter().map(|_| AtomicU64::new(0)).collect(),
            layers: Layers::new(store, layers),
            spans: Spans::new(budget, options.streams, Swap::new(options.complaints())),
            objects: Objects::new(),
            stats: Stats::default(),
            options,
        };
        Self {
            ahead: Worker::new("read-ahead", AHEAD),
            extraction: Worker::new("extraction", SERVED),
            shared: Arc::new(shared),
        }
    }

    /// Counters since it was opened.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Appends the bytes `[offset, offset + length)` of `file` to `out`, cut at the end of file.
    /// On an error `out` is as it was.
    ///
    /// # Errors
    /// When the bytes cannot be had, or are not those that were there when the layer was pulled.
    pub fn read(
        &self,
        file: &FileData,
        offset: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentError> {
        let before = out.len();
        let end = file.size.min(offset.saturating_add(length as u64));
        self.shared.stats.reads.fetch_add(1, Relaxed);
        if offset >= end {
            return Ok(());
        }
        let read = match &file.sparse {
            None => self.plain(file, offset, end, out),
            Some(runs) => self.sparse(file, runs, offset, end, out),
        };
        match read {
            Ok(()) => {
                let served = (out.len() - before) as u64;
                self.shared.stats.bytes_served.fetch_add(served, Relaxed);
            }
            Err(_) => out.truncate(before),
        }
        read
    }

    /// A file without holes: from its object, else from spans.
    fn plain(
        &self,
        file: &FileData,
        offset: u64,
        end: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentError> {
        let from = self.shared.options.extract_from.unwrap_or(u64::MAX);
        if file.size < from {
            return self.stored(file, offset, end, out);
        }
        let store = self.shared.layers.store();
        if let Some(object) = self.shared.objects.get(store, file) {
            match object.read(offset, end, out) {
                Ok(()) => {
                    if !self.shared.options.for_the_next {
                        object.forget(offset, end);
                    }
                    self.shared.stats.extracted_bytes_served.fetch_add(end - offset, Relaxed);
                    return Ok(());
                }
                Err(error) => self.shared.objects.bad(store, file.content, &error),
            }
        }
        self.stored(file, offset, end, out)?;
        let shared = &self.shared;
        self.extraction.tell(Served::new(file, offset, end), || {
            let shared = Arc::clone(shared);
            move |served| extract::follow(&shared, &served)
        });
        Ok(())
    }

    /// A file with holes: zeros between the runs.
    fn sparse(
        &self,
        file: &FileData,
        runs: &[Extent],
        offset: u64,
        end: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentError> {
        let before = out.len();
        let zeros_to = |to: u64, out: &mut Vec<u8>| {
            let length = usize::try_from(to.saturating_sub(offset)).unwrap_or(usize::MAX);
            out.resize(out.len().max(before.saturating_add(length)), 0);
        };
        let mut stored = 0_u64;
        for run in runs {
            let run_end = run.offset.saturating_add(run.length);
            if run.offset >= end {
                break;
            }
            if run_end > offset {
                let (from, to) = (run.offset.max(offset), run_end.min(end));
                zeros_to(from, out);
                let start = stored.saturating_add(from - run.offset);
                self.stored(file, start, start.saturating_add(to - from), out)?;
            }
            stored = stored.saturating_add(run.length);
        }
        zeros_to(end, out);
        Ok(())
    }

    /// The bytes `[from, to)` of those that the tar stores for `file`.
    fn stored(
        &self,
        file: &FileData,
        from: u64,
        to: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentError> {
        let shared = &*self.shared;
        let out_of_range =
            || ContentError::OutOfRange { layer: file.layer, offset: file.data_offset };
        let start = file.data_offset.checked_add(from).ok_or_else(out_of_range)?;
        let end = file.data_offset.checked_add(to).ok_or_else(out_of_range)?;
        let layer = shared.layers.get(file.layer)?;
        let whole = from == 0 && to == file.size && file.sparse.is_none();
        if whole && self.swapped(&layer, file, out).is_some() {
            return Ok(());
        }
        shared.spans.swap.served(to - from);
        let mut at = start;
        while at < end {
            let number = layer.spans.find(at).ok_or_else(out_of_range)?;
            let span = layer.spans.get(number).ok_or_else(out_of_range)?;
            let bytes = shared.spans.get(&shared.layers, &layer, number, &shared.stats)?;
            let stop = span.end().min(end);
            let inside = |offset: u64| usize::try_from(offset - span.start).unwrap_or(usize::MAX);
            let part = bytes.get(inside(at)..inside(stop)).ok_or_else(out_of_range)?;
            out.extend_from_slice(part);
            self.look_ahead(&layer, number, stop);
            at = stop;
        }
        Ok(())
    }

    /// A small file without holes, when its span is on disk and not in memory.
    fn swapped(&self, layer: &Layer, file: &FileData, out: &mut Vec<u8>) -> Option<()> {
        let shared = &*self.shared;
        let number = layer.spans.find(file.data_offset)?;
        let place = shared.spans.swap.find(layer, number)?;
        if shared.spans.has(layer.number, number) {
            return None;
        }
        place.read_file(&layer.spans.get(number)?, file, out).then_some(())?;
        shared.stats.swap_reads.fetch_add(1, Relaxed);
        Some(())
    }

    /// Has the next span decoded when this one is read in order: after its predecessor, or beyond
    /// its middle. `at` is where the read in it ended.
    fn look_ahead(&self, layer: &Arc<Layer>, number: SpanNo, at: u64) {
        let shared = &self.shared;
        let Some(last) = shared.last.get(layer.number as usize) else { return };
        let now = u64::from(number.0) + 1;
        let before = last.swap(now, Relaxed);
        let next = number.next();
        if !shared.options.read_ahead || next.0 >= layer.spans.len() {
            return;
        }
        let beyond_middle = || {
            let span = layer.spans.get(number);
            span.is_some_and(|span| at > span.start + u64::from(span.length) / 2)
        };
        let in_order = before + 1 == now || before == now && beyond_middle();
        if in_order && !shared.spans.has(layer.number, next) {
            self.ahead.tell((layer.number, next), || {
                let shared = Arc::clone(shared);
                move |wanted: std::sync::mpsc::Receiver<(u32, SpanNo)>| {
                    for (layer, span) in wanted {
                        let Ok(layer) = shared.layers.get(layer) else { continue };
                        shared.spans.get_ahead(&shared.layers, &layer, span, &shared.stats);
                    }
                }
            });
        }
    }
}
