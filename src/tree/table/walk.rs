//! Paths over a table: where one leads, what one is, and all there are.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::read::ImageTree;
use crate::layer::Kind;
use crate::tree::{Child, Resolved, RowNo, TableError};

/// How many symlinks one path may pass, as in Linux.
const SYMLINKS_MAX: u32 = 40;

impl ImageTree {
    /// The path of a directory, without a leading `/`; empty for the root.
    pub fn path(&self, directory: RowNo) -> Result<Vec<u8>, TableError> {
        let mut names = Vec::new();
        let mut at = directory;
        while at != Self::ROOT {
            names.push(self.own_name(at)?);
            // Parents are in smaller rows, so this ends.
            at = self.parent(at)?;
        }
        names.reverse();
        Ok(names.join(&b'/'))
    }

    /// Where `path` leads inside the image; parents are followed as the kernel does in a chroot,
    /// a last component that is a symlink only when `follow` says so.
    pub fn resolve(&self, path: &[u8], follow: bool) -> Result<Resolved, TableError> {
        let root = Resolved::At { directory: Self::ROOT, entry: Self::ROOT, row: Self::ROOT };
        let (mut at, mut kind, mut directory) = (root, Kind::Directory, Self::ROOT);
        let (mut rest, mut next, mut links) = (Cow::Borrowed(path), 0, 0);
        while next < rest.len() {
            let component = rest[next..].split(|&byte| byte == b'/').next().unwrap_or_default();
            next = rest.len().min(next + component.len() + 1);
            if component.is_empty() {
                continue;
            }
            if kind != Kind::Directory {
                return Ok(Resolved::NotDirectory);
            }
            if matches!(component, b"." | b"..") {
                if component == b".." {
                    directory = self.parent(directory)?;
                }
                at = self.at_directory(directory)?;
                continue;
            }
            let Some(child) = self.find(directory, component)? else {
                return Ok(Resolved::Absent);
            };
            let last = rest[next..].iter().all(|&byte| byte == b'/');
            if child.kind == Kind::Symlink && (follow || !last) {
                links += 1;
                if links > SYMLINKS_MAX {
                    return Ok(Resolved::Loop);
                }
                let text = self.link_text(child.row)?;
                if text.starts_with(b"/") {
                    directory = Self::ROOT;
                }
                at = self.at_directory(directory)?;
                rest = Cow::Owned([text, b"/", &rest[next..]].concat());
                next = 0;
                continue;
            }
            at = Resolved::At { directory, entry: child.entry, row: child.row };
            kind = child.kind;
            if kind == Kind::Directory {
                directory = child.row;
            }
        }
        Ok(at)
    }

    /// Visits every name below `directory`, parents first, each directory's names in order.
    /// `visit` gets the path from the image's root and ends the walk with `Break`.
    pub fn walk<B>(
        &self,
        directory: RowNo,
        mut visit: impl FnMut(&[u8], Child<'_>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, TableError> {
        let mut path = self.path(directory)?;
        let mut visited = 0;
        let mut stack = vec![Level { directory, next: 0, path_length: path.len() }];
        while let Some(level) = stack.last_mut() {
            path.truncate(level.path_length);
            let Some(child) = self.child(level.directory, level.next)? else {
                stack.pop();
                continue;
            };
            level.next += 1;
            visited += 1;
            if visited >= self.rows() {
                return Err(self.damaged("more names than rows"));
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(child.name);
            if let ControlFlow::Break(value) = visit(&path, child) {
                return Ok(ControlFlow::Break(value));
            }
            if child.kind == Kind::Directory {
                stack.push(Level { directory: child.row, next: 0, path_length: path.len() });
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn at_directory(&self, directory: RowNo) -> Result<Resolved, TableError> {
        let above = self.parent(directory)?;
        Ok(Resolved::At { directory: above, entry: directory, row: directory })
    }
}

/// A directory that is being walked.
struct Level {
    directory: RowNo,
    next: u32,
    path_length: usize,
}
