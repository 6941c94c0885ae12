//! What is visible when all layers are merged, numbered in the order of the table's rows.
//!
//! Rows are in breadth-first order with each directory's names sorted by bytes, so children are
//! contiguous and numbers follow from the tree alone, not from the order of any tar. A node has
//! the row of its first name; its other names are rows that point there.

use super::super::{LayerWarning, Totals};
use super::arena::{Arena, DirectoryNo, File, NameNo, Node, NodeNo};
use crate::layer::{Extent, Kind};

/// A merged tree, ready to be written with [`table::write`](crate::tree::table::write).
#[derive(Debug)]
pub struct Merged {
    arena: Arena,
    layers: u32,
    warnings: Vec<LayerWarning>,
    dropped_warnings: u64,
    /// The name in each row.
    order: Vec<NameNo>,
    /// By node: the row of its first name.
    first_rows: Vec<u32>,
    /// By node: its visible names, or 2 + subdirectories.
    links: Vec<u32>,
    /// By directory: where its children begin in an array of all names; one more at the end.
    starts: Vec<u32>,
    totals: Totals,
}

/// One row to be written.
#[derive(Debug)]
pub(in crate::tree) struct Visible<'a> {
    pub name: &'a [u8],
    pub layer: u16,
    pub implied: bool,
    pub links: u32,
    pub node: &'a Node,
    /// The row of the node's first name, when that is another one.
    pub first: Option<u32>,
    pub body: Body<'a>,
}

/// What a row's kind brings along.
#[derive(Debug)]
pub(in crate::tree) enum Body<'a> {
    Directory { parent: u32, children: u32 },
    File { file: &'a File, sparse: Option<&'a [Extent]> },
    Symlink { text: &'a [u8] },
    Device { major: u32, minor: u32 },
    Fifo,
}

const NO_ROW: u32 = u32::MAX;

impl Merged {
    pub(super) fn new(
        arena: Arena,
        layers: u32,
        warnings: Vec<LayerWarning>,
        dropped_warnings: u64,
    ) -> Self {
        let (starts, mut children) = group(&arena);
        let mut merged = Self {
            first_rows: vec![NO_ROW; arena.nodes.len()],
            links: vec![0; arena.nodes.len()],
            order: vec![Arena::ROOT],
            arena,
            layers,
            warnings,
            dropped_warnings,
            starts,
            totals: Totals::default(),
        };
        merged.number(&mut children);
        merged
    }

    /// Totals of the visible tree.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// How many layers went in.
    pub fn layers(&self) -> u32 {
        self.layers
    }

    /// What was odd, in the order in which it was found; at most 10,000.
    pub fn warnings(&self) -> &[LayerWarning] {
        &self.warnings
    }

    /// How many warnings more there were.
    pub fn dropped_warnings(&self) -> u64 {
        self.dropped_warnings
    }

    /// All rows in order.
    pub(in crate::tree) fn rows(&self) -> impl Iterator<Item = Visible<'_>> {
        self.order.iter().zip(0..).map(|(&name, row)| self.visible(name, row))
    }

    /// The encoded set of extended attributes that a node names.
    pub(in crate::tree) fn xattrs(&self, node: &Node) -> &[u8] {
        self.arena.xattrs(node.xattrs)
    }

    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Whether any name in the finished tree leads to the node.
    pub(super) fn is_visible(&self, node: NodeNo) -> bool {
        self.first_rows.get(node.0 as usize).is_some_and(|&row| row != NO_ROW)
    }

    fn visible(&self, name: NameNo, row: u32) -> Visible<'_> {
        let number = self.node_no(name);
        let node = self.arena.node(number);
        let first = self.first_rows[number.0 as usize];
        let body = match node.kind {
            Kind::Directory => {
                let above = self.arena.name(name).directory.0 as usize;
                let parent = self.node_no(self.arena.directories[above]);
                Body::Directory {
                    parent: self.first_rows[parent.0 as usize],
                    children: self.span(node.place).len,
                }
            }
            Kind::File => {
                let file = &self.arena.files[node.place as usize];
                Body::File { file, sparse: self.arena.runs(node.place) }
            }
            Kind::Symlink => Body::Symlink { text: self.arena.text(node) },
            Kind::CharDevice | Kind::BlockDevice => {
                let (major, minor) = self.arena.devices[node.place as usize];
                Body::Device { major, minor }
            }
            Kind::Fifo | Kind::HardLink => Body::Fifo,
        };
        let entry = self.arena.name(name);
        Visible {
            name: self.arena.bytes(name),
            layer: entry.layer,
            implied: entry.implied,
            links: self.links[number.0 as usize],
            node,
            first: (first != row).then_some(first),
            body,
        }
    }

    /// Walks the visible tree breadth first; counts names, subdirectories and totals.
    fn number(&mut self, children: &mut [NameNo]) {
        let mut row = 0;
        while let Some(&name) = self.order.get(row as usize) {
            let number = self.node_no(name);
            let at = number.0 as usize;
            let node = *self.arena.node(number);
            if self.first_rows[at] == NO_ROW {
                self.first_rows[at] = row;
                self.add_to_totals(&node);
            }
            self.links[at] += 1;
            if node.kind == Kind::Directory {
                let Span { start, len } = self.span(node.place);
                let own = &mut children[start as usize..][..len as usize];
                if !own.is_sorted_by(|&a, &b| self.arena.bytes(a) < self.arena.bytes(b)) {
                    own.sort_unstable_by(|&a, &b| self.arena.bytes(a).cmp(self.arena.bytes(b)));
                }
                let kind_of = |name| self.arena.node(self.node_no(name)).kind;
                let below = own.iter().filter(|&&name| kind_of(name) == Kind::Directory).count();
                // The name itself, `.` in it, and `..` in each directory below.
                let links = u32::try_from(below).unwrap_or(u32::MAX).saturating_add(2);
                self.links[at] = links;
                self.order.extend_from_slice(own);
            }
            row += 1;
        }
    }

    fn add_to_totals(&mut self, node: &Node) {
        self.totals.inodes += 1;
        match node.kind {
            Kind::Directory => self.totals.directories += 1,
            Kind::File => {
                self.totals.files += 1;
                let file = &self.arena.files[node.place as usize];
                self.totals.bytes += self.arena.runs(node.place).map_or(file.size, stored);
            }
            _ => {}
        }
    }

    fn span(&self, directory: u32) -> Span {
        let start = self.starts[directory as usize];
        Span { start, len: self.starts[directory as usize + 1] - start }
    }

    /// The node of a name that is visible, so that it leads somewhere.
    fn node_no(&self, name: NameNo) -> NodeNo {
        self.arena.node_of(name).unwrap_or(NodeNo(0))
    }
}

/// Bytes in all runs, which cannot overflow for a map that fits its file.
pub(in crate::tree) fn stored(runs: &[Extent]) -> u64 {
    runs.iter().fold(0, |sum, run| sum.saturating_add(run.length))
}

struct Span {
    start: u32,
    len: u32,
}

/// All names that lead somewhere, grouped by directory, and where each directory's begin.
pub(super) fn group(arena: &Arena) -> (Vec<u32>, Vec<NameNo>) {
    let present = || {
        // The root is in its own directory and no child of it.
        (1..)
            .zip(&arena.names[1..])
            .map(|(at, name)| (NameNo(at), name.directory))
            .filter(|&(name, _)| arena.node_of(name).is_some())
    };
    let mut starts = vec![0_u32; arena.directories.len() + 1];
    for (_, DirectoryNo(directory)) in present() {
        starts[directory as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut children = vec![Arena::ROOT; starts[arena.directories.len()] as usize];
    let mut next = starts.clone();
    for (name, DirectoryNo(directory)) in present() {
        let at = &mut next[directory as usize];
        children[*at as usize] = name;
        *at += 1;
    }
    (starts, children)
}
