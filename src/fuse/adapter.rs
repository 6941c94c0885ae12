//! FUSE requests to [`ImageFs`] calls: decode, one call, reply. No decision about the file system
//! is made here; an answer that depends on anything belongs in `fs`.
//!
//! Every reply may be kept for ever: the image does not change. A name that is known to be absent
//! is answered as an entry without an inode, which the kernel remembers too.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, Generation, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyIoctl, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};

use super::ahead::Sender;
use super::convert::{ABSENT, errno, file_attr, file_type};
use super::linger::{After, Linger};
use super::session::negotiate;
use crate::fs::{BLOCK_SIZE, FileBytes, Fit, ImageFs, Ino, NAME_MAX, Seek};

/// How long the kernel may keep an answer: for the life of the mount.
const FOREVER: Duration = Duration::from_secs(u64::MAX);

/// Inode numbers are never used again for something else.
const GENERATION: Generation = Generation(0);

thread_local! {
    /// Bytes on their way to a reader; one buffer a serving thread, used again and again.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub(super) struct Adapter<C> {
    fs: Arc<ImageFs<C>>,
    sender: Sender,
    linger: Linger,
}

impl<C> Adapter<C> {
    pub(super) fn new(fs: Arc<ImageFs<C>>, sender: Sender, linger: Linger) -> Self {
        Self { fs, sender, linger }
    }
}

/// As a callback of the reply types says "the buffer is full".
fn until(full: bool) -> ControlFlow<()> {
    if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

impl<C: FileBytes + 'static> Filesystem for Adapter<C> {
    fn init(&mut self, _: &Request, kernel: &mut KernelConfig) -> io::Result<()> {
        negotiate(kernel, self.fs.has_acls());
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.fs.lookup(Ino(parent.0), name.as_bytes()) {
            Ok(found) => {
                let attr = found.as_ref().map_or(ABSENT, file_attr);
                reply.entry(&FOREVER, &attr, GENERATION);
            }
            Err(error) => reply.error(errno(&error)),
        }
        self.linger.after(After::Lookup);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.fs.getattr(Ino(ino.0)) {
            Ok(attr) => reply.attr(&FOREVER, &file_attr(&attr)),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.fs.readlink(Ino(ino.0)) {
            Ok(text) => reply.data(text),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(errno(&self.fs.open()));
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(errno(&self.fs.opendir()));
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let ino = Ino(ino.0);
        let ahead = if offset == 0 { self.fs.come_to(ino) } else { None };
        let walks = ahead.is_some();
        if let Some(batch) = ahead {
            self.sender.tell(&self.fs, batch);
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            match self.fs.read(ino, offset, size as usize, buffer) {
                Ok(()) => reply.data(buffer),
                Err(error) => reply.error(errno(&error)),
            }
        });
        if offset == 0 && !walks {
            self.fs.left(ino);
        }
        self.linger.after(After::Read);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.fs.readdir(Ino(ino.0), offset, |entry| {
            let ino = INodeNo(entry.ino.0);
            let name = OsStr::from_bytes(entry.name);
            until(reply.add(ino, entry.next, file_type(entry.kind), name))
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let listed = self.fs.readdirplus(Ino(ino.0), offset, |entry, attr| {
            let ino = INodeNo(entry.ino.0);
            let name = OsStr::from_bytes(entry.name);
            until(reply.add(ino, entry.next, name, &FOREVER, &file_attr(attr), GENERATION))
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(&error)),
        }
        if offset == 0
            && let Some(batch) = self.fs.listed(Ino(ino.0))
        {
            self.sender.tell(&self.fs, batch);
        }
        self.linger.after(After::Listing);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let total = self.fs.statfs();
        reply.statfs(total.blocks, 0, 0, total.files, 0, BLOCK_SIZE, NAME_MAX, BLOCK_SIZE);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        match self.fs.getxattr(Ino(ino.0), name.as_bytes(), size) {
            Ok(Fit::Length(length)) => reply.size(length),
            Ok(Fit::Bytes(value)) => reply.data(&value),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        match self.fs.listxattr(Ino(ino.0), size) {
            Ok(Fit::Length(length)) => reply.size(length),
            Ok(Fit::Bytes(names)) => reply.data(&names),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn lseek(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let want = match whence {
            libc::SEEK_DATA => Some(Seek::Data),
            libc::SEEK_HOLE => Some(Seek::Hole),
            _ => None,
        };
        match self.fs.lseek(Ino(ino.0), offset, want) {
            Ok(found) => reply.offset(found),
            Err(error) => reply.error(errno(&error)),
        }
    }

    // Requests about state, which there is none of.

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(errno(&self.fs.stateless()));
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(errno(&self.fs.stateless()));
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(errno(&self.fs.stateless()));
    }

    fn poll(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: PollNotifier,
        _: PollEvents,
        _: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(errno(&self.fs.stateless()));
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        request: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        match self.fs.ioctl(request) {
            Ok(answer) => reply.ioctl(0, &answer),
            Err(error) => reply.error(errno(&error)),
        }
    }

    // Requests to change something. They arrive only when root remounts the file system writable.

    fn setattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(errno(&self.fs.write()));
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(errno(&self.fs.write()));
    }

    fn mkdir(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(errno(&self.fs.write()));
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(errno(&self.fs.write()));
    }

    fn rmdir(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(errno(&self.fs.write()));
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(errno(&self.fs.write()));
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(errno(&self.fs.write()));
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(errno(&self.fs.write()));
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        reply.error(errno(&self.fs.write()));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(errno(&self.fs.write()));
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(errno(&self.fs.write()));
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(errno(&self.fs.write()));
    }

    fn setxattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: &[u8],
        _: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(errno(&self.fs.write()));
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(errno(&self.fs.write()));
    }
}
