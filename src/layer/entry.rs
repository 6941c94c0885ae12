//! What a layer's table of contents says of one tar entry.
//!
//! The walker makes these, the TOC keeps them, the merge reads them. Paths are bytes, already
//! cleaned: no leading `/`, no empty or `.` component, `..` clamped at the root, no trailing `/`;
//! the root itself is the empty path. Whiteouts are still entries here (`.wh.` names): what they
//! mean is the merge's business.

/// What kind of node an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file, sparse ones included.
    File,
    /// A symbolic link; [`Entry::link`] is its text.
    Symlink,
    /// Another name of [`Entry::link`].
    HardLink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// A point in time: `seconds` since the epoch (may be negative) plus `nanos` (always forward).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanos: u32,
}

/// A run of stored bytes inside a sparse file; everything outside all runs is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Where in the file the run begins.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// BLAKE3 of a regular file's bytes (of a sparse file: of its map and its stored bytes), so two
/// files with one ContentId have the same content. BLAKE3 rather than SHA-256 because every byte
/// of every layer goes through it and it costs a quarter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

/// Name and value of an extended attribute.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// One entry of a layer, in the order of the tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The cleaned path; empty for the root.
    pub path: Vec<u8>,
    /// What it makes.
    pub kind: Kind,
    /// Permission bits with suid, sgid and sticky (`0o7777`).
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Time,
    /// Logical size of a regular file in bytes, holes included; 0 for everything else.
    pub size: u64,
    /// Symlink text as stored, or a hard link's cleaned target path; empty for everything else.
    pub link: Vec<u8>,
    /// Major and minor number of a device; zeros for everything else.
    pub device: (u32, u32),
    /// Extended attributes, sorted by name, names unique; `*.overlay.*` already dropped.
    pub xattrs: Vec<Xattr>,
    /// Where the file's stored bytes begin in the uncompressed tar.
    pub data_offset: u64,
    /// The stored runs of a sparse file, ascending, not touching the bytes of one another; `None`
    /// for a plain file. Their bytes stand back to back from `data_offset` on.
    pub sparse: Option<Vec<Extent>>,
    /// Of a regular file, its content's identity; zeros for everything else.
    pub content: ContentId,
}

impl Entry {
    /// Bytes really stored in the tar for this entry.
    pub fn stored(&self) -> u64 {
        match &self.sparse {
            Some(runs) => runs.iter().map(|run| run.length).sum(),
            None => self.size,
        }
    }
}

/// Something odd in a layer that has a defined outcome; shown by `verify` and `layers`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Warning {
    /// Which oddity.
    pub kind: WarningKind,
    /// The entry it was found at.
    pub path: Vec<u8>,
}

/// Every oddity that is reported and not refused. The number is part of the on-disk formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum WarningKind {
    /// `..` in a name pointed above the root and was clamped.
    ParentClamped = 1,
    /// The same name twice in one layer; the last one counts.
    DuplicateName = 2,
    /// A volume label, multi-volume mark or similar entry was skipped.
    SkippedType = 3,
    /// A `trusted.overlay.*` or `user.overlay.*` attribute was dropped.
    OverlayXattr = 4,
    /// A character device 0:0 is a device here; overlay runtimes take it for a whiteout.
    WhiteoutDevice = 5,
    /// A whiteout that is not an empty regular file.
    OddWhiteout = 6,
    /// A parent directory was reached through a symlink; overlay runtimes show a directory.
    SymlinkParent = 7,
    /// A lower layer's file had to become a directory for an entry below it.
    FileBecameDirectory = 8,
    /// The media type does not say what the bytes are.
    WrongMediaType = 9,
    /// A PAX name and a GNU long name of one entry differ; PAX counts, Go takes the other one.
    NamesDisagree = 10,
    /// A `LIBARCHIVE.xattr.*` attribute could not be decoded and was dropped.
    UnreadableXattr = 11,
    /// A file by its type whose name ends in a slash is a directory, as for GNU tar.
    FileWithSlash = 12,
    /// A directory without a name is the root.
    NamelessDirectory = 13,
}

impl WarningKind {
    /// One line for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::ParentClamped => "`..` pointed above the root and was clamped there",
            Self::DuplicateName => "the name stands twice in one layer; the last entry counts",
            Self::SkippedType => "an entry type without a file (label, multi-volume) was skipped",
            Self::OverlayXattr => "an overlay attribute was dropped; it has no effect here",
            Self::WhiteoutDevice => {
                "character device 0:0 is shown as a device; overlay runtimes treat it as a whiteout"
            }
            Self::OddWhiteout => "a whiteout that is not an empty regular file; it counts",
            Self::SymlinkParent => {
                "the parent is a symlink and was followed; overlay runtimes show a directory"
            }
            Self::FileBecameDirectory => {
                "a lower layer's file became a directory for an entry below it"
            }
            Self::WrongMediaType => "the media type does not match the compression of the bytes",
            Self::NamesDisagree => {
                "its PAX name and its GNU long name differ; PAX counts, other runtimes show the other"
            }
            Self::UnreadableXattr => {
                "an extended attribute in libarchive's encoding could not be decoded"
            }
            Self::FileWithSlash => {
                "its type says file, its name ends in a slash; it is a directory, other runtimes \
                 show a file"
            }
            Self::NamelessDirectory => "a directory without a name; it is the image's root",
        }
    }

    /// The kind with this on-disk number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::ParentClamped,
            2 => Self::DuplicateName,
            3 => Self::SkippedType,
            4 => Self::OverlayXattr,
            5 => Self::WhiteoutDevice,
            6 => Self::OddWhiteout,
            7 => Self::SymlinkParent,
            8 => Self::FileBecameDirectory,
            9 => Self::WrongMediaType,
            10 => Self::NamesDisagree,
            11 => Self::UnreadableXattr,
            12 => Self::FileWithSlash,
            13 => Self::NamelessDirectory,
            _ => return None,
        })
    }
}
