//! Two trees compared, name by name, from their tables alone: no byte of a file is read, because
//! equal content has equal [`ContentId`]s.
//!
//! Both tables have the names of a directory sorted, so one walk goes through both side by side. It
//! keeps the path and a position a level; memory does not depend on the size of the trees, and a
//! million files take a second or two. Trees of one ChainID are equal without a look.
//!
//! Not compared: link counts and inode numbers, which belong to the tree and not to a file, and so
//! which names are hard links of one another. A file stored with holes in one image and without in
//! the other has another ContentId, and counts as changed.

use std::cmp::Ordering;

use super::{Attributes, Child, ImageTree, RowNo, TableError};
use crate::layer::{ContentId, Kind};

/// What is not the same in two nodes at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aspects {
    /// File, directory, symlink and so on; their contents are not compared then.
    pub kind: bool,
    /// Bytes of a file, text of a symlink, numbers of a device.
    pub content: bool,
    /// Permission bits.
    pub mode: bool,
    /// User or group.
    pub owner: bool,
    /// Extended attributes.
    pub xattrs: bool,
    /// Modification time.
    pub mtime: bool,
}

impl Aspects {
    /// Whether anything differs; the time only when it is asked for.
    pub fn any(&self, with_mtime: bool) -> bool {
        self.kind
            || self.content
            || self.mode
            || self.owner
            || self.xattrs
            || (with_mtime && self.mtime)
    }
}

/// A path that is not the same in both trees. It is in one of them at least.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    /// Without a leading `/`; empty for the root.
    pub path: &'a [u8],
    /// What the first tree has.
    pub before: Option<Attributes>,
    /// What the second tree has.
    pub after: Option<Attributes>,
    /// What differs when both have it.
    pub aspects: Aspects,
}

/// Calls `visit` for each path that differs in anything, the modification time included, parents
/// first and each directory's names in order; every name below a directory that only one tree has
/// is visited too.
pub fn diff<E: From<TableError>>(
    a: &ImageTree,
    b: &ImageTree,
    mut visit: impl FnMut(&Difference<'_>) -> Result<(), E>,
) -> Result<(), E> {
    if a.chain() == b.chain() {
        return Ok(());
    }
    let pair = Pair { a, b };
    let root = Some(ImageTree::ROOT);
    let mut path = Vec::new();
    if let Some(difference) = pair.compare(&path, root, root)? {
        visit(&difference)?;
    }
    let mut stack = vec![Level { a: root, b: root, next: (0, 0), path_length: 0 }];
    while let Some(level) = stack.last_mut() {
        path.truncate(level.path_length);
        let Some((child_a, child_b)) = pair.next(level)? else {
            stack.pop();
            continue;
        };
        let Some(either) = child_a.or(child_b) else { continue };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(either.name);
        let row = |child: Option<Child<'_>>| child.map(|child| child.row);
        if let Some(difference) = pair.compare(&path, row(child_a), row(child_b))? {
            visit(&difference)?;
        }
        let directory = |child: Option<Child<'_>>| {
            child.filter(|child| child.kind == Kind::Directory).map(|child| child.row)
        };
        let (a, b) = (directory(child_a), directory(child_b));
        if a.is_some() || b.is_some() {
            stack.push(Level { a, b, next: (0, 0), path_length: path.len() });
        }
    }
    Ok(())
}

/// A directory of one tree or of both that is being walked. Children have larger rows than their
/// directory, so the walk ends.
struct Level {
    a: Option<RowNo>,
    b: Option<RowNo>,
    next: (u32, u32),
    path_length: usize,
}

/// One name, in the first tree, the second, or both.
type Names<'a> = (Option<Child<'a>>, Option<Child<'a>>);

struct Pair<'a> {
    a: &'a ImageTree,
    b: &'a ImageTree,
}

impl<'a> Pair<'a> {
    /// The next name of the level, in the tree or trees that have it; `None` at the end.
    fn next(&self, level: &mut Level) -> Result<Option<Names<'a>>, TableError> {
        let child = |tree: &'a ImageTree, directory: Option<RowNo>, next| match directory {
            Some(directory) => tree.child(directory, next),
            None => Ok(None),
        };
        let a = child(self.a, level.a, level.next.0)?;
        let b = child(self.b, level.b, level.next.1)?;
        let order = match (a, b) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.name.cmp(b.name),
        };
        level.next.0 += u32::from(order.is_le());
        level.next.1 += u32::from(order.is_ge());
        Ok(Some((a.filter(|_| order.is_le()), b.filter(|_| order.is_ge()))))
    }

    fn compare<'p>(
        &self,
        path: &'p [u8],
        a: Option<RowNo>,
        b: Option<RowNo>,
    ) -> Result<Option<Difference<'p>>, TableError> {
        let attributes = |tree: &ImageTree, row: Option<RowNo>| match row {
            Some(row) => tree.attributes(row),
            None => Ok(None),
        };
        let (before, after) = (attributes(self.a, a)?, attributes(self.b, b)?);
        let aspects = match (a.zip(before), b.zip(after)) {
            (None, None) => return Ok(None),
            (Some(a), Some(b)) => self.aspects(a, b)?,
            _ => return Ok(Some(Difference { path, before, after, aspects: Aspects::default() })),
        };
        Ok(aspects.any(true).then_some(Difference { path, before, after, aspects }))
    }

    fn aspects(
        &self,
        (row_a, a): (RowNo, Attributes),
        (row_b, b): (RowNo, Attributes),
    ) -> Result<Aspects, TableError> {
        let kind = a.kind != b.kind;
        let content = |tree: &ImageTree, row| -> Result<Option<ContentId>, TableError> {
            Ok(tree.file(row)?.map(|file| file.content))
        };
        let content = !kind
            && match a.kind {
                Kind::File => {
                    a.size != b.size || content(self.a, row_a)? != content(self.b, row_b)?
                }
                Kind::Symlink => self.a.link_text(row_a)? != self.b.link_text(row_b)?,
                _ => a.device != b.device,
            };
        let has_xattrs = self.a.has_xattrs() || self.b.has_xattrs();
        Ok(Aspects {
            kind,
            content,
            mode: a.mode != b.mode,
            owner: (a.uid, a.gid) != (b.uid, b.gid),
            xattrs: has_xattrs && self.a.xattrs(row_a)? != self.b.xattrs(row_b)?,
            mtime: a.mtime != b.mtime,
        })
    }
}
