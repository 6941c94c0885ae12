//! Standard input, output and error, owned by the command's user while it runs.
//!
//! An image that logs to /dev/stdout opens it anew, and the file behind it is judged by its owner: a
//! pipe has mode 0600 and is the caller's. So, as runc does, the command's user becomes its owner;
//! unlike with runc, whose pipes nobody else needs, the owner that was comes back afterwards.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, Uid, fchown, fcntl_getfl, fstat};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::isatty;

/// Who owns the three.
#[derive(Debug)]
pub(super) struct Owners([Option<u32>; 3]);

fn streams() -> [BorrowedFd<'static>; 3] {
    [stdin(), stdout(), stderr()]
}

impl Owners {
    /// As it is now.
    pub(super) fn remember() -> Self {
        Self(streams().map(owner))
    }

    /// Gives each back to who had it, if it has changed hands.
    pub(super) fn give_back(&self) {
        for (stream, before) in streams().into_iter().zip(self.0) {
            if let Some(before) = before {
                change(stream, before);
            }
        }
    }
}

/// Makes `uid` the owner of each that it may need to open.
pub(super) fn hand_over(uid: u32) {
    for stream in streams() {
        change(stream, uid);
    }
}

fn change(stream: BorrowedFd<'_>, uid: u32) {
    if owner(stream).is_some_and(|owner| owner != uid) {
        // What belongs to somebody else, or lies on a file system that refuses, stays as it is: the
        // descriptor itself works.
        let _ = fchown(stream, Some(Uid::from_raw(uid)), None);
    }
}

/// The owner of a pipe, a terminal, or a file that is written to; devices such as /dev/null belong
/// to the machine, and a file that is only read to whoever keeps it.
fn owner(stream: BorrowedFd<'_>) -> Option<u32> {
    let stat = fstat(stream).ok()?;
    let writes = || fcntl_getfl(stream).is_ok_and(|flags| flags.intersects(OFlags::ACCMODE));
    let is_own = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => true,
        FileType::RegularFile => writes(),
        FileType::CharacterDevice => isatty(stream),
        _ => false,
    };
    is_own.then_some(stat.st_uid)
}
