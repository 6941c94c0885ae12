//! How often each kind of request came: what `stats` shows and what the tests of "no message" ask.
//!
//! Relaxed atomics: the figures are read while requests run and need no order among themselves.

use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of request, as the kernel knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Request {
    /// A name looked up in a directory.
    Lookup,
    /// Attributes of an inode.
    Getattr,
    /// A symlink's text.
    Readlink,
    /// A file opened; answered so that it is asked once in the life of a mount.
    Open,
    /// A directory opened; likewise.
    Opendir,
    /// Bytes of a file.
    Read,
    /// Names of a directory.
    Readdir,
    /// Names of a directory with their attributes.
    Readdirplus,
    /// Totals.
    Statfs,
    /// The value of one extended attribute.
    Getxattr,
    /// The names of the extended attributes.
    Listxattr,
    /// The next data or hole.
    Lseek,
    /// Anything that would change the image; refused.
    Write,
    /// The rest: flush, release, ioctl and so on.
    Other,
}

impl Request {
    /// Every kind, in the order of their names above.
    pub const ALL: [Self; 14] = [
        Self::Lookup,
        Self::Getattr,
        Self::Readlink,
        Self::Open,
        Self::Opendir,
        Self::Read,
        Self::Readdir,
        Self::Readdirplus,
        Self::Statfs,
        Self::Getxattr,
        Self::Listxattr,
        Self::Lseek,
        Self::Write,
        Self::Other,
    ];

    /// The lower-case word for tables and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Getattr => "getattr",
            Self::Readlink => "readlink",
            Self::Open => "open",
            Self::Opendir => "opendir",
            Self::Read => "read",
            Self::Readdir => "readdir",
            Self::Readdirplus => "readdirplus",
            Self::Statfs => "statfs",
            Self::Getxattr => "getxattr",
            Self::Listxattr => "listxattr",
            Self::Lseek => "lseek",
            Self::Write => "write",
            Self::Other => "other",
        }
    }
}

/// Counts since the mount.
#[derive(Debug, Default)]
pub struct Counters {
    requests: [AtomicU64; Request::ALL.len()],
    bytes_read: AtomicU64,
    files_sent: AtomicU64,
}

impl Counters {
    /// One more of `kind`.
    pub fn count(&self, kind: Request) {
        // In range: ALL lists every kind.
        if let Some(counter) = self.requests.get(kind as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `bytes` more were handed to readers.
    pub fn count_bytes(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// One more file was sent before the kernel asked for it.
    pub fn count_sent(&self) {
        self.files_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Files sent before the kernel asked for them.
    pub fn files_sent(&self) -> u64 {
        self.files_sent.load(Ordering::Relaxed)
    }

    /// How many of `kind` there were.
    pub fn of(&self, kind: Request) -> u64 {
        self.requests.get(kind as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How many requests of all kinds there were.
    pub fn total(&self) -> u64 {
        Request::ALL.iter().map(|kind| self.of(*kind)).sum()
    }

    /// Bytes handed to readers.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}
