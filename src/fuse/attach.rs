//! Mounting and unmounting: mount(2) where that is allowed, else fusermount3.
//!
//! Root mounts with `allow_other` unless told otherwise: `default_permissions` is always on, so the
//! kernel checks modes and owners as it does on a disk, and a mount that only root can look into
//! would surprise. A normal user's mount is the user's own unless the administrator lets users
//! share theirs. Every mount is read-only, and `nosuid,nodev` unless root asks otherwise.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::{FSTYPE, MountError, MountPoint, SUBTYPE, helper};
use crate::sys::{process, sandbox};

/// How to mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// What the mount table shows as source: the image's reference. Any text without NUL.
    pub source: String,
    /// Whether other users may look in; `None`: root lets them, a normal user does not.
    pub allow_other: Option<bool>,
    /// Let set-user-id programs have their effect. Root only.
    pub suid: bool,
    /// Let device files have their effect. Root only.
    pub dev: bool,
    /// Let no program be executed from it.
    pub noexec: bool,
}

/// Mounts on `point` and returns the connection, to be served by a [`super::Session`]. Whoever
/// looks at the place before it is served waits.
pub fn attach(point: &MountPoint, options: &MountOptions) -> Result<OwnedFd, MountError> {
    // Also where the helper opens it: it would do so with the user's own rights.
    let device = open_device()?;
    let is_root = rustix::process::geteuid().is_root();
    let allow_other = options.allow_other.unwrap_or(is_root);
    match mount_directly(&device, point, options, allow_other) {
        Ok(()) => Ok(device),
        Err(Errno::PERM) if !is_root => {
            helper::mount(point.path(), &helper_options(options, allow_other))
        }
        Err(Errno::PERM) => Err(forbidden(point)),
        // The device is there and the file system is not: a kernel without it.
        Err(Errno::NODEV) => Err(MountError::NoDevice),
        Err(error) => {
            Err(MountError::Refused { path: point.path().to_owned(), source: error.into() })
        }
    }
}

/// Why root may not mount, as far as that can be seen.
fn forbidden(point: &MountPoint) -> MountError {
    let path = point.path().to_owned();
    if !sandbox::may_mount() {
        MountError::NoCapability { path }
    } else if !process::is_real_root() {
        MountError::ForeignNamespace { path }
    } else {
        MountError::Refused { path, source: Errno::PERM.into() }
    }
}

pub(super) fn open_device() -> Result<OwnedFd, MountError> {
    let path = Path::new("/dev/fuse");
    let opened = File::options().read(true).write(true).open(path);
    opened.map(OwnedFd::from).map_err(|error| {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => MountError::NoDevice,
            // A device controller of a container says EPERM.
            Some(Errno::ACCESS | Errno::PERM) => MountError::DeviceDenied,
            _ => MountError::io(path)(error),
        }
    })
}

fn mount_directly(
    device: &OwnedFd,
    point: &MountPoint,
    options: &MountOptions,
    allow_other: bool,
) -> Result<(), Errno> {
    let mut data = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    if allow_other {
        data.push_str(",allow_other");
    }
    let mut flags = MountFlags::RDONLY;
    flags.set(MountFlags::NOSUID, !options.suid);
    flags.set(MountFlags::NODEV, !options.dev);
    flags.set(MountFlags::NOEXEC, options.noexec);
    let data = CString::new(data).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount(
        options.source.as_str(),
        point.pinned_path(),
        FSTYPE,
        flags,
        data.as_c_str(),
    )
}

/// The helper always adds `nosuid,nodev` for a normal user.
fn helper_options(options: &MountOptions, allow_other: bool) -> String {
    let source = options.source.replace('\\', "\\\\").replace(',', "\\,");
    let sharing = if allow_other { ",allow_other" } else { "" };
    let noexec = if options.noexec { ",noexec" } else { "" };
    format!(
        "ro,nosuid,nodev,default_permissions{noexec}{sharing},subtype={SUBTYPE},fsname={source}"
    )
}

/// Unmounts what is mounted at `mountpoint` when it is a mount of ours and nothing else; see
/// [`MountPoint::unmount`].
pub fn detach(mountpoint: &Path, lazy: bool) -> Result<(), MountError> {
    MountPoint::find(mountpoint)?.unmount(lazy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_cannot_smuggle_options_into_the_helper() {
        let of = |source: &str| MountOptions { source: source.into(), ..MountOptions::default() };
        assert_eq!(
            helper_options(&of("oci:/tmp/a,suid\\,dev:x"), false),
            "ro,nosuid,nodev,default_permissions,subtype=shale,\
             fsname=oci:/tmp/a\\,suid\\\\\\,dev:x"
        );
        assert!(helper_options(&of("x"), true).contains(",allow_other,"));
    }
}
