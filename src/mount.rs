//! Mounting an image: from a tree and its layers to a directory that answers, and back.
//!
//! ```text
//! mount:   check the place -> lease -> mount(2) -> fork -+-> handshake, record, serve ... forget
//!                                                        +-> wait until it answers, return
//! umount:  umount(2) -> the kernel ends the connection -> the server forgets its record and ends
//! ```
//!
//! The server of a mount is a process of its own that holds a lock on the mount's record. Nothing
//! on the way from the command to the first answer depends on the number of entries or layers.
//!
//! **Ending.** A mount ends when it is unmounted, by whomever. SIGTERM, SIGINT and SIGHUP make the
//! server unmount; when somebody still uses files there, the name goes away at once and the server
//! ends with the last user. A second signal ends it at once. A server that is killed leaves a dead
//! mount, which [`list`] shows and [`umount()`], [`clean`] and the next [`mount`] on that place
//! remove; with [`Options::auto_unmount`] a watcher does, at once.
//!
//! **Does not** fetch anything, and does not decide which image a name stands for.

mod error;
mod record;
mod server;
mod stats;
mod umount;
mod view;
mod watch;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

pub use error::Error;
pub use record::{Listed, State, clean, list};
pub use stats::figures;
pub use umount::{Target, Unmounted, umount};
pub use view::View;

use crate::content;
use crate::fuse::{self, MountOptions, MountPoint};
use crate::store::{Lease, MountRecord, Store};
use crate::sys::process;
use server::Server;

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
    // Held until the record is there, which pins the same.
    let (server, _lease) = prepare(store, view, mountpoint, options)?;
    let place = server.mountpoint().to_owned();
    let log = server.create_log()?;
    let record = fork_server(server, log).and_then(|record| match place.symlink_metadata() {
        Ok(_) => Ok(record),
        Err(source) => Err(Error::NoAnswer { path: place.clone(), source }),
    });
    let record = record.and_then(|record| {
        if options.auto_unmount {
            watch::start(store, &place, record.pid)?;
        }
        Ok(record)
    });
    record.inspect_err(|_| {
        // The first error is the one to report, and nothing may be mounted any more.
        let _ = fuse::detach(&place, true);
    })
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
    let (server, lease) = prepare(store, view, mountpoint, options)?;
    let place = server.mountpoint().to_owned();
    let served = server.run(|record| {
        drop(lease);
        ready(record);
    });
    served.inspect_err(|_| {
        // As above: the mount is useless without its server.
        let _ = fuse::detach(&place, true);
    })
}

/// Checks the place, removes a dead mount of ours from it, and mounts.
fn prepare(
    store: &Store,
    view: View,
    mountpoint: &Path,
    options: &Options,
) -> Result<(Server, Lease), Error> {
    let mut point = MountPoint::find(mountpoint)?;
    if record::clean_place(store, &point)? {
        point = MountPoint::find(mountpoint)?;
    }
    point.check_usable()?;
    let how = MountOptions {
        source: options.source.as_ref().unwrap_or(&view.image).clone(),
        allow_other: options.allow_other,
        suid: options.suid,
        dev: options.dev,
        noexec: options.noexec,
    };
    let connection = fuse::attach(&point, &how)?;
    Ok(Server::new(store.clone(), view, point.path().to_owned(), connection, options))
}

/// Starts the server in a process of its own and waits for what it says: its record when it is
/// ready, or why it will never be.
fn fork_server(server: Server, log: File) -> Result<MountRecord, Error> {
    let (mut hear, say) = io::pipe().map_err(Error::Fork)?;
    // The child's copy is closed when it has spoken, the parent's with the closure.
    let mut say = Some(say);
    process::fork_child(move || {
        let served = process::detach(log).map_err(Error::Fork).and_then(|()| {
            server.run(|record| {
                if let (Some(mut pipe), Ok(text)) = (say.take(), serde_json::to_vec(record)) {
                    // Nobody listening any more is no reason to end.
                    let _ = pipe.write_all(&text);
                }
            })
        });
        let Err(error) = served else { return 0 };
        log::error!("{error}");
        if let Some(mut pipe) = say {
            // The same.
            let _ = write!(pipe, "{error}");
        }
        1
    })
    .map_err(Error::Fork)?;
    let mut said = String::new();
    hear.read_to_string(&mut said).map_err(Error::Fork)?;
    serde_json::from_str(&said).map_err(|_| Error::Server { message: said })
}
