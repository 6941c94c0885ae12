//! A directory to mount on or to unmount, held by descriptors: what was looked at is what is acted on.
//!
//! A path is followed once, when a [`MountPoint`] is found. Whoever owns a directory above it may
//! swap that for a symlink afterwards; nothing here follows the path again to act on it. A lazy
//! unmount names the mount by its descriptor. An ordinary one cannot, because a descriptor keeps a
//! mount busy: it holds the directory above, makes sure that the name in there still is the mount
//! with the number that was looked at (statx(2), `stx_mnt_id`), and unmounts that name of that
//! directory without following links. The kernel lets nobody rename or replace a name that is a
//! mount point of this namespace, so the name stays the mount's until it is unmounted.
//!
//! Guarantees: looking at a place asks no file system that is mounted there, so a dead or hanging
//! server cannot make this fail or wait: an `O_PATH` descriptor, its /proc/self/fd link and `statx`
//! with an empty mask are answered by the kernel alone.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::{FSTYPE, MountError, helper};
use crate::sys::mountinfo::{self, Mount};

/// How often the lock of a directory is tried, and the time between: mounting takes milliseconds.
const LOCK_ATTEMPTS: u32 = 500;
const BETWEEN_LOCKS: Duration = Duration::from_millis(10);

/// A directory, which may be the root of a mount.
#[derive(Debug)]
pub struct MountPoint {
    directory: OwnedFd,
    path: PathBuf,
    status: Status,
}

/// What statx(2) says without asking the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status {
    device: (u32, u32),
    /// The number of the mount that the directory is in.
    mount: u64,
    /// Whether it is the root of that mount.
    is_root: bool,
}

impl Status {
    /// Of `name` in `directory`, or of the directory itself when the name is empty.
    fn of(directory: &OwnedFd, name: &OsStr) -> io::Result<Self> {
        let flags = AtFlags::EMPTY_PATH
            | AtFlags::SYMLINK_NOFOLLOW
            | AtFlags::NO_AUTOMOUNT
            | AtFlags::STATX_DONT_SYNC;
        // The mount's number is there although nothing is asked for: what is asked for goes to the
        // file system, which refuses whoever may not look into a mount of somebody else.
        let status = rustix::fs::statx(directory, name, flags, StatxFlags::empty())?;
        Ok(Self {
            device: (status.stx_dev_major, status.stx_dev_minor),
            mount: status.stx_mnt_id,
            is_root: status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        })
    }
}

impl MountPoint {
    /// Finds the directory at `path`, following symlinks. Of a place where something is mounted it
    /// is the root of the topmost mount.
    pub fn find(path: &Path) -> Result<Self, MountError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| {
            let path = path.to_owned();
            match error {
                Errno::NOENT => MountError::Missing { path },
                Errno::NOTDIR => MountError::NotDirectory { path },
                _ => MountError::Io { path, source: error.into() },
            }
        })?;
        let real = fs::read_link(link(&directory)).map_err(|error| {
            if Path::new("/proc/self").exists() {
                MountError::io(path)(error)
            } else {
                MountError::NoProc
            }
        })?;
        let status = Status::of(&directory, OsStr::new("")).map_err(MountError::io(path))?;
        Ok(Self { directory, path: real, status })
    }

    /// The absolute path, without symlinks.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Major and minor number of the device that the directory is on.
    pub fn device(&self) -> (u32, u32) {
        self.status.device
    }

    /// Whether something is mounted here.
    pub fn is_mounted(&self) -> bool {
        self.status.is_root
    }

    /// What is mounted here, on top, according to the mount table.
    pub fn mount(&self) -> Result<Option<Mount>, MountError> {
        if !self.is_mounted() {
            return Ok(None);
        }
        mountinfo::by_id(self.status.mount).map_err(MountError::io("/proc/self/mountinfo"))
    }

    /// Whether the FUSE mount here has lost its server. Asks it a question: a server that is
    /// stopped, but not dead, lets this wait.
    pub fn is_disconnected(&self) -> bool {
        // "Aborted": the connection went while the question was on its way.
        matches!(rustix::fs::fstatfs(&self.directory), Err(Errno::NOTCONN | Errno::CONNABORTED))
    }

    /// Makes sure that the directory may be mounted on: nothing is mounted here and it is empty.
    pub fn check_usable(&self) -> Result<(), MountError> {
        let path = || self.path.clone();
        if self.is_mounted() {
            let by = match self.mount()? {
                Some(mount) => format!("{} on {}", mount.source, mount.fstype),
                None => "unknown".to_owned(),
            };
            return Err(MountError::AlreadyMounted { path: path(), by });
        }
        if self.has_entries().map_err(MountError::io(path()))? {
            return Err(MountError::NotEmpty { path: path() });
        }
        Ok(())
    }

    /// Unmounts the mount that was found here, when it is one of ours, and nothing else. `lazy` takes
    /// the name away at once and lets those who use files there go on until they close them.
    ///
    /// # Errors
    /// Among others [`MountError::NotMounted`] when the place is no longer what was found.
    pub fn unmount(self, lazy: bool) -> Result<(), MountError> {
        match self.mount()? {
            Some(mount) if mount.fstype == FSTYPE => {}
            Some(Mount { fstype, .. }) => {
                return Err(MountError::NotShale { path: self.path, fstype });
            }
            None => return Err(MountError::NotMounted { path: self.path }),
        }
        if !lazy {
            return self.above()?.unmount();
        }
        match rustix::mount::unmount(self.pinned_path(), UnmountFlags::DETACH) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => self.above()?.unmount_by_helper(true),
            Err(error) => Err(unmount_error(&self.path, error)),
        }
    }

    /// Lets go of the mount, which its descriptor would keep busy, and holds the directory above.
    fn above(self) -> Result<Above, MountError> {
        let Self { directory, path, status } = self;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(MountError::NotMounted { path });
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::openat(CWD, parent, flags, Mode::empty())
            .map_err(|error| MountError::io(parent)(error.into()))?;
        let above = Above { parent, name: name.to_owned(), path };
        // While the mount is still held: its number cannot pass to another one.
        let same = Status::of(&above.parent, &above.name).is_ok_and(|found| found == status);
        drop(directory);
        if same { Ok(above) } else { Err(MountError::NotMounted { path: above.path }) }
    }

    /// Locks the directory below a mount that is about to be made, so that of several who want to
    /// mount here one does and the others find it done. `None` where there can be no lock: on a
    /// directory that may not be read.
    ///
    /// # Errors
    /// [`MountError::Contended`] when somebody else keeps the lock.
    pub fn lock(&self) -> Result<Option<OwnedFd>, MountError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(open) = rustix::fs::openat(&self.directory, ".", flags, Mode::empty()) else {
            return Ok(None);
        };
        for _ in 0..LOCK_ATTEMPTS {
            match rustix::fs::flock(&open, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(open)),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(BETWEEN_LOCKS),
                Err(_) => return Ok(None),
            }
        }
        Err(MountError::Contended { path: self.path.clone() })
    }

    fn has_entries(&self) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&self.directory, ".", flags, Mode::empty())?;
        for entry in Dir::new(open)? {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// A path that leads to this very directory, whatever happens to the names meanwhile.
    pub(super) fn pinned_path(&self) -> PathBuf {
        link(&self.directory)
    }
}

/// A name in a directory that is held, which was a mount of ours a moment ago.
#[derive(Debug)]
struct Above {
    parent: OwnedFd,
    name: OsString,
    path: PathBuf,
}

impl Above {
    fn unmount(self) -> Result<(), MountError> {
        let place = link(&self.parent).join(&self.name);
        match rustix::mount::unmount(place, UnmountFlags::NOFOLLOW) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => self.unmount_by_helper(false),
            Err(error) => Err(unmount_error(&self.path, error)),
        }
    }

    /// A normal user's way. The program looks at the place by itself, from the directory above.
    fn unmount_by_helper(self, lazy: bool) -> Result<(), MountError> {
        if rustix::process::geteuid().is_root() {
            return Err(unmount_error(&self.path, Errno::PERM));
        }
        helper::unmount(&link(&self.parent), &self.name, &self.path, lazy)
    }
}

fn unmount_error(path: &Path, error: Errno) -> MountError {
    let path = path.to_owned();
    match error {
        Errno::BUSY => MountError::Busy { path },
        Errno::INVAL | Errno::NOENT => MountError::NotMounted { path },
        error => MountError::Io { path, source: io::Error::from(error) },
    }
}

pub(super) fn link(fd: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}
