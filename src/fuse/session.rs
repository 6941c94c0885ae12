//! A connection to the kernel being served: the handshake, then threads that answer requests.
//!
//! What is asked of the kernel, and why: the image never changes, so everything may be remembered
//! for ever. `READDIRPLUS` without `AUTO` brings attributes with every listing (a cold `find` with
//! stat takes a third of the time), symlinks are cached, lookups and listings in one directory run
//! in parallel, reads are asynchronous so that read-ahead does not wait. Inodes are rows, so file
//! handles stay valid for ever (exports). ACLs are left to the kernel where the image may have
//! any, and only there: it asks every file for them on the way of other users. The mount may be bind-mounted with mapped owners.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fuser::{Config, InitFlags, KernelConfig, SessionACL};

use super::adapter::Adapter;
use super::ahead::Sender;
use super::linger::Linger;
use crate::fs::{FileBytes, ImageFs};

/// A file system that answers the kernel.
#[derive(Debug)]
pub struct Session<C: FileBytes + 'static>(fuser::Session<Adapter<C>>);

impl<C: FileBytes + 'static> Session<C> {
    /// Shakes hands with the kernel over `connection` (from [`super::attach()`]). Starts no thread;
    /// requests wait until [`Self::serve`].
    pub fn start(fs: Arc<ImageFs<C>>, connection: OwnedFd, threads: usize) -> io::Result<Self> {
        let mut config = Config::default();
        config.n_threads = Some(threads.max(1));
        config.clone_fd = true;
        let own = Arc::new(connection.try_clone()?);
        let adapter = Adapter::new(fs, Sender::new(Arc::clone(&own)), Linger::new(own));
        // The kernel itself refuses other users without allow_other.
        let everybody = SessionACL::All;
        fuser::Session::from_fd(adapter, connection, everybody, config).map(Self)
    }

    /// Serves until the file system is unmounted and nobody uses it any more.
    pub fn serve(self) -> io::Result<()> {
        self.0.run()
    }
}

/// Settles with the kernel what both sides do.
pub(super) fn negotiate(kernel: &mut KernelConfig, has_acls: bool) {
    let mut wanted = InitFlags::FUSE_DO_READDIRPLUS
        | InitFlags::FUSE_CACHE_SYMLINKS
        | InitFlags::FUSE_PARALLEL_DIROPS
        | InitFlags::FUSE_ASYNC_READ
        | InitFlags::FUSE_NO_OPEN_SUPPORT
        | InitFlags::FUSE_NO_OPENDIR_SUPPORT
        | InitFlags::FUSE_EXPORT_SUPPORT
        | InitFlags::FUSE_ALLOW_IDMAP;
    wanted.set(InitFlags::FUSE_POSIX_ACL, has_acls);
    // What an old kernel lacks it does without: each of these only makes things better.
    let offered = wanted & kernel.capabilities();
    if let Err(refused) = kernel.add_capabilities(offered) {
        log::warn!("the kernel refused {refused:?}");
    }
}
