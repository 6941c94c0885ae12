//! What goes into the model: entries, written by hand or made of bytes.
//!
//! Made of bytes, so that a property test can shrink them and a fuzzer can mutate them: eight bytes
//! an entry, small numbers for small things, over a tiny alphabet so that names meet.

use std::collections::BTreeMap;
use std::fmt;

/// One entry of a layer's tar, path cleaned.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    pub path: Vec<u8>,
    pub what: What,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

impl Item {
    /// An entry with plain attributes.
    pub fn new(path: &str, what: What) -> Self {
        let xattrs = BTreeMap::new();
        Self { path: path.into(), what, mode: 0o644, uid: 1, gid: 2, mtime: (3, 4), xattrs }
    }
}

pub fn dir(path: &str) -> Item {
    Item::new(path, What::Directory)
}

pub fn file(path: &str) -> Item {
    Item::new(path, What::File(b"bytes".to_vec()))
}

/// A whiteout or opaque marker as tools write it.
pub fn empty(path: &str) -> Item {
    Item::new(path, What::File(Vec::new()))
}

pub fn symlink(path: &str, text: &str) -> Item {
    Item::new(path, What::Symlink(text.into()))
}

pub fn hard_link(path: &str, target: &str) -> Item {
    Item::new(path, What::HardLink(target.into()))
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.escape_ascii();
        match &self.what {
            What::Symlink(text) => write!(f, "{path} -> {}", text.escape_ascii())?,
            What::HardLink(target) => write!(f, "{path} == {}", target.escape_ascii())?,
            What::File(bytes) if bytes.len() > 8 => write!(f, "{path} {} bytes", bytes.len())?,
            what => write!(f, "{path} {what:?}")?,
        }
        write!(f, " {:o} {}:{} {:?} {:?}", self.mode, self.uid, self.gid, self.mtime, self.xattrs)
    }
}

/// The bytes of one entry.
pub type Seed = [u8; 8];

const NAMES: [&[u8]; 4] = [b"a", b"b", b"c", b"\xff"];

const TEXTS: [&[u8]; 16] = [
    b"a",
    b"b",
    b"c",
    b"/a",
    b"/b",
    b"../a",
    b"..",
    b".",
    b"/",
    b"a/b",
    b"b/../a",
    b"x/../b/",
    b"../../c/",
    b"./a//b",
    b"/b/.wh.a",
    b"/a/c/../..",
];

/// The entry that eight bytes stand for; every value is one.
pub fn item(seed: Seed) -> Item {
    let [shape, names, mark, kind, target, attributes, extra, place] = seed;
    let plain = path(shape, names);
    let path = marked(&plain, mark);
    let what = match kind % 16 {
        0..=4 => What::File(vec![kind; usize::from(extra % 4)]),
        5..=8 => What::Directory,
        9..=10 => What::Symlink(TEXTS[usize::from(target % 16)].to_vec()),
        11 => What::Symlink(self::path(target >> 6, target)),
        12..=13 if target == 77 => What::HardLink(b".wh..wh.plnk/a".to_vec()),
        12..=13 => What::HardLink(self::path(place, target)),
        14 => What::Char(u32::from(extra % 2), u32::from(extra % 2)),
        _ if extra % 2 == 0 => What::Fifo,
        _ => What::Block(8, u32::from(extra)),
    };
    let mut xattrs = BTreeMap::new();
    if attributes & 8 != 0 {
        xattrs.insert(vec![b'u', b'a' + extra % 2], vec![0, extra, b'\n']);
    }
    if attributes & 24 == 24 {
        xattrs.insert(b"v".to_vec(), Vec::new());
    }
    Item {
        path,
        what,
        mode: u16::from(attributes) << 4 & 0o7777,
        uid: u32::from(attributes & 3),
        gid: u32::from(attributes >> 6),
        mtime: (i64::from(extra) - 100, u32::from(extra % 2) * 500_000_000),
        xattrs,
    }
}

/// One to four names; once in a while the root.
fn path(shape: u8, names: u8) -> Vec<u8> {
    let depth = match shape {
        255 => 0,
        shape => [1, 1, 2, 2, 2, 3, 3, 4][usize::from(shape % 8)],
    };
    let parts: Vec<&[u8]> =
        (0..depth).map(|level| NAMES[usize::from(names >> (2 * level) & 3)]).collect();
    parts.join(&b'/')
}

/// Mostly the path itself, else one of the names that mean something.
fn marked(path: &[u8], mark: u8) -> Vec<u8> {
    let parent = &path[..path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1)];
    let name = &path[parent.len()..];
    match mark % 64 {
        0..=47 => path.to_vec(),
        48..=55 => [parent, b".wh.", name].concat(),
        56..=59 => [parent, b".wh..wh..opq"].concat(),
        60 => [parent, b".wh.", &b".."[..usize::from(mark >> 6) % 3]].concat(),
        61 => [parent, b".wh.", name, b"/", name].concat(),
        62 => [parent, [&b".wh..wh.aufs"[..], b".wh..wh.orph/a"][usize::from(mark >> 7)]].concat(),
        _ => b".wh..wh.plnk/a".to_vec(),
    }
}

/// Layers out of any bytes: nine an entry, the first says whether it begins a new layer. At most 5
/// layers of 20 entries.
pub fn from_bytes(bytes: &[u8]) -> Vec<Vec<Item>> {
    let mut layers = vec![Vec::new()];
    for chunk in bytes.as_chunks::<9>().0 {
        let [begin, seed @ ..] = *chunk;
        if begin % 8 == 7 && layers.len() < 5 {
            layers.push(Vec::new());
        }
        if let Some(layer) = layers.last_mut().filter(|layer| layer.len() < 20) {
            layer.push(item(seed));
        }
    }
    layers
}

/// Takes away what the model refuses, so that long sequences get through.
pub fn prune(layers: &mut [Vec<Item>]) {
    while let Err(super::Refusal(layer, path, _)) = super::apply(layers) {
        let position = layers[layer].iter().position(|item| item.path == path);
        layers[layer].remove(position.unwrap_or(0));
    }
}
