//! Decoded spans: a bounded cache, one decoder a stream, every span decoded once.
//!
//! A span that is wanted is, in this order: in the cache; being decoded by somebody, who is
//! waited for (*single flight*); on disk, where readers come back ([`super::swap`]); about to be
//! reached by somebody who decodes the spans before it, who is waited for too; decoded here. Decoding goes on with a parked decoder that stands at the
//! span, or between its checkpoint and it; else it begins at the checkpoint. A reader that goes
//! through a layer in order therefore enters it once and inflates each byte once, also when it
//! goes through several layers by turns, and so do two readers of the same stretch.
//!
//! What is given out was checked against its digest, each time it was decoded or read from disk.
//!
//! One lock, `state`: held for lookups and insertions, never while decoding, reading or waiting. That
//! of the swap is taken after it, never before.
//! A flight ends whatever happens, even a panic, because its [`Job`] ends it when dropped; nobody
//! who flies waits for another flight. So no wait is for ever.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::budget::Budget;
use super::decoded::{Decoded, Spare};
use super::flight::Flight;
use super::job::{Job, Origin};
use super::layers::{Layer, Layers};
use super::swap::Swap;
use super::{ContentError, Stats};
use crate::layer::resume::SpanDecoder;
use crate::layer::span::SpanNo;

/// Decoders with windows of many MiB that are parked at once.
const PARKED_LARGE: usize = 1;

/// Which span of which layer.
pub(super) type Key = (u32, SpanNo);

/// The cache of decoded spans.
#[derive(Debug)]
pub(super) struct Spans {
    state: Mutex<State>,
    pub(super) spare: Arc<Spare>,
    /// Those that are wanted again and again.
    pub(super) swap: Swap,
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

/// A decoder that waits for the next span to be wanted.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) layer: u32,
    pub(super) small: bool,
    pub(super) decoder: SpanDecoder,
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
    pub(super) fn new(budget: Budget<Key>, streams: usize, swap: Swap) -> Self {
        let state = State {
            cache: LruCache::unbounded(),
            bytes: 0,
            budget,
            flights: HashMap::new(),
            parked: Vec::new(),
            streams,
        };
        Self { state: Mutex::new(state), spare: Arc::default(), swap }
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
            let swapped = self.swap.has(&key);
            let decoder = if swapped { None } else { state.unpark(layer.number, wanted, wanted) };
            if decoder.is_none() && !swapped && !layer.is_kept(wanted) {
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

    /// Takes a span into the cache, and a decoder that stands behind it. Gives the bytes in the cache.
    pub(super) fn keep(
        &self,
        key: Key,
        span: &Arc<Decoded>,
        from: Origin,
        parked: Option<Parked>,
    ) -> usize {
        let (gone, unparked, bytes) = {
            let mut state = self.lock();
            let gone = state.insert(key, span, from);
            (gone, parked.and_then(|parked| state.park(parked)), state.bytes)
        };
        // What had to give way is dropped without the lock.
        drop((gone, unparked));
        bytes
    }

    /// A span is not on its way any more.
    pub(super) fn flown(&self, key: &Key) {
        self.lock().flights.remove(key);
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
        if self.swap.has(&(layer.number, wanted)) {
            return Plan::Fly(self.job(&mut state, layers, layer, None, wanted..=wanted, stats));
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
        let last = if self.swap.is_open() { state.stretch(layer, wanted) } else { wanted };
        let job = self.job(&mut state, layers, layer, decoder, first..=last, stats);
        Plan::Fly(job.wanting(wanted))
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
        Job::new(self, layers, layer, decoder, flights, stats)
    }
}

impl State {
    /// Whether a span is there or on its way.
    fn has(&self, key: Key) -> bool {
        self.cache.contains(&key) || self.flights.contains_key(&key)
    }

    /// The last span after `wanted` that is reached from the same checkpoint, with none on its way in
    /// between.
    fn stretch(&self, layer: &Layer, wanted: SpanNo) -> SpanNo {
        let checkpoint = layer.spans.checkpoint(wanted);
        let mut last = wanted;
        while checkpoint.is_some()
            && layer.spans.checkpoint(last.next()) == checkpoint
            && !self.flights.contains_key(&(layer.number, last.next()))
        {
            last = last.next();
        }
        last
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
    fn insert(&mut self, key: Key, span: &Arc<Decoded>, from: Origin) -> Vec<Arc<Decoded>> {
        let mut gone = Vec::new();
        if from == Origin::Blob {
            self.budget.decoded(&key);
        }
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
