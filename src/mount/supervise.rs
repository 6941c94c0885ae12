//! The supervisor of a mount: a process that starts another server when one was killed.
//!
//! ```text
//! server ends by itself (unmounted)     -> the supervisor ends
//! server dies, its mount is still there -> make the view, mount anew in its place, serve
//! server dies, its mount is gone        -> somebody unmounted meanwhile: the supervisor ends
//! its record is gone                    -> the same
//! ```
//!
//! The dead connection cannot be taken over: the kernel ends it with its last descriptor. So the new
//! mount is another mount on the same directory, under the same id; who had files open on the old one
//! gets errors from them and opens them again. The supervisor holds the image for as long as it lives:
//! between two servers it is as much in use as with one.
//!
//! **Guarantees.** The dead mount stays, and answers ENOTCONN, until there is everything for the next
//! one; for ever when it is given up, after [`LIMIT`] deaths in a row. With the right to mount and
//! Linux 6.5 the next one comes beneath the dead one before that goes ([`fuse::replace()`]). Otherwise,
//! so for every mount through fusermount3, the dead one is detached first: for some milliseconds the
//! directory below can be seen and written to, and if the kernel then refuses to mount, until the next
//! attempt. An unmounted mount does not come back: the record is looked at before each attempt and
//! locked while mounting.
//!
//! **Is held to its calls** where it can mount by itself ([`super::sandbox`]), and still can do more than
//! a server: it mounts, forks, and writes files. It reads the tables of the tree, and an image's layers
//! only if those tables have to be made again. SIGTERM, SIGINT and SIGHUP are passed on to the server,
//! which unmounts.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process};

use super::record::{BETWEEN, find_dead, unmount_dead};
use super::sandbox::Helper;
use super::server::Server;
use super::{Error, Options, View, fork_server, mount_options};
use crate::fuse::{self, MountPoint};
use crate::store::{MountId, MountLock, MountRecord, Store, Supervisor};
use crate::sys::namespace;
use crate::sys::signal::{self, Blocked};

/// Before the first new start; doubled with each that follows soon.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// A server that lived for so long was well.
const STEADY: Duration = Duration::from_secs(60);

/// Deaths in a row of servers that were not steady.
const LIMIT: u32 = 8;

/// How to make what the mount shows, again and again.
pub(super) type MakeView<'a> = &'a dyn Fn() -> Result<View, Error>;

/// What stays the same from one server to the next.
pub(super) struct Supervised<'a> {
    pub(super) store: &'a Store,
    pub(super) view: MakeView<'a>,
    pub(super) options: &'a Options,
    /// What the server's messages go to.
    pub(super) log: File,
}

impl Supervised<'_> {
    /// Serves until the mount is unmounted or given up. `ready` is called when the first server is.
    pub(super) fn run(&self, first: Server, ready: impl FnOnce(&MountRecord)) -> Result<(), Error> {
        let signals = [&signal::ENDINGS[..], &[libc::SIGCHLD]].concat();
        let signals = Blocked::new(&signals).map_err(Error::Fork)?;
        let private = namespace::mount_namespace() != namespace::mount_namespace_of(1);
        Helper::Supervisor.confine(private);
        let place = first.mountpoint().to_owned();
        let me = Supervisor::this();
        let first = first.supervised(None, me);
        let id = first.id().clone();
        let mut patience = Patience::default();
        let mut started = Instant::now();
        let (mut pid, record) = self.start(first)?;
        ready(&record);
        while !ends_well(pid, &signals).map_err(Error::Fork)? {
            let Some(next) = self.restart(&place, &id, me, &mut patience, started.elapsed())?
            else {
                return Ok(());
            };
            (pid, started) = (next, Instant::now());
        }
        Ok(())
    }

    fn start(&self, server: Server) -> Result<(u32, MountRecord), Error> {
        fork_server(server, self.log.try_clone().map_err(Error::Fork)?)
    }

    /// Mounts anew; `None` when there is nothing to mount any more, or no sense in it.
    fn restart(
        &self,
        place: &Path,
        id: &MountId,
        me: Supervisor,
        patience: &mut Patience,
        lived: Duration,
    ) -> Result<Option<u32>, Error> {
        let mut lived = lived;
        let mut bare = false;
        while let Some(delay) = patience.after(lived) {
            thread::sleep(delay);
            lived = Duration::ZERO;
            match self.attempt(place, id, me, &mut bare) {
                Ok(Some(pid)) => {
                    log::warn!("{}: served again", place.display());
                    return Ok(Some(pid));
                }
                Ok(None) => return Ok(None),
                Err(error) => log::error!("{error}"),
            }
        }
        log::error!("{}: given up after {LIMIT} deaths of its server", place.display());
        Ok(None)
    }

    /// Mounts and serves once; `None` when somebody has unmounted. `bare` says that an attempt has
    /// detached the dead mount and could not mount.
    fn attempt(
        &self,
        place: &Path,
        id: &MountId,
        me: Supervisor,
        bare: &mut bool,
    ) -> Result<Option<u32>, Error> {
        if self.record(id, me)?.is_none() {
            return Ok(None);
        }
        // May take long, and may fail: before anything is changed, and before anybody has to wait.
        let view = (self.view)()?;
        let Some(_lock) = self.claim(id, me)? else { return Ok(None) };
        let point = match find_dead(place)? {
            Some(point) => point,
            None if *bare => MountPoint::find(place)?,
            None => {
                self.store.remove_mount(id)?;
                return Ok(None);
            }
        };
        let how = mount_options(&view, self.options);
        let dead = point.is_mounted();
        let beneath = if dead { fuse::replace(&point, &how)? } else { None };
        let connection = match beneath {
            Some(connection) => connection,
            None => {
                *bare = unmount_dead(point)? || *bare;
                if !*bare {
                    // Unmounted by another program since the look above.
                    self.store.remove_mount(id)?;
                    return Ok(None);
                }
                let _turn = MountPoint::find(place)?.lock()?;
                let point = MountPoint::find(place)?;
                point.check_usable()?;
                fuse::attach(&point, &how)?
            }
        };
        *bare = false;
        let (store, place) = (self.store.clone(), place.to_owned());
        let server = Server::new(store, view, place, connection, self.options);
        let (pid, _) = self.start(server.supervised(Some(id), me))?;
        Ok(Some(pid))
    }

    /// The record of the mount, unless somebody has removed it, or it is another's.
    fn record(&self, id: &MountId, me: Supervisor) -> Result<Option<MountRecord>, Error> {
        Ok(self.store.mount_record(id)?.filter(|record| record.supervisor == Some(me)))
    }

    /// Locks the record, to be kept until the next server has written its own; `None` as above.
    fn claim(&self, id: &MountId, me: Supervisor) -> Result<Option<MountLock>, Error> {
        while let Some(record) = self.record(id, me)? {
            if let Some(lock) = self.store.claim_mount(&record)? {
                return Ok(Some(lock));
            }
            // Somebody looks whether it is alive, or removes it.
            thread::sleep(BETWEEN);
        }
        Ok(None)
    }
}

/// Waits until the server ends; whether it did so because its mount is gone. Passes on signals.
fn ends_well(server: u32, signals: &Blocked) -> std::io::Result<bool> {
    let server = i32::try_from(server).ok().and_then(Pid::from_raw);
    loop {
        // Before the first wait too: it may have ended before anybody listened.
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if Some(pid) == server {
                match (status.exit_status(), status.terminating_signal()) {
                    (Some(0), _) => return Ok(true),
                    (Some(code), _) => log::error!("the server ended with status {code}"),
                    (None, signal) => {
                        log::error!("signal {} killed the server", signal.unwrap_or_default());
                    }
                }
                return Ok(false);
            }
        }
        let received = signals.wait()?;
        if received.signal != libc::SIGCHLD
            && let (Some(server), Some(signal)) = (server, Signal::from_named_raw(received.signal))
        {
            // One that has just ended need not be told.
            let _ = kill_process(server, signal);
        }
    }
}

/// How often a server may die.
#[derive(Debug, Default)]
struct Patience {
    deaths: u32,
}

impl Patience {
    /// How long to wait after a server died that had lived for `lived`; `None`: it is enough.
    fn after(&mut self, lived: Duration) -> Option<Duration> {
        if lived >= STEADY {
            self.deaths = 0;
        }
        self.deaths += 1;
        (self.deaths <= LIMIT).then(|| FIRST_DELAY * 2_u32.pow(self.deaths - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_slows_down_and_ends() {
        let mut patience = Patience::default();
        let delays: Vec<Duration> =
            std::iter::from_fn(|| patience.after(Duration::from_secs(1))).collect();
        assert_eq!(delays.len(), 8);
        assert_eq!(delays[0], Duration::from_millis(50));
        assert!(delays.windows(2).all(|pair| pair[1] == pair[0] * 2), "{delays:?}");
        assert!(delays[7] < Duration::from_secs(10), "{delays:?}");
    }

    #[test]
    fn a_server_that_was_well_has_all_chances_again() {
        let mut patience = Patience::default();
        for _ in 0..100 {
            assert_eq!(patience.after(STEADY), Some(FIRST_DELAY));
        }
        assert_eq!(patience.after(Duration::ZERO), Some(FIRST_DELAY * 2));
    }
}
