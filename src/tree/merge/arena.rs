//! The tree while it is being merged: names, nodes, directories, each in one flat array.
//!
//! ```text
//! Name  (directory, bytes) -> node      found through one hash index over all directories
//! Node  kind, attributes, place ------> directory: its Directory   file: its File
//!                                       symlink: its text          device: its numbers
//! Directory -> the name that it has     (so `..` is: the directory of the name of a directory)
//! ```
//!
//! A name leads to a node, many names to one node when they are hard links. A *directory* here is
//! the bearer of children, not the node: emptying a directory (`.wh..wh..opq`) or removing it with
//! all below gives the node a fresh directory, or drops it, and its old children are simply out of
//! reach. So every removal costs one store, whatever hangs below, and no array ever shrinks; link
//! counts are counted when the tree is finished. Everything is numbers into arrays: a million
//! files cost about 120 bytes each and no allocation of their own.

use std::hash::{BuildHasher, RandomState};

use super::error::Fault;
use super::slots::Slots;
use crate::layer::{Extent, Kind, Time};
use crate::limits::{Exceeded, Limit, Limits};

/// Position in [`Arena::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NameNo(pub u32);

/// Position in [`Arena::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeNo(pub u32);

/// Position in [`Arena::directories`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DirectoryNo(pub u32);

/// A name that stands in a directory or once did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub directory: DirectoryNo,
    /// [`NOTHING`] when the name is not there (any more).
    node: u32,
    start: u32,
    /// The layer whose entry made the name or last said something of it.
    pub layer: u16,
    length: u8,
    /// No entry made it: it is the missing parent of one.
    pub implied: bool,
}

const NOTHING: u32 = u32::MAX;

/// An inode.
#[derive(Debug, Clone, Copy)]
pub(in crate::tree) struct Node {
    pub seconds: i64,
    pub nanos: u32,
    pub uid: u32,
    pub gid: u32,
    /// What it is depends on the kind; see the head of this file. Unused for a FIFO.
    pub place: u32,
    /// Start of its set in [`Arena::xattrs`]; 0 is the empty set.
    pub xattrs: u32,
    pub mode: u16,
    pub kind: Kind,
}

impl Node {
    pub fn time(&self) -> Time {
        Time { seconds: self.seconds, nanos: self.nanos }
    }
}

/// What only a regular file has. A million of them count: 48 bytes each.
#[derive(Debug, Clone, Copy)]
pub(in crate::tree) struct File {
    pub size: u64,
    /// As in the table: the offset in the tar, and the layer above 2^48.
    pub data: u64,
    pub content: [u8; 32],
}

impl File {
    pub fn layer(&self) -> u32 {
        u32::try_from(self.data >> 48).unwrap_or(u32::MAX)
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Arena {
    pub names: Vec<Name>,
    pub nodes: Vec<Node>,
    pub directories: Vec<NameNo>,
    pub files: Vec<File>,
    pub devices: Vec<(u32, u32)>,
    /// The stored runs of sparse files, by the file's number; in rising order.
    sparse: Vec<(u32, Vec<Extent>)>,
    /// All names' bytes, back to back.
    heap: Vec<u8>,
    /// Symlink texts, each after its length in two bytes.
    texts: Vec<u8>,
    /// Encoded sets of extended attributes, each after its length in four bytes; equal sets once.
    xattrs: Vec<u8>,
    name_index: Slots,
    xattr_index: Slots,
    hasher: RandomState,
    limits: Limits,
    /// Bytes counted against the limit that are in none of the heaps.
    other_bytes: u64,
}

impl Arena {
    /// The name of the root, which is in its own directory and in no index.
    pub const ROOT: NameNo = NameNo(0);

    /// A tree with a root as an image without a root entry has it: 0755 root:root.
    pub fn new(limits: Limits) -> Self {
        let root = Name {
            directory: DirectoryNo(0),
            node: 0,
            start: 0,
            layer: 0,
            length: 0,
            implied: true,
        };
        let node = Node {
            seconds: 0,
            nanos: 0,
            uid: 0,
            gid: 0,
            place: 0,
            xattrs: 0,
            mode: 0o755,
            kind: Kind::Directory,
        };
        Self {
            names: vec![root],
            nodes: vec![node],
            directories: vec![Self::ROOT],
            files: Vec::new(),
            devices: Vec::new(),
            sparse: Vec::new(),
            heap: Vec::new(),
            texts: Vec::new(),
            xattrs: vec![0; 4],
            name_index: Slots::default(),
            xattr_index: Slots::default(),
            hasher: RandomState::new(),
            limits,
            other_bytes: 0,
        }
    }

    pub fn root(&self) -> DirectoryNo {
        self.name(Self::ROOT).directory
    }

    pub fn name(&self, name: NameNo) -> &Name {
        &self.names[name.0 as usize]
    }

    pub fn name_mut(&mut self, name: NameNo) -> &mut Name {
        &mut self.names[name.0 as usize]
    }

    pub fn bytes(&self, name: NameNo) -> &[u8] {
        let name = self.name(name);
        &self.heap[name.start as usize..][..usize::from(name.length)]
    }

    /// The name of the node that bears (or bore) `directory`.
    pub fn name_of(&self, directory: DirectoryNo) -> NameNo {
        self.directories[directory.0 as usize]
    }

    pub fn kind(&self, node: NodeNo) -> Kind {
        self.node(node).kind
    }

    pub fn node(&self, node: NodeNo) -> &Node {
        &self.nodes[node.0 as usize]
    }

    pub fn node_mut(&mut self, node: NodeNo) -> &mut Node {
        &mut self.nodes[node.0 as usize]
    }

    /// What a name leads to, unless it is gone.
    pub fn node_of(&self, name: NameNo) -> Option<NodeNo> {
        let node = self.name(name).node;
        (node != NOTHING).then_some(NodeNo(node))
    }

    /// Makes `name` lead to `node`, or to nothing; what it led to before is out of reach by it.
    pub fn bind(&mut self, name: NameNo, node: Option<NodeNo>) {
        self.name_mut(name).node = node.map_or(NOTHING, |node| node.0);
    }

    /// The name in that directory, gone or not.
    pub fn find(&self, directory: DirectoryNo, bytes: &[u8]) -> Option<NameNo> {
        let hash = self.hasher.hash_one((directory, bytes));
        self.find_hashed(hash, directory, bytes)
    }

    fn find_hashed(&self, hash: u64, directory: DirectoryNo, bytes: &[u8]) -> Option<NameNo> {
        let is = |at: u32| {
            self.name(NameNo(at)).directory == directory && self.bytes(NameNo(at)) == bytes
        };
        self.name_index.find(hash, is).map(NameNo)
    }

    /// The name in that directory; one that was never there is added, leading to nothing.
    pub fn enter(&mut self, directory: DirectoryNo, bytes: &[u8]) -> Result<NameNo, Fault> {
        let hash = self.hasher.hash_one((directory, bytes));
        if let Some(name) = self.find_hashed(hash, directory, bytes) {
            return Ok(name);
        }
        let length = u8::try_from(bytes.len()).map_err(|_| Fault::BadName)?;
        if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&0) {
            return Err(Fault::BadName);
        }
        let start = self.room(self.heap.len(), bytes.len())?;
        let number = self.next(self.names.len())?;
        self.heap.extend_from_slice(bytes);
        let name = Name { directory, node: NOTHING, start, layer: 0, length, implied: false };
        self.names.push(name);
        self.name_index.insert(hash, number);
        Ok(NameNo(number))
    }

    pub fn add_node(&mut self, node: Node) -> Result<NodeNo, Fault> {
        let number = self.next(self.nodes.len())?;
        self.nodes.push(node);
        Ok(NodeNo(number))
    }

    /// A fresh directory without children, to be borne by the node that `name` leads to.
    pub fn add_directory(&mut self, name: NameNo) -> Result<DirectoryNo, Fault> {
        let number = self.next(self.directories.len())?;
        self.directories.push(name);
        Ok(DirectoryNo(number))
    }

    /// Puts `directory` and all below out of reach: its bearer has `fresh` from now on. No effect,
    /// and false, when the bearer is gone or has another directory already.
    pub fn empty(&mut self, directory: DirectoryNo, fresh: DirectoryNo) -> bool {
        let name = self.name_of(directory);
        let Some(node) = self.node_of(name) else { return false };
        let node = self.node_mut(node);
        if node.kind != Kind::Directory || node.place != directory.0 {
            return false;
        }
        node.place = fresh.0;
        if name == Self::ROOT {
            self.name_mut(name).directory = fresh;
        }
        true
    }

    /// `runs` is what a sparse file stores.
    pub fn add_file(&mut self, file: File, runs: Option<&[Extent]>) -> Result<u32, Fault> {
        let number = self.next(self.files.len())?;
        if let Some(runs) = runs {
            self.room(0, size_of_val(runs))?;
            self.other_bytes += size_of_val(runs) as u64;
            self.sparse.push((number, runs.to_vec()));
        }
        self.files.push(file);
        Ok(number)
    }

    /// The stored runs of a file, when it is sparse.
    pub fn runs(&self, file: u32) -> Option<&[Extent]> {
        let at = self.sparse.binary_search_by_key(&file, |(number, _)| *number).ok()?;
        self.sparse.get(at).map(|(_, runs)| runs.as_slice())
    }

    pub fn add_device(&mut self, device: (u32, u32)) -> Result<u32, Fault> {
        let number = self.next(self.devices.len())?;
        self.devices.push(device);
        Ok(number)
    }

    pub fn add_text(&mut self, text: &[u8]) -> Result<u32, Fault> {
        if text.is_empty() || text.len() > 4095 {
            return Err(Fault::BadSymlink);
        }
        let length = u16::try_from(text.len()).map_err(|_| Fault::BadSymlink)?;
        let start = self.room(self.texts.len(), text.len() + 2)?;
        self.texts.extend_from_slice(&length.to_le_bytes());
        self.texts.extend_from_slice(text);
        Ok(start)
    }

    /// The text of a symlink.
    pub fn text(&self, node: &Node) -> &[u8] {
        let at = &self.texts[node.place as usize..];
        &at[2..2 + usize::from(u16::from_le_bytes([at[0], at[1]]))]
    }

    /// Where the encoded set stands, equal sets once; the empty set is at 0.
    pub fn add_xattrs(&mut self, set: &[u8]) -> Result<u32, Fault> {
        if set.is_empty() {
            return Ok(0);
        }
        let hash = self.hasher.hash_one(set);
        if let Some(at) = self.xattr_index.find(hash, |at| self.xattrs(at) == set) {
            return Ok(at);
        }
        let start = self.room(self.xattrs.len(), set.len() + 4)?;
        let length = self.next(set.len())?;
        self.xattrs.extend_from_slice(&length.to_le_bytes());
        self.xattrs.extend_from_slice(set);
        self.xattr_index.insert(hash, start);
        Ok(start)
    }

    /// The encoded set at `start`, as it was given to [`Arena::add_xattrs`].
    pub fn xattrs(&self, start: u32) -> &[u8] {
        let at = &self.xattrs[start as usize..];
        &at[4..4 + u32::from_le_bytes([at[0], at[1], at[2], at[3]]) as usize]
    }

    /// Lets go of what only entering names needs.
    pub fn drop_indexes(&mut self) {
        self.name_index = Slots::default();
        self.xattr_index = Slots::default();
    }

    /// The place of `more` bytes in a heap of `length`, when the limit leaves room for them.
    fn room(&self, length: usize, more: usize) -> Result<u32, Fault> {
        let heaps = (self.heap.len() + self.texts.len() + self.xattrs.len()) as u64;
        self.limits.hold(Limit::Bytes, heaps + self.other_bytes + more as u64)?;
        let full = Exceeded { limit: Limit::Bytes, most: Limits::HIGHEST.bytes };
        u32::try_from(length).map_err(|_| full.into())
    }

    /// The next position in an array of `length`, below [`NOTHING`].
    fn next(&self, length: usize) -> Result<u32, Fault> {
        u32::try_from(length)
            .ok()
            .filter(|&number| number < NOTHING - 1)
            .ok_or(Exceeded { limit: Limit::Entries, most: Limits::HIGHEST.entries }.into())
    }
}
