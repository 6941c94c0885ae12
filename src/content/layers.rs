//! Open layers: blob, table of contents, spans, and the seekable form where there is one.
//!
//! A layer is opened when first read, so a mount of a thousand layers opens nothing, and at most
//! [`OPEN`] are open at once, so it does not run out of file descriptors. Nothing here is trusted
//! for what the file system says: the table says whose it is and is checked, and the bytes of a
//! span are checked by whoever decodes them.
//!
//! Locks: `open` is held for a lookup, never while a file is opened. `form` of a layer is held
//! while its seekable form is opened or made, so that it is made once; others who need it wait.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::ContentError;
use crate::layer::Compression;
use crate::layer::resume::{CompressedBytes, SpanDecoder};
use crate::layer::seekable::{self, Seekable};
use crate::layer::span::{Access, SpanNo, SpanTable};
use crate::layer::toc::Toc;
use crate::oci::Digest;
use crate::store::{BlobId, Derived, Store};
use crate::sys::limits;

/// Layers that are open at once, where the limit of descriptors allows it.
const OPEN: usize = 100;

/// Descriptors of one open layer, at most.
const OF_A_LAYER: u64 = 3;

/// Descriptors that are left to everything else.
const OTHERS: u64 = 140;

/// The layers of an image, bottom first.
#[derive(Debug)]
pub(super) struct Layers {
    store: Store,
    blobs: Vec<BlobId>,
    open: Mutex<LruCache<u32, Arc<Layer>>>,
    /// Which layers the log has a line of already.
    told: Vec<AtomicBool>,
}

/// An open layer.
pub(super) struct Layer {
    /// Its position in the image.
    pub(super) number: u32,
    /// Its spans.
    pub(super) spans: SpanTable,
    blob: BlobId,
    bytes: Arc<dyn CompressedBytes>,
    toc: Toc,
    form: Mutex<Form>,
}

/// What is known of a seekable form.
#[derive(Debug, Default)]
struct Form {
    open: Option<Arc<Seekable>>,
    /// It was made by this process: if it is bad nonetheless, making it again will not help.
    made: bool,
}

impl Layers {
    /// Opens nothing yet.
    pub(super) fn new(store: Store, blobs: Vec<BlobId>) -> Self {
        let told = blobs.iter().map(|_| AtomicBool::new(false)).collect();
        Self { store, blobs, open: Mutex::new(LruCache::new(open_at_once())), told }
    }

    /// The store that they are in.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The layer at this position, opened if need be.
    pub(super) fn get(&self, number: u32) -> Result<Arc<Layer>, ContentError> {
        if let Some(layer) = self.lock().get(&number) {
            return Ok(Arc::clone(layer));
        }
        let blob = self.blobs.get(number as usize);
        let blob = blob.ok_or(ContentError::OutOfRange { layer: number, offset: 0 })?;
        let opened = Layer::open(&self.store, number, *blob);
        let layer = Arc::new(opened.map_err(|what| self.damaged(number, what))?);
        self.lock().put(number, Arc::clone(&layer));
        Ok(layer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<u32, Arc<Layer>>> {
        // The cache is whole after every operation on it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error for something wrong with a layer, put into the log the first time.
    pub(super) fn damaged(&self, number: u32, what: impl ToString) -> ContentError {
        let Some(blob) = self.blobs.get(number as usize) else {
            return ContentError::OutOfRange { layer: number, offset: 0 };
        };
        let error = ContentError::Damaged { blob: *blob.digest(), what: what.to_string() };
        let told = self.told.get(number as usize);
        if told.is_some_and(|told| !told.swap(true, Ordering::Relaxed)) {
            log::error!("{error}");
        }
        error
    }
}

fn open_at_once() -> NonZeroUsize {
    let layers = limits::files().saturating_sub(OTHERS) / OF_A_LAYER;
    let layers = usize::try_from(layers).unwrap_or(OPEN).min(OPEN);
    NonZeroUsize::new(layers).unwrap_or(NonZeroUsize::MIN)
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("blob", &self.blob).finish_non_exhaustive()
    }
}

impl Layer {
    fn open(store: &Store, number: u32, blob: BlobId) -> Result<Self, String> {
        let file = store.open_derived(Derived::Toc, &blob).map_err(|error| error.to_string())?;
        let file = file.ok_or("its table of contents is missing")?;
        let toc = Toc::open(file).map_err(|error| error.to_string())?;
        if toc.header().source != *blob.digest() {
            return Err("its table of contents is another layer's".to_owned());
        }
        let file = store.open_blob(&blob).map_err(|error| error.to_string())?;
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        if size != toc.header().source_size {
            return Err(format!("has {size} bytes, not {}", toc.header().source_size));
        }
        let spans = toc.spans().map_err(|error| error.to_string())?;
        let form = Mutex::default();
        Ok(Self { number, spans, blob, bytes: Arc::new(file), toc, form })
    }

    /// The blob's digest.
    pub(super) fn digest(&self) -> &Digest {
        self.blob.digest()
    }

    /// A decoder that leads to `span`.
    pub(super) fn decoder(&self, span: SpanNo) -> Result<SpanDecoder, String> {
        SpanDecoder::enter(Arc::clone(&self.bytes), &self.toc, &self.spans, span)
            .map_err(|error| error.to_string())
    }

    /// Whether a decoder is worth keeping: one of a format with large windows is not.
    pub(super) fn decoders_are_small(&self) -> bool {
        matches!(self.toc.header().compression, Compression::None | Compression::Gzip)
    }

    /// Its blob.
    pub(super) fn bytes(&self) -> Arc<dyn CompressedBytes> {
        Arc::clone(&self.bytes)
    }

    /// Whether its bytes have to be decoded at all.
    pub(super) fn is_compressed(&self) -> bool {
        self.toc.header().compression != Compression::None
    }

    /// Whether a span is looked up in the seekable form and needs no decoder.
    pub(super) fn is_kept(&self, span: SpanNo) -> bool {
        self.spans.get(span).is_some_and(|span| matches!(span.access, Access::Kept { .. }))
    }

    /// Decodes a kept span into `out`, in place of what was there, and checks its digest. A form
    /// that is missing or damaged is made again, once.
    pub(super) fn kept(
        &self,
        store: &Store,
        number: SpanNo,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let span = self.spans.get(number).ok_or("no such span")?;
        let Access::Kept { frame } = span.access else {
            return Err("not a kept span".to_owned());
        };
        let mut last = None;
        loop {
            let form = self.form(store, last.as_ref())?;
            let read = form.read(frame, span.length, out);
            match read {
                Ok(()) if blake3::hash(out) == blake3::Hash::from(span.digest) => return Ok(()),
                Ok(()) => {}
                // Not the form's fault, if it is not damaged.
                Err(error) if error.kind() != std::io::ErrorKind::InvalidData => {
                    return Err(format!("cannot read its seekable form: {error}"));
                }
                Err(_) => {}
            }
            last = Some(form);
        }
    }

    /// The seekable form; a new one if `bad` is the one there was.
    fn form(&self, store: &Store, bad: Option<&Arc<Seekable>>) -> Result<Arc<Seekable>, String> {
        let mut form = self.form.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &form.open {
            if bad.is_none_or(|bad| !Arc::ptr_eq(bad, open)) {
                return Ok(Arc::clone(open));
            }
            if form.made {
                return Err("its seekable form is damaged right after it was made".to_owned());
            }
            form.open = None;
        } else if bad.is_none()
            && let Ok(Some(file)) = store.open_derived(Derived::Seekable, &self.blob)
            && let Ok(found) = Seekable::open(file, self.digest(), self.toc.header().kept)
        {
            return Ok(Arc::clone(form.open.insert(Arc::new(found))));
        }
        log::warn!("layer {}: making its seekable form", self.digest());
        let made = store.put_derived(Derived::Seekable, &self.blob, &mut |draft| {
            let bytes = Arc::clone(&self.bytes);
            seekable::rebuild(bytes, self.toc.header(), &self.spans, draft)
                .map_err(std::io::Error::other)
        });
        // Opened anew: what it gives back is locked for as long as it is open.
        drop(made.map_err(|error| error.to_string())?);
        let file = store.open_derived(Derived::Seekable, &self.blob);
        let file = file.map_err(|error| error.to_string())?;
        let file = file.ok_or("its seekable form was removed right after it was made")?;
        form.made = true;
        let found = Seekable::open(file, self.digest(), self.toc.header().kept);
        let found = Arc::new(found.map_err(|error| error.to_string())?);
        form.open = Some(Arc::clone(&found));
        Ok(found)
    }
}
