//! Decoded spans: a bounded cache, one decoder a stream, every span decoded once.
//!
//! A span that is wanted is, in this order: in the cache; being decoded by somebody, who is
//! waited for (*single flight*); about to be reached by somebody who decodes the spans before it,
//! who is waited for too; decoded here. Decoding goes on with a parked decoder that stands at the
//! span, or between its checkpoint and it; else it begins at the checkpoint. A reader that goes
//! through a layer in order therefore enters it once and inflates each byte once, also when it
//! goes through several layers by turns, and so do two readers of the same stretch.
//!
//! What is given out was checked against its digest, each time it was decoded.
//!
//! One lock, `state`: held for lookups and insertions, never while decoding, reading or waiting.
//! A flight ends whatever happens, even a panic, because its [`Job`] ends it when dropped; nobody
//! who flies waits for another flight. So no wait is for ever.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lru::LruCache;

use super::budget::Budget;
use super::flight::Flight;
use super::layers::{Layer, Layers};
use super::{ContentError, Stats};
use crate::layer::resume::SpanDecoder;
use crate::layer::span::SpanNo;

/// Decoders with windows of many MiB that are parked at once.
const PARKED_LARGE: usize = 1;

/// Buffers kept for the next span.
const SPARE: usize = 2;

/// Which span of which layer.
pub(super) type Key = (u32, SpanNo);

/// The cache of decoded spans.
#[derive(Debug)]
pub(super) struct Spans {
    state: Mutex<State>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

#[derive(Debug)]
struct State {
    cache: LruCache<Key, Arc<Decoded>>,
    /// Bytes in the cache.
    bytes: usize,
    budget: Budget<Key>,
    flights: HashMap<Key, Arc<Flight>>,
    /// The one parked last is last.
    parked: Vec<Parked>,
    /// Small decoders that are parked at once: as many streams can be read by turns.
    streams: usize,
}

/// The bytes of a span, checked.
#[derive(Debug)]
pub(super) struct Decoded {
    bytes: Vec<u8>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl std::ops::Deref for Decoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Decoded {
    fn drop(&mut self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// A decoder that waits for the next span to be wanted.
#[derive(Debug)]
struct Parked {
    layer: u32,
    small: bool,
    decoder: SpanDecoder,
}

/// What to do about a span that is wanted.
enum Plan<'a> {
    Have(Arc<Decoded>),
    /// Somebody decodes it.
    Wait(Arc<Flight>),
    /// Somebody decodes a span before it; look again then.
    WaitForBefore(Arc<Flight>),
    Fly(Job<'a>),
}

impl Spans {
    /// A cache of so many bytes (one span is always kept, whatever its size), for so many `streams`
    /// read by turns.
    pub(super) fn new(budget: Budget<Key>, streams: usize) -> Self {
        let state = State {
            cache: LruCache::unbounded(),
            bytes: 0,
            budget,
            flights: HashMap::new(),
            parked: Vec::new(),
            streams,
        };
        Self { state: Mutex::new(state), spare: Arc::default() }
    }

    /// The bytes of a span.
    pub(super) fn get(
        &self,
        layers: &Layers,
        layer: &Arc<Layer>,
        wanted: SpanNo,
        stats: &Stats,
    ) -> Result<Arc<Decoded>, ContentError> {
        let mut first = true;
        loop {
            let plan = self.plan(layers, layer, wanted, stats);
            if !matches!(plan, Plan::Have(_)) {
                first = false;
            }
            match plan {
                Plan::Have(span) => {
                    stats.cache_hits.fetch_add(u64::from(first), Relaxed);
                    return Ok(span);
                }
                Plan::Wait(flight) => {
                    stats.waits.fetch_add(1, Relaxed);
                    return flight.wait();
                }
                // If it failed, the next plan is to try it here.
                Plan::WaitForBefore(flight) => drop(flight.wait()),
                Plan::Fly(job) => return job.fly(),
            }
        }
    }

    /// Whether a span is there or on its way.
    pub(super) fn has(&self, layer: u32, span: SpanNo) -> bool {
        self.lock().has((layer, span))
    }

    /// Decodes a span that may be wanted soon, when that costs nothing that a reader would have to
    /// pay again: when a decoder stands at it, or none is needed. A request that comes too late,
    /// for a span that was read and forgotten meanwhile, finds the decoder further on.
    pub(super) fn get_ahead(
        &self,
        layers: &Layers,
        layer: &Arc<Layer>,
        wanted: SpanNo,
        stats: &Stats,
    ) {
        let key = (layer.number, wanted);
        let job = {
            let mut state = self.lock();
            if state.has(key) {
                return;
            }
            let decoder = state.unpark(layer.number, wanted, wanted);
            if decoder.is_none() && !layer.is_kept(wanted) {
                return;
            }
            self.job(&mut state, layers, layer, decoder, wanted..=wanted, stats)
        };
        // A reader that wants it meets the error itself.
        drop(job.fly());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic happens while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan<'a>(
        &'a self,
        layers: &'a Layers,
        layer: &'a Arc<Layer>,
        wanted: SpanNo,
        stats: &'a Stats,
    ) -> Plan<'a> {
        let mut state = self.lock();
        if let Some(span) = state.cache.get(&(layer.number, wanted)) {
            return Plan::Have(Arc::clone(span));
        }
        if let Some(flight) = state.flights.get(&(layer.number, wanted)) {
            return Plan::Wait(Arc::clone(flight));
        }
        // A kept span has no checkpoint and nothing before it matters.
        let checkpoint = layer.spans.checkpoint(wanted).unwrap_or(wanted);
        let before = (checkpoint.0..wanted.0).rev();
        let mut before = before.map(|number| (layer.number, SpanNo(number)));
        if let Some(flight) = before.find_map(|key| state.flights.get(&key)) {
            return Plan::WaitForBefore(Arc::clone(flight));
        }
        let decoder = state.unpark(layer.number, checkpoint, wanted);
        let first = decoder.as_ref().map_or(checkpoint, SpanDecoder::next);
        Plan::Fly(self.job(&mut state, layers, layer, decoder, first..=wanted, stats))
    }

    /// The job of decoding `range`, at the first of which `decoder` stands; others wait for it from
    /// now on.
    fn job<'a>(
        &'a self,
        state: &mut State,
        layers: &'a Layers,
        layer: &'a Arc<Layer>,
        decoder: Option<SpanDecoder>,
        range: RangeInclusive<SpanNo>,
        stats: &'a Stats,
    ) -> Job<'a> {
        let flights: Vec<_> = (range.start().0..=range.end().0)
            .map(|number| ((layer.number, SpanNo(number)), Arc::new(Flight::default())))
            .collect();
        for (key, flight) in &flights {
            state.flights.insert(*key, Arc::clone(flight));
        }
        Job { spans: self, layers, layer, decoder, flights: flights.into_iter(), stats }
    }

    fn spare(&self) -> Vec<u8> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}

impl State {
    /// Whether a span is there or on its way.
    fn has(&self, key: Key) -> bool {
        self.cache.contains(&key) || self.flights.contains_key(&key)
    }

    /// The parked decoder that stands nearest before `wanted`, at or after `checkpoint`.
    fn unpark(&mut self, layer: u32, checkpoint: SpanNo, wanted: SpanNo) -> Option<SpanDecoder> {
        let range = checkpoint..=wanted;
        let fits =
            |parked: &Parked| parked.layer == layer && range.contains(&parked.decoder.next());
        let (at, _) = self
            .parked
            .iter()
            .enumerate()
            .filter(|(_, parked)| fits(parked))
            .max_by_key(|(_, parked)| parked.decoder.next())?;
        Some(self.parked.remove(at).decoder)
    }

    /// Parks a decoder. Gives back those that there is no room for, to be dropped without the lock.
    fn park(&mut self, parked: Parked) -> Option<Parked> {
        let small = parked.small;
        let most = if small { self.streams } else { PARKED_LARGE };
        self.parked.push(parked);
        let count = self.parked.iter().filter(|parked| parked.small == small).count();
        let oldest = self.parked.iter().position(|parked| parked.small == small)?;
        (count > most).then(|| self.parked.remove(oldest))
    }

    /// Puts a span into the cache. Gives back those that had to leave, to be dropped without the
    /// lock.
    fn insert(&mut self, key: Key, span: &Arc<Decoded>) -> Vec<Arc<Decoded>> {
        let mut gone = Vec::new();
        self.budget.decoded(&key);
        self.bytes += span.len();
        if let Some((_, old)) = self.cache.push(key, Arc::clone(span)) {
            self.bytes -= old.len();
            gone.push(old);
        }
        while self.bytes > self.budget.limit() && self.cache.len() > 1 {
            let Some((key, old)) = self.cache.pop_lru() else { break };
            self.budget.gone(key);
            self.bytes -= old.len();
            gone.push(old);
        }
        gone
    }
}

/// A run of spans to be decoded, the last of which is wanted.
struct Job<'a> {
    spans: &'a Spans,
    layers: &'a Layers,
    layer: &'a Arc<Layer>,
    /// Stands at the first of them; `None`: to be made.
    decoder: Option<SpanDecoder>,
    /// Those that have not landed.
    flights: std::vec::IntoIter<(Key, Arc<Flight>)>,
    stats: &'a Stats,
}

impl Job<'_> {
    /// Decodes them all; the last one.
    fn fly(mut self) -> Result<Arc<Decoded>, ContentError> {
        let mut last = None;
        while let Some((key, flight)) = self.flights.next() {
            // A panic between here and landing is caught by nobody else.
            let landing = Landing { spans: self.spans, key, flight: &flight };
            let started = Instant::now();
            let mut bytes = self.spans.spare();
            let decoded = self.decode(key.1, &mut bytes);
            let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.stats.decode_nanos.fetch_add(nanos, Relaxed);
            if let Err(what) = decoded {
                let error = self.layers.damaged(key.0, what);
                landing.land(Err(error.clone()));
                self.fail(&error);
                return Err(error);
            }
            self.stats.spans_decoded.fetch_add(1, Relaxed);
            self.stats.bytes_decoded.fetch_add(bytes.len() as u64, Relaxed);
            let span = Arc::new(Decoded { bytes, spare: Arc::clone(&self.spans.spare) });
            let park = if self.flights.len() == 0 { self.decoder.take() } else { None };
            let (gone, unparked) = {
                let mut state = self.spans.lock();
                let gone = state.insert(key, &span);
                self.stats.bytes_cached.store(state.bytes as u64, Relaxed);
                // Before it lands: who waits for it may want the next one at once.
                let small = self.layer.decoders_are_small();
                let parked = park.map(|decoder| Parked { layer: key.0, small, decoder });
                (gone, parked.and_then(|parked| state.park(parked)))
            };
            drop((gone, unparked));
            landing.land(Ok(Arc::clone(&span)));
            last = Some(span);
        }
        last.ok_or_else(|| self.layers.damaged(self.layer.number, "no span to decode"))
    }

    /// Decodes the next span into `bytes`.
    fn decode(&mut self, number: SpanNo, bytes: &mut Vec<u8>) -> Result<(), String> {
        if self.layer.is_kept(number) {
            return self.layer.kept(self.layers.store(), number, bytes);
        }
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => {
                self.stats.resumes.fetch_add(1, Relaxed);
                none.insert(self.layer.decoder(number)?)
            }
        };
        decoder.decode(&self.layer.spans, bytes).map_err(|error| error.to_string())
    }

    /// Ends all flights that have not landed.
    fn fail(&mut self, error: &ContentError) {
        for (key, flight) in self.flights.by_ref() {
            Landing { spans: self.spans, key, flight: &flight }.land(Err(error.clone()));
        }
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        if self.flights.len() > 0 {
            let error = self.layers.damaged(self.layer.number, "decoding was given up");
            self.fail(&error);
        }
    }
}

/// Ends one flight, also when dropped.
struct Landing<'a> {
    spans: &'a Spans,
    key: Key,
    flight: &'a Flight,
}

impl Landing<'_> {
    fn land(self, result: Result<Arc<Decoded>, ContentError>) {
        self.spans.lock().flights.remove(&self.key);
        self.flight.land(result);
        std::mem::forget(self);
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.spans.lock().flights.remove(&self.key);
        let offset = u64::from(self.key.1.0);
        self.flight.land(Err(ContentError::OutOfRange { layer: self.key.0, offset }));
    }
}
