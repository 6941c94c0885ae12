//! Extraction: large files that are read from their beginning to their end are kept as objects,
//! for every image that has them, and read from there the next time.
//!
//! The first reader is never slowed down. It goes on reading spans, and only tells how far it has
//! come; a thread of its own follows with what is in the cache of spans anyhow. When it falls
//! behind what the cache holds, it waits until nobody reads for a while, and then decodes what is
//! missing of files that were read whole. So nothing is lost, and an inflated byte is inflated
//! again only when there is time. Files of which only parts are read are not extracted; those read
//! out of order, as a program's pages are, count as wanted when half of their bytes were served.
//!
//! A command in a chroot is served for a moment only, and then again, from a mount of its own each
//! time. There ([`super::Options::for_the_next`]) every file is worth keeping, because what a command
//! touches first it will touch first again: the thread extracts each beside the reader, whom the
//! spans help too, and the rest at the end. Measured on `python3 -c pass` of the image `python`: its
//! first start takes 97 ms instead of 137, the later ones 36 instead of 91. There is a limit, which
//! bounds also how long the end can take; beyond it, and for very large files, it is as elsewhere.
//!
//! An object that turns out damaged is removed, and the spans serve its bytes. A file that cannot
//! be published is not tried again.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;

use super::Shared;
use super::object::{Object, ObjectWriter};
use crate::layer::ContentId;
use crate::store::{Derived, Draft, Store};
use crate::tree::FileData;

/// Objects whose state is known; the open ones among them have a file descriptor each.
const KNOWN: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Files that are being extracted at once; the one that was read the longest ago gives way.
const AT_ONCE: usize = 64;

/// Requests of one reader may come in another order than it made them: this far ahead of the
/// rest, in bytes, is still in order.
const DISORDER: u64 = 1 << 20;

/// No read for this long is an occasion to decode.
const QUIET: Duration = Duration::from_millis(200);

/// Files of this many bytes and more are always worth extracting.
pub(super) const LARGE: u64 = 1 << 20;

/// The largest file that is extracted as soon as a command touches it, and the most bytes of them.
const URGENT: u64 = 16 << 20;
const ALL_URGENT: u64 = 64 << 20;

/// Files that cannot be published, after which nothing is extracted any more.
const REFUSED: usize = 256;

/// What is known of an object.
#[derive(Debug, Clone)]
enum State {
    Absent,
    Open(Arc<Object>),
}

/// The objects of a store, as far as one mount knows them.
#[derive(Debug)]
pub(super) struct Objects {
    known: Mutex<LruCache<ContentId, State>>,
}

/// A range of a file was served from spans.
#[derive(Debug)]
pub(super) struct Served {
    layer: u32,
    data_offset: u64,
    size: u64,
    content: ContentId,
    from: u64,
    to: u64,
}

impl Served {
    pub(super) fn new(file: &FileData, from: u64, to: u64) -> Self {
        let FileData { layer, data_offset, size, content, .. } = *file;
        Self { layer, data_offset, size, content, from, to }
    }
}

impl Objects {
    pub(super) fn new() -> Self {
        Self { known: Mutex::new(LruCache::new(KNOWN)) }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<ContentId, State>> {
        // The cache is whole after every operation on it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object of a file, when there is a good one.
    pub(super) fn get(&self, store: &Store, file: &FileData) -> Option<Arc<Object>> {
        let known = self.lock().get(&file.content).cloned();
        match known {
            Some(State::Open(object)) => return Some(object),
            Some(State::Absent) => return None,
            None => {}
        }
        let found = store.open_derived(Derived::Content, file.content.0).ok().flatten();
        let opened = found.map(|there| Object::open(there, file.content, file.size));
        let object = match opened {
            Some(Ok(object)) => Some(Arc::new(object)),
            Some(Err(error)) => {
                self.bad(store, file.content, &error);
                None
            }
            None => None,
        };
        let state = object.clone().map_or(State::Absent, State::Open);
        self.lock().put(file.content, state);
        object
    }

    fn is_open(&self, content: ContentId) -> bool {
        matches!(self.lock().peek(&content), Some(State::Open(_)))
    }

    /// Throws an object away.
    pub(super) fn bad(&self, store: &Store, content: ContentId, error: &std::io::Error) {
        log::error!("extracted file blake3:{}: {error}", hex(content));
        if let Err(error) = store.remove_derived(Derived::Content, content.0) {
            log::error!("extracted file blake3:{}: cannot remove it: {error}", hex(content));
        }
        self.lock().put(content, State::Absent);
    }
}

fn hex(content: ContentId) -> impl std::fmt::Display {
    blake3::Hash::from(content.0).to_hex()
}

/// The thread's work: follows the readers until `served` ends.
pub(super) fn follow(shared: &Arc<Shared>, served: &Receiver<Served>) {
    let mut extraction = Extraction::new(shared);
    let mut reads = 0;
    let mut patience = Duration::MAX;
    loop {
        match served.recv_timeout(patience) {
            Ok(served) => {
                extraction.note(&served);
                extraction.take_from_cache();
                patience = if extraction.urgent().is_some() { Duration::ZERO } else { QUIET };
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = shared.stats.reads.load(Relaxed);
                let urgent = extraction.urgent();
                let quiet = now == reads || urgent.is_some();
                reads = now;
                patience = match (urgent.or_else(|| extraction.next_whole()), quiet) {
                    (None, _) => Duration::MAX,
                    (Some(_), false) => QUIET,
                    // One span, then a look whether a reader has come back.
                    (Some(at), true) => {
                        extraction.step(at);
                        Duration::ZERO
                    }
                };
            }
            Err(RecvTimeoutError::Disconnected) => {
                while let Some(at) = extraction.urgent() {
                    extraction.step(at);
                }
                return;
            }
        }
    }
}

struct Extraction<'a> {
    shared: &'a Arc<Shared>,
    /// The one read last is last.
    jobs: Vec<Job>,
    /// Bytes of the files that are or were urgent.
    urgent_bytes: u64,
    /// Files that could not be published.
    refused: HashSet<ContentId>,
    /// Objects cannot be written.
    broken: bool,
}

/// A file that may become an object.
struct Job {
    file: Served,
    /// Up to where it was read from its beginning on.
    reached: u64,
    /// Bytes served, in whatever order.
    served: u64,
    /// For the next mount: whatever is read of it, it is extracted before the end.
    urgent: bool,
    /// Made with the first byte.
    writer: Option<ObjectWriter<Draft>>,
}

impl Job {
    fn written(&self) -> u64 {
        self.writer.as_ref().map_or(0, ObjectWriter::written)
    }
}

impl<'a> Extraction<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        let refused = HashSet::new();
        Self { shared, jobs: Vec::new(), urgent_bytes: 0, refused, broken: false }
    }

    /// A file to be extracted whatever the readers do.
    fn urgent(&self) -> Option<usize> {
        self.jobs.iter().rposition(|job| job.urgent)
    }

    /// The job for a file that is read for the first time, when it is worth one.
    fn begin(&mut self, served: &Served) -> Option<Job> {
        let bytes = self.urgent_bytes + served.size.min(ALL_URGENT);
        let urgent =
            self.shared.options.for_the_next && served.size <= URGENT && bytes <= ALL_URGENT;
        if urgent {
            self.urgent_bytes = bytes;
        } else if served.size < LARGE {
            return None;
        }
        Some(Job { file: Served { ..*served }, reached: 0, served: 0, urgent, writer: None })
    }

    /// Takes notice of a range that was served.
    fn note(&mut self, served: &Served) {
        // What readers told before they saw the object may come after it was made.
        if self.broken
            || self.shared.objects.is_open(served.content)
            || self.refused.contains(&served.content)
        {
            return;
        }
        let at = self.jobs.iter().position(|job| job.file.content == served.content);
        let job = at.map(|at| self.jobs.remove(at)).or_else(|| self.begin(served));
        let Some(mut job) = job else { return };
        job.served += served.to - served.from;
        if served.from <= job.reached + DISORDER {
            job.reached = job.reached.max(served.to);
        }
        if job.urgent || job.served.saturating_mul(2) >= job.file.size {
            job.reached = job.file.size;
        }
        if self.jobs.len() >= AT_ONCE {
            self.jobs.remove(0);
        }
        self.jobs.push(job);
    }

    /// Brings the file that was read last as far as the cache goes.
    fn take_from_cache(&mut self) {
        while let Some(job) = self.jobs.last()
            && job.written() < job.reached
            && self.is_cached(job)
            && self.step(self.jobs.len() - 1)
        {}
    }

    fn is_cached(&self, job: &Job) -> bool {
        let layer = self.shared.layers.get(job.file.layer).ok();
        let span = layer
            .as_ref()
            .and_then(|layer| layer.spans.find(job.file.data_offset.checked_add(job.written())?));
        span.is_some_and(|span| self.shared.spans.has(job.file.layer, span))
    }

    /// A file that was read whole and is not extracted yet.
    fn next_whole(&self) -> Option<usize> {
        self.jobs.iter().rposition(|job| job.reached == job.file.size)
    }

    /// Writes the next span of a file, and the object when it was the last. `false`: the file is
    /// not among the jobs any more, finished or given up.
    fn step(&mut self, at: usize) -> bool {
        let done = self.jobs.get_mut(at).is_none_or(|job| match copy_span(self.shared, job) {
            Ok(()) => job.written() == job.file.size,
            Err(error) => {
                if let Failure::Store(error) = error {
                    let level = self.shared.options.complaints();
                    log::log!(level, "files are not extracted: {error}");
                    self.broken = true;
                }
                job.writer = None;
                true
            }
        });
        if !done {
            return true;
        }
        let job = self.jobs.remove(at);
        if let Some(writer) = job.writer
            && let Err(error) = publish(self.shared, &job.file, writer)
        {
            log::warn!("extracted file blake3:{}: {error}", hex(job.file.content));
            self.refused.insert(job.file.content);
            self.broken = self.refused.len() >= REFUSED;
        }
        if self.broken {
            self.jobs.clear();
        }
        false
    }
}

/// Why a file is not extracted.
enum Failure {
    /// Its bytes cannot be read; that is in the log.
    Content,
    /// It cannot be written.
    Store(String),
}

/// Writes what the next span has of a file.
fn copy_span(shared: &Arc<Shared>, job: &mut Job) -> Result<(), Failure> {
    let from = job.written();
    let file = &job.file;
    let at = file.data_offset.checked_add(from).ok_or(Failure::Content)?;
    let layer = shared.layers.get(file.layer).map_err(|_| Failure::Content)?;
    let number = layer.spans.find(at).ok_or(Failure::Content)?;
    let span = layer.spans.get(number).ok_or(Failure::Content)?;
    let bytes = shared.spans.get(&shared.layers, &layer, number, &shared.stats);
    let bytes = bytes.map_err(|_| Failure::Content)?;
    let skip = usize::try_from(at - span.start).unwrap_or(usize::MAX);
    let left = usize::try_from(file.size - from).unwrap_or(usize::MAX);
    let bytes = bytes.get(skip..).unwrap_or_default();
    let bytes = bytes.get(..left.min(bytes.len())).unwrap_or_default();
    let writer = match &mut job.writer {
        Some(writer) => writer,
        none => {
            let draft = shared.layers.store().draft_derived(Derived::Content, file.content.0);
            none.insert(ObjectWriter::new(draft.map_err(|e| Failure::Store(e.to_string()))?))
        }
    };
    writer.write(bytes).map_err(|error| Failure::Store(error.to_string()))
}

fn publish(
    shared: &Arc<Shared>,
    file: &Served,
    writer: ObjectWriter<Draft>,
) -> Result<(), Box<dyn std::error::Error>> {
    let draft = writer.finish(file.content)?;
    let store = shared.layers.store();
    store.publish_unsynced(Derived::Content, file.content.0, draft)?;
    let there = store.open_derived(Derived::Content, file.content.0)?;
    let there = there.ok_or("removed right after it was written")?;
    let object = Object::open(there, file.content, file.size)?;
    shared.objects.lock().put(file.content, State::Open(Arc::new(object)));
    shared.stats.files_extracted.fetch_add(1, Relaxed);
    Ok(())
}
