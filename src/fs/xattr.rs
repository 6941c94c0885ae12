//! Extended attributes (xattr(7)): values and names in the form of the system calls.
//!
//! Capabilities (`security.capability`) and ACLs (`system.posix_acl_access`, `..default`) are
//! values like any other; what they mean is the kernel's business. An image without any attribute
//! says so in a way that the kernel never asks again: otherwise every exec would cost a message.

use super::{Error, Ino};
use crate::tree::ImageTree;

/// Names with their values, sorted by name.
type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// An answer to a caller with a buffer of a given size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// The caller asked with an empty buffer how much it needs.
    Length(u32),
    /// The bytes; they fit.
    Bytes(Vec<u8>),
}

pub(super) fn fit(bytes: Vec<u8>, room: u32) -> Result<Fit, Error> {
    let too_small = Error::BufferTooSmall(bytes.len());
    match (u32::try_from(bytes.len()), room) {
        (Ok(length), 0) => Ok(Fit::Length(length)),
        (Ok(length), _) if length <= room => Ok(Fit::Bytes(bytes)),
        _ => Err(too_small),
    }
}

pub(super) fn get(tree: &ImageTree, ino: Ino, name: &[u8]) -> Result<Vec<u8>, Error> {
    let all = all(tree, ino)?;
    let found = all.binary_search_by(|(key, _)| key.cmp(&name)).ok().and_then(|at| all.get(at));
    found.map(|(_, value)| value.to_vec()).ok_or(Error::NoAttribute)
}

pub(super) fn list(tree: &ImageTree, ino: Ino) -> Result<Vec<u8>, Error> {
    let all = all(tree, ino)?;
    Ok(all.iter().flat_map(|(name, _)| name.iter().chain(b"\0")).copied().collect())
}

fn all(tree: &ImageTree, ino: Ino) -> Result<Pairs<'_>, Error> {
    if !tree.has_xattrs() {
        return Err(Error::NoAttributesAtAll);
    }
    Ok(tree.xattrs(ino.row()?)?)
}
