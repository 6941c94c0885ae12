//! What the layers of an image come to, worked out from their tars alone: a second opinion on
//! `shale layers`, with the `tar` crate as its reader and a plain map of paths as its tree.
//!
//! Shares no code with the program. It knows what ordinary images have (whiteouts, opaque
//! directories, hard links, symlinked parents, old sparse files) and none of the odd cases.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// What one layer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub stored: u64,
    pub wasted: u64,
}

/// What all layers did, bottom first, and the efficiency of the image.
#[derive(Debug, PartialEq)]
pub struct Account {
    pub layers: Vec<Figures>,
    pub efficiency: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Directory,
    File { layer: usize, bytes: u64 },
    Symlink(String),
    Other,
}

#[derive(Debug, Default)]
struct Image {
    /// Position in `nodes`.
    names: BTreeMap<String, usize>,
    nodes: Vec<What>,
    /// Of each path: bytes in all layers, and the least of them.
    paths: BTreeMap<String, (u64, u64)>,
    layers: Vec<Figures>,
}

/// One entry: path, and what it is or what it links to.
enum Entry {
    Node(String, What),
    Link(String, String),
}

/// Works it out for uncompressed tars, bottom first.
pub fn account(tars: &[Vec<u8>]) -> Account {
    let mut image = Image::default();
    for (number, tar) in tars.iter().enumerate() {
        image.add(number, &entries(tar, number));
    }
    let visible: BTreeSet<usize> = image.names.values().copied().collect();
    for (number, node) in image.nodes.iter().enumerate() {
        if let What::File { layer, bytes } = node {
            image.layers[*layer].stored += bytes;
            image.layers[*layer].wasted += if visible.contains(&number) { 0 } else { *bytes };
        }
    }
    let sum = |sums: (u64, u64), path: &(u64, u64)| (sums.0 + path.0, sums.1 + path.1);
    let (all, least) = image.paths.values().fold((0, 0), sum);
    let efficiency = if all == 0 { 1.0 } else { least as f64 / all as f64 };
    Account { layers: image.layers, efficiency }
}

fn entries(tar: &[u8], layer: usize) -> Vec<Entry> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("a tar").map(|entry| {
        let mut entry = entry.expect("a sound entry");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        let kind = entry.header().entry_type();
        let mut bytes = entry.header().entry_size().expect("a size");
        let is_mapped = entry.pax_extensions().expect("sound records").is_some_and(|mut all| {
            all.any(|one| one.is_ok_and(|one| one.key_bytes() == b"GNU.sparse.major"))
        });
        let mut data = Vec::new();
        entry.read_to_end(&mut data).expect("whole data");
        if is_mapped {
            bytes -= sparse_map(&data);
        }
        let what = match kind {
            tar::EntryType::Link => {
                return Entry::Link(clean(&path), clean(&link.expect("a target")));
            }
            tar::EntryType::Directory => What::Directory,
            tar::EntryType::Symlink => What::Symlink(link.expect("a target")),
            tar::EntryType::Regular | tar::EntryType::GNUSparse => What::File { layer, bytes },
            _ => What::Other,
        };
        Entry::Node(clean(&path), what)
    });
    entries.collect()
}

/// Bytes that the map of a sparse file (PAX, version 1.0) takes before the file's own.
fn sparse_map(data: &[u8]) -> u64 {
    let mut lines = data.split_inclusive(|&byte| byte == b'\n');
    let first = lines.next().expect("a count");
    let count: usize = String::from_utf8_lossy(first).trim().parse().expect("a number");
    let map: usize = lines.take(2 * count).map(<[u8]>::len).sum();
    ((first.len() + map) as u64).next_multiple_of(512)
}

fn clean(path: &str) -> String {
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/")
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

impl Image {
    fn add(&mut self, layer: usize, entries: &[Entry]) {
        let before = self.names.clone();
        let old_nodes = self.nodes.len();
        let whiteouts = entries.iter().filter_map(|entry| match entry {
            Entry::Node(path, _) => split(path).1.starts_with(".wh.").then_some(path),
            Entry::Link(..) => None,
        });
        for path in whiteouts.collect::<Vec<_>>() {
            let (parent, name) = split(path);
            let parent = self.real(parent);
            match name {
                ".wh..wh..opq" => self.remove_below(&parent),
                _ => self.remove(&join(&parent, name.trim_start_matches(".wh."))),
            }
        }
        let mut touched: BTreeMap<String, u64> = BTreeMap::new();
        for entry in entries {
            self.place(entry, &mut touched);
        }
        self.count(layer, &before, old_nodes, &touched);
    }

    fn place(&mut self, entry: &Entry, touched: &mut BTreeMap<String, u64>) {
        let (Entry::Node(path, _) | Entry::Link(path, _)) = entry;
        let (parent, name) = split(path);
        if path.is_empty() || name.starts_with(".wh.") {
            return;
        }
        let parent = self.real(parent);
        self.make_parents(&parent, touched);
        let path = join(&parent, name);
        let is_directory = |image: &Self| image.what(&path) == Some(&What::Directory);
        match entry {
            Entry::Node(_, What::Directory) if is_directory(self) => {
                touched.insert(path, 0);
            }
            Entry::Node(_, what) => {
                self.remove(&path);
                touched.insert(
                    path.clone(),
                    if let What::File { bytes, .. } = what { *bytes } else { 0 },
                );
                self.nodes.push(what.clone());
                self.names.insert(path, self.nodes.len() - 1);
            }
            Entry::Link(_, target) => {
                let (parent, name) = split(target);
                let node = self.names[&join(&self.real(parent), name)];
                self.remove(&path);
                touched.insert(path.clone(), 0);
                self.names.insert(path, node);
            }
        }
    }

    fn make_parents(&mut self, path: &str, touched: &mut BTreeMap<String, u64>) {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for parent in ends.map(|end| &path[..end]).filter(|parent| !parent.is_empty()) {
            if self.what(parent) != Some(&What::Directory) {
                self.remove(parent);
                self.nodes.push(What::Directory);
                self.names.insert(parent.to_owned(), self.nodes.len() - 1);
                touched.insert(parent.to_owned(), 0);
            }
        }
    }

    fn count(
        &mut self,
        layer: usize,
        before: &BTreeMap<String, usize>,
        old_nodes: usize,
        touched: &BTreeMap<String, u64>,
    ) {
        let mut figures = Figures::default();
        let all: BTreeSet<&String> = before.keys().chain(self.names.keys()).collect();
        for path in all {
            let (old, new) = (before.get(path), self.names.get(path));
            let is_file = |node: Option<&usize>| {
                node.is_some_and(|&node| self.nodes[node] != What::Directory)
            };
            if new.is_some() && !touched.contains_key(path) {
                assert!(new.is_none_or(|&node| node < old_nodes), "{path} came from nowhere");
                continue;
            }
            let bytes = if new.is_some() { touched[path] } else { 0 };
            let sums = self.paths.entry(path.clone()).or_insert((0, u64::MAX));
            *sums = (sums.0 + bytes, sums.1.min(bytes));
            if is_file(old) || is_file(new) {
                match (old, new) {
                    (None, _) => figures.added += 1,
                    (_, None) => figures.removed += 1,
                    _ => figures.changed += 1,
                }
            }
        }
        assert_eq!(self.layers.len(), layer);
        self.layers.push(figures);
    }

    fn what(&self, path: &str) -> Option<&What> {
        self.names.get(path).map(|&node| &self.nodes[node])
    }

    fn remove(&mut self, path: &str) {
        self.names.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, path: &str) {
        let start = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.names.retain(|name, _| !name.starts_with(&start));
    }

    /// Where a parent leads, symlinks followed.
    fn real(&self, path: &str) -> String {
        let mut at = String::new();
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => {}
                ".." => at = split(&at).0.to_owned(),
                _ => {
                    let next = join(&at, &part);
                    match self.what(&next) {
                        Some(What::Symlink(text)) => {
                            if text.starts_with('/') {
                                at.clear();
                            }
                            rest.extend(text.split('/').rev().map(str::to_owned));
                        }
                        _ => at = next,
                    }
                }
            }
        }
        at
    }
}
