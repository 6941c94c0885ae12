//! Where spans end and checkpoints are taken while a layer is decoded from its beginning.
//!
//! The rules: a span ends at 512 KiB. A member or frame start costs nothing to keep, so one is
//! taken as soon as the span has half of that. A block boundary costs a window, so one is looked
//! for only when the last checkpoint is [`SPACING`] behind; until it is found the span may grow to
//! [`SPAN_MAX`]. What lies too far behind a checkpoint is kept in the seekable form.
//!
//! The spacing, measured on the layer of `node` that compresses best (574 MB, 141 MB as gzip -6, so
//! the one with the largest tables; 0.9 % of it are entries):
//!
//! | spacing | table, of the blob | random span, median, 95 % | the pass, processor time |
//! |---|---|---|---|
//! | 1 MiB | 4.2 % | 1.0 ms, 2.3 ms | 1.62 s |
//! | 2 MiB | 2.6 % | 1.6 ms, 3.9 ms | 1.49 s |
//! | 4 MiB | 1.7 % | 3.0 ms, 7.0 ms | 1.39 s |
//! | none | 0.9 % | - | 1.40 s |

use super::Compression;
use super::span::{REACH, SPAN, SPAN_MAX};
use crate::codec::{Checkpoint, Until};

/// Uncompressed bytes from one checkpoint inside a gzip member to the next.
const SPACING: u64 = 2 << 20;

/// How a span begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opening {
    /// Decoding can begin here.
    At(Checkpoint),
    /// It goes on from the span before, somewhere behind this offset in the blob.
    Follows(u64),
    /// No checkpoint is near.
    Kept,
}

/// Counts decoded bytes and says what to do.
#[derive(Debug)]
pub(super) struct Cutter {
    /// Bytes in the open span.
    span: u64,
    /// Bytes since the last checkpoint.
    since: u64,
    /// From how many bytes in a span on a free checkpoint is welcome.
    start_from: u64,
    /// How far a checkpoint leads.
    reach: u64,
}

impl Cutter {
    /// At the beginning of a layer.
    pub(super) fn new(compression: Compression) -> Self {
        let start_from = if compression == Compression::None { SPAN } else { SPAN / 2 };
        let reach = match compression {
            Compression::None | Compression::Gzip => REACH,
            // Half: here it is no rare exception, and a random read should stay within 5 ms.
            Compression::Zstd => REACH / 2,
            // Too slow to decode anything that is not wanted.
            Compression::Xz | Compression::Bzip2 => 0,
        };
        // As if much had gone before: the first thing wanted is the checkpoint at offset 0.
        Self { span: SPAN, since: SPACING, start_from, reach }
    }

    /// Which checkpoints the decoder shall stop at.
    pub(super) fn until(&self) -> Until {
        if self.since >= SPACING {
            Until::Block
        } else if self.span >= self.start_from {
            Until::Start
        } else {
            Until::Full
        }
    }

    /// The most bytes that may be decoded before asking again.
    pub(super) fn room(&self) -> u64 {
        let span = [self.start_from, self.most()].map(|most| most.saturating_sub(self.span));
        let nearest = |all: &[u64]| all.iter().copied().filter(|room| *room > 0).min();
        nearest(&[span[0], span[1], SPACING.saturating_sub(self.since)]).unwrap_or(1)
    }

    /// Counts decoded bytes.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.span += bytes;
        self.since += bytes;
    }

    /// The decoder stopped at a checkpoint: a new span begins.
    pub(super) fn checkpoint(&mut self) {
        self.span = 0;
        self.since = 0;
    }

    /// Whether the open span is as long as it may be. If so, a new one begins here; `offset` is
    /// where the decoder stands in the blob.
    pub(super) fn cut(&mut self, offset: u64) -> Option<Opening> {
        if self.span < self.most() {
            return None;
        }
        self.span = 0;
        Some(if self.since < self.reach { Opening::Follows(offset) } else { Opening::Kept })
    }

    fn most(&self) -> u64 {
        if self.since >= SPACING || self.start_from == SPAN { SPAN_MAX } else { SPAN }
    }
}
