//! Layers, a few at once: each fetched at most once, walked at most once, checked in any case.
//!
//! Threads take layers from a common list, the largest first, so that they end together. The first
//! error stops the others at their next read; the bytes they have stay for the next try.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::documents::ImageLayer;
use super::{LayerEvent, Observer, Options, PullError};
use crate::layer::{self, Outputs, ScanError, Toc};
use crate::limits::{Exceeded, Limit, Limits};
use crate::oci::{Descriptor, Digest};
use crate::source::Source;
use crate::store::{BadBlob, BlobId, Derived, Draft, Ingest, Partial, Store};

/// How often the bytes of one layer may be wrong before it is given up.
const TRIES: u32 = 2;

/// What fetching a layer needs to know besides the layer.
struct Work<'a> {
    store: &'a Store,
    source: &'a dyn Source,
    options: &'a Options,
    observer: &'a dyn Observer,
    fetched: &'a Fetched,
    stop: AtomicBool,
}

/// One layer of the work: the layer, and where it stands in the image (a blob can stand in it
/// several times).
struct Item<'a> {
    layer: &'a ImageLayer,
    positions: Vec<usize>,
}

/// The layers that were fetched, or begun with, for whoever has to know when it did not end well.
#[derive(Debug, Default)]
pub(super) struct Fetched(Mutex<Vec<Digest>>);

impl Fetched {
    fn add(&self, digest: Digest) {
        self.0.lock().unwrap_or_else(|held| held.into_inner()).push(digest);
    }

    /// All of them.
    pub(super) fn digests(self) -> Vec<Digest> {
        self.0.into_inner().unwrap_or_else(|held| held.into_inner())
    }
}

/// Brings all layers and their tables into the store, and says which were fetched.
pub(super) fn fetch(
    store: &Store,
    source: &dyn Source,
    layers: &[ImageLayer],
    options: &Options,
    observer: &dyn Observer,
    fetched: &Fetched,
) -> Result<(), PullError> {
    for Descriptor { digest, size, .. } in layers.iter().map(|layer| &layer.descriptor) {
        // Before anybody is asked for it.
        let allowed = options.limits.hold(Limit::Blob, *size);
        allowed.map_err(|source| ScanError::Limit { blob: *digest, source })?;
    }
    let descriptors: Vec<_> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
    observer.layers(&descriptors);
    let items = items(layers)?;
    let work = Work { store, source, options, observer, fetched, stop: AtomicBool::new(false) };
    run(&items, options.jobs, &work.stop, |item| work.layer(item))
}

/// Every blob once, the largest first.
fn items(layers: &[ImageLayer]) -> Result<Vec<Item<'_>>, PullError> {
    let mut by_digest: HashMap<_, Item<'_>> = HashMap::new();
    for (position, layer) in layers.iter().enumerate() {
        let digest = layer.descriptor.digest;
        let item = by_digest.entry(digest).or_insert(Item { layer, positions: Vec::new() });
        if item.layer.diff_id != layer.diff_id {
            return Err(PullError::TwoDiffIds { digest });
        }
        item.positions.push(position);
    }
    let mut items: Vec<_> = by_digest.into_values().collect();
    items.sort_by_key(|item| (std::cmp::Reverse(item.layer.descriptor.size), item.positions[0]));
    Ok(items)
}

/// Calls `each` for all items on up to `jobs` threads; the first error stops the rest.
pub(super) fn run<T: Sync>(
    items: &[T],
    jobs: usize,
    stop: &AtomicBool,
    each: impl Fn(&T) -> Result<(), PullError> + Sync,
) -> Result<(), PullError> {
    let next = AtomicUsize::new(0);
    let first_error = Mutex::new(None);
    std::thread::scope(|scope| {
        let work = || {
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) = each(item) {
                    stop.store(true, Ordering::Relaxed);
                    let mut first = first_error.lock().unwrap_or_else(|held| held.into_inner());
                    first.get_or_insert(error);
                }
            }
        };
        for _ in 1..jobs.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
    match first_error.into_inner().unwrap_or_else(|held| held.into_inner()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

impl Work<'_> {
    /// Brings one layer in.
    fn layer(&self, item: &Item<'_>) -> Result<(), PullError> {
        let (digest, size) = (item.layer.descriptor.digest, item.layer.descriptor.size);
        let mut bad: Option<BadBlob> = None;
        for attempt in 1.. {
            let waiting = || self.tell(item, LayerEvent::Waiting);
            let partial = match self.store.ingest_or(&digest, size, bad.as_ref(), waiting)? {
                Ingest::Present(blob) => {
                    self.tell(item, LayerEvent::Checking);
                    match self.check(item, &blob)? {
                        None => {
                            self.tell(item, LayerEvent::Exists);
                            return Ok(());
                        }
                        Some(found) => bad = Some(found),
                    }
                    continue;
                }
                Ingest::Partial(partial) => partial,
            };
            let resumed = partial.have() > 0;
            self.fetched.add(digest);
            match self.fetch(item, partial) {
                Ok(()) => {
                    self.tell(item, LayerEvent::Done);
                    return Ok(());
                }
                // The bytes are not the blob: what was kept from an earlier try was wrong, or
                // something on the way is. The partial file is gone.
                Err(PullError::Layer(error))
                    if attempt < TRIES
                        && (is_not_the_blob(&error) || resumed && may_not_be_the_blob(&error)) =>
                {
                    self.tell(item, LayerEvent::Restarted);
                }
                Err(error) => return Err(error),
            }
        }
        Err(PullError::Stopped)
    }

    /// Checks a blob that is there, and makes its table when that is missing or stale.
    fn check(&self, item: &Item<'_>, blob: &BlobId) -> Result<Option<BadBlob>, PullError> {
        if toc_of(self.store, item.layer).is_some_and(|toc| toc.check().is_ok()) {
            return Ok(self.store.check_blob(blob)?);
        }
        match rescan(self.store, item.layer, blob, &self.options.limits) {
            Err(PullError::Layer(error))
                if is_not_the_blob(&error) || matches!(error, ScanError::Read { .. }) =>
            {
                Ok(self.store.check_blob(blob)?)
            }
            other => other.map(|()| None),
        }
    }

    /// Fetches the rest of a blob in one pass with what is there already.
    fn fetch(&self, item: &Item<'_>, mut partial: Partial) -> Result<(), PullError> {
        let descriptor = &item.layer.descriptor;
        let have = partial.have();
        self.tell(item, LayerEvent::Started { have });
        let before = partial.reader()?;
        let rest: Box<dyn Read + Send> = if have < descriptor.size {
            self.source.blob(descriptor, have)?
        } else {
            Box::new(io::empty())
        };
        let reader = Stoppable { inner: before.chain(rest), stop: &self.stop };
        let mut toc = self.store.draft_derived(Derived::Toc, descriptor.digest)?;
        let mut seekable = Seekable::new(self.store, descriptor.digest);
        let outputs = Outputs {
            blob: After { skip: have, inner: &mut partial },
            toc: &mut toc,
            seekable: Some(&mut seekable),
        };
        let progress = |bytes| self.tell(item, LayerEvent::Progress { bytes });
        let expected = item.layer.expected();
        match layer::scan(reader, outputs, &expected, &self.options.limits, &progress) {
            Ok(_) => {
                partial.commit(&expected.digest, expected.size)?;
                publish(self.store, item.layer, toc, seekable)
            }
            Err(error) => {
                if is_not_the_blob(&error) || error.is_refusal() {
                    partial.discard()?;
                }
                Err(error.into())
            }
        }
    }

    fn tell(&self, item: &Item<'_>, event: LayerEvent) {
        for position in &item.positions {
            self.observer.layer(*position, event);
        }
    }
}

/// The layer's table, when the store has one that was made from this blob by this version.
pub(super) fn toc_of(store: &Store, layer: &ImageLayer) -> Option<Toc> {
    let file = store.open_derived(Derived::Toc, layer.descriptor.digest).ok()??;
    let toc = Toc::open(file).ok()?;
    let header = toc.header();
    let right = header.source == layer.descriptor.digest
        && header.source_size == layer.descriptor.size
        && header.diff_id == layer.diff_id;
    right.then_some(toc)
}

/// Makes a layer's table from its blob in the store.
pub(super) fn rescan(
    store: &Store,
    layer: &ImageLayer,
    blob: &BlobId,
    limits: &Limits,
) -> Result<(), PullError> {
    let file = store.open_blob(blob)?;
    let mut toc = store.draft_derived(Derived::Toc, blob)?;
    let mut seekable = Seekable::new(store, *blob.digest());
    let outputs = Outputs { blob: io::sink(), toc: &mut toc, seekable: Some(&mut seekable) };
    layer::scan(file, outputs, &layer.expected(), limits, &|_| {})?;
    publish(store, layer, toc, seekable)
}

/// Makes a finished table visible, and before it the seekable form that it counts on.
fn publish(
    store: &Store,
    layer: &ImageLayer,
    toc: Draft,
    seekable: Seekable<'_>,
) -> Result<(), PullError> {
    let digest = layer.descriptor.digest;
    if let Some(seekable) = seekable.draft {
        store.publish_derived(Derived::Seekable, digest, seekable)?;
    }
    store.publish_derived(Derived::Toc, digest, toc)?;
    Ok(())
}

/// Fails once another layer has failed.
struct Stoppable<'a, R> {
    inner: R,
    stop: &'a AtomicBool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        self.inner.read(buffer)
    }
}

/// Whether the bytes are wrong, so that asking for them again may help; otherwise the blob itself
/// is bad, or something on our side is.
fn is_not_the_blob(error: &ScanError) -> bool {
    matches!(error, ScanError::Digest { .. } | ScanError::Size { .. })
}

/// Whether the bytes may be wrong: they cannot be decoded, and of a long blob the rest was not read.
fn may_not_be_the_blob(error: &ScanError) -> bool {
    matches!(error, ScanError::Decode { .. } | ScanError::Tar { .. })
        && Exceeded::behind(error).is_none()
}

/// The seekable form of a layer. Most layers need none: the file is made with its first byte.
struct Seekable<'a> {
    store: &'a Store,
    digest: Digest,
    draft: Option<Draft>,
}

impl<'a> Seekable<'a> {
    fn new(store: &'a Store, digest: Digest) -> Self {
        Self { store, digest, draft: None }
    }
}

impl Write for Seekable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.draft.is_none() {
            let draft = self.store.draft_derived(Derived::Seekable, self.digest);
            self.draft = Some(draft.map_err(io::Error::other)?);
        }
        self.draft.as_mut().map_or(Ok(0), |draft| draft.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what comes after the first `skip` bytes: those are in the file already.
struct After<'a> {
    skip: u64,
    inner: &'a mut Partial,
}

impl Write for After<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skip as u64;
        self.inner.write_all(bytes.get(skip..).unwrap_or_default())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
