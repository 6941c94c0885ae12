//! Mounts in a private mount namespace (`unshare --mount`, a service with `PrivateMounts=`) end with it.
//!
//! The kernel takes a namespace's mounts away with the last process in it. The server of a mount must
//! not be that process, so it moves on into a namespace of its own, a copy, where it takes its own
//! mount out. The keeper, which may have to unmount, comes back for that: through any process that is
//! still in there. When there is none, there is nothing to unmount.
//!
//! In the machine's (or container's) main namespace nothing is done: it does not end before they do.
//! A supervisor has to mount again, so it stays where it is and keeps the namespace.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::fuse::{FSTYPE, MountPoint};
use crate::sys::{mountinfo, namespace, process};

/// A mount namespace that this process has left, by its inode number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home(u64);

/// Leaves a private mount namespace, where the mount at `place` is. `None`: it is not private, or
/// this process has no right to.
pub(super) fn leave(place: &Path) -> Option<Home> {
    let here = namespace::mount_namespace()?;
    let main = namespace::mount_namespace_of(1);
    if main == Some(here) || !rustix::process::geteuid().is_root() {
        return None;
    }
    match take_leave(place) {
        Ok(()) => Some(Home(here)),
        Err(error) => {
            log::info!("{}: stays in its private mount namespace: {error}", place.display());
            None
        }
    }
}

fn take_leave(place: &Path) -> io::Result<()> {
    namespace::leave(UnshareFlags::NEWNS)?;
    // What is taken out of the copy stays in the original, and what goes there goes here too.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    // All of ours: a copy of another one would keep that alive when it is unmounted.
    for mount in mountinfo::mounts()?.iter().rev().filter(|mount| mount.fstype == FSTYPE) {
        let found = MountPoint::find(&mount.mountpoint).and_then(|point| point.unmount(true));
        if let Err(error) = found {
            if mount.mountpoint == place {
                return Err(io::Error::other(error));
            }
            log::debug!("{error}");
        }
    }
    Ok(())
}

impl Home {
    /// Moves this process, which must have a single thread, back there. False: nobody is in there
    /// any more.
    pub(super) fn enter(self) -> io::Result<bool> {
        for pid in process::all()? {
            let path = format!("/proc/{pid}/ns/mnt");
            // A process that ends meanwhile, or is not ours to look into.
            let Ok(namespace) = File::open(path) else { continue };
            if namespace::number(&namespace) == Some(self.0) {
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&namespace),
                    Some(LinkNameSpaceType::Mount),
                )?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
