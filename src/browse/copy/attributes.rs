//! Owner, attributes, mode and times of what was copied, as far as the caller may set them.
//!
//! The order matters: a change of owner takes set-user-ID bits and capabilities away, so the owner
//! comes first; a mode may forbid to set attributes, so they come before it; everything changes
//! times, so those come last. When the owner cannot be restored, set-user-ID and set-group-ID are
//! left out: they would lend the rights of another user than the image says.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmod, chownat, fchmod,
    fchown, fsetxattr, futimens, lsetxattr, openat, utimensat,
};
use rustix::io::{Errno, Result};

use super::place::Handle;
use crate::layer::{Kind, Time};
use crate::tree::Attributes;

/// Set-user-ID and set-group-ID.
const SUID_SGID: u16 = 0o6000;

/// Sets everything that `attributes` and `xattrs` say; `tell` hears what could not be.
pub(super) fn restore(
    handle: &Handle<'_>,
    attributes: &Attributes,
    xattrs: &[(&[u8], &[u8])],
    mut tell: impl FnMut(String),
) {
    let mut mode = attributes.mode;
    if let Err(error) = owner(handle, attributes) {
        tell(format!("owner {}:{}: {error}", attributes.uid, attributes.gid));
        mode &= !SUID_SGID;
    }
    for (name, value) in xattrs {
        if let Err(error) = xattr(handle, name, value) {
            tell(format!("attribute {}: {error}", name.escape_ascii()));
        }
    }
    if attributes.kind != Kind::Symlink
        && let Err(error) = set_mode(handle, mode)
    {
        tell(format!("mode {mode:04o}: {error}"));
    }
    if mode != attributes.mode {
        tell(format!("mode {:04o}: set-ID bits are left out with the owner", attributes.mode));
    }
    if let Err(error) = times(handle, attributes.mtime) {
        tell(format!("time: {error}"));
    }
}

fn owner(handle: &Handle<'_>, attributes: &Attributes) -> Result<()> {
    // The highest number means "leave it" to the system.
    if attributes.uid == u32::MAX || attributes.gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    match handle {
        Handle::Open(fd) => fchown(fd, Some(uid), Some(gid)),
        Handle::Named { directory, name } => {
            chownat(directory, *name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        }
    }
}

fn xattr(handle: &Handle<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    match handle {
        Handle::Open(fd) => fsetxattr(fd, name, value, XattrFlags::empty()),
        Handle::Named { directory, name: file } => {
            let path = through(directory, Some(file));
            lsetxattr(path, name, value, XattrFlags::empty())
        }
    }
}

fn set_mode(handle: &Handle<'_>, mode: u16) -> Result<()> {
    let mode = Mode::from_raw_mode(mode.into());
    match handle {
        Handle::Open(fd) => fchmod(fd, mode),
        Handle::Named { directory, name } => {
            // There is no chmod that does not follow links; one through a descriptor cannot.
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let node = openat(directory, *name, flags, Mode::empty())?;
            chmod(through(&node, None), mode)
        }
    }
}

fn times(handle: &Handle<'_>, mtime: Time) -> Result<()> {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    match handle {
        Handle::Open(fd) => futimens(fd, &times),
        Handle::Named { directory, name } => {
            utimensat(directory, *name, &times, AtFlags::SYMLINK_NOFOLLOW)
        }
    }
}

/// A path through an open descriptor, for calls that take no other.
fn through(fd: &OwnedFd, name: Option<&str>) -> String {
    let fd = fd.as_raw_fd();
    name.map_or_else(|| format!("/proc/self/fd/{fd}"), |name| format!("/proc/self/fd/{fd}/{name}"))
}
