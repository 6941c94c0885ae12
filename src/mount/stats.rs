//! The figures of a live mount, asked of its server.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use super::Error;
use crate::fs::{FIGURES, FIGURES_ROOM, Figures};
use crate::fuse::MountError;
use crate::sys::ioctl;

/// What the mount that `directory` is in did so far. Waits for its server.
///
/// # Errors
/// When there is no mount of ours, or its server is dead or of a version without figures.
pub fn figures(directory: &Path) -> Result<Figures, Error> {
    let path = || directory.to_owned();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::openat(CWD, directory, flags, Mode::empty());
    let open: OwnedFd =
        open.map_err(|error| MountError::Io { path: path(), source: error.into() })?;
    match ioctl::read::<FIGURES_ROOM>(&open, FIGURES) {
        Ok(answer) => Ok(Figures::parse(&answer)),
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
            Err(MountError::NotMounted { path: path() }.into())
        }
        Err(source) => Err(MountError::Io { path: path(), source }.into()),
    }
}
