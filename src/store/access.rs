//! Who may read a store, and whether somebody else could change it.
//!
//! ```text
//! readers    directories   files      said in `format`
//! nobody     0700          0600       -
//! a group    2750          0640       "readers":"group", the group being that of the root
//! all        0755          0644       "readers":"all"
//! ```
//!
//! Others read blobs and what is derived from them. What belongs to running processes (`ingest/`,
//! `mounts/`, `chroot/`, `quarantine/`, `lock`) stays the owner's alone: a reader takes no lock there,
//! so no reader can hold up the owner (see [`super::hold`]).
//!
//! A store is not used when somebody else owns or may write to any of its directories or documents:
//! they could make us write through links of theirs. CVE-2021-41091 and CVE-2024-25621 were open
//! store directories.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::draft;
use super::{Derived, Store, StoreError};
use crate::oci::Algorithm;

/// Who may read a store besides its owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readers {
    /// No one.
    #[default]
    Nobody,
    /// The group of the root directory.
    Group,
    /// Every user of the machine.
    All,
}

impl Readers {
    /// The bits of a directory's mode that let them in.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::Nobody => 0,
            Self::Group => 0o050,
            Self::All => 0o055,
        }
    }

    /// For serde: what need not be written.
    pub(super) fn are_nobody(&self) -> bool {
        *self == Self::Nobody
    }
}

/// What is the owner's alone also in a shared store.
const PRIVATE: [&str; 5] = ["ingest", "mounts", "chroot", "quarantine", "lock"];

/// Files of the root directory that tell readers what there is.
const DOCUMENTS: [&str; 3] = ["oci-layout", "index.json", "format"];

impl Store {
    /// Opens the store at `root` as [`Store::open`] does, and lets others read it from now on.
    ///
    /// # Errors
    /// Those of opening, and every file that is not this user's to share.
    pub fn open_shared(root: &Path, readers: Readers) -> Result<Self, StoreError> {
        let store = Self::open(root)?;
        if store.readers() == readers { Ok(store) } else { store.share(readers) }
    }

    fn share(self, readers: Readers) -> Result<Self, StoreError> {
        let _lock = self.lock_exclusive()?;
        let group = fs::metadata(self.root()).map_err(StoreError::at(self.root()))?.gid();
        let group = (readers == Readers::Group).then_some(group);
        let give = |path: &Path, mode: u32| -> Result<(), StoreError> {
            let owned = group.map_or(Ok(()), |group| self.disk().set_group(path, group));
            // After the group: changing that takes the set-group-ID bit away.
            owned.and_then(|()| self.disk().set_mode(path, mode)).map_err(StoreError::at(path))
        };
        let inherit = if group.is_some() { 0o2000 } else { 0 };
        for directory in self.public_dirs() {
            draft::create_dirs(&**self.disk(), &directory)?;
            for entry in fs::read_dir(&directory).map_err(StoreError::at(&directory))? {
                let entry = entry.map_err(StoreError::at(&directory))?;
                if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    give(&entry.path(), 0o600 | readers.bits() & 0o044)?;
                }
            }
            give(&directory, inherit | 0o700 | readers.bits())?;
        }
        for name in PRIVATE.iter().filter(|name| **name != "lock") {
            let path = self.root().join(name);
            if path.is_dir() {
                give(&path, inherit | 0o700)?;
            }
        }
        for name in DOCUMENTS {
            give(&self.root().join(name), 0o600 | readers.bits() & 0o044)?;
        }
        let shared = self.with_readers(readers);
        shared.write_format()?;
        give(shared.root(), inherit | 0o700 | readers.bits())?;
        Ok(shared)
    }

    /// Directories whose files readers read.
    fn public_dirs(&self) -> Vec<PathBuf> {
        let mut directories = vec![self.root().join("blobs")];
        directories.extend(Derived::ALL.map(|kind| self.root().join(kind.directory())));
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            directories.push(self.blobs_dir(algorithm));
            let derived =
                Derived::ALL.map(|kind| self.derived_dir(kind, kind.algorithm(algorithm)));
            directories.extend(derived);
        }
        directories.dedup();
        directories
    }

    /// The bits of a mode by which others may read `path`, a file or directory of the store.
    pub(super) fn readers_bits(&self, path: &Path) -> u32 {
        let private = PRIVATE.iter().any(|name| path.starts_with(self.root().join(name)));
        if private { 0 } else { self.readers().bits() }
    }

    /// Makes sure that nobody else owns or may write to the store's directories and documents.
    pub(super) fn check_access(&self) -> Result<(), StoreError> {
        self.check_owner()?;
        let mut places: Vec<PathBuf> = Vec::new();
        for kind in Derived::ALL.map(Derived::directory).into_iter().chain(["blobs"]) {
            let directory = self.root().join(kind);
            let below = ["sha256", "sha512", "blake3"].map(|name| directory.join(name));
            places.extend(below);
            places.push(directory);
        }
        places.extend(PRIVATE.iter().chain(&DOCUMENTS).map(|name| self.root().join(name)));
        for path in places {
            match fs::metadata(&path) {
                Ok(metadata) => refuse_others(&path, &metadata)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::at(&path)(error)),
            }
        }
        Ok(())
    }

    /// The same of the root alone.
    pub(super) fn check_owner(&self) -> Result<(), StoreError> {
        let metadata = fs::metadata(self.root()).map_err(StoreError::at(self.root()))?;
        refuse_others(self.root(), &metadata)
    }
}

fn refuse_others(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    let me = rustix::process::geteuid().as_raw();
    let why = if metadata.uid() != me && metadata.uid() != 0 {
        format!("the store belongs to user {}, not to {me}", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 {
        format!("others may write to the store (mode {:04o})", metadata.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(StoreError::Unsafe { path: path.to_owned(), why })
}
