//! Which extended attributes a view shows that is mounted without the rights of the machine's root.
//!
//! An overlay above copies the attributes of a file before its first change, and refuses the change when
//! it cannot: the kernel lets nobody but root read or set most of them. So such a view shows a
//! list of what its user could set, and nothing else:
//!
//! ```text
//! user.*                          always
//! system.posix_acl_access, ..     when it is an ACL and every user and group in it is mapped
//! security.capability             in a user namespace, when the root that it is for is mapped
//! ```
//!
//! `trusted.*`, `security.ima`, `security.evm`, labels and whatever comes later are hidden.

use std::ops::Range;

use crate::sys::process;

/// Entries of an ACL that name somebody (include/uapi/linux/posix_acl.h).
const ACL_USER: u16 = 2;
const ACL_GROUP: u16 = 8;

/// Format of an ACL as an attribute, and bytes of its head and of an entry.
const ACL_VERSION: u32 = 2;
const ACL_HEAD: usize = 4;
const ACL_ENTRY: usize = 8;

/// Revisions of a capability set (include/uapi/linux/capability.h), each with its bytes.
const REVISION_2: (u32, usize) = (0x0200_0000, 20);
const REVISION_3: (u32, usize) = (0x0300_0000, 24);
const REVISION_MASK: u32 = 0xff00_0000;

/// Whoever mounts without being root of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The users and groups that there are for them.
    uids: Vec<Range<u64>>,
    gids: Vec<Range<u64>>,
    /// Whether they are root of a user namespace, who may set capabilities.
    is_root: bool,
}

impl Viewer {
    /// The user of this process, in its user namespace.
    pub fn this() -> Self {
        let is_root = rustix::process::geteuid().is_root();
        Self { uids: process::mapped_uids(), gids: process::mapped_gids(), is_root }
    }

    /// Of these users and groups; `is_root` as root of a user namespace.
    pub fn new(uids: Vec<Range<u64>>, gids: Vec<Range<u64>>, is_root: bool) -> Self {
        Self { uids, gids, is_root }
    }

    /// Whether they could set this attribute.
    pub(super) fn may_have(&self, name: &[u8], value: &[u8]) -> bool {
        match name {
            b"system.posix_acl_access" | b"system.posix_acl_default" => {
                self.has_all_of(value).unwrap_or(false)
            }
            b"security.capability" => self.is_root && self.has_root_of(value).unwrap_or(false),
            _ => name.starts_with(b"user."),
        }
    }

    /// Whether everybody in an ACL is mapped; `None`: it is none.
    fn has_all_of(&self, acl: &[u8]) -> Option<bool> {
        let entries = acl.get(ACL_HEAD..)?;
        if number(acl, 0)? != ACL_VERSION || !entries.len().is_multiple_of(ACL_ENTRY) {
            return None;
        }
        let known = |entry: &[u8]| {
            let tag = u16::from_le_bytes([*entry.first()?, *entry.get(1)?]);
            let id = number(entry, 4)?;
            Some(match tag {
                ACL_USER => contains(&self.uids, id),
                ACL_GROUP => contains(&self.gids, id),
                _ => true,
            })
        };
        Some(entries.chunks(ACL_ENTRY).all(|entry| known(entry).unwrap_or(false)))
    }

    /// Whether the root that a capability set is for is mapped; `None`: it is no such set.
    fn has_root_of(&self, set: &[u8]) -> Option<bool> {
        match (number(set, 0)? & REVISION_MASK, set.len()) {
            REVISION_2 => Some(true),
            REVISION_3 => Some(contains(&self.uids, number(set, 20)?)),
            _ => None,
        }
    }
}

fn contains(ranges: &[Range<u64>], id: u32) -> bool {
    ranges.iter().any(|range| range.contains(&u64::from(id)))
}

/// The little-endian number at `at`.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = ACL_VERSION.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    fn capability(revision: u32, root: Option<u32>) -> Vec<u8> {
        let mut bytes = (revision | 1).to_le_bytes().to_vec();
        bytes.extend([0; 16]);
        bytes.extend(root.into_iter().flat_map(u32::to_le_bytes));
        bytes
    }

    #[test]
    fn only_what_the_user_could_set_is_shown() {
        let inside = Viewer::new(vec![0..1000, 5000..5001], vec![0..5, 5..10], true);
        let everybody = || vec![0..1000, 1000..1 << 32];
        let outside = Viewer::new(everybody(), everybody(), false);
        let access = b"system.posix_acl_access".as_slice();
        let default = b"system.posix_acl_default".as_slice();
        let cap = b"security.capability".as_slice();
        let none = u32::MAX;
        let named = |tag, id| acl(&[(1, 6, none), (tag, 6, id), (0x10, 6, none), (0x20, 4, none)]);
        for (name, value, seen_inside, seen_outside) in [
            (b"user.note".as_slice(), b"1".to_vec(), true, true),
            (b"trusted.note", b"1".to_vec(), false, false),
            (b"security.ima", b"1".to_vec(), false, false),
            (b"security.evm", b"1".to_vec(), false, false),
            (b"security.selinux", b"1".to_vec(), false, false),
            (b"system.nfs4_acl", b"1".to_vec(), false, false),
            (b"of.no.kind", b"1".to_vec(), false, false),
            (access, named(ACL_USER, 999), true, true),
            (access, named(ACL_USER, 1000), false, true),
            (default, named(ACL_USER, 5000), true, true),
            (default, named(ACL_GROUP, 9), true, true),
            (default, named(ACL_GROUP, 5000), false, true),
            (access, b"\x02\0\0".to_vec(), false, false),
            (access, [acl(&[]), vec![1, 0, 0]].concat(), false, false),
            (access, 3_u32.to_le_bytes().to_vec(), false, false),
            (cap, capability(REVISION_2.0, None), true, false),
            (cap, capability(REVISION_3.0, Some(5000)), true, false),
            (cap, capability(REVISION_3.0, Some(1000)), false, false),
            (cap, capability(REVISION_3.0, None), false, false),
            (cap, capability(0x0100_0000, None), false, false),
            (cap, Vec::new(), false, false),
        ] {
            let shown = String::from_utf8_lossy(name);
            assert_eq!(inside.may_have(name, &value), seen_inside, "{shown} {value:?}");
            assert_eq!(outside.may_have(name, &value), seen_outside, "{shown} {value:?}");
        }
    }
}
