//! Mounting an image: from a tree and its layers to a directory that answers, and back.
//!
//! ```text
//! mount:   check the place -> lease -> mount(2) -> fork -+-> handshake, record, serve ... forget
//!                                                        +-> wait until it answers, return
//! umount:  umount(2) -> the kernel ends the connection -> the server forgets its record and ends
//! ```
//!
//! The server of a mount is a process of its own that holds a lock on the mount's record and has
//! given up all rights but to serve ([`sandbox`]); a second process, the keeper, can do one thing
//! for it: unmount. Nothing on the way from the command to the first answer depends on the number
//! of entries or layers.
//!
//! **Ending.** A mount ends when it is unmounted, by whomever. SIGTERM, SIGINT and SIGHUP make the
//! server have it unmounted; when somebody still uses files there, the name goes away at once and
//! the server ends with the last user. A second signal ends it at once. A server that is killed leaves a dead
//! mount, which [`list`] shows and [`umount()`], [`clean`] and the next [`mount`] on that place
//! remove; with [`Options::auto_unmount`] a watcher does, at once, and a supervisor mounts anew.
//!
//! **Does not** fetch anything, and does not decide which image a name stands for.

mod calls;
mod error;
mod keeper;
mod private;
mod record;
pub mod sandbox;
mod server;
mod stats;
mod supervise;
mod umount;
mod view;
mod watch;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

pub use error::Error;
pub use record::{Listed, State, clean, list};
pub use stats::figures;
pub use umount::{Target, Unmounted, umount};
pub use view::View;

use crate::content;
use crate::fuse::{self, MountOptions, MountPoint};
use crate::store::{MountRecord, Store};
use crate::sys::limits::Raised;
use crate::sys::process;
use server::Server;
use supervise::Supervised;

/// How long a server may take from its start to its first answer, which are milliseconds on a
/// machine that is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a mount is made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether other users may look in; `None`: those of root's mounts may, those of a normal
    /// user's may not.
    pub allow_other: Option<bool>,
    /// Show set-user-id and set-group-id bits on a mount made without privileges, and as root let
    /// them have their effect.
    pub suid: bool,
    /// Let device files have their effect. Root only.
    pub dev: bool,
    /// Let no program be executed from it.
    pub noexec: bool,
    /// Unmount also when the server is killed, by a process that waits for that.
    pub auto_unmount: bool,
    /// What the mount table shows as the source; `None`: the image's name.
    pub source: Option<String>,
    /// Show everything as owned by this user.
    pub uid: Option<u32>,
    /// Show everything as owned by this group.
    pub gid: Option<u32>,
    /// Show which layer each file comes from, as extended attributes.
    pub provenance: bool,
    /// Threads that answer requests; `None`: by the number of processors.
    pub threads: Option<usize>,
    /// Do not serve without the whole [`sandbox`].
    pub require_sandbox: bool,
    /// What the reading side may use.
    pub content: content::Options,
}

/// Mounts `view` on `mountpoint` and returns when it answers; a process of its own serves it.
/// The caller must not have started threads.
pub fn mount(
    store: &Store,
    view: View,
    mountpoint: &Path,
    options: &Options,
) -> Result<MountRecord, Error> {
    let server = prepare(store, view, mountpoint, options)?;
    let place = server.mountpoint().to_owned();
    let log = server.create_log();
    let started = log.and_then(|log| fork_server(server, log)).and_then(|(_, record)| {
        if options.auto_unmount {
            watch::start(store, &place, record.pid)?;
        }
        Ok(record)
    });
    answering(&place, started)
}

/// As [`mount()`], with a supervisor that mounts again what `view` makes when the server is killed.
pub fn mount_supervised(
    store: &Store,
    view: &dyn Fn() -> Result<View, Error>,
    mountpoint: &Path,
    options: &Options,
) -> Result<MountRecord, Error> {
    let server = prepare(store, view()?, mountpoint, options)?;
    let place = server.mountpoint().to_owned();
    let started = server.create_log().and_then(|log| {
        let copy = log.try_clone().map_err(Error::Fork)?;
        let supervised = Supervised { store, view, options, log: copy };
        fork_telling(log, move |ready| supervised.run(server, ready))
    });
    answering(&place, started.map(|(_, record)| record))
}

/// The record, if the mount answers. If not, nothing may be mounted any more.
fn answering(place: &Path, started: Result<MountRecord, Error>) -> Result<MountRecord, Error> {
    let record = match started {
        Ok(record) => record,
        Err(error) => {
            record::undo(place);
            return Err(error);
        }
    };
    match answer_within(place, PATIENCE) {
        Ok(()) => Ok(record),
        Err(source) => {
            // By device: what is there now may be another mount.
            if let Ok(point) = MountPoint::find(place)
                && Some(point.device()) == record.device
            {
                // The first error is the one to report.
                let _ = point.unmount(true);
            }
            Err(Error::NoAnswer { path: place.to_owned(), source })
        }
    }
}

/// Asks the mount for its root, in a thread that is left behind when no answer comes.
fn answer_within(place: &Path, limit: Duration) -> io::Result<()> {
    let (say, hear) = mpsc::channel();
    let place = place.to_owned();
    // Nobody may be there to hear it any more.
    thread::Builder::new().spawn(move || drop(say.send(place.symlink_metadata().map(drop))))?;
    hear.recv_timeout(limit).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Mounts `view` on `mountpoint` and serves it in this process until it is unmounted. `ready` is
/// called when it is about to answer.
pub fn mount_foreground(
    store: &Store,
    view: View,
    mountpoint: &Path,
    options: &Options,
    ready: impl FnOnce(&MountRecord),
) -> Result<(), Error> {
    if options.auto_unmount {
        watch::start(store, mountpoint, std::process::id())?;
    }
    let server = prepare(store, view, mountpoint, options)?;
    let place = server.mountpoint().to_owned();
    // The mount is useless without its server.
    server.run(ready).inspect_err(|_| record::undo(&place))
}

/// Checks the place, removes a dead mount of ours from it, and mounts.
fn prepare(
    store: &Store,
    view: View,
    mountpoint: &Path,
    options: &Options,
) -> Result<Server, Error> {
    if options.require_sandbox {
        sandbox::insist()?;
    }
    Raised::new()?;
    record::clean_place(store, MountPoint::find(mountpoint)?)?;
    // Of several who mount here at once one does, and the others find it done.
    let _turn = MountPoint::find(mountpoint)?.lock()?;
    let point = MountPoint::find(mountpoint)?;
    point.check_usable()?;
    let connection = fuse::attach(&point, &mount_options(&view, options))?;
    Ok(Server::new(store.clone(), view, point.path().to_owned(), connection, options))
}

/// Whether a mount could be made at `mountpoint`, to be asked before an image is fetched for it. A
/// dead mount of ours is removed from there.
pub fn check_place(store: &Store, mountpoint: &Path) -> Result<(), Error> {
    record::clean_place(store, MountPoint::find(mountpoint)?)?;
    let point = MountPoint::find(mountpoint)?;
    Ok(point.check_usable()?)
}

fn mount_options(view: &View, options: &Options) -> MountOptions {
    MountOptions {
        source: options.source.as_ref().unwrap_or(&view.image).clone(),
        allow_other: options.allow_other,
        suid: options.suid,
        dev: options.dev,
        noexec: options.noexec,
    }
}

/// Starts the server in a process of its own and waits until it is ready.
fn fork_server(server: Server, log: File) -> Result<(u32, MountRecord), Error> {
    fork_telling(log, move |ready| {
        // The lease and the supervisor's copy of the log are not for it.
        process::close_files_to_write().map_err(Error::Fork)?;
        server.run(ready)
    })
}

/// Has `work` done by a process of its own and waits for what it says: a record when it is ready,
/// or why it will never be. Also gives its process id.
fn fork_telling(
    log: File,
    work: impl FnOnce(&mut dyn FnMut(&MountRecord)) -> Result<(), Error>,
) -> Result<(u32, MountRecord), Error> {
    let (hear, say) = io::pipe().map_err(Error::Fork)?;
    // The child's copy is closed when it has spoken, the parent's with the closure.
    let mut say = Some(say);
    let pid = process::fork_child(move || {
        let worked = process::detach(log).map_err(Error::Fork).and_then(|()| {
            work(&mut |record| {
                if let (Some(mut pipe), Ok(text)) = (say.take(), serde_json::to_string(record)) {
                    // Nobody listening any more is no reason to end.
                    let _ = writeln!(pipe, "{text}");
                }
            })
        });
        let Err(error) = worked else { return 0 };
        log::error!("{error}");
        if let Some(mut pipe) = say {
            // The same.
            let _ = writeln!(pipe, "{error}");
        }
        1
    })
    .map_err(Error::Fork)?;
    if !process::readable_within(&hear, PATIENCE).map_err(Error::Fork)? {
        if let Some(child) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It has just been started, so the number is still its own.
            let _ = kill_process(child, Signal::KILL);
        }
        return Err(Error::Slow { seconds: PATIENCE.as_secs() });
    }
    let mut said = String::new();
    // One line, not to the end: what the process starts has the pipe open too.
    BufReader::new(hear).read_line(&mut said).map_err(Error::Fork)?;
    let record = serde_json::from_str(&said)
        .map_err(|_| Error::Server { message: said.trim_end().to_owned() })?;
    Ok((pid, record))
}
