//! The process behind a mount: it serves until somebody unmounts, and tidies up after itself.

use std::fs::{self, File};
use std::io::Read;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use super::keeper::{Keeper, Kept};
use super::{Error, Options, View, private, sandbox};
use crate::content::Content;
use crate::fs::{self as filesystem, ImageFs, Provenance, Viewer};
use crate::fuse::{MountPoint, Session};
use crate::oci::Digest;
use crate::store::{Hold, MountId, MountRecord, Store, Supervisor};
use crate::sys::{memory, namespace, process, signal};

/// How far the kernel reads ahead on root's mounts, in KiB. The protocol's own limit is 128.
const READ_AHEAD_KB: &str = "1024";

/// Threads that answer requests, unless asked otherwise: at least two, so that one that waits for
/// the disk does not hold up the others; not many, because each has a buffer.
const THREADS: (usize, usize) = (2, 8);

/// Everything that a mounted image needs, ready to be served.
#[derive(Debug)]
pub(super) struct Server {
    store: Store,
    id: MountId,
    image: String,
    image_id: Digest,
    pinned: Vec<Digest>,
    mountpoint: PathBuf,
    connection: OwnedFd,
    fs: Arc<ImageFs>,
    threads: usize,
    require_sandbox: bool,
    supervisor: Option<Supervisor>,
    /// Keeps the image in the store for as long as it is served.
    hold: Hold,
}

impl Server {
    /// The server of `view`, mounted at `mountpoint` over `connection`.
    pub(super) fn new(
        store: Store,
        view: View,
        mountpoint: PathBuf,
        connection: OwnedFd,
        options: &Options,
    ) -> Self {
        let masked = !options.suid && !process::is_real_root();
        let shown = filesystem::View { mask_suid: masked, uid: options.uid, gid: options.gid };
        let viewer = masked.then(Viewer::this);
        let provenance = options.provenance.then(|| Provenance {
            first: view.first_layer,
            layers: view.layers.iter().map(|layer| *layer.digest()).collect(),
        });
        let content = Content::open(store.clone(), view.layers, options.content.clone());
        Self {
            id: new_id(),
            image: view.image,
            image_id: view.image_id,
            pinned: view.pinned,
            mountpoint,
            connection,
            fs: Arc::new(
                ImageFs::new(view.tree, content, shown)
                    .with_provenance(provenance)
                    .with_viewer(viewer),
            ),
            threads: options.threads.unwrap_or_else(default_threads),
            require_sandbox: options.require_sandbox,
            supervisor: None,
            hold: view.hold,
            store,
        }
    }

    pub(super) fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// Has a supervisor, and the id of the server that died before it, if one did.
    pub(super) fn supervised(mut self, id: Option<&MountId>, supervisor: Supervisor) -> Self {
        self.id = id.map_or(self.id, MountId::clone);
        self.supervisor = Some(supervisor);
        self
    }

    pub(super) fn id(&self) -> &MountId {
        &self.id
    }

    /// Makes the file that the server's messages go to.
    pub(super) fn create_log(&self) -> Result<File, Error> {
        Ok(self.store.create_log(&self.id)?)
    }

    /// Serves. `ready` is called once, when the kernel has agreed and the record is written.
    /// Returns when the file system is unmounted and nobody uses it any more.
    pub(super) fn run(self, ready: impl FnOnce(&MountRecord)) -> Result<(), Error> {
        memory::keep_small();
        let failed = |source| Error::Connection { path: self.mountpoint.clone(), source };
        let endings = signal::Blocked::new(&signal::ENDINGS).map_err(failed)?;
        let session = Session::start(self.fs, self.connection, self.threads).map_err(failed)?;
        let device = MountPoint::find(&self.mountpoint)?.device();
        raise_read_ahead(device);
        let record = MountRecord {
            id: self.id,
            image: self.image,
            image_id: self.image_id,
            mountpoint: self.mountpoint.clone(),
            pid: std::process::id(),
            start_time: process::start_time(std::process::id()).unwrap_or_default(),
            since: now(),
            pinned: self.pinned,
            device: Some(device),
            namespace: namespace::mount_namespace(),
            supervisor: self.supervisor,
        };
        let lock = self.store.record_mount(&record)?;
        let home = private::leave(&self.mountpoint);
        let kept = Kept { mountpoint: self.mountpoint.clone(), device, home };
        let keeper = Arc::new(Mutex::new(Keeper::start(kept).map_err(Error::Fork)?));
        let _hold = self.hold;
        self.store.make_derived_dirs();
        // Before there is any other thread; they all inherit it.
        sandbox::enter(&self.store, self.require_sandbox)?;
        let (store, id) = (self.store.clone(), record.id.clone());
        let ending = Ending { store, id, keeper: Arc::clone(&keeper) };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || ending.obey(&endings))
            .map_err(failed)?;
        ready(&record);
        let served = session.serve();
        if served.is_err() {
            // Useless without a server, and this process has no right to remove it any more.
            unmount(&keeper);
        }
        sandbox::report();
        self.store.forget_mount(&record.id)?;
        drop(lock);
        served.map_err(failed)
    }
}

/// The thread that ends a server.
struct Ending {
    store: Store,
    id: MountId,
    keeper: Arc<Mutex<Keeper>>,
}

impl Ending {
    /// Unmounts at the first signal, which ends the server as soon as nobody uses it; at the
    /// second one ends at once.
    fn obey(&self, endings: &signal::Blocked) {
        let mut asked = false;
        while let Ok(received) = endings.wait() {
            log::info!("signal {}", received.signal);
            if asked {
                sandbox::report();
                // What cannot be removed is found dead and removed later.
                let _ = self.store.forget_mount(&self.id);
                process::end(1);
            }
            asked = true;
            if !unmount(&self.keeper) {
                log::error!("cannot unmount; a second signal ends the server");
            }
        }
    }
}

fn unmount(keeper: &Mutex<Keeper>) -> bool {
    // There is nothing in it that a panic could leave half done.
    keeper.lock().unwrap_or_else(PoisonError::into_inner).unmount()
}

/// As root, lets the kernel ask for large pieces; without the right to, nothing is lost but speed.
fn raise_read_ahead((major, minor): (u32, u32)) {
    let path = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    if let Err(error) = fs::write(&path, READ_AHEAD_KB) {
        log::debug!("{path}: {error}");
    }
}

fn default_threads() -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    processors.clamp(THREADS.0, THREADS.1)
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Twelve hexadecimal digits that no other mount has.
fn new_id() -> MountId {
    let mut bytes = [0; 6];
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    let digits = match random {
        Ok(()) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        // Unique all the same: a process makes one mount a nanosecond at most.
        Err(error) => {
            log::debug!("/dev/urandom: {error}");
            let text = format!("{} {:?}", std::process::id(), SystemTime::now());
            Digest::sha256(text.as_bytes()).hex()
        }
    };
    MountId::of_digits(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_hexadecimal_and_differ() {
        let (one, other) = (new_id(), new_id());
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 12);
        assert!(one.as_str().chars().all(|digit| digit.is_ascii_hexdigit()), "{one}");
    }
}
