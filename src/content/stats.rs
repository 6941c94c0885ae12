//! Counters of one mount's reads, for `shale stats`. Relaxed atomics: each is exact, together they
//! are a snapshot of no single moment.

use std::sync::atomic::AtomicU64;

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
    /// Bytes served from extracted files.
    pub extracted_bytes_served: AtomicU64,
    /// Files extracted.
    pub files_extracted: AtomicU64,
}
