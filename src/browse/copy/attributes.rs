//! Owner, attributes, mode and times of what was copied, as far as the caller may set them.
//!
//! The order matters: a change of owner takes set-user-ID bits and capabilities away, so the owner
//! comes first; a mode may forbid to set attributes, so they come before it; everything changes
//! times, so those come last. When the owner cannot be restored, set-user-ID and set-group-ID are
//! left out: they would lend the rights of another user than the image says.

use std::os::fd::AsRawFd;

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmod, chown, fchmod, fchown,
    fsetxattr, futimens, setxattr, utimensat,
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
    let (uid, gid) = (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)));
    match handle {
        Handle::Open(fd) => fchown(fd, uid, gid),
        Handle::Path(_) => chown(through(handle), uid, gid),
    }
}

fn xattr(handle: &Handle<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    match handle {
        Handle::Open(fd) => fsetxattr(fd, name, value, XattrFlags::empty()),
        Handle::Path(_) => setxattr(through(handle), name, value, XattrFlags::empty()),
    }
}

fn set_mode(handle: &Handle<'_>, mode: u16) -> Result<()> {
    let mode = Mode::from_raw_mode(mode.into());
    match handle {
        Handle::Open(fd) => fchmod(fd, mode),
        Handle::Path(_) => chmod(through(handle), mode),
    }
}

fn times(handle: &Handle<'_>, mtime: Time) -> Result<()> {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    match handle {
        Handle::Open(fd) => futimens(fd, &times),
        Handle::Path(_) => utimensat(CWD, through(handle), &times, AtFlags::empty()),
    }
}

/// A path to the very node behind a descriptor, for calls that take no descriptor of its kind. The
/// kernel goes to the node itself, also when that is a link.
fn through(handle: &Handle<'_>) -> String {
    let (Handle::Open(fd) | Handle::Path(fd)) = handle;
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
