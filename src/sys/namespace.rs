//! Leaving the namespaces that this process shares with others.

use std::io;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Moves this process into new namespaces (`unshare(2)`). Only for a process with a single thread,
/// which `CLONE_NEWUSER` itself insists on.
///
/// # Errors
/// What the kernel says; EPERM where namespaces are not allowed to this user.
pub fn leave(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: the call is unsafe because of CLONE_FILES, which gives one thread a descriptor table
    // of its own behind the back of the others; that flag is taken out.
    unsafe { unshare_unsafe(namespaces - UnshareFlags::FILES) }.map_err(Into::into)
}
