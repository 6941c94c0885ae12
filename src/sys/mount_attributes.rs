//! Attributes of whole trees of mounts (`mount_setattr(2)`, Linux 5.12), which rustix lacks.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// What mounts of a tree shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Refuse writes.
    pub read_only: bool,
    /// Let set-user-ID bits and file capabilities have no effect.
    pub nosuid: bool,
    /// Let device nodes have no effect.
    pub nodev: bool,
}

/// Gives a detached tree of mounts these attributes, with every mount below its top. What else the
/// mounts are stays, as it must where others have set it.
///
/// # Errors
/// What the kernel says; ENOSYS before Linux 5.12.
pub fn add(tree: &OwnedFd, attributes: Attributes) -> io::Result<()> {
    let chosen = [
        (attributes.read_only, libc::MOUNT_ATTR_RDONLY),
        (attributes.nosuid, libc::MOUNT_ATTR_NOSUID),
        (attributes.nodev, libc::MOUNT_ATTR_NODEV),
    ];
    let wanted = libc::mount_attr {
        attr_set: chosen.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum(),
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: an open descriptor, an empty string, and a live structure of the length given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
