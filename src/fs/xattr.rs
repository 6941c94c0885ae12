//! Extended attributes (xattr(7)): values and names in the form of the system calls.
//!
//! Capabilities (`security.capability`) and ACLs (`system.posix_acl_access`, `..default`) are
//! values like any other; what they mean is the kernel's business. An image without any attribute
//! says so, when asked for a value, in a way that the kernel never asks again: otherwise every exec
//! would cost a message. That holds no more once [`Provenance`] is wanted, which gives every file
//! two attributes. A list is always answered, with no names if there are none: never to be asked
//! again would look to `tar --xattrs` and rsync as if attributes were lost.

use std::borrow::Cow;

use super::{Error, Ino};
use crate::layer::Kind;
use crate::oci::Digest;
use crate::tree::ImageTree;

/// Names with their values, sorted by name.
type Pairs<'a> = Vec<(&'a [u8], Cow<'a, [u8]>)>;

/// The number of the layer, 0 = bottom.
const LAYER: &[u8] = b"user.shale.layer";

/// The digest of the layer's blob.
const DIGEST: &[u8] = b"user.shale.digest";

/// Shows of every file and directory which layer made it or last described it, as attributes; of
/// a file with several names, which layer said so of the first. Other kinds have none: the kernel
/// allows `user.` attributes on these two only. Ours hide an image's own of the same names.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The number in the image of the lowest layer that is shown.
    pub first: u32,
    /// The layers' blobs, bottom first.
    pub layers: Vec<Digest>,
}

impl Provenance {
    fn add<'a>(&self, tree: &ImageTree, ino: Ino, pairs: &mut Pairs<'a>) -> Result<(), Error> {
        let row = ino.row()?;
        let kind = tree.attributes(row)?.map(|attributes| attributes.kind);
        let Some(layer) = tree.layer(row)? else { return Ok(()) };
        if !matches!(kind, Some(Kind::File | Kind::Directory)) {
            return Ok(());
        }
        pairs.retain(|(name, _)| ![LAYER, DIGEST].contains(name));
        let number = u64::from(layer) + u64::from(self.first);
        pairs.push((LAYER, Cow::Owned(number.to_string().into_bytes())));
        if let Some(digest) = self.layers.get(layer as usize) {
            pairs.push((DIGEST, Cow::Owned(digest.to_string().into_bytes())));
        }
        pairs.sort_unstable();
        Ok(())
    }
}

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

pub(super) fn get(
    tree: &ImageTree,
    provenance: Option<&Provenance>,
    ino: Ino,
    name: &[u8],
) -> Result<Vec<u8>, Error> {
    if !tree.has_xattrs() && provenance.is_none() {
        return Err(Error::NoAttributesAtAll);
    }
    let all = all(tree, provenance, ino)?;
    let found = all.binary_search_by(|(key, _)| key.cmp(&name)).ok().and_then(|at| all.get(at));
    found.map(|(_, value)| value.to_vec()).ok_or(Error::NoAttribute)
}

pub(super) fn list(
    tree: &ImageTree,
    provenance: Option<&Provenance>,
    ino: Ino,
) -> Result<Vec<u8>, Error> {
    let all = all(tree, provenance, ino)?;
    Ok(all.iter().flat_map(|(name, _)| name.iter().chain(b"\0")).copied().collect())
}

fn all<'a>(
    tree: &'a ImageTree,
    provenance: Option<&Provenance>,
    ino: Ino,
) -> Result<Pairs<'a>, Error> {
    let own = tree.xattrs(ino.row()?)?;
    let mut pairs = own.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
    if let Some(provenance) = provenance {
        provenance.add(tree, ino, &mut pairs)?;
    }
    Ok(pairs)
}
