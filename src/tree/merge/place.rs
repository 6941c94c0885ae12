//! The second phase: an entry takes its place in the tree.

use super::Merger;
use super::arena::{Arena, DirectoryNo, File, NameNo, Node, NodeNo};
use super::error::Fault;
use super::history::Cause;
use super::name::{self, Meaning};
use super::resolve::Missing;
use super::xattrs;
use crate::layer::{Entry, Kind, Time, WarningKind};
use crate::limits::Limit;

/// Offsets of data must leave room for the layer's number in a table row.
const DATA_OFFSET_END: u64 = 1 << 48;

/// The root's directory in which AUFS kept hard-linked files.
const PLNK: &[u8] = b".wh..wh.plnk/";

/// A symlink's mode, whatever its header says.
const SYMLINK_MODE: u16 = 0o777;

impl Merger {
    /// Puts one entry in its place; whiteouts had their say in the first phase.
    pub(super) fn place(&mut self, entry: &Entry) -> Result<(), Fault> {
        self.count()?;
        match name::meaning(&entry.path)? {
            Meaning::Root => self.place_root(entry),
            Meaning::Place { parent, name } => self.place_name(entry, parent, name),
            Meaning::Whiteout { .. } | Meaning::Opaque { .. } => {
                if entry.kind != Kind::File || entry.size > 0 {
                    self.warn(WarningKind::OddWhiteout, &entry.path);
                }
                Ok(())
            }
            Meaning::Leftover => self.keep_leftover(entry),
        }
    }

    /// Keeps a file of `.wh..wh.plnk/` where only hard links of this layer find it, as Docker does.
    fn keep_leftover(&mut self, entry: &Entry) -> Result<(), Fault> {
        let Some(base) = entry.path.strip_prefix(PLNK).filter(|_| entry.kind == Kind::File) else {
            return Ok(());
        };
        let directory = match self.plnk {
            Some(directory) => directory,
            None => self.arena.add_directory(Arena::ROOT)?,
        };
        self.plnk = Some(directory);
        let name = self.arena.enter(directory, base)?;
        let node = self.new_node(entry, name)?;
        self.arena.bind(name, Some(node));
        Ok(())
    }

    fn place_root(&mut self, entry: &Entry) -> Result<(), Fault> {
        if entry.kind != Kind::Directory {
            return Err(Fault::RootNotDirectory);
        }
        self.warn_if_again(Arena::ROOT, entry);
        self.mention(Arena::ROOT);
        self.update(NodeNo(0), entry)?;
        self.record(Cause::Entry, Arena::ROOT, Some(NodeNo(0)));
        Ok(())
    }

    fn place_name(&mut self, entry: &Entry, parent: &[u8], name: &[u8]) -> Result<(), Fault> {
        let directory = self.parent(parent, entry)?;
        let name = self.arena.enter(directory, name)?;
        if entry.kind == Kind::CharDevice && entry.device == (0, 0) {
            self.warn(WarningKind::WhiteoutDevice, &entry.path);
        }
        let old = self.arena.node_of(name).map(|node| (node, self.arena.kind(node)));
        if let Some((node, kind)) = old {
            self.warn_if_again(name, entry);
            if kind == Kind::Directory && entry.kind == Kind::Directory {
                self.mention(name);
                self.update(node, entry)?;
                self.record(Cause::Entry, name, Some(node));
                return Ok(());
            }
            self.remove(name, kind);
        }
        let (node, cause) = match entry.kind {
            Kind::HardLink => {
                let (node, target) = self.link_target(entry, name)?;
                (node, Cause::Link(target))
            }
            _ => (self.new_node(entry, name)?, Cause::Entry),
        };
        self.arena.bind(name, Some(node));
        self.mention(name);
        self.record(cause, name, old.map(|(node, _)| node));
        Ok(())
    }

    /// The directory that `path` leads to; what is missing is made.
    fn parent(&mut self, path: &[u8], entry: &Entry) -> Result<DirectoryNo, Fault> {
        if let Some(directory) = self.remembered(path) {
            return Ok(directory);
        }
        let to = self.resolve(path, &entry.path)?;
        let mut directory = to.directory;
        for missing in &to.missing {
            directory = self.make_parent(directory, missing, entry)?;
        }
        self.remember(path, &to, directory);
        Ok(directory)
    }

    fn make_parent(
        &mut self,
        directory: DirectoryNo,
        missing: &Missing,
        entry: &Entry,
    ) -> Result<DirectoryNo, Fault> {
        // A symlink's text can lead here.
        if name::is_hidden(&missing.name) {
            return Err(Fault::BelowWhiteout);
        }
        if let Some(file) = missing.file {
            if self.arena.name(file).layer == self.layer {
                return Err(Fault::ParentIsFile);
            }
            self.warn(WarningKind::FileBecameDirectory, &entry.path);
        }
        self.count()?;
        self.parents += 1;
        self.limits.hold(Limit::Parents, self.parents)?;
        let name = self.arena.enter(directory, &missing.name)?;
        let before = self.arena.node_of(name);
        let child = self.arena.add_directory(name)?;
        let node = Node {
            seconds: entry.mtime.seconds,
            nanos: entry.mtime.nanos,
            uid: 0,
            gid: 0,
            place: child.0,
            xattrs: 0,
            mode: 0o755,
            kind: Kind::Directory,
        };
        let node = self.arena.add_node(node)?;
        self.arena.bind(name, Some(node));
        self.mention(name);
        self.arena.name_mut(name).implied = true;
        self.record(Cause::Parent, name, before);
        Ok(child)
    }

    /// The node that a hard link names, with the link's attributes, and the name by which it was
    /// found. `own` is free already.
    fn link_target(&mut self, entry: &Entry, own: NameNo) -> Result<(NodeNo, NameNo), Fault> {
        let target = entry.link.as_slice();
        if target.is_empty() {
            return Err(Fault::LinkToDirectory { target: Vec::new() });
        }
        let nothing = || Fault::LinkToNothing { target: target.to_vec() };
        let name = self.find_target(target, &entry.path)?.ok_or_else(nothing)?;
        if name == own {
            return Err(Fault::LinkToItself);
        }
        let node = self.arena.node_of(name).ok_or_else(nothing)?;
        if self.arena.kind(node) == Kind::Directory {
            return Err(Fault::LinkToDirectory { target: target.to_vec() });
        }
        self.update(node, entry)?;
        Ok((node, name))
    }

    fn find_target(&mut self, target: &[u8], entry: &[u8]) -> Result<Option<NameNo>, Fault> {
        if let Some(base) = target.strip_prefix(PLNK) {
            return Ok(self.plnk.and_then(|directory| self.arena.find(directory, base)));
        }
        let (parent, last) = name::split(target);
        let to = self.resolve(parent, entry)?;
        match to.missing.is_empty() {
            true => Ok(self.arena.find(to.directory, last)),
            false => Ok(None),
        }
    }

    fn new_node(&mut self, entry: &Entry, name: NameNo) -> Result<NodeNo, Fault> {
        let place = match entry.kind {
            Kind::Directory => self.arena.add_directory(name)?.0,
            Kind::File => self.new_file(entry)?,
            Kind::Symlink => self.arena.add_text(&entry.link)?,
            Kind::CharDevice | Kind::BlockDevice => self.arena.add_device(entry.device)?,
            Kind::Fifo | Kind::HardLink => 0,
        };
        let node = Node {
            seconds: 0,
            nanos: 0,
            uid: 0,
            gid: 0,
            place,
            xattrs: 0,
            mode: SYMLINK_MODE,
            kind: entry.kind,
        };
        let node = self.arena.add_node(node)?;
        self.update(node, entry)?;
        Ok(node)
    }

    fn new_file(&mut self, entry: &Entry) -> Result<u32, Fault> {
        if entry.data_offset >= DATA_OFFSET_END {
            return Err(Fault::FarData { offset: entry.data_offset });
        }
        let data = u64::from(self.layer) << 48 | entry.data_offset;
        let file = File { size: entry.size, data, content: entry.content.0 };
        self.arena.add_file(file, entry.sparse.as_deref())
    }

    /// Gives a node the attributes of a header.
    fn update(&mut self, node: NodeNo, entry: &Entry) -> Result<(), Fault> {
        let set = match entry.kind {
            Kind::HardLink => {
                let old = self.arena.xattrs(self.arena.node(node).xattrs);
                xattrs::encode_over(old, &entry.xattrs)
            }
            _ => xattrs::encode(&entry.xattrs),
        };
        let set = self.arena.add_xattrs(&set)?;
        let Time { seconds, nanos } = entry.mtime;
        let node = self.arena.node_mut(node);
        if node.kind != Kind::Symlink {
            node.mode = entry.mode & 0o7777;
        }
        *node = Node { seconds, nanos, uid: entry.uid, gid: entry.gid, xattrs: set, ..*node };
        Ok(())
    }

    /// The layer has said something of this name.
    fn mention(&mut self, name: NameNo) {
        let layer = self.layer;
        let name = self.arena.name_mut(name);
        name.layer = layer;
        name.implied = false;
    }

    fn remove(&mut self, name: NameNo, kind: Kind) {
        self.arena.bind(name, None);
        if matches!(kind, Kind::Directory | Kind::Symlink) {
            self.parent = None;
        }
    }

    /// Warns of a second entry of this layer with the name. A directory that was only implied may
    /// be described afterwards.
    fn warn_if_again(&mut self, name: NameNo, entry: &Entry) {
        let name = self.arena.name(name);
        let described = name.implied && entry.kind == Kind::Directory;
        if name.layer == self.layer && !described {
            self.warn(WarningKind::DuplicateName, &entry.path);
        }
    }

    /// Counts an entry or an implied directory.
    fn count(&mut self) -> Result<(), Fault> {
        self.entries += 1;
        Ok(self.limits.hold(Limit::Entries, self.entries)?)
    }
}
