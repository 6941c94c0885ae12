//! The model and the program side by side: layers of items merged, written, mapped and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::{Seek, Write};
use std::ops::ControlFlow;

use shalefs::layer::{ContentId, Entry, Kind, Time, WarningKind};
use shalefs::limits::Limits;
use shalefs::oci::{ChainId, Digest};
use shalefs::tree::merge::Fault;
use shalefs::tree::{
    Attributes, ImageTree, LayerWarning, MergeError, Merger, OpenError, Resolved, RowNo, Whiteouts,
    table,
};

use crate::support::model::{self, Inode, Item, Refusal, Tree, What};

/// The ChainID that every table here is written under.
pub fn chain() -> ChainId {
    ChainId(Digest::sha256(b"layers"))
}

/// The entry that the tar walker would make; `origin` is its layer and its position there.
pub fn entry(item: &Item, origin: (usize, usize)) -> Entry {
    let (kind, link, device, bytes): (_, &[u8], _, &[u8]) = match &item.what {
        What::Directory => (Kind::Directory, b"", (0, 0), b""),
        What::File(bytes) => (Kind::File, b"", (0, 0), bytes),
        What::Symlink(text) => (Kind::Symlink, text, (0, 0), b""),
        What::HardLink(target) => (Kind::HardLink, target, (0, 0), b""),
        What::Char(major, minor) => (Kind::CharDevice, b"", (*major, *minor), b""),
        What::Block(major, minor) => (Kind::BlockDevice, b"", (*major, *minor), b""),
        What::Fifo => (Kind::Fifo, b"", (0, 0), b""),
    };
    Entry {
        path: item.path.clone(),
        kind,
        mode: item.mode,
        uid: item.uid,
        gid: item.gid,
        mtime: Time { seconds: item.mtime.0, nanos: item.mtime.1 },
        size: bytes.len() as u64,
        link: link.to_vec(),
        device,
        xattrs: item.xattrs.clone().into_iter().collect(),
        data_offset: origin.1 as u64 * 512,
        sparse: None,
        content: ContentId(*blake3::hash(bytes).as_bytes()),
    }
}

/// Merges `layers` and gives the table's bytes.
pub fn build(layers: &[Vec<Item>]) -> Result<Vec<u8>, MergeError> {
    build_entries(layers.iter().enumerate().map(|(number, layer)| {
        layer.iter().enumerate().map(|(at, item)| entry(item, (number, at))).collect()
    }))
}

/// As [`build`], of finished entries.
pub fn build_entries(layers: impl IntoIterator<Item = Vec<Entry>>) -> Result<Vec<u8>, MergeError> {
    let mut merger = Merger::new(Limits::DEFAULT);
    for layer in layers {
        merger.layer(Whiteouts::Possible, || Ok::<_, Infallible>(layer.iter().map(Ok)))?;
    }
    let mut bytes = Vec::new();
    table::write(&merger.finish(), chain(), &mut bytes).expect("a Vec takes everything");
    Ok(bytes)
}

/// Maps a table.
pub fn open(bytes: &[u8]) -> Result<ImageTree, OpenError> {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room for a table");
    file.rewind().expect("a file");
    ImageTree::open(file, chain())
}

/// The tree of `layers`, which are known to make one.
pub fn tree(layers: &[Vec<Item>]) -> ImageTree {
    open(&build(layers).expect("layers that make a tree")).expect("a sound table")
}

/// All paths in order, `/` after a directory, ` -> TEXT` after a symlink, `?` after what is neither
/// nor a file; the warnings after them.
pub fn list(layers: &[Vec<Item>]) -> Vec<String> {
    compare(layers);
    let tree = tree(layers);
    let mut lines = Vec::new();
    let end = tree.walk(ImageTree::ROOT, |path, child| {
        let text = tree.link_text(child.row).expect("sound").escape_ascii();
        let mark = match child.kind {
            Kind::Directory => "/".to_owned(),
            Kind::Symlink => format!(" -> {text}"),
            Kind::File => String::new(),
            _ => "?".to_owned(),
        };
        lines.push(format!("{}{mark}", path.escape_ascii()));
        ControlFlow::<()>::Continue(())
    });
    assert_eq!(end, Ok(ControlFlow::Continue(())));
    for LayerWarning { layer, warning } in tree.warnings().expect("sound") {
        lines.push(format!("{layer} {} {:?}", warning.path.escape_ascii(), warning.kind));
    }
    lines
}

/// The message with which `layers` are refused.
pub fn refused(layers: &[Vec<Item>]) -> String {
    compare(layers);
    build(layers).expect_err("should be refused").to_string()
}

/// What `stat` says of a path, symlinks in it followed but not the last.
pub fn stat(tree: &ImageTree, path: &str) -> (RowNo, Attributes) {
    let Resolved::At { row, .. } = tree.resolve(path.as_bytes(), false).expect("sound") else {
        panic!("no {path}")
    };
    (row, tree.attributes(row).expect("sound").expect("a row"))
}

/// Applies `layers` both ways; panics where the outcomes differ.
pub fn compare(layers: &[Vec<Item>]) {
    compare_with(layers, layers);
}

/// The model of some layers and the program's tree of others.
pub fn compare_with(model: &[Vec<Item>], real: &[Vec<Item>]) {
    match (model::apply(model), build(real)) {
        (Ok(expected), Ok(bytes)) => {
            assert_eq!(bytes, build(real).expect("as before"), "the same layers, other bytes");
            let tree = open(&bytes).expect("a sound table");
            compare_trees(&expected, &tree);
            compare_warnings(&expected, &tree.warnings().expect("sound warnings"));
        }
        (Err(expected), Err(error)) => assert_eq!(refusal(&error), expected),
        (Ok(_), Err(error)) => panic!("refused, and should not be: {error}"),
        (Err(refusal), Ok(_)) => panic!("should be refused: {refusal:?}"),
    }
}

/// What the model would say for `error`.
pub fn refusal(error: &MergeError) -> Refusal {
    let MergeError::Entry { layer, path, fault } = error else {
        panic!("not about an entry: {error}")
    };
    let why = match fault {
        Fault::WhiteoutName => "whiteout name",
        Fault::BelowWhiteout => "below whiteout",
        Fault::ParentIsFile => "parent is file",
        Fault::Loop { .. } => "loop",
        Fault::LinkToDirectory { .. } => "link to directory",
        Fault::LinkToItself => "link to itself",
        Fault::LinkToNothing { .. } => "link to nothing",
        Fault::RootNotDirectory => "root",
        fault => panic!("the model knows no such fault: {fault}"),
    };
    Refusal(*layer as usize, path.clone(), why)
}

fn compare_trees(expected: &Tree, tree: &ImageTree) {
    let mut found = BTreeMap::new();
    let root = (ImageTree::ROOT, ImageTree::ROOT);
    found.insert(Vec::new(), root);
    let end = tree.walk(ImageTree::ROOT, |path, child| {
        let twice = found.insert(path.to_vec(), (child.entry, child.row));
        assert_eq!(twice, None, "{} is listed twice", path.escape_ascii());
        ControlFlow::<()>::Continue(())
    });
    assert_eq!(end, Ok(ControlFlow::Continue(())));
    let names = |paths: Vec<&Vec<u8>>| -> Vec<String> {
        paths.iter().map(|path| path.escape_ascii().to_string()).collect()
    };
    assert_eq!(names(found.keys().collect()), names(expected.names.keys().collect()));
    assert_eq!(tree.rows() as usize, found.len());
    for (path, &(entry, row)) in &found {
        compare_name(expected, tree, path, entry, row, &found);
    }
    let visible: BTreeSet<usize> = expected.names.values().map(|name| name.inode).collect();
    let nodes = || visible.iter().map(|&at| &expected.inodes[at].item.what);
    let totals = tree.totals();
    let bytes = |what: &What| if let What::File(bytes) = what { bytes.len() as u64 } else { 0 };
    assert_eq!(totals.inodes, visible.len() as u64);
    assert_eq!(totals.bytes, nodes().map(bytes).sum::<u64>());
    assert_eq!(totals.files, nodes().filter(|what| matches!(what, What::File(_))).count() as u64);
    let directories = nodes().filter(|what| **what == What::Directory).count();
    assert_eq!(totals.directories, directories as u64);
    let xattrs = |at: &usize| !expected.inodes[*at].item.xattrs.is_empty();
    assert_eq!(tree.has_xattrs(), visible.iter().any(xattrs));
}

fn compare_name(
    expected: &Tree,
    tree: &ImageTree,
    path: &[u8],
    entry: RowNo,
    row: RowNo,
    found: &BTreeMap<Vec<u8>, (RowNo, RowNo)>,
) {
    let shown = path.escape_ascii();
    let name = &expected.names[path];
    let inode = &expected.inodes[name.inode];
    // One inode number for all names of a node, and only for them.
    for (other, other_name) in &expected.names {
        let same = other_name.inode == name.inode;
        assert_eq!(found[other].1 == row, same, "{shown} and {}", other.escape_ascii());
    }
    assert_eq!(tree.layer(entry), Ok(Some(name.layer as u32)), "{shown}: layer");
    assert_eq!(tree.is_implied(entry), Ok(name.implied), "{shown}: implied");
    if entry != row {
        assert_eq!(tree.attributes(entry), Ok(None), "{shown}: no inode of its own");
    }
    compare_node(expected, tree, name.inode, inode, row, &shown.to_string());
    let parent = path.iter().rposition(|&byte| byte == b'/').map_or(&path[..0], |at| &path[..at]);
    let above = found[parent].1;
    if inode.item.what == What::Directory {
        assert_eq!(tree.path(row), Ok(path.to_vec()));
        assert_eq!(tree.parent(row), Ok(above), "{shown}: parent");
        for name in [&b"a"[..], b"b", b"c", b"\xff", b"", b".", b"..", b"a/b", b".wh.a"] {
            let below = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
            let expected = found.get(&below).filter(|_| !name.is_empty()).map(|&(_, row)| row);
            let expected = expected.filter(|_| !name.contains(&b'/'));
            assert_eq!(tree.lookup(row, name), Ok(expected), "{shown}: {}", name.escape_ascii());
        }
    } else {
        assert_eq!(tree.lookup(row, b"a"), Ok(None));
        assert_eq!(tree.child(row, 0), Ok(None));
    }
}

fn compare_node(
    expected: &Tree,
    tree: &ImageTree,
    number: usize,
    inode: &Inode,
    row: RowNo,
    shown: &str,
) {
    let item = &inode.item;
    let made = entry(item, inode.origin);
    let found = tree.attributes(row).expect("sound").expect("a row");
    let names = || expected.names.iter().filter(|(_, name)| name.inode == number);
    let subdirectories = || {
        let own = names().next().expect("a name").0;
        let inside = |path: &[u8]| match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => path[..slash] == own[..],
            None => own.is_empty() && !path.is_empty(),
        };
        let directory = |inode: usize| expected.inodes[inode].item.what == What::Directory;
        expected.names.iter().filter(|(path, at)| inside(path) && directory(at.inode)).count()
    };
    let links = if made.kind == Kind::Directory { 2 + subdirectories() } else { names().count() };
    let size = match &item.what {
        What::Symlink(text) => text.len() as u64,
        _ => made.size,
    };
    assert_eq!(found.kind, made.kind, "{shown}: kind");
    assert_eq!((found.mode, found.uid, found.gid), (item.mode, item.uid, item.gid), "{shown}");
    assert_eq!((found.mtime, found.links), (made.mtime, links as u32), "{shown}: time, links");
    assert_eq!((found.size, found.stored), (size, made.size), "{shown}: size");
    assert_eq!(found.device, made.device, "{shown}: device");
    assert_eq!(tree.link_text(row).expect("sound"), made.link, "{shown}: text");
    let xattrs: Vec<_> = item.xattrs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(tree.xattrs(row).expect("sound"), xattrs, "{shown}: xattrs");
    let file = tree.file(row).expect("sound");
    assert_eq!(file.is_some(), made.kind == Kind::File, "{shown}: file");
    if let Some(file) = file {
        assert_eq!(file.layer as usize, inode.origin.0, "{shown}: data's layer");
        assert_eq!((file.data_offset, file.size), (made.data_offset, made.size), "{shown}: data");
        assert_eq!((file.content, file.sparse), (made.content, None), "{shown}: content");
    }
}

/// The same kinds in the same layers; and each that was found, the model has at that entry. (The
/// program warns of a link once a layer, the model of each entry behind it.)
fn compare_warnings(expected: &Tree, found: &[LayerWarning]) {
    let kind = |kind| match kind {
        WarningKind::DuplicateName => "duplicate",
        WarningKind::WhiteoutDevice => "whiteout device",
        WarningKind::OddWhiteout => "odd whiteout",
        WarningKind::SymlinkParent => "symlink parent",
        WarningKind::FileBecameDirectory => "file became directory",
        other => panic!("the merge does not look for {other:?}"),
    };
    let found: Vec<_> = found
        .iter()
        .map(|at| (at.layer as usize, at.warning.path.clone(), kind(at.warning.kind)))
        .collect();
    let kinds = |all: &[(usize, Vec<u8>, &'static str)]| -> BTreeSet<(usize, &'static str)> {
        all.iter().map(|(layer, _, kind)| (*layer, *kind)).collect()
    };
    assert_eq!(kinds(&found), kinds(&expected.warnings));
    for warning in &found {
        assert!(expected.warnings.contains(warning), "not in the model: {warning:?}");
    }
    let exact = |all: &[(usize, Vec<u8>, &'static str)]| -> Vec<_> {
        all.iter().filter(|(_, _, kind)| *kind != "symlink parent").cloned().collect()
    };
    assert_eq!(exact(&found), exact(&expected.warnings));
}
