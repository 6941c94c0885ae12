//! The union: layers' tables merged into one immutable tree, kept as a mapped file.

pub mod diff;
pub mod merge;
pub mod table;

pub use merge::{
    Change, Hidden, History, How, LayerAccount, MergeError, Merged, Merger, Seen, Step, Story,
    Whiteouts,
};
pub use table::{Following, ImageTree};

use crate::layer::{ContentId, Extent, Kind, Time, Warning};

/// A row of the image's table. Row 0 is the root. FUSE's inode number is the row plus 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowNo(pub u32);

/// What `stat` says of a row. Hard-link names never appear here: they resolve to their first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Never [`Kind::HardLink`].
    pub kind: Kind,
    /// `0o7777` bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Time,
    /// File size, symlink length, or 0.
    pub size: u64,
    /// Bytes stored, holes excluded.
    pub stored: u64,
    /// Visible names, or 2 + subdirectories.
    pub links: u32,
    /// Device numbers.
    pub device: (u32, u32),
}

/// Where a regular file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileData {
    /// Position of the layer, 0 = bottom.
    pub layer: u32,
    /// Offset of the stored bytes in that layer's uncompressed tar.
    pub data_offset: u64,
    /// Logical size.
    pub size: u64,
    /// Stored runs of a sparse file.
    pub sparse: Option<Vec<Extent>>,
    /// Identity of the content.
    pub content: ContentId,
}

/// A node's extended attributes, name and value, sorted by name.
pub type Xattrs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child<'a> {
    /// The name's bytes.
    pub name: &'a [u8],
    /// The name's own row; differs from `row` for the second and later names of a hard-linked node.
    pub entry: RowNo,
    /// The row it leads to (hard links resolved).
    pub row: RowNo,
    /// What kind of node that is.
    pub kind: Kind,
}

/// Totals for `statfs` and listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Inodes visible (hard-linked names count once).
    pub inodes: u64,
    /// Bytes stored by visible files, each inode once.
    pub bytes: u64,
    /// Regular files among the inodes.
    pub files: u64,
    /// Directories among the inodes, the root included.
    pub directories: u64,
}

/// Where a path led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// To a name in the tree (for the root, `entry`, `row` and `directory` are all the root).
    At {
        /// The directory that holds the name.
        directory: RowNo,
        /// The name's own row.
        entry: RowNo,
        /// The node it leads to.
        row: RowNo,
    },
    /// No such name.
    Absent,
    /// Something other than a directory stands where a parent should be.
    NotDirectory,
    /// Too many symlinks.
    Loop,
}

/// A warning of the merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerWarning {
    /// Position of the layer, 0 = bottom.
    pub layer: u32,
    /// What was odd, and at which entry.
    pub warning: Warning,
}

/// Why a table cannot be opened. In every case the table can be built again from the layers.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be mapped.
    #[error("cannot map tree table {table}")]
    Map {
        /// Which table (its ChainID).
        table: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Written by another version of this program.
    #[error("tree table {table} has format version {found}, this program reads {}", table::VERSION)]
    Version {
        /// Which table (its ChainID).
        table: String,
        /// The version in the header.
        found: u32,
    },
    /// The header or the table of checks does not hold, or it is another image's table.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Why a table cannot be used. Every variant reads as EIO through a mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A checksum, bound or reference inside the table does not hold.
    #[error("tree table {table} is damaged: {what}")]
    Damaged {
        /// Which table (its ChainID).
        table: String,
        /// What was found.
        what: &'static str,
    },
}
