//! Where things are in a store, how one begins, and which directories are taken for one.
//!
//! `format` is written last when a store is made, so a directory without it is either foreign or
//! an unfinished store of ours; the second holds only what [`Store::open`] makes before that and
//! no blob. One that has all the rest and lost `format` is opened for `verify` alone. Opening an
//! existing store reads one small file and changes nothing, so it works on a read-only file system.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::disk::{Disk, RealDisk};
use super::draft::{self, Draft};
use super::verify::{Code, Findings, Remedy};
use super::{Derived, Readers, StoreError, index};
use crate::oci::{Algorithm, Digest};

/// The store format that this program writes (docs/store-format.md).
pub const FORMAT: u64 = 1;

/// Contents of `oci-layout` (image-layout.md).
const OCI_LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

/// The version in it.
const LAYOUT_VERSION: &str = "1.0.0";

/// An open store. Cheap to clone; clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    readers: Readers,
    /// Where records of mounts are when the store cannot be written.
    run_dir: OnceLock<(PathBuf, PathBuf)>,
}

/// The contents of `format`.
#[derive(serde::Serialize, serde::Deserialize)]
struct Format {
    /// Raised when an older program could no longer use the store rightly.
    format: u64,
    /// Who may read the store besides its owner.
    #[serde(default, skip_serializing_if = "Readers::are_nobody")]
    readers: Readers,
}

/// The contents of `oci-layout`.
#[derive(serde::Deserialize)]
struct OciLayout {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

impl Store {
    /// Opens the store at `root`, and makes one when there is nothing or an empty directory.
    ///
    /// Refused: a newer format, a directory that holds something else, and one that other users
    /// own or may write to.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, Arc::new(RealDisk))
    }

    /// The same on another [`Disk`]; for tests of what a crash or a failing disk leaves behind.
    pub fn open_with(root: &Path, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        // Absolute, because a server changes its working directory.
        let root = std::path::absolute(root).map_err(StoreError::at(root))?;
        let store = Self::new(root, disk, Readers::Nobody);
        match store.format()? {
            Some(Format { format: found, .. }) if found > FORMAT => {
                let path = store.root().to_owned();
                Err(StoreError::Newer { path, found, known: FORMAT })
            }
            Some(Format { readers, .. }) => {
                store.check_access().map(|()| store.with_readers(readers))
            }
            None => store.create().map(|()| store),
        }
    }

    /// The same store, which these others may read.
    pub(super) fn with_readers(&self, readers: Readers) -> Self {
        let (root, disk) = (self.root().to_owned(), Arc::clone(self.disk()));
        Self::new(root, disk, readers)
    }

    fn new(root: PathBuf, disk: Arc<dyn Disk>, readers: Readers) -> Self {
        Self { inner: Arc::new(Inner { root, disk, readers, run_dir: OnceLock::new() }) }
    }

    /// Who may read it besides its owner.
    pub fn readers(&self) -> Readers {
        self.inner.readers
    }

    /// The same for `verify`, which finds and repairs a `format` that is lost or cannot be read, and
    /// wrong modes of what is in it.
    pub fn open_damaged(root: &Path) -> Result<Self, StoreError> {
        match Self::open(root) {
            Err(StoreError::Damaged { .. } | StoreError::Unsafe { .. }) => {
                let root = std::path::absolute(root).map_err(StoreError::at(root))?;
                let (disk, readers) = (Arc::new(RealDisk), Readers::Nobody);
                let store = Self::new(root, disk, readers);
                let readers = store.format().ok().flatten().map(|format| format.readers);
                store.check_owner().map(|()| store.with_readers(readers.unwrap_or_default()))
            }
            other => other,
        }
    }

    /// Where it is; absolute.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// A new temporary in `ingest/`.
    pub fn draft(&self) -> Result<Draft, StoreError> {
        let draft = Draft::create(self.disk(), &self.ingest_dir())?;
        Ok(draft.readable_by(self.readers().bits()))
    }

    /// Puts every name given so far to blobs and derived files on the disk.
    pub fn barrier(&self) -> Result<(), StoreError> {
        let tops = ["blobs"].into_iter().chain(Derived::ALL.map(Derived::directory));
        for directory in tops.flat_map(|top| subdirectories(&self.root().join(top))) {
            self.disk().sync_dir(&directory).map_err(StoreError::at(&directory))?;
        }
        Ok(())
    }

    pub(super) fn run_dir_cell(&self) -> &OnceLock<(PathBuf, PathBuf)> {
        &self.inner.run_dir
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.inner.disk
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs_dir(digest.algorithm()).join(digest.hex())
    }

    pub(super) fn blobs_dir(&self, algorithm: Algorithm) -> PathBuf {
        self.root().join("blobs").join(algorithm.name())
    }

    pub(super) fn ingest_dir(&self) -> PathBuf {
        self.root().join("ingest")
    }

    pub(super) fn mounts_dir(&self) -> PathBuf {
        self.root().join("mounts")
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.root().join("lock")
    }

    fn oci_layout_path(&self) -> PathBuf {
        self.root().join("oci-layout")
    }

    fn format_path(&self) -> PathBuf {
        self.root().join("format")
    }

    /// What `format` says, `None` when there is no such file.
    fn format(&self) -> Result<Option<Format>, StoreError> {
        let path = self.format_path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::at(&path)(error)),
        };
        match serde_json::from_slice::<Format>(&bytes) {
            Ok(format) => Ok(Some(format)),
            Err(error) => Err(StoreError::Damaged { path, what: error.to_string() }),
        }
    }

    /// Makes a store in a directory that is missing, empty, or left unfinished.
    fn create(&self) -> Result<(), StoreError> {
        draft::create_dirs(&**self.disk(), self.root())?;
        self.check_unused()?;
        // An empty directory that somebody made beforehand has whatever mode was the habit. One
        // that is somebody else's is left as it is.
        let found = fs::metadata(self.root()).map_err(StoreError::at(self.root()))?;
        if found.uid() == rustix::process::geteuid().as_raw() {
            self.disk().set_mode(self.root(), 0o700).map_err(StoreError::at(self.root()))?;
        }
        self.check_owner()?;
        let _lock = self.lock_exclusive()?;
        if self.format()?.is_some() {
            return Ok(());
        }
        self.check_unused()?;
        let algorithm = Algorithm::Sha256;
        let derived = Derived::ALL.map(|kind| self.derived_dir(kind, kind.algorithm(algorithm)));
        let plain = [self.blobs_dir(algorithm), self.ingest_dir(), self.mounts_dir()];
        for directory in plain.iter().chain(&derived) {
            draft::create_dirs(&**self.disk(), directory)?;
        }
        self.write_small(&self.oci_layout_path(), OCI_LAYOUT)?;
        self.write_small(&self.index_path(), &index::Index::default().to_bytes())?;
        self.disk().sync_dir(self.root()).map_err(StoreError::at(self.root()))?;
        self.write_format()
    }

    pub(super) fn write_format(&self) -> Result<(), StoreError> {
        let path = self.format_path();
        let format = Format { format: FORMAT, readers: self.readers() };
        let mut bytes =
            serde_json::to_vec(&format).map_err(|error| StoreError::at(&path)(error.into()))?;
        bytes.push(b'\n');
        self.write_small(&path, &bytes)?;
        self.disk().sync_dir(self.root()).map_err(StoreError::at(self.root()))
    }

    /// Looks at `oci-layout` and `format`. Something else in their place is the walk's to find.
    pub(super) fn check_layout(&self, findings: &mut Findings<'_>) {
        let faults =
            [(self.oci_layout_path(), self.oci_layout()), (self.format_path(), self.formatted())];
        for (path, fault) in faults {
            let stands = fs::symlink_metadata(&path).is_ok_and(|m| !m.is_file());
            if let (Err(error), false) = (fault, stands) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let remedy = Remedy::RenewLayout;
                findings.add(Code::LayoutDamaged, name, &path, error.to_string(), remedy);
            }
        }
    }

    /// Writes `oci-layout` and `format` again when they are not what they must be.
    pub(super) fn renew_layout(&self) -> Result<(), StoreError> {
        let _lock = self.lock_exclusive()?;
        let damaged = |path: &Path, fault: Result<(), StoreError>| {
            fault.is_err() || fs::symlink_metadata(path).is_ok_and(|m| !m.is_file())
        };
        let path = self.oci_layout_path();
        if damaged(&path, self.oci_layout()) {
            self.quarantine_if_there(&path)?;
            self.write_small(&path, OCI_LAYOUT)?;
            self.disk().sync_dir(self.root()).map_err(StoreError::at(self.root()))?;
        }
        let path = self.format_path();
        if damaged(&path, self.formatted()) {
            self.quarantine_if_there(&path)?;
            self.write_format()?;
        }
        Ok(())
    }

    fn quarantine_if_there(&self, path: &Path) -> Result<(), StoreError> {
        match fs::symlink_metadata(path) {
            Ok(_) => self.quarantine(path).map(drop),
            Err(_) => Ok(()),
        }
    }

    /// Whether `oci-layout` says the version that other tools look for.
    fn oci_layout(&self) -> Result<(), StoreError> {
        let path = self.oci_layout_path();
        let damaged = |what: String| StoreError::Damaged { path: path.clone(), what };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is missing".into()));
            }
            Err(error) => return Err(StoreError::at(&path)(error)),
        };
        let found: OciLayout =
            serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        match found.version.as_str() {
            LAYOUT_VERSION => Ok(()),
            other => Err(damaged(format!("version {other:?} instead of {LAYOUT_VERSION}"))),
        }
    }

    /// Whether `format` is there and can be read.
    fn formatted(&self) -> Result<(), StoreError> {
        self.format()?.map(drop).ok_or_else(|| self.lacks_format())
    }

    fn lacks_format(&self) -> StoreError {
        StoreError::Damaged { path: self.format_path(), what: "it is missing".into() }
    }

    /// Whether all that a store has is here but `format`.
    fn is_without_format(&self) -> bool {
        let is = |name: &str, directory: bool| {
            let metadata = fs::symlink_metadata(self.root().join(name));
            metadata.is_ok_and(|m| if directory { m.is_dir() } else { m.is_file() })
        };
        let mut own = Derived::ALL.map(Derived::directory).into_iter().chain(["mounts", "ingest"]);
        is("oci-layout", false)
            && is("index.json", false)
            && is("blobs", true)
            && own.any(|name| is(name, true))
    }

    /// Refuses a directory with anything but what `create` makes, or with a blob in it.
    fn check_unused(&self) -> Result<(), StoreError> {
        let ours = ["oci-layout", "index.json", "blobs", "ingest", "mounts", "lock", "format"];
        let foreign = || match self.is_without_format() {
            true => self.lacks_format(),
            false => StoreError::NotAStore { path: self.root().to_owned() },
        };
        for entry in fs::read_dir(self.root()).map_err(StoreError::at(self.root()))? {
            let name = entry.map_err(StoreError::at(self.root()))?.file_name();
            let derived = Derived::ALL.iter().any(|kind| name == kind.directory());
            if !derived && !ours.iter().any(|known| name == *known) {
                return Err(foreign());
            }
        }
        for directory in subdirectories(&self.root().join("blobs")) {
            let mut entries = fs::read_dir(&directory).map_err(StoreError::at(&directory))?;
            if entries.next().is_some() {
                return Err(foreign());
            }
        }
        Ok(())
    }

    /// Writes a file of the root directory whole. The caller syncs the directory.
    pub(super) fn write_small(&self, path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
        let mut draft = self.draft()?;
        draft.write_all(bytes).map_err(StoreError::at(path))?;
        draft.publish(path)
    }
}

/// The directories below `top`, none when it is missing.
pub(super) fn subdirectories(top: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(top).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}
