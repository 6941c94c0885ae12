//! Where a path leads inside the image: the one rule for entries, whiteouts and hard-link targets.
//!
//! Symlinks are followed inside the root: an absolute text starts at the root, `..` stops there.
//! What is not there is kept by name, and `..` after it takes it away again, so that nothing is made
//! on a detour. Something that is no directory counts as not there, but is remembered: whoever
//! makes the missing directories decides whether it may be replaced. Resolving changes nothing.

use std::borrow::Cow;
use std::collections::HashSet;

use super::arena::{Arena, DirectoryNo, NameNo};
use super::error::Fault;
use crate::layer::Kind;
use crate::limits::{Limit, Limits};

/// How many symlinks one path may pass (Linux has the same bound).
pub(super) const SYMLINKS_MAX: u32 = 40;

/// Where a path led.
#[derive(Debug)]
pub(super) struct Resolution {
    /// The last directory that is there.
    pub directory: DirectoryNo,
    /// What is missing below it, outermost first.
    pub missing: Vec<Missing>,
    /// The symlinks passed.
    pub links: Vec<NameNo>,
    /// `..` took away something missing: the path may lead elsewhere once that has come to be.
    pub detour: bool,
}

/// Components walked because of symlinks, by all paths together, and how many there may be: a
/// short entry can lead through megabytes of symlink text.
#[derive(Debug)]
pub(super) struct Budget {
    steps: u64,
    limits: Limits,
}

impl Budget {
    pub fn new(limits: &Limits) -> Self {
        Self { steps: 0, limits: *limits }
    }

    fn spend(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        Ok(self.limits.hold(Limit::Steps, self.steps)?)
    }
}

/// A directory that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub name: Vec<u8>,
    /// What has the name and is no directory.
    pub file: Option<NameNo>,
}

/// Walks `path` from the root. A symlink in `gone` counts as not there.
pub(super) fn resolve(
    arena: &Arena,
    path: &[u8],
    gone: &HashSet<NameNo>,
    budget: &mut Budget,
) -> Result<Resolution, Fault> {
    let mut to = Resolution {
        directory: arena.root(),
        missing: Vec::new(),
        links: Vec::new(),
        detour: false,
    };

    let mut rest = Cow::Borrowed(path);
    let mut at = 0;
    while at < rest.len() {
        let (component, next) = component(&rest, at);
        at = next;
        if !to.links.is_empty() {
            budget.spend()?;
        }
        match component {
            b"" | b"." => continue,
            b".." => {
                match to.missing.pop() {
                    Some(_) => to.detour = true,
                    None => to.directory = parent(arena, to.directory),
                }
                continue;
            }
            _ => {}
        }
        let found = match to.missing.is_empty() {
            true => arena.find(to.directory, component).filter(|name| !gone.contains(name)),
            false => None,
        };
        let Some((name, node)) = found.and_then(|name| Some((name, arena.node_of(name)?))) else {
            to.missing.push(Missing { name: component.to_vec(), file: None });
            continue;
        };
        let node = arena.node(node);
        match node.kind {
            Kind::Directory => to.directory = DirectoryNo(node.place),
            Kind::Symlink => {
                if to.links.len() >= SYMLINKS_MAX as usize {
                    return Err(Fault::Loop { limit: SYMLINKS_MAX });
                }
                to.links.push(name);
                let text = arena.text(node);
                if text.starts_with(b"/") {
                    to.directory = arena.root();
                }
                rest = Cow::Owned([text, b"/", &rest[at..]].concat());
                at = 0;
            }
            _ => to.missing.push(Missing { name: component.to_vec(), file: Some(name) }),
        }
    }
    Ok(to)
}

/// The directory above; the root is its own.
fn parent(arena: &Arena, directory: DirectoryNo) -> DirectoryNo {
    arena.name(arena.name_of(directory)).directory
}

/// The component that begins at `at`, and where the next one begins or the path ends.
fn component(path: &[u8], at: usize) -> (&[u8], usize) {
    let rest = &path[at..];
    let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    (&rest[..length], path.len().min(at + length + 1))
}
