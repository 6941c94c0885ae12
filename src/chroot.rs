//! A command inside an image: `shale chroot REF [CMD..]`.
//!
//! Three processes, each the parent of the next two:
//!
//! ```text
//! caller's shale   in fresh mount, IPC and UTS namespaces (a user namespace too without root);
//!   |              mounts the image on a tmpfs of its own and waits
//!   +- server      answers the kernel for that mount; dies with its parent
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
mod identity;
mod init;
mod root;
mod user;

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Pid, Signal, set_parent_process_death_signal};
use rustix::thread::UnshareFlags;

pub use command::Wishes;
pub use root::Volume;

use crate::content::{self, Content};
use crate::fs::{self, ImageFs};
use crate::fuse::{self, MountError, MountOptions, MountPoint, Session};
use crate::mount;
use crate::store::{Store, StoredImage};
use crate::sys::namespace;
use crate::sys::process::{fork_child, is_real_root};
use crate::sys::signal::Blocked;

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

/// The exit code of a run that failed before the command.
const FAILED: u8 = 125;

/// Requests of one command come one after another: more threads would only cost memory.
const SERVER_THREADS: usize = 2;

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
    // Opened before the namespaces change, while every path means what the user meant.
    let view = mount::View::of(store, image, name)?;
    let (scratch, keep) = prepare(store, request)?;
    let unprivileged = !is_real_root();
    let identities = enter_namespaces(request.no_network)?;
    let limited = identities == Some(identity::Identities::Single);
    let squashed = limited.then_some(0);
    let shown = fs::View { mask_suid: unprivileged, uid: squashed, gid: squashed };
    let content = Content::open(store.clone(), view.layers, content::Options::default());
    let file_system = Arc::new(ImageFs::new(view.tree, content, shown));
    let connection = mount_image(&scratch, image)?;
    fork_child(|| serve(file_system, connection)).map_err(ChrootError::Process)?;

    let inside = Inside {
        image,
        request,
        scratch: &scratch,
        keep: keep.as_deref(),
        signals: &signals,
        unprivileged,
        limited,
    };
    let (report, mut reporter) = io::pipe().map_err(ChrootError::Process)?;
    namespace::leave(UnshareFlags::NEWPID).map_err(ChrootError::Namespaces)?;
    let init = fork_child(|| inside.init(&mut reporter)).map_err(ChrootError::Process)?;
    drop(reporter);
    let code = init::supervise(pid(init)?, &signals).map_err(ChrootError::Process)?;
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

/// The directories, as absolute paths.
fn prepare(store: &Store, request: &Request) -> Result<(PathBuf, Option<PathBuf>), ChrootError> {
    let absolute = |path: &Path| {
        std::fs::create_dir_all(path)
            .and_then(|()| path.canonicalize())
            .map_err(|source| ChrootError::Directory { path: path.to_owned(), source })
    };
    let scratch = absolute(&store.root().join("chroot"))?;
    let keep = request.keep.as_deref().map(absolute).transpose()?;
    Ok((scratch, keep))
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

fn serve(file_system: Arc<ImageFs>, connection: OwnedFd) -> u8 {
    let served = set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)
        .and_then(|()| Session::start(file_system, connection, SERVER_THREADS)?.serve());
    u8::from(served.is_err())
}

/// What process 1 needs to know.
struct Inside<'a> {
    image: &'a StoredImage,
    request: &'a Request,
    scratch: &'a Path,
    keep: Option<&'a Path>,
    signals: &'a Blocked,
    unprivileged: bool,
    limited: bool,
}

impl Inside<'_> {
    /// Process 1: builds the root, starts the command, waits. What fails before the command runs
    /// goes to `reporter`, which `exec` closes.
    fn init(&self, reporter: &mut io::PipeWriter) -> u8 {
        match self.start(reporter) {
            Ok(command) => init::supervise(command, self.signals).unwrap_or(FAILED),
            Err(message) => {
                // If nobody listens any more, the exit code alone has to do.
                let _ = reporter.write_all(message.as_bytes());
                FAILED
            }
        }
    }

    fn start(&self, reporter: &mut io::PipeWriter) -> Result<Pid, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| text(&error))?;
        // pivot_root moves every process of a mount namespace: the server's must not be ours.
        namespace::leave(UnshareFlags::NEWNS).map_err(|error| text(&error))?;
        let hostname = self.image.short_id();
        root::enter(&root::Plan {
            scratch: self.scratch,
            keep: self.keep,
            volumes: &self.request.volumes,
            read_only: self.request.read_only,
            unprivileged: self.unprivileged,
            hostname: &hostname,
        })
        .map_err(|error| text(&error))?;
        let (user, command) = self.resolve(&hostname).map_err(|error| text(&error))?;
        let child = fork_child(|| {
            if self.signals.release().is_err() {
                return FAILED;
            }
            let (code, error) = init::execute(&command, &user, self.limited);
            let message = self.explain(&command.argv[0], &error);
            let _ = reporter.write_all(message.as_bytes());
            code
        });
        let child = child.map_err(|error| text(&error))?;
        pid(child).map_err(|error| text(&error))
    }

    fn resolve(&self, hostname: &str) -> Result<(user::User, command::Command), user::UserError> {
        let config = &self.image.config.config;
        let defaults = command::Defaults {
            env: config.env.clone(),
            entrypoint: config.entrypoint.clone(),
            cmd: config.cmd.clone(),
            working_dir: config.working_dir.clone(),
            user: config.user.clone(),
        };
        let wishes = &self.request.wishes;
        let file = |path| std::fs::read(path).unwrap_or_default();
        let wanted = wishes.user.as_deref().unwrap_or(&defaults.user);
        let user = user::resolve(wanted, &file("/etc/passwd"), &file("/etc/group"))?;
        let command =
            command::compose(&defaults, wishes, &user, hostname, |name| std::env::var(name).ok());
        Ok((user, command))
    }

    fn explain(&self, program: &str, error: &io::Error) -> String {
        let architecture = &self.image.config.architecture;
        match error.raw_os_error() {
            Some(libc::ENOEXEC) => format!(
                "{program}: this machine cannot execute it (the image is for {architecture}); \
                 other architectures need binfmt_misc, e.g. the package qemu-user-static"
            ),
            Some(libc::ENOENT) => format!("{program}: not found in the image"),
            _ => format!("{program}: {error}"),
        }
    }
}
