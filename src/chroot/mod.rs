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
//! What it is not: isolation against a hostile image. Root's command is the machine's user 0, bound to
//! docker's capabilities and without the host's devices, but with the host's network unless asked
//! otherwise, and with no filter of system calls and no limit of memory.

mod caller;
mod command;
mod execute;
mod identity;
mod init;
mod inside;
mod keep;
mod mask;
mod place;
mod rights;
mod root;
mod stage;
mod stdio;
mod terminal;
mod tmpfs;
mod user;
mod volume;

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open, waitpid,
};
use rustix::thread::UnshareFlags;

pub use command::Wishes;
pub use keep::{Keep, KeepError};
pub use rights::{Capabilities, Rights};
pub use tmpfs::Tmpfs;
pub use volume::Volume;

use crate::content::{self, Content};
use crate::fs::{self, ImageFs};
use crate::fuse::{self, MountError, MountOptions, MountPoint, Session};
use crate::mount;
use crate::store::{Store, StoredImage};
use crate::sys::limits::{Raised, TooLow};
use crate::sys::message::Message;
use crate::sys::namespace;
use crate::sys::process::{
    Guardian, close_files_to_write, detach, fork_child, is_real_root, readable_within,
};
use crate::sys::signal::Blocked;
use caller::{Ended, Watch};
use identity::Identities;
use inside::Inside;
use keep::{Kept, Side};
use stdio::Owners;
use terminal::{Events, Terminal};

/// What to run, and around what.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Command, environment, user and directory.
    pub wishes: Wishes,
    /// Host paths to show inside.
    pub volumes: Vec<Volume>,
    /// Empty directories in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Refuse writes to the image's files.
    pub read_only: bool,
    /// Keep changes instead of forgetting them.
    pub keep: Option<Keep>,
    /// A network namespace of its own, with nothing in it.
    pub no_network: bool,
    /// What the command may do.
    pub rights: Rights,
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
    /// The caller's limits leave too little.
    #[error(transparent)]
    Limits(#[from] TooLow),
    /// The server ended while the command ran.
    #[error("the process that serves the image {how}: from then on the command could not read it")]
    Server {
        /// The command's exit status, which may be 0 nonetheless.
        code: u8,
        /// What became of the server.
        how: String,
    },
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
    refuse_directories().map_err(ChrootError::Process)?;
    let limits = Raised::new()?;
    let signals = Blocked::new(&init::passed_on()).map_err(ChrootError::Process)?;
    // Opened before the namespaces change, while every path means what the user meant.
    let hold = store.hold_in_use(image).map_err(mount::Error::from)?;
    let view = mount::View::held(store, image, name, hold.clone())?;
    let scratch = scratch(store)?;
    let unprivileged = !is_real_root();
    enter_namespaces(request.no_network)?;
    let identities = Identities::of_this_process();
    let squashed = identities.is_single().then_some(0);
    // Nobody but users of the namespace is behind these bits: there is nothing to mask.
    let shown = fs::View { mask_suid: false, uid: squashed, gid: squashed };
    let content = Content::open(store.clone(), view.layers, content::Options::for_command());
    // In the namespace that was just entered, whose users are the ones that there are.
    let viewer = unprivileged.then(fs::Viewer::this);
    let file_system = Arc::new(ImageFs::new(view.tree, content, shown).with_viewer(viewer));
    let connection = mount_image(&scratch, image)?;
    let guardian = Guardian::this().map_err(ChrootError::Process)?;
    let server = fork_child(|| serve(store, file_system, connection, &guardian));
    let server = pid(server.map_err(ChrootError::Process)?)?;
    limits.undo();
    let mut terminal = Terminal::of_caller();
    let owners = Owners::remember();
    // After that fork: only this process has its lock.
    let kept = keep_changes(request, image, unprivileged, &scratch)?;

    let inside = Inside {
        image,
        request,
        scratch: &scratch,
        keep: kept.as_ref().map(Kept::path),
        signals: &signals,
        terminal: &terminal,
        guardian: &guardian,
        unprivileged,
        identities: &identities,
    };
    let report = Message::new().map_err(ChrootError::Process)?;
    let events = Events::new().map_err(ChrootError::Process)?;
    let herald = terminal.is_there().then(|| events.herald(&guardian)).transpose();
    let herald = herald.map_err(ChrootError::Process)?;
    namespace::leave(UnshareFlags::NEWPID).map_err(ChrootError::Namespaces)?;
    let init = fork_child(|| inside.init(&report, &events)).map_err(ChrootError::Process)?;
    let init = pid(init)?;
    terminal.entered_by(init);
    let (signals, terminal) = (&signals, &mut terminal);
    let watch = Watch { init, server, herald, signals, terminal, events: &events };
    let ended = watch.run().map_err(ChrootError::Process)?;
    owners.give_back();
    end(ended.server.is_none().then_some(server), &scratch);
    outcome(&ended, report.get())
}

fn outcome(ended: &Ended, message: String) -> Result<u8, ChrootError> {
    let code = ended.code;
    if let Some(how) = ended.server {
        return Err(ChrootError::Server { code, how: end_of(how) });
    }
    if message.is_empty() { Ok(code) } else { Err(ChrootError::Inside { code, message }) }
}

fn end_of(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (_, Some(signal)) => format!("was killed by signal {signal}"),
        (code, None) => format!("ended with status {}", code.unwrap_or_default()),
    }
}

/// Removes a directory of `--keep`, whose owner cannot: what users of the image own in it belongs to
/// others outside of the user namespace. The calling process must have one thread, and is good for
/// nothing else afterwards.
///
/// # Errors
/// See [`ChrootError`].
pub fn remove_kept(path: &Path) -> Result<(), ChrootError> {
    // Before the namespace is another, while the path means what the user meant.
    let path = path
        .canonicalize()
        .map_err(|source| ChrootError::Directory { path: path.to_owned(), source })?;
    if !is_real_root() {
        identity::become_root(UnshareFlags::empty()).map_err(ChrootError::Namespaces)?;
    }
    Ok(keep::remove(&path)?)
}

/// A directory on standard input, output or error would be a way for the command to where it is.
fn refuse_directories() -> io::Result<()> {
    let (input, output, error) =
        (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
    for (name, fd) in [("input", input), ("output", output), ("error", error)] {
        if place::kind_of(fd) == Ok(FileType::Directory) {
            return Err(io::Error::other(format!("standard {name} is a directory")));
        }
    }
    Ok(())
}

/// Opens, checks and locks the directory for changes, and mounts it at `keep` in `scratch`.
fn keep_changes(
    request: &Request,
    image: &StoredImage,
    unprivileged: bool,
    scratch: &Path,
) -> Result<Option<Kept>, ChrootError> {
    let Some(keep) = &request.keep else { return Ok(None) };
    let side = if unprivileged { Side::User } else { Side::Root };
    let kept = Kept::open(keep, &image.id, side)?;
    kept.mount_at(&scratch.join("keep"))?;
    Ok(Some(kept))
}

fn pid(number: u32) -> Result<Pid, ChrootError> {
    i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| ChrootError::Process(io::ErrorKind::InvalidData.into()))
}

/// A directory of the store to mount on, in namespaces of this command's own.
fn scratch(store: &Store) -> Result<PathBuf, ChrootError> {
    let made = directory(&store.root().join("chroot"));
    // A store that cannot be written has another directory that a reader of images does not need.
    made.or_else(|error| store.root().join("ingest").canonicalize().map_err(|_| error))
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

/// Leaves the host's namespaces, also the user namespace where that is needed.
fn enter_namespaces(no_network: bool) -> Result<(), ChrootError> {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    flags.set(UnshareFlags::NEWNET, no_network);
    match namespace::leave(flags) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            identity::become_root(flags).map_err(ChrootError::Namespaces)?;
        }
        Err(error) => return Err(ChrootError::Namespaces(error)),
    }
    // What is mounted from here on must not spread to the host.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| ChrootError::Namespaces(error.into()))?;
    if no_network {
        namespace::loopback_up().map_err(ChrootError::Namespaces)?;
    }
    Ok(())
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
/// and removes what it was making in the store. `None`: it is gone already.
fn end(server: Option<Pid>, scratch: &Path) {
    // Whatever fails here, the last resort works, also on one that has ended: it is not reaped yet.
    let _ = unmount(scratch.join("lower"), UnmountFlags::DETACH);
    let Some(server) = server else { return };
    let ended = pidfd_open(server, PidfdFlags::empty())
        .is_ok_and(|server| readable_within(&server, TO_TIDY_UP).unwrap_or(false));
    if !ended {
        let _ = kill_process(server, Signal::KILL);
    }
    let _ = waitpid(Some(server), WaitOptions::empty());
}
