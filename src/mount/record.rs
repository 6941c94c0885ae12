//! Mounts that are there, living or dead, and the removal of dead ones.
//!
//! Who stands behind a record says the store ([`Life`]). A mount is dead when nobody does: its server
//! was killed. What it left in the mount
//! table is removed only if the kernel says that its connection is gone, so that a mount of
//! somebody else on the same place is never touched.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Error;
use crate::fuse::{FSTYPE, MountError, MountPoint};
use crate::store::{Life, MountRecord, Store};
use crate::sys::namespace;

/// Looks at a mount that should be dead, and the time between them.
const ATTEMPTS: u32 = 20;
pub(super) const BETWEEN: Duration = Duration::from_millis(20);

/// Whether a mount has a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Alive,
    /// It was unmounted lazily while somebody used it, and still serves them.
    Detached,
    /// It is mounted in another mount namespace.
    Elsewhere,
    /// Its server was killed, and its supervisor is about to start another.
    Restarting,
    /// Its server was killed.
    Dead,
}

impl State {
    /// The word for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Detached => "detached",
            Self::Elsewhere => "elsewhere",
            Self::Restarting => "restarting",
            Self::Dead => "dead",
        }
    }
}

/// A row of `mounts`.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What is known of it.
    pub record: MountRecord,
    /// Whether it has a server.
    pub state: State,
    /// How long ago it was mounted, by the clock.
    pub uptime: Duration,
}

/// All mounts of this store, the oldest first.
pub fn list(store: &Store) -> Result<Vec<Listed>, Error> {
    let now = super::server::now();
    let mut listed = Vec::new();
    for record in store.mounts()? {
        let state = match store.mount_life(&record)? {
            Life::Served if is_elsewhere(&record) => State::Elsewhere,
            Life::Served if is_at_its_place(&record) => State::Alive,
            Life::Served => State::Detached,
            Life::Restarting => State::Restarting,
            Life::Dead => State::Dead,
        };
        let seconds = u64::try_from(now.saturating_sub(record.since)).unwrap_or(0);
        listed.push(Listed { record, state, uptime: Duration::from_secs(seconds) });
    }
    listed.sort_by(|a, b| (a.record.since, &a.record.id).cmp(&(b.record.since, &b.record.id)));
    Ok(listed)
}

fn is_elsewhere(record: &MountRecord) -> bool {
    let here = namespace::mount_namespace();
    record.namespace.is_some_and(|there| here.is_some_and(|here| here != there))
}

/// Whether what is mounted at the record's place is the mount that it speaks of. Asks no server.
fn is_at_its_place(record: &MountRecord) -> bool {
    let Some(device) = record.device else { return true };
    MountPoint::find(&record.mountpoint).is_ok_and(|point| point.device() == device)
}

/// Removes what dead mounts left: from the mount table and from the store. Says which.
pub fn clean(store: &Store) -> Result<Vec<MountRecord>, Error> {
    let mut cleaned = Vec::new();
    for Listed { record, state, .. } in list(store)? {
        if state == State::Dead {
            clean_record(store, &record)?;
            cleaned.push(record);
        }
    }
    Ok(cleaned)
}

/// Removes a dead mount from `point`, with or without a record, and records of mounts there that
/// are gone. True when something was unmounted.
pub(super) fn clean_place(store: &Store, point: MountPoint) -> Result<bool, Error> {
    for Listed { record, state, .. } in list(store)? {
        if record.mountpoint == point.path() {
            match state {
                State::Dead => store.remove_mount(&record.id)?,
                // Of others, what is here is not theirs.
                State::Detached | State::Elsewhere => {}
                State::Alive | State::Restarting => return Ok(false),
            }
        }
    }
    unmount_dead(point)
}

pub(super) fn clean_record(store: &Store, record: &MountRecord) -> Result<(), Error> {
    // A mount point that is gone has no mount either.
    if let Ok(point) = MountPoint::find(&record.mountpoint)
        && record.device.is_none_or(|device| device == point.device())
    {
        unmount_dead(point)?;
    }
    Ok(store.remove_mount(&record.id)?)
}

/// The dead mount at `place`. The kernel may take a moment to end the connection of a server that
/// was killed. `None`: nothing is mounted there any more, or something else.
pub(super) fn find_dead(place: &Path) -> Result<Option<MountPoint>, Error> {
    for _ in 0..ATTEMPTS {
        let point = MountPoint::find(place)?;
        if is_dead(&point)? {
            return Ok(Some(point));
        }
        if !point.is_mounted() {
            return Ok(None);
        }
        drop(point);
        thread::sleep(BETWEEN);
    }
    Ok(None)
}

/// Whether what is mounted at `point` is ours and has lost its server.
pub(super) fn is_dead(point: &MountPoint) -> Result<bool, Error> {
    let ours = point.mount()?.is_some_and(|mount| mount.fstype == FSTYPE);
    Ok(ours && point.is_disconnected())
}

/// Unmounts what is mounted at `point` when it is ours and has lost its server.
pub(super) fn unmount_dead(point: MountPoint) -> Result<bool, Error> {
    if !is_dead(&point)? {
        return Ok(false);
    }
    // Lazily: a shell that stands in a dead mount must not keep it.
    match point.unmount(true) {
        Ok(()) => Ok(true),
        // Somebody else was faster.
        Err(MountError::NotMounted { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Unmounts what a mount left at `place` whose server has ended before it was done.
pub(super) fn undo(place: &Path) {
    // The first error is the one to report.
    if let Ok(Some(point)) = find_dead(place) {
        let _ = point.unmount(true);
    }
}
