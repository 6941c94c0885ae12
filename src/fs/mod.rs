//! The file system: lookup, attributes, directories, links, bytes and extended attributes of one
//! image, as pure questions to its table and its content.
//!
//! It is stateless. An inode number is a row of an immutable table plus one; there is no lookup
//! count, no open file and no handle, so every method takes `&self`, any number of threads may
//! call, and every answer stays right for ever. That is what lets the kernel cache without limit.
//!
//! Guarantees: nothing here blocks on the network, and only [`ImageFs::read`] decodes anything;
//! a name is reported absent only when the table says so; damage is an error that is also logged,
//! naming the digest. Knows no type of the FUSE crate, so all of it can be tested without a kernel.

mod ahead;
mod attributes;
mod counters;
mod error;
mod figures;
mod seek;
mod viewer;
mod xattr;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};

pub use ahead::Batch;
pub use attributes::{Attr, BLOCK_SIZE, Ino, Statfs, View};
pub use counters::{Counters, Request};
pub use error::Error;
pub use figures::{FIGURES, FIGURES_ROOM, Figures};
pub use seek::Seek;
pub use viewer::Viewer;
pub use xattr::{Fit, Provenance};

use self::ahead::Ahead;
use crate::content::{Content, ContentError};
use crate::layer::Kind;
use crate::tree::{FileData, ImageTree, RowNo};

/// The longest name, as `statfs` says.
pub const NAME_MAX: u32 = 255;

/// Damage is logged this often in the life of a mount, so that a loop over a damaged file cannot
/// fill the disk with one line a read.
const DAMAGE_LINES: u32 = 1_000;

/// Where the bytes of regular files come from: [`Content`], or a test's own.
pub trait FileBytes: Send + Sync {
    /// Appends the bytes `[offset, offset + length)` of `file` to `out`, cut at the end of file.
    fn read(
        &self,
        file: &FileData,
        offset: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentError>;

    /// What it did so far, for [`Figures`].
    fn figures(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

impl FileBytes for Content {
    fn read(
        &self,
        file: &FileData,
        offset: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentError> {
        Content::read(self, file, offset, length, out)
    }

    fn figures(&self) -> Vec<(&'static str, u64)> {
        self.stats().figures()
    }
}

/// A name in a directory listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// Its inode.
    pub ino: Ino,
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub name: &'a [u8],
    /// Where a listing goes on after this entry.
    pub next: u64,
}

/// One image as a file system.
#[derive(Debug)]
pub struct ImageFs<C = Content> {
    tree: ImageTree,
    content: C,
    view: View,
    kinds: xattr::Kinds,
    provenance: Option<Provenance>,
    viewer: Option<Viewer>,
    counters: Counters,
    ahead: Ahead,
    damage_lines: AtomicU32,
}

impl<C: FileBytes> ImageFs<C> {
    /// The file system of `tree`, whose bytes come from `content`, shown as `view` says.
    pub fn new(tree: ImageTree, content: C, view: View) -> Self {
        Self {
            kinds: xattr::Kinds::of(&tree),
            tree,
            content,
            view,
            provenance: None,
            viewer: None,
            counters: Counters::default(),
            ahead: Ahead::default(),
            damage_lines: AtomicU32::new(0),
        }
    }

    /// The same, with the layers that files come from as extended attributes.
    #[must_use]
    pub fn with_provenance(self, provenance: Option<Provenance>) -> Self {
        Self { provenance, ..self }
    }

    /// The same, without the attributes that `viewer` could not set.
    #[must_use]
    pub fn with_viewer(self, viewer: Option<Viewer>) -> Self {
        Self { viewer, ..self }
    }

    /// Requests so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether any inode may have an access control list.
    pub fn has_acls(&self) -> bool {
        self.kinds.acls
    }

    /// The attributes of what `name` leads to in `parent`; `Ok(None)` when it is known that the
    /// directory has no such name. `.` and `..` are answered too, for file handles (exports).
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Option<Attr>, Error> {
        self.counters.count(Request::Lookup);
        self.checked(self.find(parent, name))
    }

    /// Attributes of an inode.
    pub fn getattr(&self, ino: Ino) -> Result<Attr, Error> {
        self.counters.count(Request::Getattr);
        self.checked(self.attr(ino))
    }

    /// A symlink's text.
    pub fn readlink(&self, ino: Ino) -> Result<&[u8], Error> {
        self.counters.count(Request::Readlink);
        self.checked(self.link(ino))
    }

    /// Hands `emit` the names of a directory from `position` on (0 begins; then
    /// [`DirEntry::next`] of the last one taken) until it breaks or all were given.
    pub fn readdir(
        &self,
        directory: Ino,
        position: u64,
        mut emit: impl FnMut(&DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.counters.count(Request::Readdir);
        self.checked(self.list(directory, position, |entry| Ok(emit(entry))))
    }

    /// As [`Self::readdir`], with each entry's attributes.
    pub fn readdirplus(
        &self,
        directory: Ino,
        position: u64,
        mut emit: impl FnMut(&DirEntry<'_>, &Attr) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.counters.count(Request::Readdirplus);
        self.checked(
            self.list(directory, position, |entry| Ok(emit(entry, &self.attr(entry.ino)?))),
        )
    }

    /// Appends up to `length` bytes of a regular file from `offset` on to `out`; fewer only at the
    /// end of the file.
    pub fn read(
        &self,
        ino: Ino,
        offset: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.counters.count(Request::Read);
        let before = out.len();
        let result = self
            .file(ino)
            .and_then(|file| self.content.read(&file, offset, length, out).map_err(Error::Content));
        self.counters.count_bytes(out.len() - before);
        self.checked(result)
    }

    /// The offset of the next data or hole of a regular file.
    pub fn lseek(&self, ino: Ino, offset: i64, want: Option<Seek>) -> Result<i64, Error> {
        self.counters.count(Request::Lseek);
        let want = want.ok_or(Error::BadSeek)?;
        let offset = u64::try_from(offset).map_err(|_| Error::BadSeek)?;
        let file = self.checked(self.file(ino))?;
        let found = seek::seek(file.sparse.as_deref(), file.size, offset, want);
        found.and_then(|at| i64::try_from(at).ok()).ok_or(Error::PastEnd(offset))
    }

    /// The value of the extended attribute `name`, or its length when `room` is 0.
    pub fn getxattr(&self, ino: Ino, name: &[u8], room: u32) -> Result<Fit, Error> {
        self.counters.count(Request::Getxattr);
        let value = self.xattrs().get(ino, name);
        self.checked(value.and_then(|value| xattr::fit(value, room)))
    }

    /// The names of the extended attributes, each followed by a NUL, or their length when `room`
    /// is 0.
    pub fn listxattr(&self, ino: Ino, room: u32) -> Result<Fit, Error> {
        self.counters.count(Request::Listxattr);
        let names = self.xattrs().list(ino);
        self.checked(names.and_then(|names| xattr::fit(names, room)))
    }

    /// Totals of the image. Nothing is free: nothing can be written.
    pub fn statfs(&self) -> Statfs {
        self.counters.count(Request::Statfs);
        Statfs::of(self.tree.totals())
    }

    /// The answer to opening a file: no message is needed for that.
    pub fn open(&self) -> Error {
        self.counters.count(Request::Open);
        Error::Stateless
    }

    /// The answer to opening a directory: no message is needed for that.
    pub fn opendir(&self) -> Error {
        self.counters.count(Request::Opendir);
        Error::Stateless
    }

    /// The answer to everything that would change something.
    pub fn write(&self) -> Error {
        self.counters.count(Request::Write);
        Error::ReadOnly
    }

    /// The answer to requests that keep state elsewhere (flush, fsync, locks): none is needed.
    pub fn stateless(&self) -> Error {
        self.counters.count(Request::Other);
        Error::Stateless
    }

    /// The answer to an ioctl. [`FIGURES`] is the only one there is, and is not counted: looking
    /// on changes nothing.
    pub fn ioctl(&self, request: u32) -> Result<Vec<u8>, Error> {
        if request == FIGURES {
            return Ok(Figures::of(&self.counters, self.content.figures()).to_answer());
        }
        self.counters.count(Request::Other);
        Err(Error::NoIoctl)
    }

    fn xattrs(&self) -> xattr::Attributes<'_> {
        let (provenance, viewer) = (self.provenance.as_ref(), self.viewer.as_ref());
        xattr::Attributes { tree: &self.tree, kinds: self.kinds, provenance, viewer }
    }

    fn find(&self, parent: Ino, name: &[u8]) -> Result<Option<Attr>, Error> {
        let directory = self.directory(parent)?;
        if name.len() > NAME_MAX as usize {
            return Err(Error::NameTooLong(name.len()));
        }
        let row = match name {
            b"." => Some(directory),
            b".." => Some(self.tree.parent(directory)?),
            _ => self.tree.lookup(directory, name)?,
        };
        row.map(|row| self.attr(Ino::of(row))).transpose()
    }

    fn link(&self, ino: Ino) -> Result<&[u8], Error> {
        match self.attr(ino)?.kind {
            Kind::Symlink => Ok(self.tree.link_text(ino.row()?)?),
            _ => Err(Error::NotSymlink(ino)),
        }
    }

    /// Positions 0 and 1 are `.` and `..`, position n + 2 is child n.
    fn list(
        &self,
        directory: Ino,
        position: u64,
        mut emit: impl FnMut(&DirEntry<'_>) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let row = self.directory(directory)?;
        for position in position..u64::MAX {
            let (name, row, kind): (&[u8], _, _) = match position {
                0 => (b".", row, Kind::Directory),
                1 => (b"..", self.tree.parent(row)?, Kind::Directory),
                _ => {
                    let Ok(number) = u32::try_from(position - 2) else { return Ok(()) };
                    let Some(child) = self.tree.child(row, number)? else { return Ok(()) };
                    (child.name, child.row, child.kind)
                }
            };
            let entry = DirEntry { ino: Ino::of(row), kind, name, next: position + 1 };
            if emit(&entry)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn attr(&self, ino: Ino) -> Result<Attr, Error> {
        let attributes = self.tree.attributes(ino.row()?)?.ok_or(Error::NoInode(ino))?;
        Ok(self.view.show(ino, &attributes))
    }

    fn directory(&self, ino: Ino) -> Result<RowNo, Error> {
        let row = ino.row()?;
        match self.tree.attributes(row)?.ok_or(Error::NoInode(ino))?.kind {
            Kind::Directory => Ok(row),
            _ => Err(Error::NotDirectory(ino)),
        }
    }

    fn file(&self, ino: Ino) -> Result<FileData, Error> {
        let row = ino.row()?;
        if let Some(file) = self.tree.file(row)? {
            return Ok(file);
        }
        match self.tree.attributes(row)?.ok_or(Error::NoInode(ino))?.kind {
            Kind::Directory => Err(Error::IsDirectory(ino)),
            _ => Err(Error::NotFile(ino)),
        }
    }

    /// Passes a result on, writing damage of the table to the log; `content` logs its own.
    fn checked<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Table(error)) = &result {
            match self.damage_lines.fetch_add(1, Ordering::Relaxed) {
                // A wrap after four thousand million errors logs another thousand: no harm.
                0..DAMAGE_LINES => log::error!("{error}"),
                DAMAGE_LINES => log::error!("{error}; further damage is not logged"),
                _ => {}
            }
        }
        result
    }
}
