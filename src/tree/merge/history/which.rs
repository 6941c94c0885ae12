//! The story of one path: which layers made, changed or removed it, and by what.

use std::collections::HashSet;

use super::super::arena::{Arena, NameNo, Node, NodeNo};
use super::super::error::Fault;
use super::super::name;
use super::super::resolve::{self, Budget};
use super::{Cause, Event, History};
use crate::layer::{ContentId, Kind, Time};
use crate::limits::Limits;

/// What there was at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Never [`Kind::HardLink`].
    pub kind: Kind,
    /// `0o7777` bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Time,
    /// Size of a file, length of a symlink's text.
    pub size: u64,
    /// A symlink's text.
    pub text: Vec<u8>,
    /// The layer that brought a file's bytes.
    pub content_layer: Option<u32>,
    /// What a file's bytes are.
    pub content: Option<ContentId>,
}

/// By what a layer acted on a path. Paths have no leading `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// An entry of its own.
    Entry,
    /// An entry that makes it another name of this path.
    HardLink(Vec<u8>),
    /// An entry for another name of the same file, which set its attributes.
    Attributes(Vec<u8>),
    /// It is the missing parent of an entry.
    Parent,
    /// Its whiteout, or that of a directory above it, whose path this is.
    Whiteout(Vec<u8>),
    /// An opaque marker in this directory above it.
    Opaque(Vec<u8>),
    /// This directory above it became something else.
    Replaced(Vec<u8>),
}

/// What one layer did to a path. There is something before or after, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Position of the layer, 0 = bottom.
    pub layer: u32,
    /// What the layers below had there: hidden now, or described anew.
    pub before: Option<Seen>,
    /// What there is when the layer is on top.
    pub after: Option<Seen>,
    /// Whether what was there before is still that file or directory, with other attributes.
    pub kept: bool,
    /// By what, in order.
    pub how: Vec<How>,
}

/// What all layers did to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Where the path led: parents that are symlinks are followed, without a leading `/`.
    pub path: Vec<u8>,
    /// Topmost first; empty when no layer has it.
    pub steps: Vec<Step>,
}

/// What there is at the path after some events.
#[derive(Debug, Clone, Copy)]
struct At {
    node: NodeNo,
    /// The node as it was then.
    seen: Node,
}

/// A step that is being put together.
struct Draft {
    layer: u16,
    before: Option<At>,
    how: Vec<How>,
}

impl History {
    /// The story of `path`. Its parents are followed through the finished image as a program in it
    /// would; where the image has them no more, or nothing ever was where they lead, they are taken
    /// as they are written.
    pub fn which(&self, path: &[u8]) -> Result<Story, Fault> {
        let Some(place) = self.find(path)? else {
            return Ok(Story { path: path.to_vec(), steps: Vec::new() });
        };
        let mut above = Vec::new();
        let mut next = place;
        while next != Arena::ROOT {
            next = self.above(next);
            above.push(next);
        }
        let mut steps = Vec::new();
        let mut at: Option<At> = None;
        let mut draft: Option<Draft> = None;
        for event in &self.events {
            let Some((then, how)) = self.meaning(event, place, &above, at) else { continue };
            if draft.as_ref().is_none_or(|draft| draft.layer != event.layer) {
                steps.extend(draft.take().and_then(|draft| self.step(draft, at)));
            }
            let new = || Draft { layer: event.layer, before: at, how: Vec::new() };
            draft.get_or_insert_with(new).how.push(how);
            at = then;
        }
        steps.extend(draft.take().and_then(|draft| self.step(draft, at)));
        steps.reverse();
        Ok(Story { path: self.path_of(place), steps })
    }

    /// What an event means for the place, where there was `at`: what there is then, and how.
    fn meaning(
        &self,
        event: &Event,
        place: NameNo,
        above: &[NameNo],
        at: Option<At>,
    ) -> Option<(Option<At>, How)> {
        let of = self.place(event.name);
        let then = event.after.map(|node| At { node, seen: event.node });
        if of == place {
            return match event.cause {
                Cause::Entry => Some((then, How::Entry)),
                Cause::Link(target) => {
                    Some((then, How::HardLink(self.path_of(self.place(target)))))
                }
                Cause::Parent => Some((then, How::Parent)),
                Cause::Whiteout => at.map(|_| (None, How::Whiteout(self.path_of(of)))),
                Cause::Opaque(_) => None,
            };
        }
        let at = at?;
        if above.contains(&of) && self.swept(event).is_some() {
            let path = self.path_of(of);
            return Some((
                None,
                match event.cause {
                    Cause::Whiteout => How::Whiteout(path),
                    Cause::Opaque(_) => How::Opaque(path),
                    Cause::Entry | Cause::Link(_) | Cause::Parent => How::Replaced(path),
                },
            ));
        }
        let is_link = matches!(event.cause, Cause::Link(_)) && event.after == Some(at.node);
        (is_link && !same_attributes(&at.seen, &event.node))
            .then(|| (then, How::Attributes(self.path_of(of))))
    }

    fn step(&self, draft: Draft, at: Option<At>) -> Option<Step> {
        if draft.before.is_none() && at.is_none() {
            return None;
        }
        let same = |before: At| at.is_some_and(|after| after.node == before.node);
        Some(Step {
            layer: draft.layer.into(),
            before: draft.before.map(|before| self.see(before)),
            after: at.map(|after| self.see(after)),
            kept: draft.before.is_some_and(same),
            how: draft.how,
        })
    }

    fn see(&self, at: At) -> Seen {
        let node = &at.seen;
        let is_link = node.kind == Kind::Symlink;
        let text = if is_link { self.arena().text(node).to_vec() } else { Vec::new() };
        let is_file = node.kind == Kind::File;
        let file = self.arena().files.get(node.place as usize).filter(|_| is_file);
        Seen {
            kind: node.kind,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            mtime: node.time(),
            size: file.map_or(text.len() as u64, |file| file.size),
            text,
            content_layer: file.map(|file| file.layer()),
            content: file.map(|file| ContentId(file.content)),
        }
    }

    /// The place that `path` leads to; `None` when nothing ever was there.
    fn find(&self, path: &[u8]) -> Result<Option<NameNo>, Fault> {
        let trimmed = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        let (parent, last) = name::split(&path[..trimmed]);
        let is_place = !matches!(last, b"" | b"." | b"..");
        let way = if is_place { parent } else { path };
        let mut budget = Budget::new(&Limits::DEFAULT);
        let to = resolve::resolve(self.arena(), way, &HashSet::new(), &mut budget)?;
        let start = self.place(self.arena().name_of(to.directory));
        let missing = to.missing.iter().map(|missing| missing.name.as_slice());
        let followed = self.descend(start, missing.chain(is_place.then_some(last)));
        // A symlink may stand where lower layers had a directory.
        Ok(followed.or_else(|| {
            let parts = path.split(|&byte| byte == b'/');
            self.descend(Arena::ROOT, parts.filter(|part| !matches!(*part, b"" | b".")))
        }))
    }

    fn descend<'n>(
        &self,
        from: NameNo,
        mut names: impl Iterator<Item = &'n [u8]>,
    ) -> Option<NameNo> {
        names.try_fold(from, |place, name| self.child(place, name))
    }

    /// The place of a name in a place, whatever layer had it.
    fn child(&self, directory: NameNo, bytes: &[u8]) -> Option<NameNo> {
        let arena = self.arena();
        // Looked for one by one: a path has few components.
        let mut names = (1..arena.names.len()).filter_map(|at| u32::try_from(at).ok()).map(NameNo);
        names.find(|&name| {
            self.place(name) == name && arena.bytes(name) == bytes && self.above(name) == directory
        })
    }
}

fn same_attributes(a: &Node, b: &Node) -> bool {
    let of = |node: &Node| (node.mode, node.uid, node.gid, node.time(), node.xattrs);
    of(a) == of(b)
}
