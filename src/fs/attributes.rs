//! What `stat` and `statfs` show: a row's attributes seen through the mount's options.
//!
//! `blocks` comes from the bytes stored, so holes are free; times other than the modification time
//! do not exist in an image and equal it, so that nothing here depends on when or where it is
//! mounted.

use std::fmt;

use super::Error;
use crate::layer::{Kind, Time};
use crate::tree::{Attributes, RowNo, Totals};

/// The unit of `st_blksize` and of `statfs`, in bytes: a page, so that nothing reads smaller.
pub const BLOCK_SIZE: u32 = 4096;

/// The unit of `st_blocks`, in bytes, whatever `st_blksize` is (stat(2)).
const STAT_BLOCK: u64 = 512;

/// Set-user-id and set-group-id.
const SUID_SGID: u16 = 0o6000;

/// An inode number: the row of the table plus one, because FUSE's root is 1 and 0 is no inode.
/// The same for one image in every mount on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(pub u64);

impl Ino {
    /// The root directory.
    pub const ROOT: Self = Self(1);

    /// The number of a row.
    pub fn of(row: RowNo) -> Self {
        Self(u64::from(row.0) + 1)
    }

    /// The row, when the number can be one.
    pub(super) fn row(self) -> Result<RowNo, Error> {
        let row = self.0.checked_sub(1).and_then(|row| u32::try_from(row).ok());
        row.map(RowNo).ok_or(Error::NoInode(self))
    }
}

impl fmt::Display for Ino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How attributes are shown on one mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// Hide set-user-id and set-group-id bits of files. `nosuid` does not bind where this mount is
    /// a layer of an overlay (CVE-2023-0386), so an unprivileged user's mount does not have them
    /// at all. On directories set-group-id only says who owns new files: kept.
    pub mask_suid: bool,
    /// Show everything as owned by this user.
    pub uid: Option<u32>,
    /// Show everything as owned by this group.
    pub gid: Option<u32>,
}

impl View {
    pub(super) fn show(&self, ino: Ino, row: &Attributes) -> Attr {
        let masked = self.mask_suid && row.kind != Kind::Directory;
        Attr {
            ino,
            kind: row.kind,
            mode: if masked { row.mode & !SUID_SGID } else { row.mode },
            uid: self.uid.unwrap_or(row.uid),
            gid: self.gid.unwrap_or(row.gid),
            mtime: row.mtime,
            size: row.size,
            blocks: row.stored.div_ceil(STAT_BLOCK),
            links: row.links,
            device: row.device,
        }
    }
}

/// What `stat` says of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// Its number.
    pub ino: Ino,
    /// Never [`Kind::HardLink`].
    pub kind: Kind,
    /// `0o7777` bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time; the other times equal it.
    pub mtime: Time,
    /// Bytes of a file, length of a symlink's text, or 0.
    pub size: u64,
    /// Stored bytes in units of 512.
    pub blocks: u64,
    /// Visible names, or 2 + subdirectories.
    pub links: u32,
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

/// What `statfs` says of the image, in units of [`BLOCK_SIZE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statfs {
    /// Blocks stored.
    pub blocks: u64,
    /// Inodes.
    pub files: u64,
}

impl Statfs {
    pub(super) fn of(totals: Totals) -> Self {
        Self { blocks: totals.bytes.div_ceil(u64::from(BLOCK_SIZE)), files: totals.inodes }
    }
}
