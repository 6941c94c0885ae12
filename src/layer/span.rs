//! Spans: the pieces in which a layer's uncompressed bytes are decoded, checked and cached.
//!
//! ```text
//! uncompressed  |---span---|---span---|---span---|----span----|---span---|---span--
//!               ^ Block    ^ Follows  ^ Follows  ^ Follows    ^ Block    ^ Follows
//! compressed    |-----------------------------------|---------------------------
//! ```
//!
//! A span has a BLAKE3 of its bytes, so it is the least that can be checked and the unit of
//! everything above. Every few spans begin at a checkpoint, where decoding can begin; the others
//! follow their predecessor in the same stream. Two sizes rather than one because they pull
//! different ways: checkpoints cost a window each, so they are rare; a checked piece should be
//! small, so that a random read need not decode to the next checkpoint and the cache is fine
//! grained. Spans that no checkpoint is near of ([`Access::Kept`]) are looked up in the layer's
//! seekable form.
//!
//! The table is 64 bytes a span, little-endian, exactly as in the TOC file; it is checked whole
//! when it is loaded, so that no later access can go out of bounds.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Compression;

/// The usual length of a span in bytes.
pub const SPAN: u64 = 512 << 10;

/// The most that a span may have.
pub const SPAN_MAX: u64 = 1 << 20;

/// How far behind a checkpoint a span may lie; further on it is kept in the seekable form.
pub const REACH: u64 = 8 << 20;

/// Position of a span in its layer's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanNo(pub u32);

impl SpanNo {
    /// The one after it.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first byte in the uncompressed tar.
    pub start: u64,
    /// Bytes, 1 to [`SPAN_MAX`].
    pub length: u32,
    /// BLAKE3 of its bytes.
    pub digest: [u8; 32],
    /// How to get at them.
    pub access: Access,
}

impl Span {
    /// Offset of the first byte after it.
    pub fn end(&self) -> u64 {
        self.start + u64::from(self.length)
    }
}

/// How to get at a span's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Decoding can begin at this byte of the blob without anything else.
    Start {
        /// Offset in the blob.
        offset: u64,
    },
    /// Decoding can begin in the middle of a gzip member.
    Block {
        /// Offset in the blob of the first byte needed.
        offset: u64,
        /// How many of that byte's highest bits; 0 means all 8.
        bits: u8,
        /// The output before the span.
        window: WindowRef,
    },
    /// It follows the span before it in the stream.
    Follows {
        /// About where the decoder stood in the blob: good for an estimate, not for entering.
        offset: u64,
    },
    /// It is in the layer's seekable form.
    Kept {
        /// Position there.
        frame: u32,
    },
}

/// Where in the TOC file a checkpoint's window is, zstd-compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRef {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub length: u16,
}

/// A span as it is in the file.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Record {
    start: U64,
    /// Offset in the blob, or position in the seekable form.
    offset: U64,
    window_offset: U64,
    length: U32,
    window_length: U16,
    bits: u8,
    access: u8,
    digest: [u8; 32],
}

const START: u8 = 0;
const BLOCK: u8 = 1;
const FOLLOWS: u8 = 2;
const KEPT: u8 = 3;

impl Record {
    pub(super) fn of(span: &Span) -> Self {
        let mut record = Self {
            start: span.start.into(),
            offset: 0.into(),
            window_offset: 0.into(),
            length: span.length.into(),
            window_length: 0.into(),
            bits: 0,
            access: START,
            digest: span.digest,
        };
        match span.access {
            Access::Start { offset } => record.offset = offset.into(),
            Access::Block { offset, bits, window } => {
                record.access = BLOCK;
                record.offset = offset.into();
                record.bits = bits;
                record.window_offset = window.offset.into();
                record.window_length = window.length.into();
            }
            Access::Follows { offset } => {
                record.access = FOLLOWS;
                record.offset = offset.into();
            }
            Access::Kept { frame } => {
                record.access = KEPT;
                record.offset = u64::from(frame).into();
            }
        }
        record
    }

    /// The span, or what makes it none.
    fn span(&self) -> Result<Span, &'static str> {
        let offset = self.offset.get();
        let window =
            WindowRef { offset: self.window_offset.get(), length: self.window_length.get() };
        let access = match self.access {
            START => Access::Start { offset },
            BLOCK => Access::Block { offset, bits: self.bits, window },
            FOLLOWS => Access::Follows { offset },
            KEPT => {
                let frame = u32::try_from(offset).map_err(|_| "a kept span's position")?;
                Access::Kept { frame }
            }
            _ => return Err("a span's kind of access"),
        };
        Ok(Span { start: self.start.get(), length: self.length.get(), digest: self.digest, access })
    }
}

/// What a table has to agree with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) compression: Compression,
    pub(super) unpacked: u64,
    pub(super) source_size: u64,
    /// Windows lie before this offset of the TOC file.
    pub(super) windows_end: u64,
    pub(super) kept: u32,
}

/// All spans of a layer, in order and without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanTable {
    bytes: Box<[u8]>,
}

impl SpanTable {
    /// Takes a table from a file, or says what does not hold.
    pub(super) fn check(bytes: Box<[u8]>, bounds: Bounds) -> Result<Self, &'static str> {
        let records = <[Record]>::ref_from_bytes(&bytes).map_err(|_| "the span table's length")?;
        let mut place = Place { end: 0, offset: 0, since: None, kept: 0 };
        for record in records {
            place.step(&record.span()?, &bounds)?;
        }
        if place.end != bounds.unpacked || place.kept != bounds.kept {
            return Err("the spans do not add up to the layer");
        }
        Ok(Self { bytes })
    }

    fn records(&self) -> &[Record] {
        <[Record]>::ref_from_bytes(&self.bytes).unwrap_or_default()
    }

    /// How many spans there are; 0 for an empty stream.
    pub fn len(&self) -> u32 {
        u32::try_from(self.records().len()).unwrap_or(u32::MAX)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The span with this number.
    pub fn get(&self, number: SpanNo) -> Option<Span> {
        self.records().get(number.0 as usize).and_then(|record| record.span().ok())
    }

    /// The span that holds the byte at `offset` of the uncompressed tar; `None` past its end.
    pub fn find(&self, offset: u64) -> Option<SpanNo> {
        let after = self.records().partition_point(|record| record.start.get() <= offset);
        let number = SpanNo(u32::try_from(after.checked_sub(1)?).ok()?);
        (offset < self.get(number)?.end()).then_some(number)
    }

    /// The nearest span, at or before `number`, where decoding can begin and lead to it. `None`
    /// for a kept span.
    pub fn checkpoint(&self, number: SpanNo) -> Option<SpanNo> {
        let records = self.records().get(..=number.0 as usize)?;
        for (at, record) in records.iter().enumerate().rev() {
            match record.access {
                START | BLOCK => return Some(SpanNo(u32::try_from(at).ok()?)),
                FOLLOWS => {}
                _ => return None,
            }
        }
        None
    }

    /// All spans.
    pub fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.records().iter().filter_map(|record| record.span().ok())
    }
}

/// How far a check has come.
struct Place {
    end: u64,
    offset: u64,
    /// Bytes since the last checkpoint; `None` when it cannot be reached any more.
    since: Option<u64>,
    kept: u32,
}

impl Place {
    fn step(&mut self, span: &Span, bounds: &Bounds) -> Result<(), &'static str> {
        if span.start != self.end {
            return Err("a gap between spans");
        }
        if span.length == 0 || u64::from(span.length) > SPAN_MAX {
            return Err("a span's length");
        }
        self.end = span.end();
        match span.access {
            Access::Start { offset } => {
                self.advance(offset, bounds)?;
                self.since = Some(0);
            }
            Access::Block { offset, bits, window } => {
                self.advance(offset, bounds)?;
                let end = window.offset.checked_add(u64::from(window.length));
                if end.is_none_or(|end| end > bounds.windows_end) {
                    return Err("a window out of bounds");
                }
                if bits > 7 || bounds.compression != Compression::Gzip {
                    return Err("a checkpoint's bits");
                }
                self.since = Some(0);
            }
            Access::Follows { offset } => {
                self.advance(offset, bounds)?;
                if self.since.is_none_or(|since| since >= REACH) {
                    return Err("a span without a checkpoint near it");
                }
            }
            Access::Kept { frame } => {
                if frame != self.kept {
                    return Err("a kept span's position");
                }
                self.kept += 1;
                self.since = None;
            }
        }
        self.since = self.since.map(|since| since + u64::from(span.length));
        Ok(())
    }

    fn advance(&mut self, offset: u64, bounds: &Bounds) -> Result<(), &'static str> {
        if offset < self.offset || offset > bounds.source_size {
            return Err("a span's place in the blob");
        }
        self.offset = offset;
        Ok(())
    }
}
