//! The reference model: what applying layers means, in the plainest form, sharing no code with the
//! program. A tree is a map from whole paths to names; everything else is loops over it.
//!
//! It follows SEMANTICS.md, "Merging", sentence by sentence. Where the program and this page of
//! code differ, one of them is wrong. Slow on purpose: no number, no cache, no index.

#![allow(dead_code)] // each test uses its own part

pub mod item;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use item::{Item, What};

/// A node; names point at it by position in [`Tree::inodes`].
#[derive(Debug)]
pub struct Inode {
    /// What it is, never a hard link, and the attributes that the last header gave it.
    pub item: Item,
    /// Layer, and position in it, of the entry that made it.
    pub origin: (usize, usize),
}

#[derive(Debug)]
pub struct Name {
    pub inode: usize,
    /// The layer that made the name or last described it.
    pub layer: usize,
    /// A missing parent that no entry described.
    pub implied: bool,
}

/// The root is the empty path.
#[derive(Debug, Default)]
pub struct Tree {
    pub names: BTreeMap<Vec<u8>, Name>,
    pub inodes: Vec<Inode>,
    /// Layer, path of the entry, what is odd.
    pub warnings: Vec<(usize, Vec<u8>, &'static str)>,
    /// Files of AUFS's link directory in this layer: hidden, but hard links may name them.
    plnk: BTreeMap<Vec<u8>, usize>,
    /// Lower symlinks that this layer makes directories; its whiteouts do not follow them.
    gone: BTreeSet<Vec<u8>>,
}

/// A layer that makes no tree: layer, path of the entry, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub usize, pub Vec<u8>, pub &'static str);

type Checked<T> = Result<T, &'static str>;

/// What results from applying `layers`, bottom first.
pub fn apply(layers: &[Vec<Item>]) -> Result<Tree, Refusal> {
    let mut tree = Tree::default();
    tree.imply(b"", (0, 0), 0);
    for (number, layer) in layers.iter().enumerate() {
        let refuse = |item: &Item, why| Refusal(number, item.path.clone(), why);
        for item in layer {
            tree.note_replaced(item);
        }
        let mut hidden = Vec::new();
        for item in layer {
            hidden.extend(tree.hidden_by(number, item).map_err(|why| refuse(item, why))?);
        }
        hidden.iter().for_each(|path| tree.remove(path));
        tree.gone.clear();
        tree.plnk.clear();
        for (position, item) in layer.iter().enumerate() {
            tree.place((number, position), item).map_err(|why| refuse(item, why))?;
        }
    }
    Ok(tree)
}

/// What a path says by itself.
enum Meaning<'a> {
    Place,
    Whiteout(&'a [u8]),
    Opaque,
    Leftover,
    Wrong(&'static str),
}

fn meaning(path: &[u8]) -> Meaning<'_> {
    let (parent, name) = split(path);
    let above = parent.split(|&byte| byte == b'/').find(|part| part.starts_with(b".wh."));
    match (above, name.strip_prefix(b".wh.")) {
        (Some(part), _) if is_leftover(part) => Meaning::Leftover,
        (Some(_), _) => Meaning::Wrong("below whiteout"),
        (_, None) => Meaning::Place,
        (_, Some(b".wh..opq")) => Meaning::Opaque,
        _ if is_leftover(name) => Meaning::Leftover,
        (_, Some(b"" | b"." | b"..")) => Meaning::Wrong("whiteout name"),
        (_, Some(hidden)) if hidden.contains(&0) => Meaning::Wrong("whiteout name"),
        (_, Some(hidden)) => Meaning::Whiteout(hidden),
    }
}

impl Tree {
    /// Phase one: is this a directory where the lower tree has a symlink?
    fn note_replaced(&mut self, item: &Item) {
        let (parent, name) = split(&item.path);
        let place = matches!(meaning(&item.path), Meaning::Place);
        if let (true, What::Directory, Ok((parent, _))) = (place, &item.what, self.resolve(parent))
        {
            let path = join(&parent, name);
            if matches!(self.what(&path), Some(What::Symlink(_))) {
                self.gone.insert(path);
            }
        }
    }

    /// Phase one: the lower paths that this entry hides, those below them left out.
    fn hidden_by(&mut self, layer: usize, item: &Item) -> Checked<Vec<Vec<u8>>> {
        let (Meaning::Whiteout(_) | Meaning::Opaque) = meaning(&item.path) else {
            return Ok(Vec::new());
        };
        let parent = self.follow(split(&item.path).0, layer, item)?;
        let is_hidden = |path: &Vec<u8>| match meaning(&item.path) {
            Meaning::Whiteout(name) => *path == join(&parent, name),
            _ => is_below(path, &parent),
        };
        Ok(self.names.keys().filter(|path| is_hidden(path)).cloned().collect())
    }

    /// Phase two: one entry. `origin` is its layer and its position there.
    fn place(&mut self, origin: (usize, usize), item: &Item) -> Checked<()> {
        match (meaning(&item.path), &item.what) {
            (Meaning::Wrong(why), _) => return Err(why),
            (Meaning::Leftover, What::File(_)) if item.path.starts_with(b".wh..wh.plnk/") => {
                let inode = self.add_inode(item, origin);
                self.plnk.insert(item.path.clone(), inode);
                return Ok(());
            }
            (Meaning::Leftover, _) => return Ok(()),
            (Meaning::Whiteout(_) | Meaning::Opaque, what) => {
                if !matches!(what, What::File(bytes) if bytes.is_empty()) {
                    self.warn(origin.0, item, "odd whiteout");
                }
                return Ok(());
            }
            (Meaning::Place, what) if item.path.is_empty() && *what != What::Directory => {
                return Err("root");
            }
            (Meaning::Place, _) => {}
        }
        let (parent, name) = split(&item.path);
        let parent = self.follow(parent, origin.0, item)?;
        self.make_parents(&parent, origin.0, item)?;
        let path = if item.path.is_empty() { Vec::new() } else { join(&parent, name) };
        self.warn_of(&path, origin.0, item);
        let inode = match (&item.what, self.what(&path)) {
            (What::Directory, Some(What::Directory)) => self.names[&path].inode,
            (What::HardLink(target), _) => {
                self.remove(&path);
                self.target(target, &path, origin.0, item)?
            }
            _ => {
                self.remove(&path);
                self.add_inode(item, origin)
            }
        };
        let node = &mut self.inodes[inode].item;
        (node.uid, node.gid, node.mtime) = (item.uid, item.gid, item.mtime);
        node.mode = if matches!(node.what, What::Symlink(_)) { 0o777 } else { item.mode };
        if !matches!(item.what, What::HardLink(_)) {
            node.xattrs.clear();
        }
        node.xattrs.extend(item.xattrs.clone());
        self.names.insert(path, Name { inode, layer: origin.0, implied: false });
        Ok(())
    }

    fn warn_of(&mut self, path: &[u8], layer: usize, item: &Item) {
        if item.what == What::Char(0, 0) {
            self.warn(layer, item, "whiteout device");
        }
        let implied = |old: &Name| old.implied && item.what == What::Directory;
        if self.names.get(path).is_some_and(|old| old.layer == layer && !implied(old)) {
            self.warn(layer, item, "duplicate");
        }
    }

    /// The inode that a hard link names.
    fn target(&mut self, target: &[u8], own: &[u8], layer: usize, item: &Item) -> Checked<usize> {
        if target.starts_with(b".wh..wh.plnk/") {
            return self.plnk.get(target).copied().ok_or("link to nothing");
        }
        let (parent, name) = split(target);
        let parent = self.follow(parent, layer, item)?;
        let path = if target.is_empty() { Vec::new() } else { join(&parent, name) };
        match self.what(&path) {
            _ if path == own => Err("link to itself"),
            None => Err("link to nothing"),
            Some(What::Directory) => Err("link to directory"),
            Some(_) => Ok(self.names[&path].inode),
        }
    }

    /// The real path that `path` stands for, its parts present or not; overlay runtimes would show
    /// a directory where a lower layer's symlink was followed.
    fn follow(&mut self, path: &[u8], layer: usize, item: &Item) -> Checked<Vec<u8>> {
        let (path, links) = self.resolve(path)?;
        if links.iter().any(|link| self.names[link].layer != layer) {
            self.warn(layer, item, "symlink parent");
        }
        Ok(path)
    }

    fn resolve(&self, path: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), &'static str> {
        let parts = |path: &[u8]| path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect();
        let (mut at, mut links) = (Vec::new(), Vec::new());
        let mut rest: VecDeque<Vec<u8>> = parts(path);
        while let Some(part) = rest.pop_front() {
            let next = join(&at, &part);
            match (part.as_slice(), self.what(&next)) {
                (b"" | b".", _) => {}
                (b"..", _) => at = split(&at).0.to_vec(),
                (_, Some(What::Symlink(text))) if !self.gone.contains(&next) => {
                    if text.starts_with(b"/") {
                        at.clear();
                    }
                    let mut text: VecDeque<Vec<u8>> = parts(text);
                    text.append(&mut rest);
                    rest = text;
                    links.push(next);
                    if links.len() > 40 {
                        return Err("loop");
                    }
                }
                _ => at = next,
            }
        }
        Ok((at, links))
    }

    fn make_parents(&mut self, path: &[u8], layer: usize, item: &Item) -> Checked<()> {
        let ends = (0..=path.len()).filter(|&end| end == path.len() || path[end] == b'/');
        for path in ends.map(|end| &path[..end]) {
            match self.what(path) {
                Some(What::Directory) => continue,
                Some(_) if self.names[path].layer == layer => return Err("parent is file"),
                Some(_) => {
                    self.warn(layer, item, "file became directory");
                    self.remove(path);
                }
                None if split(path).1.starts_with(b".wh.") => return Err("below whiteout"),
                None => {}
            }
            self.imply(path, item.mtime, layer);
        }
        Ok(())
    }

    fn imply(&mut self, path: &[u8], mtime: (i64, u32), layer: usize) {
        let item = Item { mode: 0o755, uid: 0, gid: 0, mtime, ..item::dir("") };
        let inode = self.add_inode(&item, (layer, 0));
        self.names.insert(path.to_vec(), Name { inode, layer, implied: true });
    }

    fn warn(&mut self, layer: usize, item: &Item, kind: &'static str) {
        self.warnings.push((layer, item.path.clone(), kind));
    }

    fn what(&self, path: &[u8]) -> Option<&What> {
        self.names.get(path).map(|name| &self.inodes[name.inode].item.what)
    }

    /// The name and all below it.
    fn remove(&mut self, path: &[u8]) {
        self.names.retain(|other, _| other != path && !is_below(other, path));
    }

    fn add_inode(&mut self, item: &Item, origin: (usize, usize)) -> usize {
        self.inodes.push(Inode { item: item.clone(), origin });
        self.inodes.len() - 1
    }
}

/// The path before the last component, and that component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

fn is_below(path: &[u8], parent: &[u8]) -> bool {
    let inside = parent.is_empty() || path.get(parent.len()) == Some(&b'/');
    path.len() > parent.len() && path.starts_with(parent) && inside
}

fn is_leftover(name: &[u8]) -> bool {
    [&b".wh..wh.aufs"[..], b".wh..wh.plnk", b".wh..wh.orph"].contains(&name)
}
