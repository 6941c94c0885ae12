//! The account of an image: what its layers added, changed and removed, and which bytes of theirs
//! nobody can see any more.

use std::collections::{HashMap, HashSet};

use super::super::arena::{NameNo, NodeNo};
use super::{Cause, Event, History};
use crate::layer::Kind;

/// What a layer brought. Directories are not counted; names of hard links are, each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerAccount {
    /// Names where there was nothing.
    pub added: u64,
    /// Names where there was something.
    pub changed: u64,
    /// Names where there is nothing now.
    pub removed: u64,
    /// Bytes of the regular files that it stores, holes excluded.
    pub stored: u64,
    /// Those of them that the finished image does not show: every name of the file was removed or
    /// replaced, by an upper layer or by a later entry of the same one.
    pub wasted: u64,
}

/// A file that the finished image does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Its last name, without a leading `/`.
    pub path: Vec<u8>,
    /// Bytes that are stored for it.
    pub bytes: u64,
    /// The layer that stores them.
    pub layer: u32,
    /// The layer that took the last name away.
    pub by: u32,
    /// Whether something else stands in its place in that layer's entries; it was removed if not.
    pub replaced: bool,
}

impl History {
    /// The account of each layer, bottom first.
    pub fn accounts(&self) -> Vec<LayerAccount> {
        let mut accounts: Vec<LayerAccount> =
            (0..self.layers()).map(|layer| self.count(layer)).collect();
        for node in self.all_nodes() {
            let Some((layer, bytes)) = self.file(node) else { continue };
            let Some(account) = accounts.get_mut(layer as usize) else { continue };
            account.stored += bytes;
            if !self.merged.is_visible(node) {
                account.wasted += bytes;
            }
        }
        accounts
    }

    /// How well the layers use their bytes, from 0 to 1, as dive counts it: for each path, the
    /// bytes that every layer stores for it, and the least that one of them does (0 for one that
    /// removes it, or makes it a link or a directory); all the least by all the bytes. 1 when there
    /// are no bytes. Unlike dive, this counts a directory that is removed by the files in it.
    pub fn efficiency(&self) -> f64 {
        let mut paths: HashMap<NameNo, (u64, u64)> = HashMap::new();
        for change in (0..self.layers()).flat_map(|layer| self.changes(layer)) {
            let (all, least) = paths.entry(change.place).or_insert((0, u64::MAX));
            *all += change.bytes;
            *least = change.bytes.min(*least);
        }
        let sum = |(all, least): (u64, u64), path: &(u64, u64)| (all + path.0, least + path.1);
        match paths.values().fold((0, 0), sum) {
            (0, _) => 1.0,
            #[allow(clippy::cast_precision_loss, reason = "a share needs no more digits")]
            (all, least) => least as f64 / all as f64,
        }
    }

    /// Every file with bytes that the finished image does not show, the largest first.
    pub fn hidden(&self) -> Vec<Hidden> {
        // The last event that takes a name from a node is the one that hides it.
        let mut last: HashMap<NodeNo, (NameNo, &Event)> = HashMap::new();
        let is_hidden = |node: NodeNo| self.file(node).is_some() && !self.merged.is_visible(node);
        for event in &self.events {
            self.each_removed(event, |name, node| {
                if is_hidden(node) {
                    last.insert(node, (name, event));
                }
            });
            let gone = event.before.filter(|&node| event.after != Some(node) && is_hidden(node));
            if let Some(node) = gone {
                last.insert(node, (event.name, event));
            }
        }
        // A whiteout and an entry of one layer replace as the entry alone does.
        let made = |event: &&Event| {
            event.after.is_some() && !matches!(event.cause, Cause::Opaque(_)) && event.layer > 0
        };
        let made = self.events.iter().filter(made);
        let made: HashSet<_> = made.map(|event| (event.layer, self.place(event.name))).collect();
        let describe = |(node, (name, event)): (NodeNo, (NameNo, &Event))| {
            let (layer, bytes) = self.file(node).filter(|&(_, bytes)| bytes > 0)?;
            let place = self.place(name);
            let replaced = made.contains(&(event.layer, place)) || event.layer == 0;
            let by = event.layer.into();
            Some(Hidden { path: self.path_of(place), bytes, layer, by, replaced })
        };
        let mut hidden: Vec<Hidden> = last.into_iter().filter_map(describe).collect();
        hidden.sort_unstable_by(|a, b| {
            (b.bytes, &a.path, a.layer, a.by).cmp(&(a.bytes, &b.path, b.layer, b.by))
        });
        hidden
    }

    fn count(&self, layer: u32) -> LayerAccount {
        let mut account = LayerAccount::default();
        for change in self.changes(layer).iter().filter(|change| change.is_of_file()) {
            match (change.before, change.after) {
                (None, _) => account.added += 1,
                (Some(_), None) => account.removed += 1,
                (Some(_), Some(_)) => account.changed += 1,
            }
        }
        account
    }

    fn all_nodes(&self) -> impl Iterator<Item = NodeNo> + '_ {
        let nodes = (0..).map(NodeNo).zip(&self.arena().nodes);
        nodes.filter(|(_, node)| node.kind == Kind::File).map(|(number, _)| number)
    }
}
