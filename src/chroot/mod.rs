//! A command inside an image: `shale chroot REF [CMD..]`.
//!
//! Three processes, each the parent of the next two:
//!
//! ```text
//! caller's shale   in fresh mount, IPC and UTS namespaces (a user namespace too without root);
//!   |              mounts the image on a tmpfs of its own and waits
//!   +- server      answers the kernel for that mount, in a session of its own; dies with its parent
//!   +- init        process 1 of a PID namespace; overlay, pivot_root, /proc, /dev; dies with its
//!        |         parent, and everything in the namespace with it
//!        +- the command
//! ```
//!
//! Nothing is ever mounted where others can see it, so nothing has to be unmounted: when the last
//! process of the namespaces is gone, be it by `kill -9`, the kernel takes the mounts away.
//!
//! What it is not: isolation against a hostile image. Root's command has root's capabilities, and
//! the host's devices and network unless asked otherwise.

mod command;
mod execute;
mod identity;
mod init;
mod inside;
mod keep;
mod root;
mod stage;
mod terminal;
mod user;

use std::fs::DirBuilder;
use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use rustix::thread::UnshareFlags;

pub use command::Wishes;
pub use keep::KeepError;
pub use root::Volume;

use crate::content::{self, Content};
use crate::fs::{self, ImageFs};
use crate::fuse::{self, MountError, MountOptions, MountPoint, Session};
use crate::mount;
use crate::store::{Store, StoredImage};
use crate::sys::namespace;
use crate::sys::process::{
    Guardian, close_files_to_write, detach, fork_child, is_real_root, readable_within,
};
use crate::sys::signal::Blocked;
use inside::Inside;
use keep::Kept;
use terminal::Terminal;

/// What to run, and around what.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Command, environment, user and directory.
    pub wishes: Wishes,
    /// Host paths to show inside.
    pub volumes: Vec<Volume>,
    /// Refuse writes to the image's files.
    pub read_only: bool,
    /// Keep changes in this directory (made when missing) instead of forgetting them.
    pub keep: Option<PathBuf>,
    /// A network namespace of its own, with nothing in it.
    pub no_network: bool,
}

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub enum ChrootError {
    /// The image cannot be served.
    #[error(transparent)]
    Image(#[from] mount::Error),
    /// The image's private mount failed.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The kernel refuses namespaces.
    #[error("namespaces are refused: {0}")]
    Namespaces(io::Error),
    /// A directory cannot be prepared.
    #[error("{path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory for changes cannot be used.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// A process cannot be started or waited for.
    #[error("cannot start the command's processes: {0}")]
    Process(io::Error),
    /// The root could not be assembled, or the command could not be executed.
    #[error("{message}")]
    Inside {
        /// 125 for the root, 126 not executable, 127 not found, as Docker says it.
        code: u8,
        /// What failed.
        message: String,
    },
}

/// Requests of one command come one after another: more threads would only cost memory.
const SERVER_THREADS: usize = 2;

/// How long the server may take to end after the command.
const TO_TIDY_UP: Duration = Duration::from_secs(2);

/// Runs a command in `image` and returns its exit status (128 plus the number of the signal that
/// ended it). The calling process must have one thread, and is good for nothing else afterwards:
/// it has moved into other namespaces.
///
/// # Errors
/// See [`ChrootError`]; the command has then not run.
pub fn run(
    store: &Store,
    image: &StoredImage,
    name: &str,
    request: &Request,
) -> Result<u8, ChrootError> {
    let signals = Blocked::new(&init::PASSED_ON).map_err(ChrootError::Process)?;
    let terminal = Terminal::remember();
    // Opened before the namespaces change, while every path means what the user meant.
    let view = mount::View::of(store, image, name)?;
    let _in_use = store.lease_in_use(&view.pinned).map_err(mount::Error::from)?;
    let scratch = directory(&store.root().join("chroot"))?;
    let unprivileged = !is_real_root();
    let identities = enter_namespaces(request.no_network)?;
    let limited = identities == Some(identity::Identities::Single);
    let squashed = limited.then_some(0);
    let shown = fs::View { mask_suid: unprivileged, uid: squashed, gid: squashed };
    let content = Content::open(store.clone(), view.layers, content::Options::for_command());
    // In the namespace that was just entered, whose users are the ones that there are.
    let viewer = unprivileged.then(fs::Viewer::this);
    let file_system = Arc::new(ImageFs::new(view.tree, content, shown).with_viewer(viewer));
    let connection = mount_image(&scratch, image)?;
    let guardian = Guardian::this().map_err(ChrootError::Process)?;
    let server = fork_child(|| serve(store, file_system, connection, &guardian));
    let server = pid(server.map_err(ChrootError::Process)?)?;
    // After that fork: only the processes that use the directory have its lock.
    let kept = request.keep.as_deref().map(|path| Kept::open(path, &image.id)).transpose()?;

    let inside = Inside {
        image,
        request,
        scratch: &scratch,
        keep: kept.as_ref().map(Kept::path),
        signals: &signals,
        guardian: &guardian,
        unprivileged,
        limited,
    };
    let (report, mut reporter) = io::pipe().map_err(ChrootError::Process)?;
    namespace::leave(UnshareFlags::NEWPID).map_err(ChrootError::Namespaces)?;
    let init = fork_child(|| inside.init(&mut reporter)).map_err(ChrootError::Process)?;
    drop(reporter);
    let init = pid(init)?;
    // The server is not reaped before its end, so its number stays its own.
    let code = init::supervise(init, Some(init), &signals).map_err(ChrootError::Process)?;
    terminal.give_back();
    end(server, &scratch);
    outcome(code, report)
}

fn pid(number: u32) -> Result<Pid, ChrootError> {
    i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| ChrootError::Process(io::ErrorKind::InvalidData.into()))
}

fn outcome(code: u8, mut report: PipeReader) -> Result<u8, ChrootError> {
    let mut message = Vec::new();
    report.read_to_end(&mut message).map_err(ChrootError::Process)?;
    if message.is_empty() {
        return Ok(code);
    }
    Err(ChrootError::Inside { code, message: String::from_utf8_lossy(&message).into_owned() })
}

/// A private directory, made when missing, as an absolute path.
fn directory(path: &Path) -> Result<PathBuf, ChrootError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| path.canonicalize())
        .map_err(|source| ChrootError::Directory { path: path.to_owned(), source })
}

/// Leaves the host's namespaces; `Some` when that took a user namespace.
fn enter_namespaces(no_network: bool) -> Result<Option<identity::Identities>, ChrootError> {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    flags.set(UnshareFlags::NEWNET, no_network);
    let identities = match namespace::leave(flags) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some(identity::become_root(flags).map_err(ChrootError::Namespaces)?)
        }
        Err(error) => return Err(ChrootError::Namespaces(error)),
    };
    // What is mounted from here on must not spread to the host.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| ChrootError::Namespaces(error.into()))?;
    if no_network {
        namespace::loopback_up().map_err(ChrootError::Namespaces)?;
    }
    Ok(identities)
}

/// A tmpfs of this namespace's own at `scratch`, and the image at `lower` in it.
fn mount_image(scratch: &Path, image: &StoredImage) -> Result<OwnedFd, ChrootError> {
    let failed = |source: io::Error| ChrootError::Directory { path: scratch.to_owned(), source };
    mount("shale", scratch, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0700")
        .map_err(|error| failed(error.into()))?;
    let lower = scratch.join("lower");
    std::fs::create_dir(&lower).map_err(failed)?;
    let options = MountOptions { source: image.short_id(), ..MountOptions::default() };
    Ok(fuse::attach(&MountPoint::find(&lower)?, &options)?)
}

/// The server. In a session of its own no key of the terminal reaches it: it must not stop when the
/// command does. Of what the caller has open it keeps standard error, to say what is damaged. It
/// gives up the rights that any server of a mount gives up.
fn serve(store: &Store, file_system: Arc<ImageFs>, connection: OwnedFd, guardian: &Guardian) -> u8 {
    let served = guardian
        .bind()
        .and_then(|()| detach(rustix::stdio::stderr().try_clone_to_owned()?.into()))
        .and_then(|()| close_files_to_write())
        .and_then(|()| Session::start(file_system, connection, SERVER_THREADS))
        .and_then(|session| {
            mount::sandbox::enter(store, false).map_err(io::Error::other)?;
            session.serve()
        });
    u8::from(served.is_err())
}

/// Ends the server, so that nothing is left when the command is done. Unmounted, it ends by itself
/// and removes what it was making in the store.
fn end(server: Pid, scratch: &Path) {
    // Whatever fails here, the last resort works, also on one that has ended: it is not reaped yet.
    let _ = unmount(scratch.join("lower"), UnmountFlags::DETACH);
    let ended = pidfd_open(server, PidfdFlags::empty())
        .is_ok_and(|server| readable_within(&server, TO_TIDY_UP).unwrap_or(false));
    if !ended {
        let _ = kill_process(server, Signal::KILL);
    }
    let _ = waitpid(Some(server), WaitOptions::empty());
}
