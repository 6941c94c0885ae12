//! The keeper of a mount: a process with the rights that its server gives up, to unmount for it.
//!
//! ```text
//! server --one byte: unmount--> keeper --one byte: done or not--> server
//! ```
//!
//! Unmounting takes a capability as root, and starting `fusermount3` as a normal user; the server,
//! which reads bytes from strangers, has neither (see [`super::sandbox`]). The keeper reads nothing
//! but that byte, does that one thing, and to that one mount only: a mount of somebody else on the
//! same place is another device. It ends when the server does, however that ends, and holds
//! nothing that would keep the mount alive. Where it can unmount by itself it can do nothing else.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::private::Home;
use super::sandbox::{self, Helper};
use crate::fuse::{MountError, MountPoint};
use crate::sys::{process, signal};

/// The one question, and the answers.
const UNMOUNT: u8 = b'u';
const DONE: u8 = b'd';
const FAILED: u8 = b'f';

/// The server's end.
#[derive(Debug)]
pub(super) struct Keeper {
    ask: PipeWriter,
    answer: PipeReader,
}

/// The mount that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// Where it is.
    pub(super) mountpoint: PathBuf,
    /// What `stat` says of it.
    pub(super) device: (u32, u32),
    /// The private mount namespace that it is in and the keeper is not.
    pub(super) home: Option<Home>,
}

impl Keeper {
    /// Starts the keeper of a mount. The process must have a single thread.
    pub(super) fn start(kept: Kept) -> io::Result<Self> {
        let (asked, ask) = io::pipe()?;
        let (answer, say) = io::pipe()?;
        process::fork_child(move || {
            // Signals are for the server, which asks for what they mean.
            let ready = signal::Blocked::new(&signal::ENDINGS)
                .and_then(|_| std::env::set_current_dir("/"))
                .and_then(|()| process::keep_only(&[asked.as_fd(), say.as_fd()]));
            match ready.and_then(|()| keep(&kept, asked, say)) {
                Ok(()) => 0,
                Err(error) => {
                    log::error!("{}: its keeper: {error}", kept.mountpoint.display());
                    1
                }
            }
        })?;
        let mut keeper = Self { ask, answer };
        // From now on it holds nothing of this process any more.
        if keeper.hear() { Ok(keeper) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    /// Has the mount removed: at once when nobody uses it, else as soon as nobody does. What goes
    /// wrong is in the log; `false` then.
    pub(super) fn unmount(&mut self) -> bool {
        self.ask.write_all(&[UNMOUNT]).is_ok() && self.hear()
    }

    fn hear(&mut self) -> bool {
        let mut answer = [0];
        self.answer.read_exact(&mut answer).is_ok() && answer == [DONE]
    }
}

fn keep(kept: &Kept, mut asked: PipeReader, mut say: PipeWriter) -> io::Result<()> {
    Helper::Keeper.confine(kept.home.is_some());
    say.write_all(&[DONE])?;
    let mut question = [0];
    while asked.read(&mut question)? == 1 {
        let answer = match kept.unmount() {
            Ok(()) => DONE,
            Err(error) => {
                log::error!("{error}");
                FAILED
            }
        };
        if say.write_all(&[answer]).is_err() {
            // The server has ended meanwhile, which is what it wanted to.
            break;
        }
    }
    sandbox::report();
    Ok(())
}

impl Kept {
    fn unmount(&self) -> Result<(), MountError> {
        if let Some(home) = self.home {
            let entered = home.enter();
            let path = || self.mountpoint.clone();
            if !entered.map_err(|source| MountError::Io { path: path(), source })? {
                return Err(MountError::NotMounted { path: path() });
            }
        }
        match self.find()?.unmount(false) {
            Err(MountError::Busy { .. }) => self.find()?.unmount(true),
            other => other,
        }
    }

    /// The mount. Somebody may have unmounted, or mounted something else on top.
    fn find(&self) -> Result<MountPoint, MountError> {
        let point = MountPoint::find(&self.mountpoint)?;
        if point.device() == self.device {
            Ok(point)
        } else {
            Err(MountError::NotMounted { path: self.mountpoint.clone() })
        }
    }
}
