//! Writing a TOC file, forwards only, while the layer goes by.

use std::io::{self, Write};

use zerocopy::IntoBytes;
use zstd::bulk::Compressor;

use super::file::{BLOCK, BlockRecord, Footer, Head, MAGIC, Parts};
use super::{Header, VERSION};
use crate::layer::entries::{Summary, WarningWriter, Writer};
use crate::layer::span::{Record, Span, WindowRef};
use crate::layer::{Compression, Entry, Warning};
use crate::oci::{DiffId, Digest};

/// Level for windows: they are made while the layer is decoded, and higher levels gain little on
/// 32 KiB.
const WINDOW_LEVEL: i32 = 1;

/// Level for entries.
const ENTRIES_LEVEL: i32 = 3;

/// What is known of the layer when everything has been seen.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The blob's digest.
    pub source: Digest,
    /// The blob's size.
    pub source_size: u64,
    /// The uncompressed tar's digest.
    pub diff_id: DiffId,
    /// How the blob is compressed.
    pub compression: Compression,
}

/// A TOC file in the making. Spans, entries and warnings come each in order, among one another
/// in any order. What was written without [`TocWriter::finish`] is not a TOC file.
pub struct TocWriter<T: Write> {
    log: Log<T>,
    entries: Writer<Vec<u8>>,
    warnings: WarningWriter<Vec<u8>>,
    entry_blocks: Vec<BlockRecord>,
    warning_blocks: Vec<BlockRecord>,
    windows: Compressor<'static>,
    spans: Vec<Record>,
    unpacked: u64,
    kept: u32,
}

impl<T: Write> TocWriter<T> {
    /// Begins a file.
    ///
    /// # Errors
    /// As every method here: when `out` fails.
    pub fn new(out: T) -> io::Result<Self> {
        let mut log = Log { out, offset: 0, packer: Compressor::new(ENTRIES_LEVEL)? };
        let mut windows = Compressor::new(WINDOW_LEVEL)?;
        windows.include_checksum(true)?;
        log.write(Head { magic: MAGIC, version: VERSION.into(), zero: 0.into() }.as_bytes())?;
        Ok(Self {
            log,
            entries: Writer::new(Vec::with_capacity(BLOCK)),
            warnings: WarningWriter::new(Vec::new()),
            entry_blocks: Vec::new(),
            warning_blocks: Vec::new(),
            windows,
            spans: Vec::new(),
            unpacked: 0,
            kept: 0,
        })
    }

    /// Appends an entry.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.entries.push(entry)?;
        let pending = self.entries.get_mut();
        if pending.len() >= BLOCK {
            self.entry_blocks.push(self.log.block(pending)?);
            pending.clear();
        }
        Ok(())
    }

    /// Appends a warning.
    pub fn warning(&mut self, warning: &Warning) -> io::Result<()> {
        self.warnings.push(warning)?;
        let pending = self.warnings.get_mut();
        if pending.len() >= BLOCK {
            self.warning_blocks.push(self.log.block(pending)?);
            pending.clear();
        }
        Ok(())
    }

    /// Puts a checkpoint's window into the file; the place goes into its span.
    pub fn window(&mut self, window: &[u8]) -> io::Result<WindowRef> {
        let packed = self.windows.compress(window)?;
        let length = u16::try_from(packed.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a window over 32 KiB"))?;
        let offset = self.log.write(&packed)?;
        Ok(WindowRef { offset, length })
    }

    /// Appends a span; each begins where the one before ended.
    pub fn span(&mut self, span: &Span) {
        self.unpacked = span.end();
        self.kept += u32::from(matches!(span.access, crate::layer::span::Access::Kept { .. }));
        self.spans.push(Record::of(span));
    }

    /// Spans appended so far that are kept in the seekable form.
    pub fn kept(&self) -> u32 {
        self.kept
    }

    /// Writes the rest. The file is whole when this returns, but not flushed to disk.
    pub fn finish(mut self, found: &Found) -> io::Result<(T, Header)> {
        let (pending, Summary { entries, whiteouts, stored }) = self.entries.finish()?;
        self.entry_blocks.push(self.log.block(&pending)?);
        let (pending, warnings) = self.warnings.finish()?;
        self.warning_blocks.push(self.log.block(&pending)?);
        let spans_offset = self.log.write(self.spans.as_bytes())?;
        let mut blocks = self.entry_blocks;
        let entry_blocks = count(blocks.len())?;
        let warning_blocks = count(self.warning_blocks.len())?;
        blocks.append(&mut self.warning_blocks);
        let blocks_offset = self.log.write(blocks.as_bytes())?;
        let header = Header {
            source: found.source,
            source_size: found.source_size,
            diff_id: found.diff_id,
            compression: found.compression,
            unpacked: self.unpacked,
            entries,
            whiteouts,
            stored,
            warnings,
            spans: count(self.spans.len())?,
            kept: self.kept,
        };
        let parts = Parts {
            entry_blocks,
            warning_blocks,
            spans_offset,
            blocks_offset,
            spans_check: blake3::hash(self.spans.as_bytes()).into(),
            blocks_check: blake3::hash(blocks.as_bytes()).into(),
        };
        self.log.write(Footer::new(&header, &parts).as_bytes())?;
        self.log.out.flush()?;
        Ok((self.log.out, header))
    }
}

fn count(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| io::Error::other("a table of more than 2^32 rows"))
}

/// The file, written forwards.
struct Log<T> {
    out: T,
    offset: u64,
    packer: Compressor<'static>,
}

impl<T: Write> Log<T> {
    /// Appends bytes; where they are.
    fn write(&mut self, bytes: &[u8]) -> io::Result<u64> {
        self.out.write_all(bytes)?;
        let at = self.offset;
        self.offset += bytes.len() as u64;
        Ok(at)
    }

    /// Appends a block.
    fn block(&mut self, bytes: &[u8]) -> io::Result<BlockRecord> {
        let packed = self.packer.compress(bytes)?;
        let mut check = [0; 16];
        blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut check);
        Ok(BlockRecord {
            offset: self.write(&packed)?.into(),
            length: count(packed.len())?.into(),
            unpacked: count(bytes.len())?.into(),
            check,
        })
    }
}
