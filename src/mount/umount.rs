//! Unmounting: by directory, by image, or all.
//!
//! A supervised mount whose server was killed may come back in any moment. Its record decides: it
//! is removed under its lock, which the supervisor holds while it mounts; afterwards that one ends.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::Error;
use super::record::{self, BETWEEN, Listed, State, clean_record, find_dead, list};
use crate::fuse::{MountError, MountPoint};
use crate::store::{MountRecord, Store, Supervisor};
use crate::sys::process;

/// How long a server may take to end after its mount is gone. It takes a millisecond, unless the
/// mount lives on in another mount namespace.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same when the mount was detached while it may be in use.
const LAZY_PATIENCE: Duration = Duration::from_millis(200);

/// Tries to get hold of a mount that its supervisor is mounting again.
const ATTEMPTS: u32 = 100;

/// What to unmount.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// The mount on this directory.
    Directory(&'a Path),
    /// Every mount of this image, by its canonical reference.
    Image(&'a str),
    /// Every mount of the store.
    All,
}

/// What became of one mount.
#[derive(Debug)]
pub struct Unmounted {
    /// Where it was.
    pub mountpoint: PathBuf,
    /// `Ok(true)` when its server has ended, `Ok(false)` when somebody still uses it: files opened
    /// before a lazy unmount, or a copy of the mount in another mount namespace.
    pub result: Result<bool, Error>,
}

/// Unmounts. Returns one result a mount; an error only when there is nothing to try.
pub fn umount(store: &Store, target: Target<'_>, lazy: bool) -> Result<Vec<Unmounted>, Error> {
    let mut records = match target {
        Target::Directory(directory) => {
            let (mountpoint, result) = umount_directory(store, directory, lazy);
            return Ok(vec![Unmounted { mountpoint, result }]);
        }
        Target::Image(image) => {
            let mut records = list(store)?;
            records.retain(|listed| listed.record.image == image);
            if records.is_empty() {
                return Err(Error::ImageNotMounted { image: image.to_owned() });
            }
            records
        }
        Target::All => list(store)?,
    };
    // A mount below another one keeps that busy.
    records.sort_by_key(|listed| Reverse(listed.record.mountpoint.components().count()));
    let unmounted = records.into_iter().map(|Listed { record, state, .. }| Unmounted {
        result: match state {
            _ if may_come_back(&record) => withdraw(store, &record, lazy),
            State::Dead | State::Restarting => clean_record(store, &record).map(|()| true),
            State::Alive => umount_live(&record, lazy),
            State::Detached => wait(&record, true),
            State::Elsewhere => end_elsewhere(&record),
        },
        mountpoint: record.mountpoint,
    });
    Ok(unmounted.collect())
}

fn umount_directory(store: &Store, directory: &Path, lazy: bool) -> (PathBuf, Result<bool, Error>) {
    match MountPoint::find(directory) {
        Ok(point) => (point.path().to_owned(), umount_point(store, point, lazy)),
        // The directory may be gone and its record not.
        Err(error) => {
            let path = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
            let forgotten = forget_dead(store, &path);
            (path, forgotten.and_then(|any| any.then_some(true).ok_or_else(|| error.into())))
        }
    }
}

fn umount_point(store: &Store, point: MountPoint, lazy: bool) -> Result<bool, Error> {
    let path = point.path().to_owned();
    let mut listed = list(store)?;
    listed.retain(|listed| listed.record.mountpoint == path);
    if let Some(Listed { record, .. }) = listed.iter().find(|l| may_come_back(&l.record)) {
        return withdraw(store, record, lazy);
    }
    let of = |state: State| listed.iter().find(|listed| listed.state == state);
    if !point.is_mounted() {
        if forget_dead(store, &path)? {
            return Ok(true);
        }
        if let Some(Listed { record, .. }) = of(State::Detached) {
            return wait(record, true);
        }
        if let Some(Listed { record, .. }) = of(State::Elsewhere) {
            return end_elsewhere(record);
        }
    }
    let Some(Listed { record, .. }) = of(State::Alive) else {
        // Nobody serves it, or somebody whose store is another one.
        let dead = record::is_dead(&point)?;
        point.unmount(dead || lazy)?;
        return forget_dead(store, &path).map(|_| true);
    };
    point.unmount(lazy)?;
    wait(record, lazy)
}

/// Ends a mount in another mount namespace, by a signal to its server: only in there can it be
/// unmounted.
fn end_elsewhere(record: &MountRecord) -> Result<bool, Error> {
    let path = || record.mountpoint.clone();
    process::signal(record.pid, record.start_time, Signal::TERM)
        .map_err(|source| MountError::Io { path: path(), source })?;
    match wait(record, false)? {
        true => Ok(true),
        false => Err(Error::Elsewhere { path: path(), pid: record.pid }),
    }
}

/// Whether a supervisor is there to mount again, and no server.
fn may_come_back(record: &MountRecord) -> bool {
    !record.process_lives() && record.supervisor.as_ref().is_some_and(Supervisor::lives)
}

/// Unmounts a mount that may come back, now or as soon as it has.
fn withdraw(store: &Store, record: &MountRecord, lazy: bool) -> Result<bool, Error> {
    for _ in 0..ATTEMPTS {
        let Some(record) = store.mount_record(&record.id)? else { return Ok(true) };
        if record.process_lives() {
            return umount_live(&record, lazy);
        }
        if let Some(_lock) = store.claim_mount(&record)? {
            // A directory that is gone has no mount to wait for.
            let _ = find_dead(&record.mountpoint);
            return clean_record(store, &record).map(|()| true);
        }
        thread::sleep(BETWEEN);
    }
    // Its server is there, and in another process id name space.
    umount_live(record, lazy)
}

fn umount_live(record: &MountRecord, lazy: bool) -> Result<bool, Error> {
    let point = MountPoint::find(&record.mountpoint)?;
    if record.device.is_some_and(|device| device != point.device()) {
        // Detached meanwhile.
        return wait(record, true);
    }
    match point.unmount(lazy) {
        Ok(()) => wait(record, lazy),
        Err(MountError::NotMounted { .. }) => wait(record, true),
        Err(error) => Err(error.into()),
    }
}

/// Waits until nobody stands behind the mount any more: its server, and who would start another.
fn wait(record: &MountRecord, lazy: bool) -> Result<bool, Error> {
    let limit = if lazy { LAZY_PATIENCE } else { PATIENCE };
    let server = (record.pid, record.start_time);
    let supervisor = record.supervisor.map(|process| (process.pid, process.start_time));
    for (pid, start) in std::iter::once(server).chain(supervisor) {
        let gone = process::wait_until_gone(pid, start, limit);
        let path = || record.mountpoint.clone();
        if !gone.map_err(|source| MountError::Io { path: path(), source })? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forgets the dead mounts on `path`; true when there were any.
fn forget_dead(store: &Store, path: &Path) -> Result<bool, Error> {
    let mut any = false;
    for Listed { record, state, .. } in list(store)? {
        if record.mountpoint == path && matches!(state, State::Dead | State::Restarting) {
            store.remove_mount(&record.id)?;
            any = true;
        }
    }
    Ok(any)
}
