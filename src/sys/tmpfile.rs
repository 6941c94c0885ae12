//! Files without a name, and files that get their name when they are whole.
//!
//! A file that was never given a name (`O_TMPFILE`, Linux 3.11) is gone with the process, however
//! that ends: no signal, crash or lost machine leaves one behind, and none stands in the way of
//! the next. Where the file system has no such files (NFS, some of FUSE), one is made under a name
//! that nobody has; one that is to stay without a name loses it at once, and one that is to be
//! published keeps it until then, so there a killed process leaves it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;

use super::signal::{Blocked, ENDINGS};

/// A new file in `directory` that has no name and never will, open to read and write, for its
/// owner alone.
///
/// # Errors
/// What the system says of the directory.
pub fn unnamed(directory: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    match open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        Err(error) if is_unsupported(error) => {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let make = |path: &Path| open(path, flags, Mode::RUSR | Mode::WUSR);
            let (path, file) = fresh(&directory.join("shale"), make)?;
            fs::remove_file(path).map(|()| file.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// A new file that is not yet at its place. Dropping it leaves the place as it was.
#[derive(Debug)]
pub struct Unpublished {
    file: File,
    target: PathBuf,
    /// Its name until then, where it cannot be without one.
    temporary: Option<PathBuf>,
}

impl Unpublished {
    /// A file to be written and then published at `target`, with the permissions that the umask
    /// leaves.
    ///
    /// # Errors
    /// What the system says of the directory.
    pub fn new(target: &Path) -> io::Result<Self> {
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mode = Mode::from_raw_mode(0o666);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let (file, temporary) = match open(directory, flags | OFlags::TMPFILE, mode) {
            Ok(file) => (file, None),
            Err(error) if is_unsupported(error) => {
                let flags = flags | OFlags::CREATE | OFlags::EXCL;
                let (path, file) = fresh(target, |path| open(path, flags, mode))?;
                (file, Some(path))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file: file.into(), target: target.to_owned(), temporary })
    }

    /// To write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts it at its place, and what was there goes.
    ///
    /// # Errors
    /// What the system says.
    pub fn publish(mut self) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let link = |name: &Path| linkat(CWD, &path, CWD, name, AtFlags::SYMLINK_FOLLOW);
        if self.temporary.is_none() {
            match link(&self.target) {
                Err(Errno::EXIST) => {}
                other => return Ok(other?),
            }
        }
        // Between the two calls it has a name that is not its own.
        let pending = Blocked::new(&ENDINGS)?;
        let temporary = match self.temporary.take() {
            Some(temporary) => temporary,
            None => fresh(&self.target, link)?.0,
        };
        let renamed = fs::rename(&temporary, &self.target);
        self.temporary = renamed.is_err().then_some(temporary);
        drop(self);
        pending.release()?;
        renamed
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The error that led here is the one to report.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Whether the file system, or the kernel, has no files without names.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL)
}

/// Makes something under a name beside `path` that nobody has.
fn fresh<T>(
    path: &Path,
    make: impl Fn(&Path) -> rustix::io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}-{number}.part", std::process::id()));
        let path = path.with_file_name(name);
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            // Each name is tried once, so this ends.
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
