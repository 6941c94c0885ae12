//! The root that a command sees: the image's mount as the lower layer of an overlay, a writable
//! layer on tmpfs (or in a directory that the user keeps), and the few file systems that programs
//! expect.
//!
//! Order decides safety here. Everything that comes from the host is cloned as a detached mount
//! *before* `pivot_root`; every path inside the image is walked only *after* it, when a symlink of
//! the image can lead nowhere but into the image, and by [`super::place`] alone. Nothing is mounted in
//! a namespace that outlives the command.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::{
    self, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::place::{self, Kind, Made, Root};
use super::rights::Rights;
use super::stage::{self, Staged};
use super::tmpfs::Tmpfs;
use super::volume::{self, Volume, VolumeFault};

/// What files are made with unless the command says otherwise.
const USUAL_UMASK: Mode = Mode::WGRP.union(Mode::WOTH);

/// What the root is made of.
#[derive(Debug)]
pub struct Plan<'a> {
    /// A directory with the image mounted at `lower`, on a tmpfs of this namespace's own.
    pub scratch: &'a Path,
    /// Where changes are kept, to be named; it is mounted at `keep` in `scratch`. `None` forgets them.
    pub keep: Option<&'a Path>,
    /// Host paths to show.
    pub volumes: &'a [Volume],
    /// Directories in memory.
    pub tmpfs: &'a [Tmpfs],
    /// Whether the whole root refuses writes.
    pub read_only: bool,
    /// In a user namespace overlay may use only `user.*` attributes.
    pub unprivileged: bool,
    /// The name that `hostname` prints.
    pub hostname: &'a str,
    /// What the command may do.
    pub rights: &'a Rights,
}

/// A root that is this process's `/`.
#[derive(Debug)]
pub(super) struct Assembled {
    /// What is in it only to be mounted on, from the top.
    made: Vec<Made>,
    /// The mounts with files of the image and of the user: the overlay, and the volumes.
    pub(super) mounts: Vec<u64>,
}

/// A step of the assembly that failed.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The system refuses.
    #[error("{path}: cannot {step}: {source}")]
    Step {
        /// What was to be done.
        step: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The image has something else where a file system of the kernel belongs.
    #[error("{path}: the image has a {what} there, and a directory is needed to mount on")]
    NoMountPoint {
        /// `/proc`, `/sys` or `/dev`.
        path: PathBuf,
        /// What it has.
        what: &'static str,
    },
    /// A volume cannot be shown.
    #[error("volume {}:{}: {why}", .host.display(), .inside.display())]
    Volume {
        /// Where it is on the host.
        host: PathBuf,
        /// Where it was to appear.
        inside: PathBuf,
        /// Why not.
        why: VolumeFault,
    },
}

/// Overlay wants extended attributes and whiteouts of the file system that takes the changes.
const NOT_THERE: &str = "keep changes there (ext4, xfs, btrfs or tmpfs can take them)";

pub(super) trait At<T> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, RootError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, RootError> {
        self.map_err(|error| RootError::Step { step, path: path.to_owned(), source: error.into() })
    }
}

/// Builds the root and makes it this process's `/`. The caller is the only process of a mount
/// namespace of its own, and process 1 of a PID namespace.
///
/// # Errors
/// The step and the path where it failed; the namespace is then good for nothing but exit.
pub(super) fn enter(plan: &Plan<'_>) -> Result<Assembled, RootError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount::mount_change("/", private).at("make private", Path::new("/"))?;
    // Modes are meant as they are written here.
    rustix::process::umask(Mode::empty());
    let directories = stage::directories(plan)?;
    let files = stage::files(plan)?;
    let mut volumes = volume::clone_all(plan.volumes, plan.rights, plan.unprivileged)?;
    volumes.append(&mut stage::memory(plan)?);

    mount_overlay(plan)?;
    become_root_directory().at("pivot_root into", plan.scratch)?;
    let root = Root::this().at("open", Path::new("/"))?;
    let (mut made, mut mounts) = (Vec::new(), Vec::from_iter(place::mount_of(CWD)));
    for Staged { tree, place } in directories {
        made.extend(attach_system(&root, &tree, &place)?);
    }
    for Staged { tree, place } in files {
        let mut target = root.make(&place, Kind::File).at("make", &place)?;
        made.append(&mut target.made);
        attach(&tree, &target.fd).at("mount on", &place)?;
    }
    volume::attach_all(&root, volumes, &mut made, &mut mounts)?;
    // Best effort: only the name that prompts show depends on it.
    let _ = rustix::system::sethostname(plan.hostname.as_bytes());
    if plan.read_only {
        let flags = MountFlags::BIND | MountFlags::RDONLY | mount_flags(plan);
        mount::mount_remount("/", flags, c"").at("make read-only", Path::new("/"))?;
    }
    rustix::process::umask(USUAL_UMASK);
    Ok(Assembled { made, mounts })
}

/// Makes the working directory, where something is mounted, `/`.
fn become_root_directory() -> rustix::io::Result<()> {
    rustix::process::pivot_root(".", ".")?;
    mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

impl Assembled {
    /// Takes away what was made to be mounted on: changes that are kept hold only what the command
    /// did. To be called when no other process of the namespaces is left. What cannot be taken away
    /// stays: empty, and not open to others.
    pub(super) fn clear(&self) -> rustix::io::Result<()> {
        // The bare overlay takes the place of the root, and with that all mounts go.
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let bare = mount::open_tree(CWD, "/", flags)?;
        let over = OFlags::PATH | OFlags::CLOEXEC;
        attach(&bare, rustix::fs::open("/", over, Mode::empty())?)?;
        rustix::process::fchdir(&bare)?;
        become_root_directory()?;
        let root = Root::this()?;
        for made in self.made.iter().rev() {
            // The command may have put something else there, or in there.
            let _ = root.unmake(made);
        }
        Ok(())
    }
}

/// How the view is mounted, and remounted.
fn mount_flags(plan: &Plan<'_>) -> MountFlags {
    let mut flags = MountFlags::empty();
    // In a user namespace the bits make nobody more than its owner is.
    flags.set(MountFlags::NOSUID, !plan.unprivileged && !plan.rights.suid());
    flags.set(MountFlags::NODEV, !plan.rights.dev());
    flags
}

/// The overlay at `scratch/root`, and the working directory in it. Paths in overlay's options are
/// relative to `scratch`, so that no character of the host's paths can end an option.
fn mount_overlay(plan: &Plan<'_>) -> Result<(), RootError> {
    let scratch = plan.scratch;
    rustix::process::chdir(scratch).at("enter", scratch)?;
    let layer = match plan.keep {
        Some(_) => Path::new("keep"),
        None => Path::new("."),
    };
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    if !upper.is_dir() {
        make_like_root(&upper)?;
    }
    for (directory, mode) in [(&*work, 0o700), (Path::new("root"), 0o755)] {
        make_directory(directory, mode)?;
    }
    // An index would bind the kept layer to this one mount of the image, which never comes again.
    // With xino every file has the device number of the root: `du -x` and `df FILE` go by it.
    let own_xattrs = if plan.unprivileged { ",userxattr" } else { "" };
    let options = format!(
        "lowerdir=lower,upperdir={},workdir={},index=off,xino=on{own_xattrs}",
        upper.display(),
        work.display()
    );
    let options = std::ffi::CString::new(options).map_err(io::Error::from);
    let options = options.at("name the layers of", scratch)?;
    let mounted = mount::mount("shale", "root", "overlay", mount_flags(plan), options.as_c_str());
    match plan.keep {
        Some(keep) => mounted.at(NOT_THERE, keep)?,
        None => mounted.at("mount the overlay at", &scratch.join("root"))?,
    }
    rustix::process::chdir("root").at("enter", &scratch.join("root"))
}

/// The upper layer's top, which overlay shows as the root itself: with the image's attributes.
fn make_like_root(upper: &Path) -> Result<(), RootError> {
    let root = fs::metadata("lower").at("look at", Path::new("lower"))?;
    make_directory(upper, 0o755)?;
    std::os::unix::fs::chown(upper, Some(root.uid()), Some(root.gid())).at("chown", upper)?;
    fs::set_permissions(upper, root.permissions()).at("set the mode of", upper)
}

/// Attaches /proc, /sys or /dev, which must be directories of the image or missing: what a link leads
/// to would not be found where programs, and Shale, look.
fn attach_system(root: &Root, tree: &OwnedFd, place: &Path) -> Result<Vec<Made>, RootError> {
    let what = match root.look(place).at("look at", place)? {
        None | Some(FileType::Directory) => None,
        Some(FileType::Symlink) => Some("link"),
        Some(_) => Some("file"),
    };
    if let Some(what) = what {
        return Err(RootError::NoMountPoint { path: place.to_owned(), what });
    }
    let target = root.make(place, Kind::Directory).at("make", place)?;
    attach(tree, &target.fd).at("mount on", place)?;
    Ok(target.made)
}

/// Attaches a detached mount where `place` is open.
pub(super) fn attach(tree: &OwnedFd, place: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    mount::move_mount(tree, "", place, "", flags)
}

/// A directory on the scratch tmpfs.
pub(super) fn make_directory(path: &Path, mode: u32) -> Result<(), RootError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).at("create the directory", path)
}
