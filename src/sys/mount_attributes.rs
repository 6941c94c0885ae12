//! Attributes of whole trees of mounts (`mount_setattr(2)`, Linux 5.12), which rustix lacks.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Makes a detached tree of mounts refuse writes, with every mount below its top. What else the
/// mounts are (`nosuid`, `nodev`) stays, as it must where others have set it.
///
/// # Errors
/// What the kernel says; ENOSYS before Linux 5.12.
pub fn read_only(tree: &OwnedFd) -> io::Result<()> {
    let wanted = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
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
