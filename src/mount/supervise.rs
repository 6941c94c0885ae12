//! The supervisor of a mount: a process that starts another server when one was killed.
//!
//! ```text
//! server ends by itself (unmounted)     -> the supervisor ends
//! server dies, its mount is still there -> detach the dead mount, mount anew, serve
//! server dies, its mount is gone        -> somebody unmounted meanwhile: the supervisor ends
//! ```
//!
//! The dead connection cannot be taken over: the kernel ends it with its last descriptor. So the new
//! mount is another mount on the same directory, under the same id; who had files open on the old one
//! gets errors from them and opens them again. A lease keeps what the image needs between two servers.
//! A server that dies again and again is given up after [`LIMIT`] deaths; the dead mount stays, to be
//! seen. SIGTERM, SIGINT and SIGHUP are passed on to the server, which unmounts.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process};

use super::record::unmount_dead;
use super::server::{Server, forget};
use super::{Error, Options, View, fork_server, prepare};
use crate::fuse::MountPoint;
use crate::store::{MountRecord, Store, Supervisor};
use crate::sys::signal::{self, Blocked};

/// Before the first new start; doubled with each that follows soon.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// A server that lived for so long was well.
const STEADY: Duration = Duration::from_secs(60);

/// Deaths in a row of servers that were not steady.
const LIMIT: u32 = 8;

/// How to make what the mount shows, again and again.
pub(super) type MakeView<'a> = &'a dyn Fn() -> Result<View, Error>;

/// Looks at a mount that should be dead, and the time between them.
const ATTEMPTS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(20);

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
        let place = first.mountpoint().to_owned();
        let me = Supervisor::this();
        let first = first.supervised(None, me);
        let id = first.id().to_owned();
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
        id: &str,
        me: Supervisor,
        patience: &mut Patience,
        lived: Duration,
    ) -> Result<Option<u32>, Error> {
        let mut lived = lived;
        let mut detached = false;
        while let Some(delay) = patience.after(lived) {
            thread::sleep(delay);
            lived = Duration::ZERO;
            if !make_way(place, detached).unwrap_or(false) {
                forget(self.store, id)?;
                return Ok(None);
            }
            detached = true;
            let server =
                (self.view)().and_then(|view| prepare(self.store, view, place, self.options));
            match server.and_then(|(server, _lease)| self.start(server.supervised(Some(id), me))) {
                Ok((pid, _)) => {
                    log::warn!("{}: served again", place.display());
                    return Ok(Some(pid));
                }
                Err(error) => log::error!("{error}"),
            }
        }
        log::error!("{}: given up after {LIMIT} deaths of its server", place.display());
        Ok(None)
    }
}

/// Takes the dead mount away; whether there is a place for another one. Without a dead mount somebody
/// has unmounted, unless an earlier attempt did. The kernel may take a moment to end a connection.
fn make_way(place: &Path, detached: bool) -> Result<bool, Error> {
    for _ in 0..ATTEMPTS {
        let point = MountPoint::find(place)?;
        if unmount_dead(&point)? {
            return Ok(true);
        }
        if !point.is_mounted() {
            return Ok(detached);
        }
        drop(point);
        thread::sleep(BETWEEN);
    }
    Ok(false)
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
