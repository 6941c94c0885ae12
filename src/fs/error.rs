//! Why a request to the file system fails, and the one place where that becomes an errno.
//!
//! Guarantees: the map is exhaustive without a wildcard, so a new failure needs a decision here;
//! damage is never `ENOENT`, because the kernel would remember an absent name for ever; `ENOSYS`
//! is used only where it means "never ask again" and the kernel then does the right thing alone.

use rustix::io::Errno;

use super::Ino;
use crate::content::ContentError;
use crate::tree::TableError;

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image's table is damaged where the answer should be.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The file's bytes cannot be had, or are not those that the digest promises.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// No inode has this number; the kernel asks only for numbers that it was given.
    #[error("no inode {0}")]
    NoInode(Ino),
    /// A directory was needed.
    #[error("inode {0} is not a directory")]
    NotDirectory(Ino),
    /// A regular file was needed and this is a directory.
    #[error("inode {0} is a directory")]
    IsDirectory(Ino),
    /// A regular file was needed.
    #[error("inode {0} is not a regular file")]
    NotFile(Ino),
    /// A symbolic link was needed.
    #[error("inode {0} is not a symbolic link")]
    NotSymlink(Ino),
    /// A name longer than any name can be.
    #[error("a name of {0} bytes")]
    NameTooLong(usize),
    /// The inode has no extended attribute of that name.
    #[error("no such attribute")]
    NoAttribute,
    /// The caller's buffer is smaller than the value.
    #[error("{0} bytes do not fit the caller's buffer")]
    BufferTooSmall(usize),
    /// No inode of this image has an attribute of that kind: who asks every file need not go on.
    #[error("the image has no attributes of that kind")]
    NoSuchKind,
    /// A seek at or past the end of the file, or for data where only a hole follows.
    #[error("nothing at or after offset {0}")]
    PastEnd(u64),
    /// A seek that is neither for data nor for a hole, or a negative offset.
    #[error("unknown kind of seek")]
    BadSeek,
    /// An attempt to change something.
    #[error("the file system is read-only")]
    ReadOnly,
    /// Opening and closing need no message: inodes are rows of a table and there is no state.
    #[error("no message is needed for this")]
    Stateless,
    /// The file system does not know this ioctl.
    #[error("no such ioctl")]
    NoIoctl,
}

impl Error {
    /// What the caller sees. The only such map in the program.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Table(TableError::Damaged { .. })
            | Self::Content(ContentError::Damaged { .. } | ContentError::OutOfRange { .. }) => {
                Errno::IO
            }
            Self::NoInode(_) => Errno::STALE,
            Self::NotDirectory(_) => Errno::NOTDIR,
            Self::IsDirectory(_) => Errno::ISDIR,
            Self::NotFile(_) | Self::NotSymlink(_) | Self::BadSeek => Errno::INVAL,
            Self::NameTooLong(_) => Errno::NAMETOOLONG,
            Self::NoAttribute => Errno::NODATA,
            Self::BufferTooSmall(_) => Errno::RANGE,
            Self::PastEnd(_) => Errno::NXIO,
            Self::ReadOnly => Errno::ROFS,
            Self::NoSuchKind => Errno::OPNOTSUPP,
            Self::Stateless => Errno::NOSYS,
            Self::NoIoctl => Errno::NOTTY,
        }
    }
}
