//! The fixed parts of a TOC file, as they are on disk. Little-endian throughout.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Header, TocError, VERSION};
use crate::layer::Compression;
use crate::oci::{Algorithm, DiffId, Digest};

/// The first and the last bytes of a TOC file.
pub(super) const MAGIC: [u8; 8] = *b"SHALETOC";

/// The most uncompressed bytes of one block.
pub(super) const BLOCK: usize = 512 << 10;

/// The beginning of the file.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Head {
    pub(super) magic: [u8; 8],
    pub(super) version: U32,
    pub(super) zero: U32,
}

/// A digest: number of its algorithm, then its bytes and zeros.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DigestField {
    algorithm: u8,
    bytes: [u8; 64],
}

/// Where a block of entries or warnings is.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BlockRecord {
    /// Offset in the file.
    pub(super) offset: U64,
    /// Bytes in the file.
    pub(super) length: U32,
    /// Bytes when decompressed, at most [`BLOCK`] and one entry.
    pub(super) unpacked: U32,
    /// BLAKE3 of the decompressed bytes, its first half.
    pub(super) check: [u8; 16],
}

/// The end of the file.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Footer {
    source: DigestField,
    diff_id: DigestField,
    compression: u8,
    zeros: [u8; 5],
    source_size: U64,
    unpacked: U64,
    entries: U64,
    whiteouts: U64,
    stored: U64,
    warnings: U64,
    spans: U32,
    kept: U32,
    /// Blocks of entries; the blocks of warnings follow them in the directory.
    pub(super) entry_blocks: U32,
    pub(super) warning_blocks: U32,
    /// Offset of the span table; the log ends there.
    pub(super) spans_offset: U64,
    /// Offset of the block directory.
    pub(super) blocks_offset: U64,
    /// BLAKE3 of the span table.
    pub(super) spans_check: [u8; 32],
    /// BLAKE3 of the block directory.
    pub(super) blocks_check: [u8; 32],
    /// BLAKE3 of the footer up to here.
    check: [u8; 32],
    version: U32,
    magic: [u8; 8],
}

/// Bytes of a footer.
pub(super) const FOOTER: usize = size_of::<Footer>();

/// Offset of `check` in the footer.
const CHECKED: usize = FOOTER - 32 - 4 - 8;

/// Where the parts of a file are, and their checksums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) entry_blocks: u32,
    pub(super) warning_blocks: u32,
    pub(super) spans_offset: u64,
    pub(super) blocks_offset: u64,
    pub(super) spans_check: [u8; 32],
    pub(super) blocks_check: [u8; 32],
}

impl Footer {
    /// A footer with its checksum.
    pub(super) fn new(header: &Header, parts: &Parts) -> Self {
        let mut footer = Self {
            source: DigestField::of(&header.source),
            diff_id: DigestField::of(&header.diff_id.0),
            compression: header.compression as u8,
            zeros: [0; 5],
            source_size: header.source_size.into(),
            unpacked: header.unpacked.into(),
            entries: header.entries.into(),
            whiteouts: header.whiteouts.into(),
            stored: header.stored.into(),
            warnings: header.warnings.into(),
            spans: header.spans.into(),
            kept: header.kept.into(),
            entry_blocks: parts.entry_blocks.into(),
            warning_blocks: parts.warning_blocks.into(),
            spans_offset: parts.spans_offset.into(),
            blocks_offset: parts.blocks_offset.into(),
            spans_check: parts.spans_check,
            blocks_check: parts.blocks_check,
            check: [0; 32],
            version: VERSION.into(),
            magic: MAGIC,
        };
        footer.check = footer.checksum();
        footer
    }

    fn checksum(&self) -> [u8; 32] {
        blake3::hash(self.as_bytes().get(..CHECKED).unwrap_or_default()).into()
    }

    /// What a checked footer of a file of `length` bytes says.
    pub(super) fn read(&self, length: u64) -> Result<Header, TocError> {
        if self.magic != MAGIC {
            return Err(TocError::Foreign);
        }
        if self.version.get() != VERSION {
            return Err(TocError::Version(self.version.get()));
        }
        if self.check != self.checksum() {
            return Err(TocError::Damaged("the footer's checksum"));
        }
        let spans_end = u64::from(self.spans.get()).checked_mul(64);
        let spans_end = spans_end.and_then(|bytes| bytes.checked_add(self.spans_offset.get()));
        let blocks = u64::from(self.entry_blocks.get()) + u64::from(self.warning_blocks.get());
        let end = (blocks * size_of::<BlockRecord>() as u64).checked_add(self.blocks_offset.get());
        let end = end.and_then(|end| end.checked_add(FOOTER as u64));
        if u32::try_from(blocks).is_err() {
            return Err(TocError::Damaged("the number of its blocks"));
        }
        if spans_end != Some(self.blocks_offset.get()) || end != Some(length) {
            return Err(TocError::Damaged("the places of its parts"));
        }
        Ok(Header {
            source: self.source.read()?,
            source_size: self.source_size.get(),
            diff_id: DiffId(self.diff_id.read()?),
            compression: Compression::from_number(self.compression)
                .ok_or(TocError::Damaged("the compression"))?,
            unpacked: self.unpacked.get(),
            entries: self.entries.get(),
            whiteouts: self.whiteouts.get(),
            stored: self.stored.get(),
            warnings: self.warnings.get(),
            spans: self.spans.get(),
            kept: self.kept.get(),
        })
    }

    /// Where the parts are.
    pub(super) fn parts(&self) -> Parts {
        Parts {
            entry_blocks: self.entry_blocks.get(),
            warning_blocks: self.warning_blocks.get(),
            spans_offset: self.spans_offset.get(),
            blocks_offset: self.blocks_offset.get(),
            spans_check: self.spans_check,
            blocks_check: self.blocks_check,
        }
    }
}

impl DigestField {
    fn of(digest: &Digest) -> Self {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        let algorithm = match digest.algorithm() {
            Algorithm::Sha256 => 1,
            Algorithm::Sha512 => 2,
        };
        Self { algorithm, bytes }
    }

    fn read(&self) -> Result<Digest, TocError> {
        let algorithm = match self.algorithm {
            1 => Algorithm::Sha256,
            2 => Algorithm::Sha512,
            _ => return Err(TocError::Damaged("a digest's algorithm")),
        };
        let hash = self.bytes.get(..algorithm.len()).unwrap_or_default();
        Digest::from_hash(algorithm, hash).ok_or(TocError::Damaged("a digest"))
    }
}
