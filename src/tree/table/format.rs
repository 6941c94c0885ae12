//! The records of a tree table, as docs/tree-format.md draws them. All numbers little-endian.

use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::layer::Kind;
use crate::oci::{Algorithm, ChainId};

/// The first bytes of every table.
pub(super) const MAGIC: [u8; 8] = *b"shaltree";

/// The format that this program writes, and the only one it reads.
pub(in crate::tree) const VERSION: u32 = 2;

/// Bytes of the body under one check.
pub(super) const CHUNK: usize = 64 * 1024;

/// Bytes kept of a chunk's BLAKE3.
pub(super) const CHECK: usize = 16;

/// Bytes of the seal at the end.
pub(super) const SEAL: usize = 32;

/// Sections begin at multiples of this.
const ALIGN: u64 = 8;

/// The head of the file.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub magic: [u8; 8],
    pub version: U32,
    pub layers: U32,
    /// 1 = SHA-256, 2 = SHA-512.
    pub algorithm: U32,
    pub rows: U32,
    pub chain: [u8; 64],
    pub files: U32,
    pub sparse_files: U32,
    pub extents: U64,
    pub names: U64,
    pub texts: U64,
    pub xattrs: U64,
    pub warnings: U64,
    pub warning_count: U32,
    /// Directories that have children.
    pub parents: U32,
    pub dropped_warnings: U64,
    pub inodes: U64,
    pub bytes: U64,
    pub file_inodes: U64,
    pub directory_inodes: U64,
}

/// A name and its node.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Row {
    pub name_offset: U32,
    pub name_length: u8,
    pub flags: u8,
    /// As `st_mode`.
    pub mode: U16,
    pub uid: U32,
    pub gid: U32,
    pub seconds: I64,
    pub nanos: U32,
    pub links: U32,
    /// File: size. Symlink: length. Directory: children, and its parent's row above 2^32. Device:
    /// minor, and major above 2^32.
    pub value: U64,
    /// File: position of its [`FileRow`]. Symlink: where its text begins. Directory: row of the
    /// first child. With [`ALIAS`]: row of the first name.
    pub place: U32,
    /// Where the set begins; 0 is none.
    pub xattrs: U32,
    pub layer: U16,
    pub reserved: U16,
}

/// No entry of the tar made the directory.
pub(super) const IMPLIED: u8 = 1;
/// Not the first name of its node.
pub(super) const ALIAS: u8 = 2;
/// The file has an entry among the sparse ones.
pub(super) const SPARSE: u8 = 4;

/// What only a regular file has.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FileRow {
    pub content: [u8; 32],
    /// Where its data begins in the layer, and the layer above 2^48.
    pub data: U64,
}

/// A sparse file's map.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SparseRow {
    pub row: U32,
    pub count: U32,
    /// Position of its first [`ExtentRow`].
    pub first: U64,
    /// Bytes in all its extents.
    pub stored: U64,
}

/// Stored bytes in a sparse file.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ExtentRow {
    pub offset: U64,
    pub length: U64,
}

/// The head of a warning; its path follows.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct WarningHead {
    pub layer: U16,
    pub kind: u8,
    pub reserved: u8,
    pub path_length: U32,
}

/// A run of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    /// From the beginning of the body.
    pub start: u64,
    pub length: u64,
}

/// Where everything is, as the header's counts say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sections {
    pub rows: Section,
    /// The rows of the directories that have children, as [`U32`] in their order.
    pub parents: Section,
    pub files: Section,
    pub sparse: Section,
    pub extents: Section,
    pub names: Section,
    pub texts: Section,
    pub xattrs: Section,
    pub warnings: Section,
    /// Bytes of the body, all sections and the gaps between them.
    pub body: u64,
}

impl Sections {
    /// `None` when the counts are too large to be those of a file.
    pub fn of(header: &Header) -> Option<Self> {
        let mut end = 0_u64;
        let mut next = |count: u64, size: usize| {
            let section = Section { start: end, length: count.checked_mul(size as u64)? };
            end = end.checked_add(section.length)?.checked_next_multiple_of(ALIGN)?;
            Some(section)
        };
        Some(Self {
            rows: next(header.rows.into(), size_of::<Row>())?,
            parents: next(header.parents.into(), size_of::<U32>())?,
            files: next(header.files.into(), size_of::<FileRow>())?,
            sparse: next(header.sparse_files.into(), size_of::<SparseRow>())?,
            extents: next(header.extents.into(), size_of::<ExtentRow>())?,
            names: next(header.names.into(), 1)?,
            texts: next(header.texts.into(), 1)?,
            xattrs: next(header.xattrs.into(), 1)?,
            warnings: next(header.warnings.into(), 1)?,
            body: end,
        })
    }

    /// How many chunks the body has, the last one perhaps short.
    pub fn chunks(&self) -> u64 {
        self.body.div_ceil(CHUNK as u64)
    }
}

/// A ChainID as the header holds it.
pub(super) fn chain_fields(chain: ChainId) -> (U32, [u8; 64]) {
    let algorithm = match chain.0.algorithm() {
        Algorithm::Sha256 => 1,
        Algorithm::Sha512 => 2,
    };
    let mut bytes = [0; 64];
    for (to, from) in bytes.iter_mut().zip(chain.0.as_bytes()) {
        *to = *from;
    }
    (U32::new(algorithm), bytes)
}

const KINDS: [(Kind, u16); 6] = [
    (Kind::Fifo, 0o01),
    (Kind::CharDevice, 0o02),
    (Kind::Directory, 0o04),
    (Kind::BlockDevice, 0o06),
    (Kind::File, 0o10),
    (Kind::Symlink, 0o12),
];

/// `st_mode` of a node; a hard link is none and reads as damage.
pub(super) fn mode_of(kind: Kind, permissions: u16) -> U16 {
    let bits = KINDS.iter().find(|&&(other, _)| other == kind).map_or(0, |&(_, bits)| bits);
    U16::new(bits << 12 | permissions & 0o7777)
}

/// The kind in an `st_mode`.
pub(super) fn kind_of(mode: U16) -> Option<Kind> {
    KINDS.iter().find(|&&(_, bits)| bits == mode.get() >> 12).map(|&(kind, _)| kind)
}
