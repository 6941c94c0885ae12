//! A directory to mount on, held by a descriptor so that what was checked is what gets mounted on.
//!
//! Guarantees: looking at a place asks no file system that is mounted there, so a dead or hanging
//! server cannot make this fail or wait: an `O_PATH` descriptor, its /proc/self/fd link and `statx`
//! with an empty mask are answered by the kernel alone.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::MountError;
use crate::sys::mountinfo;

/// A directory, which may be the root of a mount.
#[derive(Debug)]
pub struct MountPoint {
    directory: OwnedFd,
    path: PathBuf,
    device: (u32, u32),
    is_mounted: bool,
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
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let status = rustix::fs::statx(&directory, "", flags, StatxFlags::empty())
            .map_err(|error| MountError::io(path)(error.into()))?;
        let is_mounted = status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        let device = (status.stx_dev_major, status.stx_dev_minor);
        Ok(Self { directory, path: real, device, is_mounted })
    }

    /// The absolute path, without symlinks.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Major and minor number of the device that the directory is on.
    pub fn device(&self) -> (u32, u32) {
        self.device
    }

    /// Whether something is mounted here.
    pub fn is_mounted(&self) -> bool {
        self.is_mounted
    }

    /// What is mounted here, on top, according to the mount table.
    pub fn mount(&self) -> Result<Option<mountinfo::Mount>, MountError> {
        if !self.is_mounted {
            return Ok(None);
        }
        mountinfo::at(&self.path).map_err(MountError::io("/proc/self/mountinfo"))
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
        if self.is_mounted {
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

pub(super) fn link(fd: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}
