//! The root that a command sees: the image's mount as the lower layer of an overlay, a writable
//! layer on tmpfs (or in a directory that the user keeps), and the few file systems that programs
//! expect.
//!
//! Order decides safety here. Everything that comes from the host is cloned as a detached mount
//! *before* `pivot_root`; every path inside the image is walked only *after* it, when a symlink of
//! the image can lead nowhere but into the image. Nothing is mounted in a namespace that outlives
//! the command.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::{
    self, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::stage::{self, Staged};
use super::tmpfs::Tmpfs;
use crate::sys::mount_attributes;

/// What files are made with unless the command says otherwise.
const USUAL_UMASK: Mode = Mode::WGRP.union(Mode::WOTH);

/// A host directory or file that the command sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it appears, absolute.
    pub inside: PathBuf,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// What the root is made of.
#[derive(Debug)]
pub struct Plan<'a> {
    /// A directory with the image mounted at `lower`, on a tmpfs of this namespace's own.
    pub scratch: &'a Path,
    /// Where changes are kept; `None` forgets them.
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
}

/// A step of the assembly that failed.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot {step}: {source}")]
pub struct RootError {
    /// What was to be done.
    pub step: &'static str,
    /// Where.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Overlay wants extended attributes and whiteouts of the file system that takes the changes.
const NOT_THERE: &str = "keep changes there (ext4, xfs, btrfs or tmpfs can take them)";

pub(super) trait At<T> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, RootError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, RootError> {
        self.map_err(|error| RootError { step, path: path.to_owned(), source: error.into() })
    }
}

/// Builds the root and makes it this process's `/`. The caller is the only process of a mount
/// namespace of its own, and process 1 of a PID namespace.
///
/// # Errors
/// The step and the path where it failed; the namespace is then good for nothing but exit.
pub fn enter(plan: &Plan<'_>) -> Result<(), RootError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount::mount_change("/", private).at("make private", Path::new("/"))?;
    // Modes are meant as they are written here.
    rustix::process::umask(Mode::empty());
    let directories = stage::directories(plan)?;
    let files = stage::files(plan)?;
    let memory = stage::memory(plan)?;
    let volumes = clone_volumes(plan.volumes)?;

    mount_overlay(plan)?;
    rustix::process::pivot_root(".", ".").at("pivot_root into", plan.scratch)?;
    mount::unmount(".", UnmountFlags::DETACH).at("leave", Path::new("/"))?;
    rustix::process::chdir("/").at("enter", Path::new("/"))?;

    for Staged { tree, place } in directories {
        attach_directory(tree, &place)?;
    }
    for Staged { tree, place } in files {
        attach_file(tree, &place)?;
    }
    for Staged { tree, place } in memory {
        attach_directory(tree, &place)?;
    }
    for (tree, volume) in volumes {
        if is_directory(&tree) {
            attach_directory(tree, &volume.inside)?;
        } else {
            attach_file(tree, &volume.inside)?;
        }
    }
    // Best effort: only the name that prompts show depends on it.
    let _ = rustix::system::sethostname(plan.hostname.as_bytes());
    if plan.read_only {
        let flags = MountFlags::BIND | MountFlags::RDONLY;
        mount::mount_remount("/", flags, c"").at("make read-only", Path::new("/"))?;
    }
    rustix::process::umask(USUAL_UMASK);
    Ok(())
}

/// The overlay at `scratch/root`, and the working directory in it. Paths in overlay's options are
/// relative to `scratch`, so that no character of the host's paths can end an option.
fn mount_overlay(plan: &Plan<'_>) -> Result<(), RootError> {
    let scratch = plan.scratch;
    rustix::process::chdir(scratch).at("enter", scratch)?;
    let layer = match plan.keep {
        Some(keep) => {
            make_directory(Path::new("keep"), 0o700)?;
            mount::mount_bind(keep, "keep").at("bind", keep)?;
            Path::new("keep")
        }
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
    let mounted = mount::mount("shale", "root", "overlay", MountFlags::empty(), options.as_c_str());
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

fn clone_volumes(volumes: &[Volume]) -> Result<Vec<(OwnedFd, &Volume)>, RootError> {
    let mut trees = Vec::new();
    for volume in volumes {
        let tree = clone(&volume.host)?;
        if volume.read_only {
            // The mounts below it too.
            mount_attributes::read_only(&tree).at("make read-only", &volume.host)?;
        }
        trees.push((tree, volume));
    }
    Ok(trees)
}

fn is_directory(tree: &OwnedFd) -> bool {
    rustix::fs::fstat(tree)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// A detached copy of the mount at `path`, with what is mounted below it.
pub(super) fn clone(path: &Path) -> Result<OwnedFd, RootError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    mount::open_tree(CWD, path, flags).at("clone the mount of", path)
}

fn attach(tree: OwnedFd, place: &Path) -> Result<(), RootError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    mount::move_mount(&tree, "", CWD, place, flags).at("attach a host path at", place)
}

fn attach_directory(tree: OwnedFd, place: &Path) -> Result<(), RootError> {
    make_directory(place, 0o755)?;
    attach(tree, place)
}

/// Attaches a file, after making an empty one where the image has none (or a dangling link).
fn attach_file(tree: OwnedFd, place: &Path) -> Result<(), RootError> {
    if let Some(parent) = place.parent() {
        make_directory(parent, 0o755)?;
    }
    if !place.exists() {
        // A symlink to nowhere cannot be a mount point: the image's link gives way.
        let _ = fs::remove_file(place);
        fs::File::create(place).at("create", place)?;
    }
    attach(tree, place)
}

pub(super) fn make_directory(path: &Path, mode: u32) -> Result<(), RootError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).at("create the directory", path)
}
