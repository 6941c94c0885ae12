//! What each layer did to each name: the story behind a tree, for `layers` and `which`.
//!
//! The merge itself is the only place that knows what an entry or a whiteout really does (links
//! followed, directories emptied, hard links joined), so nothing is worked out a second time here:
//! a [`Merger`](super::Merger) that records keeps an [`Event`] whenever a name is bound, unbound or
//! described anew. What goes away with a directory is not in the events; it is found afterwards,
//! because what hangs below a directory out of reach stays in the arena as it was.
//!
//! One path can have had several names in the arena (its directory was removed and made again).
//! The first of them stands for all and is called the path's *place*; two names are of one place
//! when their directories' places and their bytes are the same.
//!
//! Memory: the whole merge, and about 100 bytes a file on top.

mod account;
mod which;

use std::collections::HashMap;

pub use account::{Hidden, LayerAccount};
pub use which::{How, Seen, Step, Story};

use super::arena::{Arena, DirectoryNo, NameNo, Node, NodeNo};
use super::finish::{Merged, group, stored};
use crate::layer::Kind;

/// Why a name changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// An entry of its own.
    Entry,
    /// A hard link's entry, that led to this other name.
    Link(NameNo),
    /// It is the missing parent of an entry.
    Parent,
    /// Its whiteout.
    Whiteout,
    /// All in the directory that it bore was hidden; the name itself stays as it was.
    Opaque(DirectoryNo),
}

/// Something that happened to a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub layer: u16,
    pub cause: Cause,
    pub name: NameNo,
    pub before: Option<NodeNo>,
    pub after: Option<NodeNo>,
    /// The node then, or the one that went: later layers may give it other attributes.
    pub node: Node,
}

/// What a layer made of a path. There is something before or after, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    place: NameNo,
    /// What the layers below had there.
    pub before: Option<Kind>,
    /// What there is when the layer is on top.
    pub after: Option<Kind>,
    /// Bytes of its own that the layer stores for it: none for a hard link.
    pub bytes: u64,
}

impl Change {
    /// Whether it concerns something other than a directory, before or after.
    pub fn is_of_file(&self) -> bool {
        [self.before, self.after].iter().flatten().any(|kind| *kind != Kind::Directory)
    }

    /// `A` for added, `C` for changed, `D` for removed.
    pub fn letter(&self) -> char {
        match (self.before, self.after) {
            (None, _) => 'A',
            (Some(_), None) => 'D',
            (Some(_), Some(_)) => 'C',
        }
    }
}

/// What all layers of an image did, one after the other.
#[derive(Debug)]
pub struct History {
    merged: Merged,
    /// In the order of layers.
    events: Vec<Event>,
    /// By name: its path's place.
    places: Vec<NameNo>,
    /// By directory: where its names begin in `children`; one more at the end.
    starts: Vec<u32>,
    children: Vec<NameNo>,
}

/// A place while a layer is gone through.
#[derive(Debug, Clone, Copy)]
struct Turn {
    before: Option<NodeNo>,
    after: Option<NodeNo>,
    /// The layer's last word was a hard link.
    linked: bool,
}

impl History {
    pub(super) fn new(merged: Merged, events: Vec<Event>) -> Self {
        let arena = merged.arena();
        let places = places(arena);
        let (starts, children) = group(arena);
        Self { merged, events, places, starts, children }
    }

    /// How many layers there are.
    pub fn layers(&self) -> u32 {
        self.merged.layers()
    }

    /// What a layer made of the layers below it: every path that it added, removed, or brought
    /// again, directories too; in no order. A path counts as changed when an entry says something
    /// of it, be it what was there before.
    pub fn changes(&self, layer: u32) -> Vec<Change> {
        let mut turns: HashMap<NameNo, Turn> = HashMap::new();
        for event in self.of_layer(layer) {
            self.each_removed(event, |name, node| {
                let first = Turn { before: Some(node), after: None, linked: false };
                let turn = turns.entry(self.place(name)).or_insert(first);
                turn.after = None;
            });
            let is_own = !matches!(event.cause, Cause::Opaque(_));
            if is_own {
                let first = Turn { before: event.before, after: None, linked: false };
                let turn = turns.entry(self.place(event.name)).or_insert(first);
                turn.after = event.after;
                turn.linked = matches!(event.cause, Cause::Link(_));
            }
        }
        let change = |(place, turn): (NameNo, Turn)| self.change(layer, place, turn);
        turns.into_iter().filter_map(change).collect()
    }

    /// A change's path, without a leading `/`; empty for the root.
    pub fn path(&self, change: &Change) -> Vec<u8> {
        self.path_of(change.place)
    }

    fn change(&self, layer: u32, place: NameNo, turn: Turn) -> Option<Change> {
        let kind = |node: NodeNo| self.arena().kind(node);
        let (before, after) = (turn.before.map(kind), turn.after.map(kind));
        if before.is_none() && after.is_none() {
            return None;
        }
        let own = turn.after.filter(|_| !turn.linked);
        let file = own.and_then(|node| self.file(node)).filter(|&(of, _)| of == layer);
        Some(Change { place, before, after, bytes: file.map_or(0, |(_, bytes)| bytes) })
    }

    fn arena(&self) -> &Arena {
        self.merged.arena()
    }

    fn place(&self, name: NameNo) -> NameNo {
        self.places.get(name.0 as usize).copied().unwrap_or(name)
    }

    /// The place of the directory that a place is in.
    fn above(&self, place: NameNo) -> NameNo {
        self.place(self.arena().name_of(self.arena().name(place).directory))
    }

    fn path_of(&self, mut place: NameNo) -> Vec<u8> {
        let mut names = Vec::new();
        // A directory's name is older than the names in it, so this ends at the root.
        while place != Arena::ROOT {
            names.push(self.arena().bytes(place));
            place = self.above(place);
        }
        names.reverse();
        names.join(&b'/')
    }

    fn of_layer(&self, layer: u32) -> &[Event] {
        let start = self.events.partition_point(|event| u32::from(event.layer) < layer);
        let end = self.events.partition_point(|event| u32::from(event.layer) <= layer);
        self.events.get(start..end).unwrap_or_default()
    }

    /// The layer that brought a regular file's bytes, and how many it stores.
    fn file(&self, node: NodeNo) -> Option<(u32, u64)> {
        let node = self.arena().node(node);
        if node.kind != Kind::File {
            return None;
        }
        let file = self.arena().files.get(node.place as usize)?;
        Some((file.layer(), self.arena().runs(node.place).map_or(file.size, stored)))
    }

    /// Every name below the directory that an event put out of reach, with its node.
    fn each_removed(&self, event: &Event, mut visit: impl FnMut(NameNo, NodeNo)) {
        let mut waiting = Vec::from_iter(self.swept(event));
        while let Some(DirectoryNo(directory)) = waiting.pop() {
            // Directories have larger numbers than the one that they are in, so this ends.
            for &name in self.names_in(directory) {
                let Some(number) = self.arena().node_of(name) else { continue };
                visit(name, number);
                let node = self.arena().node(number);
                if node.kind == Kind::Directory {
                    waiting.push(DirectoryNo(node.place));
                }
            }
        }
    }

    /// The directory that an event put out of reach, if it did.
    fn swept(&self, event: &Event) -> Option<DirectoryNo> {
        if let Cause::Opaque(directory) = event.cause {
            return Some(directory);
        }
        let gone = event.before.filter(|_| event.before != event.after)?;
        let node = self.arena().node(gone);
        (node.kind == Kind::Directory).then_some(DirectoryNo(node.place))
    }

    fn names_in(&self, directory: u32) -> &[NameNo] {
        let at = |number: u32| self.starts.get(number as usize).map(|&start| start as usize);
        let span = at(directory).zip(at(directory + 1)).map(|(start, end)| start..end);
        span.and_then(|span| self.children.get(span)).unwrap_or_default()
    }
}

fn places(arena: &Arena) -> Vec<NameNo> {
    let mut known: HashMap<(NameNo, &[u8]), NameNo> = HashMap::with_capacity(arena.names.len());
    let mut places: Vec<NameNo> = Vec::with_capacity(arena.names.len());
    for (at, name) in (0..).map(NameNo).zip(&arena.names) {
        let above = arena.name_of(name.directory).0 as usize;
        // Only the root is its own directory's name.
        let place = match places.get(above) {
            Some(&above) => *known.entry((above, arena.bytes(at))).or_insert(at),
            None => at,
        };
        places.push(place);
    }
    places
}
