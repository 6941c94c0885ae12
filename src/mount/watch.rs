//! Automatic unmounting: a small process that waits for the server's end, however it comes.
//!
//! A server that ends as it should has unmounted. One that was killed leaves a mount that answers
//! nothing; the watcher takes it away. It holds no descriptor of the mount: one would keep the
//! connection open, and readers waiting for ever.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::sandbox::Helper;
use super::{Error, private, record};
use crate::fuse::{FSTYPE, MountPoint};
use crate::store::Store;
use crate::sys::process;

/// How long one wait is; then the next begins.
const A_WHILE: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at what a server left, and the time between them.
const ATTEMPTS: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(50);

/// Starts the watcher of the process `pid`, which serves the mount at `mountpoint`. Before that
/// process opens the device, or in one that has never had it open.
pub(super) fn start(store: &Store, mountpoint: &Path, pid: u32) -> Result<(), Error> {
    let Some(started) = process::start_time(pid) else { return Ok(()) };
    // The watcher stands in `/`.
    let place = mountpoint.canonicalize().map_err(Error::Fork)?;
    let null = File::options().write(true).open("/dev/null").map_err(Error::Fork)?;
    let watch = || {
        let mut home = None;
        // Nothing of the mount's is kept: an image is in use as long as somebody has its locks.
        let waited = process::detach(null).and_then(|()| process::keep_only(&[])).and_then(|()| {
            home = private::leave(&place);
            Helper::Watcher.confine(home.is_some());
            while !process::wait_until_gone(pid, started, A_WHILE)? {}
            Ok(())
        });
        // Nobody is left to hear of a failure; the next mount or `umount` meets it again.
        let back = home.is_none_or(|home| home.enter().unwrap_or(false));
        u8::from(waited.is_err() || (back && clean(store, &place).is_err()))
    };
    process::fork_child(watch).map(drop).map_err(Error::Fork)
}

/// The threads of a process end one after another, and the last takes the connection and the lock
/// on the record with it: tries until that has come about.
fn clean(store: &Store, place: &Path) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let point = MountPoint::find(place)?;
        let ours = point.mount()?.is_some_and(|mount| mount.fstype == FSTYPE);
        if record::clean_place(store, point)? || !ours {
            break;
        }
        std::thread::sleep(BETWEEN);
    }
    Ok(())
}
