//! One flight after the other: a run of spans is decoded, counted, cached and given to who waits.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::decoded::Decoded;
use super::flight::Flight;
use super::layers::{Layer, Layers};
use super::spans::{Key, Parked, Spans};
use super::{ContentError, Stats};
use crate::layer::resume::SpanDecoder;
use crate::layer::span::SpanNo;

/// Where the bytes of a span came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Blob,
    Swap,
}

/// A run of spans to be decoded.
#[derive(Debug)]
pub(super) struct Job<'a> {
    spans: &'a Spans,
    layers: &'a Layers,
    layer: &'a Arc<Layer>,
    /// Stands at the first of them; `None`: to be made.
    decoder: Option<SpanDecoder>,
    /// The one to give out; `None`: the last.
    wanted: Option<SpanNo>,
    /// Those that have not landed.
    flights: std::vec::IntoIter<(Key, Arc<Flight>)>,
    stats: &'a Stats,
}

impl<'a> Job<'a> {
    /// Decodes `flights`, at the first of which `decoder` stands.
    pub(super) fn new(
        spans: &'a Spans,
        layers: &'a Layers,
        layer: &'a Arc<Layer>,
        decoder: Option<SpanDecoder>,
        flights: Vec<(Key, Arc<Flight>)>,
        stats: &'a Stats,
    ) -> Self {
        Self { spans, layers, layer, decoder, wanted: None, flights: flights.into_iter(), stats }
    }

    /// The same, for a span before the last.
    pub(super) fn wanting(mut self, wanted: SpanNo) -> Self {
        self.wanted = Some(wanted);
        self
    }

    /// Decodes them all; the one that is wanted, also when there is damage behind it.
    pub(super) fn fly(mut self) -> Result<Arc<Decoded>, ContentError> {
        let mut found = None;
        while let Some((key, flight)) = self.flights.next() {
            // A panic between here and landing is caught by nobody else.
            let landing = Landing { spans: self.spans, key, flight: &flight };
            let started = Instant::now();
            let mut bytes = self.spans.spare.take();
            let decoded = self.decode(key.1, &mut bytes);
            let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.stats.decode_nanos.fetch_add(nanos, Relaxed);
            let from = match decoded {
                Ok(from) => from,
                Err(what) => {
                    let error = self.layers.damaged(key.0, what);
                    landing.land(Err(error.clone()));
                    self.fail(&error);
                    return found.ok_or(error);
                }
            };
            self.account(key, &bytes, from);
            let span = Arc::new(Decoded::new(bytes, &self.spans.spare));
            let park = if self.flights.len() == 0 { self.decoder.take() } else { None };
            // Before it lands: who waits for it may want the next one at once.
            let small = self.layer.decoders_are_small();
            let parked = park.map(|decoder| Parked { layer: key.0, small, decoder });
            let cached = self.spans.keep(key, &span, from, parked);
            self.stats.bytes_cached.store(cached as u64, Relaxed);
            landing.land(Ok(Arc::clone(&span)));
            if self.wanted.is_none_or(|wanted| wanted == key.1) {
                found = Some(span);
            }
        }
        found.ok_or_else(|| self.layers.damaged(self.layer.number, "no span to decode"))
    }

    /// Counts a span, and has it written to disk when it is one that readers come back to.
    fn account(&self, key: Key, bytes: &[u8], from: Origin) {
        if from == Origin::Swap {
            self.stats.swap_reads.fetch_add(1, Relaxed);
            return;
        }
        self.stats.spans_decoded.fetch_add(1, Relaxed);
        self.stats.bytes_decoded.fetch_add(bytes.len() as u64, Relaxed);
        if self.spans.swap.decoded(self.layers.store(), self.layer, key, bytes) {
            self.stats.spans_swapped.fetch_add(1, Relaxed);
            self.stats.bytes_swapped.store(self.spans.swap.bytes(), Relaxed);
        }
    }

    /// Decodes the next span into `bytes`.
    fn decode(&mut self, number: SpanNo, bytes: &mut Vec<u8>) -> Result<Origin, String> {
        if self.decoder.is_none()
            && let Some(place) = self.spans.swap.find(self.layer, number)
            && let Some(span) = self.layer.spans.get(number)
        {
            if place.read(&span, bytes) {
                return Ok(Origin::Swap);
            }
            self.spans.swap.forget(&(self.layer.number, number));
        }
        if self.layer.is_kept(number) {
            self.layer.kept(self.layers.store(), number, bytes)?;
            return Ok(Origin::Blob);
        }
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => {
                self.stats.resumes.fetch_add(1, Relaxed);
                none.insert(self.layer.decoder(number)?)
            }
        };
        // More than one only after the swap failed.
        while decoder.next() <= number {
            decoder.decode(&self.layer.spans, bytes).map_err(|error| error.to_string())?;
        }
        Ok(Origin::Blob)
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
        self.spans.flown(&self.key);
        self.flight.land(result);
        std::mem::forget(self);
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.spans.flown(&self.key);
        let offset = u64::from(self.key.1.0);
        self.flight.land(Err(ContentError::OutOfRange { layer: self.key.0, offset }));
    }
}
