//! The body of a mapped table, handed out only where its checks hold.
//!
//! One bit a chunk says that the chunk was checked, another that this process may have its pages
//! mapped. Mapped pages count as memory of the process for as long as they are mapped, and a
//! million files fill a hundred megabytes; so when more chunks were touched than [`MAPPED_MAX`],
//! all are let go at once. What is needed comes back from the system's cache at the next touch,
//! 64 KiB at a page fault; slices that are in use stay valid all the time.
//!
//! No lock: bits are only hints. Two threads may check one chunk twice or let go one chunk too
//! many; neither changes what is read.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::format::{CHECK, CHUNK};
use crate::sys::map::Map;

/// How many chunks (64 KiB each) may be mapped before all are let go: 1 MiB. A walk over all names
/// has one in each of five sections; with 16 MiB it was no faster.
const MAPPED_MAX: usize = 16;

/// The checked bytes between header and table of checks.
#[derive(Debug)]
pub(super) struct Body {
    map: Map,
    /// Where in the file the body begins.
    start: usize,
    length: u64,
    checks: Box<[[u8; CHECK]]>,
    checked: Bits,
    mapped: Bits,
    mapped_count: AtomicUsize,
}

impl Body {
    /// `checks` has one entry a chunk of the `length` bytes from `start` on, which are in the map.
    pub fn new(map: Map, start: usize, length: u64, checks: Box<[[u8; CHECK]]>) -> Self {
        let (checked, mapped) = (Bits::new(checks.len()), Bits::new(checks.len()));
        Self { map, start, length, checks, checked, mapped, mapped_count: AtomicUsize::new(0) }
    }

    /// The bytes `[start, start + length)` of the body.
    pub fn bytes(&self, start: u64, length: u64) -> Result<&[u8], &'static str> {
        let outside = "an offset points outside the table";
        let end = start.checked_add(length).filter(|&end| end <= self.length).ok_or(outside)?;
        if length == 0 {
            return Ok(&[]);
        }
        for chunk in chunks(start, end).ok_or(outside)? {
            if !self.mapped.has(chunk) {
                self.touch(chunk)?;
            }
        }
        self.slice(start, end).ok_or(outside)
    }

    fn touch(&self, chunk: usize) -> Result<(), &'static str> {
        if !self.checked.has(chunk) {
            let start = chunk as u64 * CHUNK as u64;
            let bytes = self.slice(start, (start + CHUNK as u64).min(self.length));
            let sum = bytes.map(blake3::hash).ok_or("a chunk is outside the file")?;
            if self.checks.get(chunk).map(<[u8; CHECK]>::as_slice) != sum.as_bytes().get(..CHECK) {
                return Err("a chunk does not match its checksum");
            }
            self.checked.set(chunk);
        }
        if self.mapped.set(chunk) && self.mapped_count.fetch_add(1, Ordering::Relaxed) >= MAPPED_MAX
        {
            self.mapped_count.store(0, Ordering::Relaxed);
            self.mapped.clear();
            self.map.release();
        }
        Ok(())
    }

    fn slice(&self, start: u64, end: u64) -> Option<&[u8]> {
        let body = self.map.get(self.start..)?;
        body.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}

/// The chunks that `[start, end)` lies in; it is not empty.
fn chunks(start: u64, end: u64) -> Option<RangeInclusive<usize>> {
    let first = usize::try_from(start / CHUNK as u64).ok()?;
    let last = usize::try_from((end - 1) / CHUNK as u64).ok()?;
    Some(first..=last)
}

/// A fixed number of bits, set and read by many threads.
#[derive(Debug)]
struct Bits(Box<[AtomicU64]>);

impl Bits {
    fn new(count: usize) -> Self {
        Self((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// A bit that does not exist is not set.
    fn has(&self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word.load(Ordering::Relaxed) >> (bit % 64) & 1 == 1)
    }

    /// Whether this call set it.
    fn set(&self, bit: usize) -> bool {
        let mask = 1 << (bit % 64);
        let word = self.0.get(bit / 64);
        word.is_some_and(|word| word.fetch_or(mask, Ordering::Relaxed) & mask == 0)
    }

    fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}
