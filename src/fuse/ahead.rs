//! Files sent to the kernel before it asks for them (`FUSE_NOTIFY_STORE`, include/uapi/linux/fuse.h).
//!
//! A thread of its own sends them: the kernel may let it wait for a page that another request is
//! just filling, which the serving threads answer meanwhile. What the kernel has no use for, it
//! does not take: an inode that nobody has looked up yet is an error that is no harm.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use zerocopy::{Immutable, IntoBytes};

use crate::fs::{Batch, FileBytes, ImageFs, Ino};
use crate::sys::worker::Worker;

/// Batches that may wait.
const WAITING: usize = 4;

/// `FUSE_NOTIFY_STORE`.
const STORE: i32 = 4;

/// `struct fuse_out_header` of a notification and `struct fuse_notify_store_out`.
#[derive(Debug, IntoBytes, Immutable)]
#[repr(C)]
struct Head {
    length: u32,
    code: i32,
    unique: u64,
    inode: u64,
    offset: u64,
    size: u32,
    padding: u32,
}

/// The thread, started when first needed.
#[derive(Debug)]
pub(super) struct Sender {
    connection: Arc<OwnedFd>,
    worker: Worker<Batch>,
}

impl Sender {
    pub(super) fn new(connection: Arc<OwnedFd>) -> Self {
        Self { connection, worker: Worker::new("sender", WAITING) }
    }

    /// Has a batch sent.
    pub(super) fn tell<C: FileBytes + 'static>(&self, fs: &Arc<ImageFs<C>>, batch: Batch) {
        self.worker.tell(batch, || {
            let (connection, fs) = (Arc::clone(&self.connection), Arc::clone(fs));
            move |batches| {
                let mut buffer = Vec::new();
                for batch in batches {
                    send(&connection, &fs, batch, &mut buffer);
                }
            }
        });
    }
}

fn send<C: FileBytes>(connection: &OwnedFd, fs: &ImageFs<C>, batch: Batch, buffer: &mut Vec<u8>) {
    for ino in batch {
        // Without bytes it only asks whether the kernel knows the inode: before they are decoded.
        if store(connection, ino, &[]).is_err() {
            return fs.too_early(ino);
        }
        buffer.clear();
        // A reader meets the error itself.
        if fs.bytes_ahead(ino, buffer).is_err() || store(connection, ino, buffer).is_err() {
            return;
        }
        fs.counters().count_sent();
    }
}

/// Puts the whole bytes of a file into the kernel's cache.
fn store(connection: &OwnedFd, ino: Ino, bytes: &[u8]) -> Result<(), Errno> {
    let number = |length: usize| u32::try_from(length).map_err(|_| Errno::FBIG);
    let size = number(bytes.len())?;
    let head = Head {
        length: number(size_of::<Head>() + bytes.len())?,
        code: STORE,
        unique: 0,
        inode: ino.0,
        offset: 0,
        size,
        padding: 0,
    };
    let pieces = [IoSlice::new(head.as_bytes()), IoSlice::new(bytes)];
    rustix::io::writev(connection, &pieces).map(drop)
}
