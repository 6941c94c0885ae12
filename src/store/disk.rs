//! The one seam for durable effects: everything that changes the store goes through [`Disk`].
//!
//! It is here so that a test can stand between the store and the kernel: record every effect and
//! replay each prefix with whatever was not synced dropped, or make any single call fail.
//! [`RealDisk`] is the only implementation outside tests and adds nothing to the system calls but
//! the modes (0700 and 0600).
//!
//! Reading is not a durable effect and does not go through here.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Effects that must survive a crash, in the order in which they were asked for only as far as
/// [`Disk::sync`] and [`Disk::sync_dir`] make it so.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a directory with mode 0700.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a new file with mode 0600, open for reading and writing; it must not exist.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Opens an existing file for reading and writing; never follows a symlink.
    fn open(&self, path: &Path) -> io::Result<File>;

    /// Writes some of `bytes` at `offset` and says how many.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file to `length` bytes.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()>;

    /// Returns once the file's bytes and size are on the disk.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Returns once the names in a directory are on the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Sets permission bits.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Gives a file to a user; never follows a symlink.
    fn set_owner(&self, path: &Path, owner: u32) -> io::Result<()>;

    /// Gives a file to a group; never follows a symlink.
    fn set_group(&self, path: &Path, group: u32) -> io::Result<()> {
        std::os::unix::fs::lchown(path, None, Some(group))
    }
}

/// The system calls themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        let no_follow = libc::O_NOFOLLOW;
        OpenOptions::new().read(true).write(true).custom_flags(no_follow).open(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn set_owner(&self, path: &Path, owner: u32) -> io::Result<()> {
        std::os::unix::fs::lchown(path, Some(owner), None)
    }
}

/// Writes all of `bytes`, however few each call takes.
pub(super) fn write_all_at(
    disk: &dyn Disk,
    file: &File,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match disk.write_at(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
