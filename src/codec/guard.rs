//! What decoding may cost: bytes out against bytes in, both ways.
//!
//! Out of few bytes may not come many (a bomb), but for runs of zeros, of which honest images are
//! full: a lastlog of large user numbers, a swap file, a database made ahead. Those are bounded by
//! `unpacked` alone. Out of many bytes may not come few: a name in a gzip header, empty members and
//! blocks, skippable frames and padding can go on for as long as somebody sends them.

use super::Decode;
use crate::limits::{Exceeded, Limit, Limits, RATIO_FREE};

/// Zeros count as a run from this many on, in bytes: a block of a tar.
const RUN: usize = 512;

/// Below this ratio nobody looks for zeros: such bytes cannot lead to a ratio that is refused.
const SUSPECT: u64 = 64;

/// Counts what comes out of one decoder.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    unpacked: u64,
    /// The same without runs of zeros.
    counted: u64,
    /// Compressed bytes that were used.
    used: u64,
}

impl Guard {
    /// Nothing was decoded yet.
    pub fn new(limits: &Limits) -> Self {
        Self { limits: *limits, unpacked: 0, counted: 0, used: 0 }
    }

    /// Before each call of the decoder: how far it may go.
    pub(crate) fn allow(&self, decoder: &mut dyn Decode) {
        let most = self.limits.overhead;
        let until = self.unpacked.saturating_mul(2).saturating_add(most);
        decoder.allow(until, Exceeded { limit: Limit::Overhead, most });
    }

    /// After each call: these bytes came out of it.
    ///
    /// # Errors
    /// When they are too many.
    pub(crate) fn pass(&mut self, bytes: &[u8], decoder: &dyn Decode) -> Result<(), Exceeded> {
        let count = bytes.len() as u64;
        let used = decoder.offset();
        let dense = count / SUSPECT <= used.saturating_sub(self.used);
        self.used = used;
        self.unpacked += count;
        self.counted += if dense { count } else { without_zeros(bytes) };
        self.limits.hold(Limit::Unpacked, self.unpacked)?;
        if self.counted > RATIO_FREE {
            self.limits.hold(Limit::Ratio, self.counted / used.max(1))?;
        }
        Ok(())
    }
}

/// How many bytes there are outside of runs of zeros.
fn without_zeros(bytes: &[u8]) -> u64 {
    let blocks = bytes.chunks(RUN).filter(|block| block.iter().any(|byte| *byte != 0));
    blocks.map(|block| block.len() as u64).sum()
}
