//! Mount records: `mounts/ID.json`, one a live mount, with everything it needs pinned.
//!
//! The server holds a lock on its record for as long as it lives ([`MountLock`]). A record counts
//! as alive while that lock is held, or while its process is the one it names. The lock is right
//! even from another process id name space; the process id helps before the server has taken over.
//!
//! **Locking.** Of a supervised mount without a server, whoever removes the record to unmount, or
//! mounts again to replace it, holds its lock for that long ([`Store::claim_mount`]): one of them wins.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use rustix::fs::FlockOperation;

use super::blobs::open_regular;
use super::draft::is_locked;
use super::{Store, StoreError};
use crate::oci::Digest;
use crate::sys::process;

/// A live or dead mount, as `mounts/ID.json` says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MountRecord {
    /// Short random id.
    pub id: String,
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

/// Held by the server of a mount; its record is alive as long as this is open in some process.
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
        let directory = self.mounts_dir();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::at(&directory)(error)),
        };
        let mut records = Vec::new();
        for entry in entries {
            let name = entry.map_err(StoreError::at(&directory))?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            records.extend(self.mount_record(id)?);
        }
        records.sort_by(|a: &MountRecord, b| a.id.cmp(&b.id));
        Ok(records)
    }

    /// Whether the mount of this record is alive.
    pub fn mount_is_alive(&self, record: &MountRecord) -> Result<bool, StoreError> {
        if record.process_lives() {
            return Ok(true);
        }
        let path = self.mount_path(&record.id);
        let locked = open_regular(&path).and_then(|file| match file {
            Some(file) => is_locked(&file, FlockOperation::NonBlockingLockShared),
            None => Ok(false),
        });
        locked.map_err(StoreError::at(&path))
    }

    /// Takes the lock of a record whose server is gone. `None`: it is not this record any more that is
    /// there, or somebody else has the lock; look again.
    pub fn claim_mount(&self, record: &MountRecord) -> Result<Option<MountLock>, StoreError> {
        let path = self.mount_path(&record.id);
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

    /// Writes a mount record, or replaces the one with its id. Call it while holding a
    /// [`super::Lease`] on what it pins; keep the returned lock for the life of the mount.
    pub fn record_mount(&self, record: &MountRecord) -> Result<MountLock, StoreError> {
        let path = self.mount_path(&record.id);
        let mut bytes = serde_json::to_vec_pretty(record)
            .map_err(|error| StoreError::at(&path)(error.into()))?;
        bytes.push(b'\n');
        loop {
            let mut draft = self.draft()?;
            draft.write_all(&bytes).map_err(StoreError::at(&path))?;
            // No mount outlives the machine, and syncing would take longer than mounting. A server
            // that is taken over must not be able to write another's name into its record.
            if let Some(file) = draft.publish_read_only(&path)? {
                return Ok(MountLock { _file: file });
            }
        }
    }

    /// Removes a mount record; none there is fine.
    pub fn forget_mount(&self, id: &str) -> Result<(), StoreError> {
        let path = self.mount_path(id);
        match self.disk().unlink(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(StoreError::at(&path)),
        }
    }

    /// A record by its id; `None` when it is not there or not understood.
    pub fn mount_record(&self, id: &str) -> Result<Option<MountRecord>, StoreError> {
        let path = self.mount_path(id);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::at(&path)(error)),
        }
    }

    pub(super) fn mount_path(&self, id: &str) -> PathBuf {
        // An id is ours, but it comes back from files that anybody may have put there.
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
        self.mounts_dir().join(format!("{id}.json"))
    }
}
