//! Files in the making: temporaries under a lock that dies with the process.
//!
//! A [`Draft`] is created next to where it will live or in `ingest/`, locked with `flock` at once,
//! written through the [`Disk`] seam, synced, and renamed to its place. One that nobody holds the
//! lock of is an orphan: [`super::gc`] removes it. Between making a file and locking it somebody
//! may take it for an orphan; so after locking, the link count is looked at, and a file that lost
//! its name in between is made again.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use super::StoreError;
use super::disk::{Disk, write_all_at};

/// How the name of a temporary begins.
pub(super) const PREFIX: &str = ".new-";

/// Names tried before giving up; each failure means a leftover of a process with our number.
const ATTEMPTS: u32 = 10_000;

/// A new file that nobody else sees yet. Dropping it removes it.
///
/// It is written as any [`Write`] and [`Seek`]: no byte of it counts before it is published.
#[derive(Debug)]
pub struct Draft {
    disk: Arc<dyn Disk>,
    file: File,
    path: PathBuf,
    position: u64,
    published: bool,
    /// The bits of a directory's mode that let others read.
    readers: u32,
}

impl Draft {
    /// A locked, empty temporary in `directory`, which is made when missing.
    pub(super) fn create(disk: &Arc<dyn Disk>, directory: &Path) -> Result<Self, StoreError> {
        Self::named(disk, directory, PREFIX)
    }

    /// The same with another beginning of the name.
    pub(super) fn named(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        prefix: &str,
    ) -> Result<Self, StoreError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..ATTEMPTS {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{prefix}{}-{number}", std::process::id()));
            let file = match disk.create(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    last = error;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    create_dirs(&**disk, directory)?;
                    continue;
                }
                Err(error) => return Err(StoreError::at(&path)(error)),
            };
            lock(&file, FlockOperation::LockExclusive).map_err(StoreError::at(&path))?;
            if file.metadata().map_err(StoreError::at(&path))?.nlink() > 0 {
                let disk = Arc::clone(disk);
                return Ok(Self { disk, file, path, position: 0, published: false, readers: 0 });
            }
        }
        Err(StoreError::at(directory)(last))
    }

    /// The same, to be read by those whom these bits of a directory's mode let in.
    pub(super) fn readable_by(mut self, bits: u32) -> Self {
        self.readers = bits;
        self
    }

    /// Syncs the file and gives it its name. The name itself is on the disk only after the
    /// directory was synced ([`super::Store::barrier`]); until then a crash may lose it, never
    /// show it with other bytes. Returns the file, still locked.
    pub(super) fn publish(self, target: &Path) -> Result<File, StoreError> {
        self.disk.sync(&self.file).map_err(StoreError::at(&self.path))?;
        self.publish_for_now(target)
    }

    /// As [`Draft::publish`] without syncing, for what means nothing after a crash of the machine,
    /// or is not trusted: that may leave it empty.
    pub(super) fn publish_for_now(mut self, target: &Path) -> Result<File, StoreError> {
        if self.readers != 0 {
            let mode = 0o600 | self.readers & 0o044;
            self.disk.set_mode(&self.path, mode).map_err(StoreError::at(&self.path))?;
        }
        let renamed = match self.disk.rename(&self.path, target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(directory) = target.parent() {
                    create_dirs(&*self.disk, directory)?;
                }
                self.disk.rename(&self.path, target)
            }
            other => other,
        };
        renamed.map_err(StoreError::at(target))?;
        self.published = true;
        self.file.try_clone().map_err(StoreError::at(target))
    }

    /// The file, without a name.
    pub(super) fn nameless(self) -> Result<File, StoreError> {
        self.file.try_clone().map_err(StoreError::at(&self.path))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.disk.write_at(&self.file, bytes, self.position)?;
        self.position += written as u64;
        Ok(written)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all_at(&*self.disk, &self.file, bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.file.metadata()?.len().checked_add_signed(delta),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // A leftover without a lock is an orphan, which gc removes: nothing depends on this.
            let _ = self.disk.unlink(&self.path);
        }
    }
}

/// Makes a directory and its missing parents, mode 0700. The new names are synced, because files
/// below them will count on them.
pub(super) fn create_dirs(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    match disk.create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            return Ok(());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().ok_or(error).map_err(StoreError::at(path))?;
            create_dirs(disk, parent)?;
            match disk.create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.map_err(StoreError::at(path))?,
            }
        }
        Err(error) => return Err(StoreError::at(path)(error)),
    }
    let Some(parent) = path.parent() else { return Ok(()) };
    match disk.sync_dir(parent) {
        // A directory above the store's root that may be passed through but not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(StoreError::at(parent)),
    }
}

/// `flock`, waiting as long as it takes when `operation` waits. A dead process holds no lock.
pub(super) fn lock(file: &File, operation: FlockOperation) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(file, operation))?)
}

/// Whether somebody holds a lock on the file that excludes `operation`, which must be one that
/// does not wait. When nobody does, the lock is ours until `file` is closed.
pub(super) fn is_locked(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match retry_on_intr(|| flock(file, operation)) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
