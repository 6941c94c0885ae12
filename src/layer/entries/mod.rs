//! Entries and warnings as the bytes of a TOC section, written and read as a stream.
//!
//! An entry differs little from the one before it, so most of it is written as the difference:
//! the path without the part they share, the times, owners and modes only if they changed, the
//! place of the bytes only if it is not where a tar would put it. What is left is mostly file
//! names and hashes; zstd, which the TOC puts around the section, makes the names small.
//!
//! ```text
//! section  entry* END(0x07) count
//! entry    tag                         kind, and what follows (the bits below)
//!          shared, suffix              path: bytes in common with the one before, then the rest
//!          [mode]                      MODE: changed since the last entry of this kind
//!          [uid gid]                   OWNER: changed
//!          [seconds nanos]             TIME: changed; difference of seconds
//!          [link]                      symlinks and hard links
//!          [major minor]               devices
//!          [count (name value)*]       XATTRS
//!          [size place [runs] content] files; `place` as the difference to where it is expected;
//!                                      runs and content unless plain and empty
//! ```
//!
//! A reader believes nothing: every length has a limit, nothing is allocated before it is checked,
//! and damaged bytes are an error or other entries, never a panic. That they are other entries is
//! for the TOC's checksum to tell.

mod reader;
mod varint;
mod warnings;
mod writer;

use std::io;

pub use reader::Reader;
pub use warnings::{WarningReader, WarningWriter};
pub use writer::{Summary, Writer};

use super::{Entry, Kind, Time};

/// Why a section cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EntriesError {
    /// The reader below failed.
    #[error("cannot read the table of entries")]
    Read(#[source] io::Error),
    /// The bytes are not what a writer writes.
    #[error("the table of entries is damaged after {position} of them: {what}")]
    Damaged {
        /// Entries (or warnings) read so far.
        position: u64,
        /// What was found.
        what: &'static str,
    },
}

/// The tag's low three bits are the kind, or this at the end of the section.
const END: u8 = 7;
const KIND: u8 = 7;
const MODE: u8 = 1 << 3;
const OWNER: u8 = 1 << 4;
const TIME: u8 = 1 << 5;
const XATTRS: u8 = 1 << 6;
/// Of files: there is a map of runs.
const SPARSE: u8 = 1 << 7;

/// What both sides remember of the entries before.
#[derive(Debug, Default)]
struct Previous {
    path: Vec<u8>,
    /// By kind.
    modes: [u16; 7],
    owner: (u32, u32),
    mtime: Time,
    /// Where the next header is expected in the tar.
    header: u64,
}

impl Previous {
    /// Where the bytes of a file that comes next are expected.
    fn place(&self) -> u64 {
        self.header.wrapping_add(512)
    }

    /// Moves on past an entry.
    fn pass(&mut self, entry: &Entry) {
        self.path.clone_from(&entry.path);
        if let Some(mode) = self.modes.get_mut(usize::from(number(entry.kind))) {
            *mode = entry.mode;
        }
        self.owner = (entry.uid, entry.gid);
        self.mtime = entry.mtime;
        self.header = match entry.kind {
            Kind::File => {
                let end = entry.data_offset.wrapping_add(entry.stored());
                end.wrapping_add(end.wrapping_neg() % 512)
            }
            _ => self.place(),
        };
    }

    fn mode(&self, kind: Kind) -> u16 {
        self.modes.get(usize::from(number(kind))).copied().unwrap_or_default()
    }
}

/// A kind's number on disk.
fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Directory => 0,
        Kind::File => 1,
        Kind::Symlink => 2,
        Kind::HardLink => 3,
        Kind::CharDevice => 4,
        Kind::BlockDevice => 5,
        Kind::Fifo => 6,
    }
}
