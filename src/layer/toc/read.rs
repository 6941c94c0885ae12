//! Reading a TOC file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::file::{BlockRecord, FOOTER, Footer, Parts};
use super::{Header, TocError};
use crate::layer::entries::{Reader, WarningReader};
use crate::layer::span::{Bounds, SpanTable, WindowRef};
use crate::layer::{Entry, Warning};
use crate::limits::Limits;
use crate::sys::zlib;

/// The most bytes that a block may have when decompressed. A block ends with the entry that fills
/// it, and all that an entry has but its path comes from one extension.
const BLOCK_MAX: u64 = Limits::HIGHEST.extension + (1 << 20);

/// An open TOC file. It keeps nothing in memory but its header.
#[derive(Debug)]
pub struct Toc {
    file: File,
    header: Header,
    parts: Parts,
}

impl Toc {
    /// Opens a TOC; reads and checks its footer only.
    ///
    /// # Errors
    /// When the file cannot be read, is not a TOC of this version, or its footer is damaged.
    pub fn open(file: File) -> Result<Self, TocError> {
        let length = file.metadata()?.len();
        let start = length.checked_sub(FOOTER as u64).ok_or(TocError::Foreign)?;
        let mut footer = Footer::new_zeroed();
        file.read_exact_at(footer.as_mut_bytes(), start)?;
        let header = footer.read(length)?;
        Ok(Self { file, header, parts: footer.parts() })
    }

    /// What it says of the whole layer.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The layer's entries in tar order, streamed. Each block is checked before an entry of it is
    /// given out, and the count is checked at the end; nothing follows an error.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry, TocError>> + '_ {
        let reader = Reader::new(self.blocks(0, self.parts.entry_blocks));
        Counted { inner: reader, left: self.header.entries, done: false }
    }

    /// What was odd in the layer, in tar order.
    pub fn warnings(&self) -> impl Iterator<Item = Result<Warning, TocError>> + '_ {
        let blocks = self.blocks(self.parts.entry_blocks, self.parts.warning_blocks);
        Counted { inner: WarningReader::new(blocks), left: self.header.warnings, done: false }
    }

    /// The table of spans, checked whole: 64 bytes a span, two spans a MiB.
    ///
    /// # Errors
    /// When it cannot be read or anything in it does not hold.
    pub fn spans(&self) -> Result<SpanTable, TocError> {
        let parts = &self.parts;
        let bytes = self.bytes(parts.spans_offset, parts.blocks_offset - parts.spans_offset)?;
        if blake3::hash(&bytes) != blake3::Hash::from(parts.spans_check) {
            return Err(TocError::Damaged("the span table's checksum"));
        }
        let bounds = Bounds {
            compression: self.header.compression,
            unpacked: self.header.unpacked,
            source_size: self.header.source_size,
            windows_end: parts.spans_offset,
            kept: self.header.kept,
        };
        SpanTable::check(bytes.into(), bounds).map_err(TocError::Damaged)
    }

    /// A checkpoint's window.
    ///
    /// # Errors
    /// When it cannot be read or fails its checksum.
    pub fn window(&self, place: WindowRef) -> Result<Vec<u8>, TocError> {
        let packed = self.bytes(place.offset, u64::from(place.length))?;
        zstd::bulk::decompress(&packed, zlib::WINDOW)
            .map_err(|_| TocError::Damaged("a checkpoint's window"))
    }

    /// Reads everything once and checks every checksum, for `verify`.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self) -> Result<(), TocError> {
        let mut blocks = self.blocks(0, self.parts.entry_blocks + self.parts.warning_blocks);
        while blocks.load()? {}
        self.entries().try_for_each(|entry| entry.map(drop))?;
        self.warnings().try_for_each(|warning| warning.map(drop))?;
        for span in self.spans()?.iter() {
            if let crate::layer::span::Access::Block { window, .. } = span.access {
                self.window(window)?;
            }
        }
        Ok(())
    }

    fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, TocError> {
        let length = usize::try_from(length).map_err(|_| TocError::Damaged("a part's length"))?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// `first + count` fits: the footer's check has added all of them up.
    fn blocks(&self, first: u32, count: u32) -> Blocks<'_> {
        Blocks {
            toc: self,
            directory: None,
            next: first,
            end: first + count,
            bytes: Vec::new(),
            at: 0,
        }
    }

    fn directory(&self) -> Result<Vec<BlockRecord>, TocError> {
        let parts = &self.parts;
        let count = u64::from(parts.entry_blocks) + u64::from(parts.warning_blocks);
        let bytes = self.bytes(parts.blocks_offset, count * size_of::<BlockRecord>() as u64)?;
        if blake3::hash(&bytes) != blake3::Hash::from(parts.blocks_check) {
            return Err(TocError::Damaged("the block directory's checksum"));
        }
        let records = <[BlockRecord]>::ref_from_bytes(&bytes);
        Ok(records.map_err(|_| TocError::Damaged("the block directory"))?.to_vec())
    }
}

/// A run of blocks as one stream of bytes.
struct Blocks<'a> {
    toc: &'a Toc,
    /// Read at the first use.
    directory: Option<Vec<BlockRecord>>,
    next: u32,
    end: u32,
    bytes: Vec<u8>,
    at: usize,
}

impl Blocks<'_> {
    /// Loads the next block; `false` at the end.
    fn load(&mut self) -> Result<bool, TocError> {
        if self.next >= self.end {
            return Ok(false);
        }
        let directory = match &mut self.directory {
            Some(directory) => directory,
            none => none.insert(self.toc.directory()?),
        };
        let record =
            directory.get(self.next as usize).ok_or(TocError::Damaged("the block directory"))?;
        let end = record.offset.get().checked_add(u64::from(record.length.get()));
        let unpacked = record.unpacked.get();
        if end.is_none_or(|end| end > self.toc.parts.spans_offset)
            || u64::from(unpacked) > BLOCK_MAX
        {
            return Err(TocError::Damaged("a block's place"));
        }
        let packed = self.toc.bytes(record.offset.get(), u64::from(record.length.get()))?;
        self.bytes = zstd::bulk::decompress(&packed, unpacked as usize)
            .map_err(|_| TocError::Damaged("a block's compression"))?;
        let hash = blake3::hash(&self.bytes);
        if hash.as_bytes().get(..16) != Some(&record.check[..]) {
            return Err(TocError::Damaged("a block's checksum"));
        }
        self.at = 0;
        self.next += 1;
        Ok(true)
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.bytes.len() {
            if !self.load().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

/// An iterator that has to give as many items as the header says.
struct Counted<I> {
    inner: I,
    left: u64,
    done: bool,
}

impl<I, V, E> Iterator for Counted<I>
where
    I: Iterator<Item = Result<V, E>>,
    TocError: From<E>,
{
    type Item = Result<V, TocError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = match (self.inner.next(), self.left) {
            (None, 0) => None,
            (Some(Ok(item)), left) if left > 0 => {
                self.left -= 1;
                return Some(Ok(item));
            }
            (Some(Err(error)), _) => Some(Err(error.into())),
            _ => Some(Err(TocError::Damaged("the number of its rows"))),
        };
        self.done = true;
        item
    }
}
