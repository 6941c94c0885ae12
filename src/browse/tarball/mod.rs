//! One tar of a whole tree, or of a part of it: what `export` and `cp REF:PATH -` write.
//!
//! The form is PAX: read back to the identical tree by GNU tar, bsdtar and every container
//! runtime. Names come in the order of the table (by bytes, parents first), so the same image
//! makes the same bytes; layers are written in that order too, mostly, so each is decoded once
//! from its beginning to its end. Of several names of one file the first has the bytes and the
//! others are hard links. Sparse files have their holes (PAX 1.0). All names begin with the top,
//! `.` for the whole, which tells GNU tar when it has left a directory for good.
//!
//! A failure ends the writing, and what was written is no whole archive.

mod acl;
mod header;

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;

use super::{Browser, Error, Node};
use crate::layer::{Extent, Kind};
use crate::tree::{Attributes, FileData, RowNo};
use header::{BLOCK, Head, padding};

/// The two blocks that end an archive.
const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Writes `start` and everything below it to `out`, under the name `top`.
///
/// # Errors
/// When something of the image cannot be read, or `out` refuses.
pub fn write(
    browser: &Browser,
    start: &Node,
    top: &[u8],
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut tarball = Tarball { browser, out, first_names: HashMap::new(), head: Vec::new() };
    tarball.node(top, start.row)?;
    if start.attributes.kind == Kind::Directory {
        let skip = if start.path.is_empty() { 0 } else { start.path.len() + 1 };
        let mut name = Vec::new();
        let walked = browser.tree.walk(start.row, |path, child| {
            name.clear();
            name.extend_from_slice(top);
            name.push(b'/');
            name.extend_from_slice(path.get(skip..).unwrap_or_default());
            match tarball.node(&name, child.row) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        })?;
        if let ControlFlow::Break(error) = walked {
            return Err(error);
        }
    }
    tarball.put(&END)?;
    tarball.out.flush().map_err(Error::Write)
}

struct Tarball<'a> {
    browser: &'a Browser,
    out: &'a mut dyn Write,
    /// Of files with several names, the one that was written with the bytes.
    first_names: HashMap<RowNo, Vec<u8>>,
    /// The head that is written last, for its room.
    head: Vec<u8>,
}

impl Tarball<'_> {
    fn node(&mut self, name: &[u8], row: RowNo) -> Result<(), Error> {
        let browser = self.browser;
        let attributes = browser.attributes(row)?;
        let mut head = Head::of(name, &attributes);
        let is_linked = attributes.links > 1 && attributes.kind != Kind::Directory;
        if is_linked && let Some(first) = self.first_names.get(&row) {
            self.head.clear();
            Head { kind: Kind::HardLink, link: first, ..head }.write(&mut self.head);
            return self.put_head();
        }
        if is_linked {
            self.first_names.insert(row, name.to_vec());
        }
        let xattrs = browser.tree.xattrs(row)?;
        head.xattrs = &xattrs;
        if attributes.kind == Kind::Symlink {
            head.link = browser.tree.link_text(row)?;
        }
        match browser.tree.file(row)? {
            Some(file) if file.sparse.is_some() => self.sparse(head, &file),
            Some(file) => self.plain(head, &file),
            None => {
                self.head.clear();
                head.write(&mut self.head);
                self.put_head()
            }
        }
    }

    fn plain(&mut self, mut head: Head<'_>, file: &FileData) -> Result<(), Error> {
        head.stored = file.size;
        self.head.clear();
        head.write(&mut self.head);
        self.put_head()?;
        self.bytes(head.name, file, 0, file.size)?;
        self.put(padding(file.size))
    }

    fn sparse(&mut self, mut head: Head<'_>, file: &FileData) -> Result<(), Error> {
        let runs = runs(file);
        let map = sparse_map(&runs);
        let stored: u64 = runs.iter().map(|run| run.length).sum();
        head.stored = map.len() as u64 + stored;
        head.real_size = Some(file.size);
        self.head.clear();
        head.write(&mut self.head);
        self.put_head()?;
        self.put(&map)?;
        for run in &runs {
            self.bytes(head.name, file, run.offset, run.offset.saturating_add(run.length))?;
        }
        self.put(padding(stored))
    }

    fn bytes(&mut self, name: &[u8], file: &FileData, from: u64, to: u64) -> Result<(), Error> {
        let out = &mut *self.out;
        let put = |piece: &[u8]| out.write_all(piece).map_err(Error::Write);
        self.browser.pieces(name, file, (from, to), put)
    }

    fn put_head(&mut self) -> Result<(), Error> {
        self.out.write_all(&self.head).map_err(Error::Write)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(Error::Write)
    }
}

/// The stored runs, with an empty one at the end of a file that ends with a hole: GNU tar takes
/// the file's length from it.
fn runs(file: &FileData) -> Vec<Extent> {
    let stored = file.sparse.iter().flatten().filter(|run| run.length > 0);
    let mut runs: Vec<Extent> = stored.copied().collect();
    let end = runs.last().map_or(0, |run| run.offset.saturating_add(run.length));
    if end < file.size {
        runs.push(Extent { offset: file.size, length: 0 });
    }
    runs
}

/// The map of PAX 1.0 before the bytes: numbers in lines, filled up to whole blocks.
fn sparse_map(runs: &[Extent]) -> Vec<u8> {
    let mut map = format!("{}\n", runs.len());
    for run in runs {
        map.push_str(&format!("{}\n{}\n", run.offset, run.length));
    }
    let mut map = map.into_bytes();
    map.extend_from_slice(padding(map.len() as u64));
    map
}

impl<'a> Head<'a> {
    /// What `attributes` say; the rest is for the caller to fill in.
    fn of(name: &'a [u8], attributes: &Attributes) -> Self {
        Self {
            name,
            link: b"",
            kind: attributes.kind,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: attributes.mtime,
            device: attributes.device,
            stored: 0,
            real_size: None,
            xattrs: &[],
        }
    }
}
