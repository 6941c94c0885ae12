//! The union of layers: entries in tar order become one tree, whiteouts applied, links joined.
//!
//! Each layer acts in two phases, as its tar may be in any order: first its whiteouts, all of them
//! resolved on the tree of the layers below as it stands, then its entries. So a whiteout can never
//! hide what its own layer brings, and none depends on another. The rules are SEMANTICS.md's,
//! sentence by sentence; `tests/suite/union` has a test for each, `tests/support/model` the same rules
//! once more in the plainest form.
//!
//! One rule is finer than the page: *a lower symlink that the layer itself makes a directory is not
//! followed by that layer's whiteouts.* Docker writes `d/` and `d/.wh..wh..opq` when a symlink `d`
//! was replaced by a directory; following the old link would empty what it pointed to.
//!
//! A hard link's header acts as in Docker and containerd: mode (not a symlink's), owner and time
//! become the node's, its extended attributes are set on top of those that are there.
//!
//! Entries are read once or three times and never kept. What was tried: resolving whiteouts while
//! surveying, with those that passed a symlink put off; one reading less for layers with whiteouts
//! (small ones, all in all), twice the rules to get right.

mod arena;
mod error;
mod finish;
mod history;
mod name;
mod place;
mod resolve;
mod slots;
mod xattrs;

use std::borrow::Borrow;
use std::collections::HashSet;

use arena::{Arena, DirectoryNo, NameNo, NodeNo};
pub use error::{Fault, MergeError};
pub use finish::Merged;
pub(in crate::tree) use finish::{Body, Visible, stored};
use history::{Cause, Event};
pub use history::{Change, Hidden, History, How, LayerAccount, Seen, Step, Story};
use name::Meaning;
use resolve::Budget;

use super::LayerWarning;
use crate::layer::{Entry, Kind, Warning, WarningKind};
use crate::limits::Limits;

/// How many layers an image may have.
const LAYERS_MAX: u32 = 1 << 16;

/// How many warnings are kept; the rest are only counted.
const WARNINGS_MAX: usize = 10_000;

/// Whether a layer has `.wh.` names, as its table of contents counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// It has none: the first phase is skipped.
    None,
    /// It has some, or nobody counted.
    Possible,
}

/// Layers go in, bottom first; a tree comes out.
#[derive(Debug)]
pub struct Merger {
    arena: Arena,
    limits: Limits,
    /// Layers begun.
    layers: u32,
    /// The layer that is being merged.
    layer: u16,
    /// Entries and implied directories so far.
    entries: u64,
    /// Implied directories so far.
    parents: u64,
    budget: Budget,
    /// Old AUFS layers keep hard-linked files in `.wh..wh.plnk/`; out of sight, good as targets.
    plnk: Option<DirectoryNo>,
    warnings: Vec<LayerWarning>,
    dropped_warnings: u64,
    /// The last parent that was resolved: entries come in runs of siblings. Forgotten whenever a
    /// directory or symlink goes away.
    parent: Option<(Vec<u8>, DirectoryNo)>,
    /// Lower symlinks that this layer makes directories; empty outside the first phase.
    replaced: HashSet<NameNo>,
    /// Lower symlinks that this layer was already warned of.
    warned: HashSet<NameNo>,
    /// What happened to which name, when somebody wants to know.
    events: Option<Vec<Event>>,
}

impl Merger {
    /// An empty tree.
    pub fn new(limits: Limits) -> Self {
        Self {
            arena: Arena::new(limits),
            limits,
            layers: 0,
            layer: 0,
            entries: 0,
            parents: 0,
            budget: Budget::new(&limits),
            plnk: None,
            warnings: Vec::new(),
            dropped_warnings: 0,
            parent: None,
            replaced: HashSet::new(),
            warned: HashSet::new(),
            events: None,
        }
    }

    /// The same, keeping what each layer did to each name, for [`Merger::finish_history`]. That
    /// takes about 100 bytes more a file.
    pub fn recording(limits: Limits) -> Self {
        Self { events: Some(Vec::new()), ..Self::new(limits) }
    }

    /// Puts the next layer on top. `entries` begins reading the layer's entries in tar order; it is
    /// called once for the lowest layer and for one without whiteouts, up to three times else, and
    /// must give the same entries each time.
    pub fn layer<I, T, E>(
        &mut self,
        whiteouts: Whiteouts,
        mut entries: impl FnMut() -> Result<I, E>,
    ) -> Result<(), MergeError>
    where
        I: IntoIterator<Item = Result<T, E>>,
        T: Borrow<Entry>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let too_many = MergeError::TooManyLayers { limit: LAYERS_MAX };
        self.layer = u16::try_from(self.layers).map_err(|_| too_many)?;
        self.layers += 1;
        self.parent = None;
        self.plnk = None;
        self.warned.clear();
        if self.layer > 0 && whiteouts == Whiteouts::Possible {
            let mut found = false;
            self.each(entries(), |merger, entry| {
                found |= merger.survey(entry)?;
                Ok(())
            })?;
            if found {
                let mut hidden = Vec::new();
                self.each(entries(), |merger, entry| merger.find_hidden(entry, &mut hidden))?;
                hidden.iter().for_each(|hidden| self.hide(hidden));
            }
            self.replaced.clear();
            self.parent = None;
        }
        self.each(entries(), Self::place)
    }

    /// The finished tree.
    pub fn finish(mut self) -> Merged {
        self.arena.drop_indexes();
        Merged::new(self.arena, self.layers, self.warnings, self.dropped_warnings)
    }

    /// What the layers did, one after the other. Without [`Merger::recording`], nothing.
    pub fn finish_history(self) -> History {
        let merged = Merged::new(self.arena, self.layers, self.warnings, self.dropped_warnings);
        History::new(merged, self.events.unwrap_or_default())
    }

    fn each<I, T, E>(
        &mut self,
        entries: Result<I, E>,
        mut act: impl FnMut(&mut Self, &Entry) -> Result<(), Fault>,
    ) -> Result<(), MergeError>
    where
        I: IntoIterator<Item = Result<T, E>>,
        T: Borrow<Entry>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let layer = u32::from(self.layer);
        let unreadable = |source: E| MergeError::Source { layer, source: source.into() };
        for entry in entries.map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let entry = entry.borrow();
            act(self, entry).map_err(|fault| MergeError::Entry {
                layer,
                path: entry.path.clone(),
                fault,
            })?;
        }
        Ok(())
    }

    /// Phase one, first reading: is this a whiteout? Or a directory in place of a lower symlink?
    /// What is wrong with an entry is for phase two to say.
    fn survey(&mut self, entry: &Entry) -> Result<bool, Fault> {
        let (parent, name) = match name::meaning(&entry.path) {
            Ok(Meaning::Whiteout { .. } | Meaning::Opaque { .. }) => return Ok(true),
            Ok(Meaning::Place { parent, name }) => (parent, name),
            _ => return Ok(false),
        };
        if entry.kind != Kind::Directory {
            return Ok(false);
        }
        let to = match resolve::resolve(&self.arena, parent, &self.replaced, &mut self.budget) {
            Ok(to) if to.missing.is_empty() => to,
            Ok(_) | Err(Fault::Loop { .. }) => return Ok(false),
            Err(fault) => return Err(fault),
        };
        if let Some(name) = self.arena.find(to.directory, name)
            && let Some(node) = self.arena.node_of(name)
            && self.arena.kind(node) == Kind::Symlink
        {
            self.replaced.insert(name);
        }
        Ok(false)
    }

    /// Phase one, second reading: what a whiteout means on the lower tree.
    fn find_hidden(&mut self, entry: &Entry, hidden: &mut Vec<Victim>) -> Result<(), Fault> {
        match name::meaning(&entry.path) {
            Ok(Meaning::Whiteout { parent, name }) => {
                if let Some(directory) = self.existing(parent, &entry.path)? {
                    hidden.extend(self.arena.find(directory, name).map(Victim::Name));
                }
            }
            Ok(Meaning::Opaque { parent }) => {
                if let Some(directory) = self.existing(parent, &entry.path)? {
                    let fresh = self.arena.add_directory(self.arena.name_of(directory))?;
                    hidden.push(Victim::Children { directory, fresh });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn hide(&mut self, hidden: &Victim) {
        match *hidden {
            Victim::Name(name) => {
                let before = self.arena.node_of(name);
                self.arena.bind(name, None);
                if before.is_some() {
                    self.record(Cause::Whiteout, name, before);
                }
            }
            Victim::Children { directory, fresh } => {
                if self.arena.empty(directory, fresh) {
                    let name = self.arena.name_of(directory);
                    self.record(Cause::Opaque(directory), name, self.arena.node_of(name));
                }
            }
        }
    }

    /// Keeps what an entry or a whiteout has done to `name`, which led to `before` until now.
    fn record(&mut self, cause: Cause, name: NameNo, before: Option<NodeNo>) {
        let Some(events) = &mut self.events else { return };
        let after = self.arena.node_of(name);
        let node = after.or(before).map(|node| *self.arena.node(node));
        let layer = self.layer;
        events.extend(node.map(|node| Event { layer, cause, name, before, after, node }));
    }

    /// The directory that `parent` leads to, if it is there; symlinks on the way are warned of.
    fn existing(&mut self, parent: &[u8], entry: &[u8]) -> Result<Option<DirectoryNo>, Fault> {
        if let Some(directory) = self.remembered(parent) {
            return Ok(Some(directory));
        }
        let to = self.resolve(parent, entry)?;
        if !to.missing.is_empty() {
            return Ok(None);
        }
        self.remember(parent, &to, to.directory);
        Ok(Some(to.directory))
    }

    fn remember(&mut self, path: &[u8], to: &resolve::Resolution, directory: DirectoryNo) {
        if !to.detour {
            self.parent = Some((path.to_vec(), directory));
        }
    }

    fn remembered(&self, parent: &[u8]) -> Option<DirectoryNo> {
        self.parent.as_ref().filter(|(path, _)| path == parent).map(|&(_, directory)| directory)
    }

    fn resolve(&mut self, path: &[u8], entry: &[u8]) -> Result<resolve::Resolution, Fault> {
        let to = resolve::resolve(&self.arena, path, &self.replaced, &mut self.budget)?;
        for &link in &to.links {
            // Of a link in the same layer every runtime makes the same as we do.
            if self.arena.name(link).layer != self.layer && self.warned.insert(link) {
                self.warn(WarningKind::SymlinkParent, entry);
            }
        }
        Ok(to)
    }

    fn warn(&mut self, kind: WarningKind, path: &[u8]) {
        if self.warnings.len() >= WARNINGS_MAX {
            self.dropped_warnings += 1;
            return;
        }
        let warning = Warning { kind, path: path.to_vec() };
        self.warnings.push(LayerWarning { layer: u32::from(self.layer), warning });
    }
}

/// What a whiteout hides.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Name(NameNo),
    /// All in `directory`, whose bearer gets the fresh one.
    Children {
        directory: DirectoryNo,
        fresh: DirectoryNo,
    },
}
