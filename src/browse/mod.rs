//! The files of an image without a mount: found, read, copied out, written as one tar.
//!
//! ```text
//! path --find--> Node --pieces--> bytes      `cat`: only the spans that hold them are decoded
//!                  |----copy----> directory  `cp`: never through a link of the destination
//!                  |---tarball--> tar        `export`: the flattened tree
//! ```
//!
//! Everything comes from the tree's table and the layers' spans. Paths are resolved inside the
//! image's root, as in a chroot into its mount. Nothing is written to the store: files read here
//! are not extracted into it. Walks go through the table in place and collect nothing, so the
//! first name is there at once however many there are.
//!
//! **Does not** print, fetch, or decide which image a name stands for.

mod copy;
mod error;
mod tarball;

pub use copy::{Copied, CopyOptions, Shortfalls, copy};
pub use error::Error;
pub use tarball::write as write_tar;

use crate::content::{self, Content};
use crate::layer::Kind;
use crate::store::{BlobId, Store};
use crate::tree::{Attributes, FileData, ImageTree, Resolved, RowNo};
use error::shown;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// Decoded bytes that are kept: a walk by names reads layers by turns, and each has a span or two.
const CACHE: usize = 64 << 20;

/// Layers that are read by turns without entering them anew: about 110 KiB each.
const STREAMS: usize = 64;

/// An image whose files are looked at.
#[derive(Debug)]
pub struct Browser {
    tree: ImageTree,
    content: Content,
}

/// Something in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it is, links resolved, without a leading `/`; empty for the root.
    pub path: Vec<u8>,
    /// The name's own row.
    pub entry: RowNo,
    /// The node's row.
    pub row: RowNo,
    /// What `stat` says of it.
    pub attributes: Attributes,
}

impl Browser {
    /// The files of `tree`, whose bytes are in `layers`, bottom first. Hold a lease on them.
    pub fn open(store: Store, tree: ImageTree, layers: Vec<BlobId>) -> Self {
        let options = content::Options {
            cache: CACHE,
            extract_from: None,
            streams: STREAMS,
            ..content::Options::default()
        };
        Self { tree, content: Content::open(store, layers, options) }
    }

    /// The names.
    pub fn tree(&self) -> &ImageTree {
        &self.tree
    }

    /// What it cost to read so far.
    pub fn stats(&self) -> &content::Stats {
        self.content.stats()
    }

    /// What `path` leads to. A link at its end is followed when `follow` says so, or when a `/`
    /// comes after it.
    ///
    /// # Errors
    /// When it leads nowhere, and why.
    pub fn find(&self, path: &[u8], follow: bool) -> Result<Node, Error> {
        let slash = path.ends_with(b"/");
        match self.tree.resolve(path, follow || slash)? {
            Resolved::At { directory, entry, row } => {
                let node = self.node(directory, entry, row)?;
                if slash && node.attributes.kind != Kind::Directory {
                    return Err(Error::NotDirectory { path: shown(path) });
                }
                Ok(node)
            }
            Resolved::NotDirectory => Err(Error::NotDirectory { path: shown(path) }),
            Resolved::Loop => Err(Error::Loop { path: shown(path) }),
            Resolved::Absent => match self.tree.resolve(path, false)? {
                Resolved::At { row, .. } => {
                    let target = String::from_utf8_lossy(self.tree.link_text(row)?).into_owned();
                    Err(Error::Dangling { path: shown(path), target })
                }
                _ => Err(Error::Absent { path: shown(path) }),
            },
        }
    }

    /// The nearest directory above `path` that there is, without a leading `/`.
    pub fn nearest(&self, path: &[u8]) -> Vec<u8> {
        let mut path = path;
        while let Some(at) = path.iter().rposition(|&byte| byte == b'/') {
            path = path.get(..at).unwrap_or_default();
            match self.find(path, true) {
                Ok(node) if node.attributes.kind == Kind::Directory => return node.path,
                _ => {}
            }
        }
        Vec::new()
    }

    /// A regular file's place, or why `node` has no bytes to read.
    ///
    /// # Errors
    /// When it is something else than a regular file.
    pub fn file(&self, node: &Node) -> Result<FileData, Error> {
        if let Some(file) = self.tree.file(node.row)? {
            return Ok(file);
        }
        let path = shown(&node.path);
        Err(match node.attributes.kind {
            Kind::Directory => Error::IsDirectory { path },
            Kind::Symlink => Error::Special { path, what: "symbolic link" },
            Kind::CharDevice | Kind::BlockDevice => Error::Special { path, what: "device" },
            Kind::Fifo => Error::Special { path, what: "named pipe" },
            Kind::File | Kind::HardLink => Error::Special { path, what: "file without bytes" },
        })
    }

    /// Hands `take` the bytes `[from, to)` of a file, piece by piece.
    ///
    /// # Errors
    /// When the bytes cannot be had, or `take` refuses.
    pub fn pieces<E: From<Error>>(
        &self,
        path: &[u8],
        file: &FileData,
        (mut from, to): (u64, u64),
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut piece = Vec::new();
        while from < to {
            piece.clear();
            let length = usize::try_from(to - from).unwrap_or(PIECE).min(PIECE);
            let read = self.content.read(file, from, length, &mut piece);
            read.map_err(|source| Error::Content { path: shown(path), source })?;
            if piece.is_empty() {
                return Err(Error::Short { path: shown(path) }.into());
            }
            take(&piece)?;
            from += piece.len() as u64;
        }
        Ok(())
    }

    fn node(&self, directory: RowNo, entry: RowNo, row: RowNo) -> Result<Node, Error> {
        let mut path = self.tree.path(directory)?;
        if row != ImageTree::ROOT {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(self.tree.own_name(entry)?);
        }
        Ok(Node { path, entry, row, attributes: self.attributes(row)? })
    }

    fn attributes(&self, row: RowNo) -> Result<Attributes, Error> {
        self.tree.attributes(row)?.ok_or(Error::NoRow(row))
    }
}
