//! Why a tar stream was refused.
//!
//! Every refusal names the entry and the byte offset in the uncompressed stream, so that a person
//! can look with `xxd` at what the walker saw. Names come from outside: they are escaped when
//! printed, so that none can drive a terminal.

use std::fmt;

use crate::limits::Exceeded;

/// A refusal: what is wrong, at which entry, where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarError {
    /// What is wrong.
    pub fault: Fault,
    /// The entry's name as far as it is known, perhaps not cleaned, perhaps empty.
    pub path: Vec<u8>,
    /// Offset in the uncompressed stream: of the header block concerned, or where it was cut off.
    pub offset: u64,
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(&self.path);
        write!(f, "tar entry \"{}\" at byte {}: {}", name.escape_debug(), self.offset, self.fault)
    }
}

impl std::error::Error for TarError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

/// What can be wrong with a tar stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The stream ends inside a header, an extension or a file's bytes.
    #[error("the archive is cut off")]
    Truncated,
    /// Neither the signed nor the unsigned sum of the header's bytes is what it says.
    #[error("bad header checksum")]
    Checksum,
    /// One block of zeros, then something that is not.
    #[error("a single zero block in the middle of the archive")]
    LoneZeroBlock,
    /// A number that cannot be read.
    #[error("{field} is not a number")]
    Number {
        /// Which header field or PAX key.
        field: &'static str,
    },
    /// A number that can be read and has no meaning here.
    #[error("{field} {value} is out of range")]
    Range {
        /// Which header field or PAX key.
        field: &'static str,
        /// What it says.
        value: i64,
    },
    /// An entry type that makes no file, directory, link or device.
    #[error("unknown entry type {:?}", char::from(*.0))]
    UnknownType(u8),
    /// A PAX record without a sound length, a newline at its end, a key or a value.
    #[error("malformed PAX record")]
    PaxRecord,
    /// A sparse map that cannot be read, is out of order, or does not fit the bytes stored.
    #[error("bad sparse map: {0}")]
    Sparse(&'static str),
    /// The name is empty.
    #[error("empty name")]
    EmptyName,
    /// The link has no target.
    #[error("empty link target")]
    EmptyLink,
    /// A NUL in a name or a link target.
    #[error("NUL in a name")]
    NulInName,
    /// One component is longer than a file name may be.
    #[error("a name component has {length} bytes (at most {})", super::path::COMPONENT_MAX)]
    LongComponent {
        /// Its bytes.
        length: usize,
    },
    /// The path, or a hard link's target, is longer than a path may be.
    #[error("the path has more than {} bytes", super::path::PATH_MAX)]
    LongPath,
    /// The symlink's text is longer than a path may be.
    #[error("the symlink text has {length} bytes (at most {})", super::path::PATH_MAX)]
    LongLink {
        /// Its bytes.
        length: usize,
    },
    /// An extended attribute's name is empty or longer than the kernel takes.
    #[error("an extended attribute's name has {length} bytes (1 to 255 are possible)")]
    XattrName {
        /// Its bytes.
        length: usize,
    },
    /// It costs more than allowed.
    #[error("{0}")]
    Limit(#[source] Exceeded),
}

impl From<Exceeded> for Fault {
    fn from(exceeded: Exceeded) -> Self {
        Self::Limit(exceeded)
    }
}
