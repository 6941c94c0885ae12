//! Mount records: `mounts/ID.json`, one a live mount, with everything it needs pinned; and `ID.log`,
//! what its server had to say.
//!
//! The server holds a lock on its record for as long as it lives ([`MountLock`]). A record counts
//! as served while that lock is held, or while its process is the one it names. The lock is right
//! even from another process id name space; the process id helps before the server has taken over.
//! Between two servers of a supervised mount it is the supervisor that lives. [`Store::mount_life`]
//! is the one place where that is decided.
//!
//! **Ids** are what the file's name says: a record that claims another one is none. So nothing in a
//! record can lead to another file.
//!
//! **Where** the store cannot be written (it is another user's, read-only or full), records and logs
//! are in a directory that the machine forgets ([`super::run_dir`]).
//!
//! **Locking.** Of a supervised mount without a server, whoever removes the record to unmount, or
//! mounts again to replace it, holds its lock for that long ([`Store::claim_mount`]): one of them wins.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::blobs::open_regular;
use super::draft::{Draft, is_locked, lock};
use super::mount_id::MountId;
use super::run_dir::cannot_write;
use super::{Store, StoreError};
use crate::oci::Digest;
use crate::sys::process;

/// A live or dead mount, as `mounts/ID.json` says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MountRecord {
    /// Short random id.
    pub id: MountId,
    /// The reference as the user gave it, canonical.
    pub image: String,
    /// Digest of the config (the image ID).
    pub image_id: Digest,
    /// Absolute path.
    pub mountpoint: PathBuf,
    /// Server process.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat, to tell a reused pid.
    pub start_time: u64,
    /// Seconds since the epoch.
    pub since: i64,
    /// Everything that must not be removed while it lives.
    pub pinned: Vec<Digest>,
    /// Major and minor number of its device, to tell it from another mount on the same place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<(u32, u32)>,
    /// The mount namespace that it was mounted in, by its inode number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<u64>,
    /// The process that starts another server when this one dies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<Supervisor>,
}

/// The supervisor of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Supervisor {
    /// Its process.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat, to tell a reused pid.
    pub start_time: u64,
}

impl Supervisor {
    /// This process.
    pub fn this() -> Self {
        let pid = std::process::id();
        Self { pid, start_time: process::start_time(pid).unwrap_or_default() }
    }

    /// Whether it is there.
    pub fn lives(&self) -> bool {
        process::start_time(self.pid) == Some(self.start_time)
    }
}

/// Who stands behind a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// A server.
    Served,
    /// A supervisor, which is about to start a server.
    Restarting,
    /// Nobody.
    Dead,
}

/// Held by the server of a mount; its record is served as long as this is open in some process.
#[derive(Debug)]
pub struct MountLock {
    _file: File,
}

impl MountRecord {
    /// Whether the process that the record names is there and the same.
    pub fn process_lives(&self) -> bool {
        process::start_time(self.pid) == Some(self.start_time)
    }
}

impl Store {
    /// All mount records, dead ones too, in the order of their ids. One that vanishes meanwhile or
    /// cannot be understood is left out; `verify` reports the second.
    pub fn mounts(&self) -> Result<Vec<MountRecord>, StoreError> {
        let mut records: Vec<MountRecord> = Vec::new();
        for (directory, name) in self.mount_files()? {
            if let Some(id) = name.strip_suffix(".json").and_then(|id| id.parse().ok()) {
                records.extend(read(&directory, &id)?);
            }
        }
        records.sort_by(|a, b| a.id.cmp(&b.id));
        records.dedup_by(|a, b| a.id == b.id);
        Ok(records)
    }

    /// Directory and name of every record and log.
    fn mount_files(&self) -> Result<Vec<(PathBuf, String)>, StoreError> {
        let mut files = Vec::new();
        for directory in self.mount_dirs() {
            let names = match fs::read_dir(&directory) {
                Ok(names) => names,
                // Of a store that is another user's, its owner's mounts are not ours to know.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(StoreError::at(&directory)(error)),
            };
            for name in names {
                let name = name.map_err(StoreError::at(&directory))?.file_name();
                files.extend(name.into_string().map(|name| (directory.clone(), name)));
            }
        }
        Ok(files)
    }

    /// Who stands behind a record: the one definition of a mount that lives.
    pub fn mount_life(&self, record: &MountRecord) -> Result<Life, StoreError> {
        if record.process_lives() {
            return Ok(Life::Served);
        }
        let path = self.record_path(&record.id);
        let locked = open_regular(&path).and_then(|file| match file {
            Some(file) => is_locked(&file, FlockOperation::NonBlockingLockShared),
            None => Ok(false),
        });
        if locked.map_err(StoreError::at(&path))? {
            return Ok(Life::Served);
        }
        let stands_by = record.supervisor.as_ref().is_some_and(Supervisor::lives);
        Ok(if stands_by { Life::Restarting } else { Life::Dead })
    }

    /// Records of mounts that are served, or about to be again.
    pub fn live_mounts(&self) -> Result<Vec<MountRecord>, StoreError> {
        let mut alive = Vec::new();
        for record in self.mounts()? {
            if self.mount_life(&record)? != Life::Dead {
                alive.push(record);
            }
        }
        Ok(alive)
    }

    /// Takes the lock of a record whose server is gone. `None`: it is not this record any more that is
    /// there, or somebody else has the lock; look again.
    pub fn claim_mount(&self, record: &MountRecord) -> Result<Option<MountLock>, StoreError> {
        let path = self.record_path(&record.id);
        let file = open_regular(&path).map_err(StoreError::at(&path))?;
        let Some(file) = file else { return Ok(None) };
        let locked = is_locked(&file, FlockOperation::NonBlockingLockExclusive);
        if locked.map_err(StoreError::at(&path))? {
            return Ok(None);
        }
        // Another server's may have come in its place before there was a lock; its process differs.
        let same = self.mount_record(&record.id)?.as_ref() == Some(record);
        Ok(same.then_some(MountLock { _file: file }))
    }

    /// Writes a mount record, or replaces the one with its id. Call it while holding what it pins;
    /// keep the returned lock for the life of the mount.
    pub fn record_mount(&self, record: &MountRecord) -> Result<MountLock, StoreError> {
        match self.record_in(&self.mounts_dir(), &self.ingest_dir(), record) {
            Err(StoreError::Io { path, source }) if cannot_write(&source) => {
                let Some(directory) = self.make_run_dir() else {
                    return Err(StoreError::Io { path, source });
                };
                self.record_in(&directory, &directory, record)
            }
            other => other,
        }
    }

    fn record_in(
        &self,
        directory: &Path,
        drafts: &Path,
        record: &MountRecord,
    ) -> Result<MountLock, StoreError> {
        let path = directory.join(format!("{}.json", record.id));
        let mut bytes = serde_json::to_vec_pretty(record)
            .map_err(|error| StoreError::at(&path)(error.into()))?;
        bytes.push(b'\n');
        let mut draft = Draft::create(self.disk(), drafts)?;
        draft.write_all(&bytes).map_err(StoreError::at(&path))?;
        // No mount outlives the machine, and syncing would take longer than mounting.
        drop(draft.publish_for_now(&path)?);
        // Read-only: a server that was taken over cannot change what its record says. Until there is
        // the lock the process id stands for it.
        let file = File::open(&path).map_err(StoreError::at(&path))?;
        lock(&file, FlockOperation::LockExclusive).map_err(StoreError::at(&path))?;
        Ok(MountLock { _file: file })
    }

    /// Removes a mount record, and its log if that says nothing; none there is fine.
    pub fn forget_mount(&self, id: &MountId) -> Result<(), StoreError> {
        let log = self.log_path(id);
        if log.metadata().is_ok_and(|log| log.len() == 0) {
            self.remove_file(&log)?;
        }
        self.remove_file(&self.record_path(id))
    }

    /// Removes a mount record and its log; none there is fine.
    pub fn remove_mount(&self, id: &MountId) -> Result<(), StoreError> {
        self.remove_file(&self.log_path(id))?;
        self.remove_file(&self.record_path(id))
    }

    fn remove_file(&self, path: &Path) -> Result<(), StoreError> {
        // Looked at first: a read-only file system refuses also to remove what is not there.
        match fs::symlink_metadata(path).and_then(|_| self.disk().unlink(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(StoreError::at(path)),
        }
    }

    /// A record by its id; `None` when it is not there or not understood.
    pub fn mount_record(&self, id: &MountId) -> Result<Option<MountRecord>, StoreError> {
        for directory in self.mount_dirs() {
            if let Some(record) = read(&directory, id)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Makes the file that the messages of a mount's server go to, locked for as long as somebody
    /// has it open.
    pub fn create_log(&self, id: &MountId) -> Result<File, StoreError> {
        let create = |directory: &Path| {
            let path = directory.join(format!("{id}.log"));
            let log = File::options().append(true).create_new(true).mode(0o600).open(&path);
            let log = log.and_then(|log| lock(&log, FlockOperation::LockExclusive).map(|()| log));
            log.map_err(StoreError::at(&path))
        };
        match create(&self.mounts_dir()) {
            Err(StoreError::Io { path, source }) if cannot_write(&source) => {
                match self.make_run_dir() {
                    Some(directory) => create(&directory),
                    None => Err(StoreError::Io { path, source }),
                }
            }
            other => other,
        }
    }

    /// The log of a mount, whether it is there or not.
    pub fn log_path(&self, id: &MountId) -> PathBuf {
        self.mount_file(&format!("{id}.log"))
    }

    /// Logs of mounts that are over.
    pub(super) fn old_logs(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut old = Vec::new();
        for (directory, name) in self.mount_files()? {
            let Some(id) = name.strip_suffix(".log") else { continue };
            let path = directory.join(&name);
            if self.mount_file(&format!("{id}.json")).exists() {
                continue;
            }
            let Ok(Some(file)) = open_regular(&path) else { continue };
            if matches!(is_locked(&file, FlockOperation::NonBlockingLockShared), Ok(false)) {
                old.push(path);
            }
        }
        Ok(old)
    }

    fn record_path(&self, id: &MountId) -> PathBuf {
        self.mount_file(&format!("{id}.json"))
    }

    /// The file of this name where it is, or where it would be.
    fn mount_file(&self, name: &str) -> PathBuf {
        let places = self.mount_dirs().into_iter().map(|directory| directory.join(name));
        let found = places.into_iter().find(|path| path.symlink_metadata().is_ok());
        found.unwrap_or_else(|| self.mounts_dir().join(name))
    }
}

/// The record with this id in `directory`.
fn read(directory: &Path, id: &MountId) -> Result<Option<MountRecord>, StoreError> {
    let path = directory.join(format!("{id}.json"));
    match fs::read(&path) {
        Ok(bytes) => {
            let record = serde_json::from_slice::<MountRecord>(&bytes).ok();
            Ok(record.filter(|record| record.id == *id))
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(StoreError::at(&path)(error)),
    }
}
