//! A disk on which one call goes wrong, for tests that go through all calls one at a time. It syncs
//! nothing, because what these tests look at is what a process sees.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use shalefs::store::{Disk, RealDisk};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with this error number.
    Errno(i32),
    /// A write takes half of what it was given; everything else works.
    ShortWrite,
}

/// The real disk, but for call number `at` (from 0).
#[derive(Debug)]
pub struct FaultyDisk {
    at: usize,
    fault: Fault,
    calls: AtomicUsize,
}

impl FaultyDisk {
    pub fn new(at: usize, fault: Fault) -> Self {
        Self { at, fault, calls: AtomicUsize::new(0) }
    }

    /// A disk on which nothing goes wrong.
    pub fn never() -> Self {
        Self::new(usize::MAX, Fault::ShortWrite)
    }

    /// Whether the call that was to go wrong was made.
    pub fn struck(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.at
    }

    fn call<T>(&self, real: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Errno(errno) if number == self.at => Err(io::Error::from_raw_os_error(errno)),
            _ => real(),
        }
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call(|| RealDisk.create_dir(path))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.call(|| RealDisk.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.call(|| RealDisk.open(path))
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let number = self.calls.load(Ordering::SeqCst);
        let short = self.fault == Fault::ShortWrite && number == self.at && bytes.len() > 1;
        let bytes = if short { &bytes[..bytes.len() / 2] } else { bytes };
        self.call(|| RealDisk.write_at(file, bytes, offset))
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.call(|| RealDisk.truncate(file, length))
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        self.call(|| Ok(()))
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.call(|| Ok(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|| RealDisk.rename(from, to))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.call(|| RealDisk.unlink(path))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.call(|| RealDisk.set_mode(path, mode))
    }

    fn set_owner(&self, path: &Path, owner: u32) -> io::Result<()> {
        self.call(|| RealDisk.set_owner(path, owner))
    }
}
