//! Mounting in the place of a dead mount, so that nobody sees the directory below in between.
//!
//! ```text
//! before      beneath     after
//! dead        dead
//!             new         new
//! directory   directory   directory
//! ```
//!
//! Guarantees: whoever looks at the place sees the dead mount or the new one. Relies on
//! `MOVE_MOUNT_BENEATH` (Linux 6.5) and on the right to mount; where one of them is missing nothing
//! has happened and the caller unmounts first and mounts then.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};

use super::attach::open_device;
use super::mountpoint::link;
use super::{MountError, MountOptions, MountPoint, SUBTYPE};

/// Mounts in the place of `dead`, the root of a dead mount, and detaches that. `None` where it
/// cannot be done: everything is as it was.
///
/// # Errors
/// The device cannot be opened; or somebody else has unmounted `dead` in that moment: nothing is
/// mounted there then.
pub fn replace(dead: &MountPoint, options: &MountOptions) -> Result<Option<OwnedFd>, MountError> {
    let device = open_device()?;
    let mounted = match mount_nowhere(&device, options) {
        Ok(mounted) => mounted,
        Err(error) => {
            log::debug!("{}: no mount to put beneath: {error}", dead.path().display());
            return Ok(None);
        }
    };
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH
        | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH
        | MoveMountFlags::MOVE_MOUNT_BENEATH;
    if let Err(error) = move_mount(&mounted, "", dead.directory(), "", flags) {
        log::debug!("{}: cannot mount beneath: {error}", dead.path().display());
        return Ok(None);
    }
    // By descriptor: exactly that mount, whatever the path leads to by now.
    if let Err(error) = unmount(dead.pinned_path(), UnmountFlags::DETACH) {
        // It fails only when the mount is gone, and then the new one goes too.
        let _ = unmount(link(&mounted), UnmountFlags::DETACH);
        return Err(MountError::io(dead.path())(io::Error::from(error)));
    }
    Ok(Some(device))
}

/// A mount as [`super::attach()`] makes them, at no place yet.
fn mount_nowhere(device: &OwnedFd, options: &MountOptions) -> Result<OwnedFd, Errno> {
    let allow_other = options.allow_other.unwrap_or(rustix::process::geteuid().is_root());
    let filesystem = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &str, value: &str| fsconfig_set_string(filesystem.as_fd(), key, value);
    set("source", &options.source)?;
    set("subtype", SUBTYPE)?;
    set("fd", &device.as_raw_fd().to_string())?;
    set("rootmode", "40000")?;
    set("user_id", &rustix::process::geteuid().as_raw().to_string())?;
    set("group_id", &rustix::process::getegid().as_raw().to_string())?;
    fsconfig_set_flag(filesystem.as_fd(), "default_permissions")?;
    if allow_other {
        fsconfig_set_flag(filesystem.as_fd(), "allow_other")?;
    }
    fsconfig_set_flag(filesystem.as_fd(), "ro")?;
    fsconfig_create(filesystem.as_fd())?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOSUID, !options.suid);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, !options.dev);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, options.noexec);
    fsmount(filesystem.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
