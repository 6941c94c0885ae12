//! Counters of one mount's reads, for `shale stats`. Relaxed atomics: each is exact, together they
//! are a snapshot of no single moment.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What was read and what it cost.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls of `Content::read`.
    pub reads: AtomicU64,
    /// Bytes handed out.
    pub bytes_served: AtomicU64,
    /// Uncompressed bytes decoded.
    pub bytes_decoded: AtomicU64,
    /// Spans decoded.
    pub spans_decoded: AtomicU64,
    /// Bytes of decoded spans in the cache now.
    pub bytes_cached: AtomicU64,
    /// Spans found in the cache.
    pub cache_hits: AtomicU64,
    /// Times a reader waited for a span that somebody else was decoding.
    pub waits: AtomicU64,
    /// Times decoding began at a checkpoint (rather than going on with a kept decoder).
    pub resumes: AtomicU64,
    /// Nanoseconds spent decoding and checking, over all threads.
    pub decode_nanos: AtomicU64,
    /// Spans written to disk because readers come back to them.
    pub spans_swapped: AtomicU64,
    /// Bytes of the disk that they take until the end.
    pub bytes_swapped: AtomicU64,
    /// Times bytes came from spans on disk: a span, or a small file.
    pub swap_reads: AtomicU64,
    /// Bytes served from extracted files.
    pub extracted_bytes_served: AtomicU64,
    /// Files extracted.
    pub files_extracted: AtomicU64,
}

impl Stats {
    /// All of them by name.
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        vec![
            ("reads", of(&self.reads)),
            ("bytes_served", of(&self.bytes_served)),
            ("bytes_decoded", of(&self.bytes_decoded)),
            ("spans_decoded", of(&self.spans_decoded)),
            ("bytes_cached", of(&self.bytes_cached)),
            ("cache_hits", of(&self.cache_hits)),
            ("waits", of(&self.waits)),
            ("resumes", of(&self.resumes)),
            ("decode_nanos", of(&self.decode_nanos)),
            ("spans_swapped", of(&self.spans_swapped)),
            ("bytes_swapped", of(&self.bytes_swapped)),
            ("swap_reads", of(&self.swap_reads)),
            ("extracted_bytes_served", of(&self.extracted_bytes_served)),
            ("files_extracted", of(&self.files_extracted)),
        ]
    }
}
