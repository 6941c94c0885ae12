//! Leaving the namespaces that this process shares with others, and telling them apart.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use rustix::net::{AddressFamily, SocketType, socket};
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

/// Switches the loopback device of this network namespace on: a new one has it switched off.
///
/// # Errors
/// What the kernel says; EPERM without rights over the namespace.
pub fn loopback_up() -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let mut name = [0; libc::IFNAMSIZ];
    for (to, from) in name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
    let request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags },
    };
    // SAFETY: the request is a live, complete structure that SIOCSIFFLAGS only reads.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The mount namespace of this process, by its inode number; `None` without /proc.
pub fn mount_namespace() -> Option<u64> {
    number(&File::open("/proc/self/ns/mnt").ok()?)
}

/// The same of another process; `None` where that may not be seen.
pub fn mount_namespace_of(pid: u32) -> Option<u64> {
    number(&File::open(format!("/proc/{pid}/ns/mnt")).ok()?)
}

/// The inode number of an open namespace.
pub fn number(namespace: &File) -> Option<u64> {
    namespace.metadata().ok().map(|namespace| namespace.ino())
}
