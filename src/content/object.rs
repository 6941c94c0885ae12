//! Extracted files: `content/blake3/HEX` of the content's BLAKE3.
//!
//! ```text
//! bytes    the file's bytes
//! groups   32 bytes for every 64 KiB of them: the chaining value of that subtree of BLAKE3;
//!          nothing for a file that has no more than 64 KiB, whose hash is its name
//! footer   size, version, magic
//! ```
//!
//! BLAKE3 is a tree, and its root over the whole file is the ContentId, the object's name. The
//! chaining values of all 64 KiB groups are one level of that tree: opening merges them to the
//! root (80 ns each, 1.3 ms for a file of 1 GB) and compares it with the name, and a read hashes
//! just the groups it touches (9 us each). So no byte is served that is not covered by the
//! ContentId, although a file is never read as a whole to be trusted, and a damaged group, a
//! truncated file or another file's object is an error, on which the object is thrown away.
//!
//! The kernel keeps what was read in its cache of the mounted file, so the pages of the object
//! behind it can be given up after each read. For a command that is started again and again, each
//! time on a mount of its own, they are what makes the next start fast, and stay.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use rustix::fs::{Advice, fadvise};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::layer::ContentId;

/// Bytes of a group: a power of two of BLAKE3's chunks.
const GROUP: u64 = 64 << 10;

/// The version of the format.
const VERSION: u32 = 1;

const MAGIC: [u8; 4] = *b"SHCO";

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
struct Footer {
    size: U64,
    version: U32,
    magic: [u8; 4],
}

impl Footer {
    fn new(size: u64) -> Self {
        Self { size: size.into(), version: VERSION.into(), magic: MAGIC }
    }
}

fn groups(size: u64) -> u64 {
    if size <= GROUP { 0 } else { size.div_ceil(GROUP) }
}

/// The root over the chaining values of all groups, as BLAKE3 shapes its tree: the left side of
/// every node is the largest power of two that leaves something for the right side.
fn root(groups: &[ChainingValue]) -> Option<ContentId> {
    let (left, right) = halves(groups)?;
    let hash = merge_subtrees_root(&subtree(left)?, &subtree(right)?, Mode::Hash);
    Some(ContentId(hash.into()))
}

fn subtree(groups: &[ChainingValue]) -> Option<ChainingValue> {
    match groups {
        [one] => Some(*one),
        _ => {
            let (left, right) = halves(groups)?;
            Some(merge_subtrees_non_root(&subtree(left)?, &subtree(right)?, Mode::Hash))
        }
    }
}

fn halves(groups: &[ChainingValue]) -> Option<(&[ChainingValue], &[ChainingValue])> {
    let half = groups.len().div_ceil(2).next_power_of_two();
    if groups.len() < 2 { None } else { groups.split_at_checked(half) }
}

/// An object in the making, written forwards.
pub(super) struct ObjectWriter<W> {
    out: W,
    written: u64,
    /// Of the group that is not full.
    hasher: Hasher,
    groups: Vec<ChainingValue>,
}

impl<W: Write> ObjectWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, written: 0, hasher: Hasher::new(), groups: Vec::new() }
    }

    /// How many bytes of the file are there.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Appends bytes of the file.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        while !bytes.is_empty() {
            let room = usize::try_from(GROUP - self.written % GROUP).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if self.written.is_multiple_of(GROUP) {
                // Anew, because a reset hasher keeps its old offset.
                self.hasher = Hasher::new();
                self.hasher.set_input_offset(self.written);
            }
            self.hasher.update(now);
            self.written += now.len() as u64;
            if self.written.is_multiple_of(GROUP) {
                self.groups.push(self.hasher.finalize_non_root());
            }
            bytes = later;
        }
        Ok(())
    }

    /// Writes the rest, if the bytes are those of `content`.
    pub(super) fn finish(mut self, content: ContentId) -> io::Result<W> {
        let found = if self.written <= GROUP {
            self.groups.clear();
            Some(ContentId(self.hasher.finalize().into()))
        } else {
            if !self.written.is_multiple_of(GROUP) {
                self.groups.push(self.hasher.finalize_non_root());
            }
            root(&self.groups)
        };
        if found != Some(content) {
            return Err(bad("the file's bytes do not match its digest"));
        }
        for group in &self.groups {
            self.out.write_all(group)?;
        }
        self.out.write_all(Footer::new(self.written).as_bytes())?;
        Ok(self.out)
    }
}

/// An open object.
#[derive(Debug)]
pub(super) struct Object {
    file: File,
    content: ContentId,
    size: u64,
    groups: Vec<ChainingValue>,
}

impl Object {
    /// Opens the object of `content`, a file of `size` bytes.
    ///
    /// # Errors
    /// `InvalidData` when it is not that or damaged, and whatever reading says.
    pub(super) fn open(file: File, content: ContentId, size: u64) -> io::Result<Self> {
        let count = groups(size);
        let table = count * 32;
        let footer = size_of::<Footer>() as u64;
        if size == 0 || file.metadata()?.len().checked_sub(table + footer) != Some(size) {
            return Err(bad("its length"));
        }
        let mut found = Footer::new_zeroed();
        file.read_exact_at(found.as_mut_bytes(), size + table)?;
        if found != Footer::new(size) {
            return Err(bad("its footer"));
        }
        let mut groups = vec![[0; 32]; usize::try_from(count).map_err(io::Error::other)?];
        file.read_exact_at(groups.as_mut_bytes(), size)?;
        if !groups.is_empty() && root(&groups) != Some(content) {
            return Err(bad("its digest"));
        }
        Ok(Self { file, content, size, groups })
    }

    /// Lets the kernel forget the pages behind these bytes of the file.
    pub(super) fn forget(&self, offset: u64, end: u64) {
        let first = offset - offset % GROUP;
        let length = NonZeroU64::new(end.next_multiple_of(GROUP).saturating_sub(first));
        // Only a hint; and the pages of a write that is not on disk yet stay.
        let _ = fadvise(&self.file, first, length, Advice::DontNeed);
    }

    /// Appends the bytes `[offset, end)` of the file to `out`, checked. On an error `out` is as it
    /// was.
    ///
    /// # Errors
    /// `InvalidData` when they are damaged, and whatever reading says.
    pub(super) fn read(&self, offset: u64, end: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let before = out.len();
        let result = self.read_groups(offset, end.min(self.size), out);
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    fn read_groups(&self, offset: u64, end: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let before = out.len();
        let first = offset - offset % GROUP;
        let last = end.next_multiple_of(GROUP).min(self.size);
        let length = |from: u64, to: u64| usize::try_from(to.saturating_sub(from));
        out.resize(before + length(first, last).map_err(io::Error::other)?, 0);
        let read = out.get_mut(before..).unwrap_or_default();
        self.file.read_exact_at(read, first)?;
        let mut at = first;
        for group in read.chunks(1 << 16) {
            if !self.is_good(at, group).map_err(io::Error::other)? {
                return Err(bad("a group of its bytes"));
            }
            at += GROUP;
        }
        out.drain(before..before + length(first, offset).map_err(io::Error::other)?);
        out.truncate(before + length(offset, end).map_err(io::Error::other)?);
        Ok(())
    }

    /// Whether these are the bytes of the group at `offset`.
    fn is_good(&self, offset: u64, group: &[u8]) -> Result<bool, std::num::TryFromIntError> {
        if self.groups.is_empty() {
            return Ok(blake3::hash(group) == blake3::Hash::from(self.content.0));
        }
        let mut hasher = Hasher::new();
        hasher.set_input_offset(offset);
        let value = hasher.update(group).finalize_non_root();
        Ok(self.groups.get(usize::try_from(offset / GROUP)?) == Some(&value))
    }
}

/// Reads an object whole and checks it against the content it is named by, for `verify`.
///
/// # Errors
/// `InvalidData` when it is not that or damaged, and whatever reading says.
pub fn check(file: File, content: ContentId) -> io::Result<()> {
    let start = file.metadata()?.len().checked_sub(size_of::<Footer>() as u64);
    let mut footer = Footer::new_zeroed();
    file.read_exact_at(footer.as_mut_bytes(), start.ok_or_else(|| bad("its length"))?)?;
    let size = footer.size.get();
    if size > i64::MAX as u64 {
        return Err(bad("its footer"));
    }
    let object = Object::open(file, content, size)?;
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < size {
        bytes.clear();
        let end = size.min(at + (1 << 20));
        object.read(at, end, &mut bytes)?;
        object.forget(at, end);
        at = end;
    }
    Ok(())
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} does not hold"))
}
