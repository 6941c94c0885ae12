//! Extended attributes (xattr(7)): values and names in the form of the system calls.
//!
//! Capabilities (`security.capability`) and ACLs (`system.posix_acl_access`, `..default`) are
//! values like any other; what they mean is the kernel's business. A mount without the rights of
//! the machine's root shows fewer ([`super::viewer`]).
//!
//! A question for a value is a message each time: the kernel remembers no answers, but for ACLs where
//! it was told to look after them ([`Kinds`]), and never asking again (ENOSYS) would give programs
//! EOPNOTSUPP, where other file systems say ENODATA and container engines expect it. So the answer is
//! ENODATA, with two exceptions that programs which look at every file, as `ls -l` does, ask for and
//! remember: ACLs and SELinux labels are "not supported" where the image has none.

use std::borrow::Cow;

use super::{Error, Ino, Viewer};
use crate::layer::Kind;
use crate::oci::Digest;
use crate::tree::ImageTree;

/// Names with their values, sorted by name.
type Pairs<'a> = Vec<(&'a [u8], Cow<'a, [u8]>)>;

/// An SELinux label.
const LABEL: &[u8] = b"security.selinux";

/// Kinds of attributes that programs ask every file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds {
    /// Whether a file may have an ACL.
    pub(super) acls: bool,
    /// Whether a file may have an SELinux label.
    labels: bool,
}

impl Kinds {
    pub(super) fn of(tree: &ImageTree) -> Self {
        Self {
            acls: tree.may_have_xattr(is_acl),
            labels: tree.may_have_xattr(|name| name == LABEL),
        }
    }

    /// Whether no file can have an attribute of this name, because none has one of its kind.
    fn lack(self, name: &[u8]) -> bool {
        !self.acls && is_acl(name) || !self.labels && name == LABEL
    }
}

fn is_acl(name: &[u8]) -> bool {
    name == b"system.posix_acl_access" || name == b"system.posix_acl_default"
}

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

/// The attributes of an image as one mount shows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a> {
    pub(super) tree: &'a ImageTree,
    pub(super) kinds: Kinds,
    pub(super) provenance: Option<&'a Provenance>,
    pub(super) viewer: Option<&'a Viewer>,
}

impl<'a> Attributes<'a> {
    pub(super) fn get(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>, Error> {
        if self.kinds.lack(name) {
            return Err(Error::NoSuchKind);
        }
        let all = self.all(ino)?;
        let found = all.binary_search_by(|(key, _)| key.cmp(&name)).ok().and_then(|at| all.get(at));
        found.map(|(_, value)| value.to_vec()).ok_or(Error::NoAttribute)
    }

    pub(super) fn list(&self, ino: Ino) -> Result<Vec<u8>, Error> {
        let all = self.all(ino)?;
        Ok(all.iter().flat_map(|(name, _)| name.iter().chain(b"\0")).copied().collect())
    }

    fn all(&self, ino: Ino) -> Result<Pairs<'a>, Error> {
        let mut own = self.tree.xattrs(ino.row()?)?;
        if let Some(viewer) = self.viewer {
            own.retain(|(name, value)| viewer.may_have(name, value));
        }
        let mut pairs = own.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
        if let Some(provenance) = self.provenance {
            provenance.add(self.tree, ino, &mut pairs)?;
        }
        Ok(pairs)
    }
}
