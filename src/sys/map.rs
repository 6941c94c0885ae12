//! Files mapped into memory for reading.
//!
//! Only for files of the store: they are written under another name, renamed into place whole and
//! never changed or cut afterwards (a mapped file that is cut kills its readers with SIGBUS).

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A whole file, read-only, its pages shared with the system's cache.
#[derive(Debug)]
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps `file` as long as it is now; the file may be closed afterwards.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is only read, and nobody changes or cuts the file while it lives:
        // store files are complete when they get their name and are only ever replaced by rename.
        // Bytes changed by a failing disk are caught by whoever checks them, and are bytes still.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self(map))
    }

    /// Takes the mapped pages out of this process; they come back from the system's cache, or from
    /// the disk, when they are touched again. Slices of the map stay valid. Failure changes nothing
    /// but memory, so there is none.
    pub fn release(&self) {
        // SAFETY: the mapping is of a file, shared and never written to, so pages that are dropped
        // are read again from the same file with the same bytes; no data is lost by it.
        let advised = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        if let Err(error) = advised {
            log::debug!("cannot release mapped pages: {error}");
        }
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
