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
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    self, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

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

/// Device nodes that every program may expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Host files that make names resolve inside.
const NETWORK_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

trait At<T> {
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
    let devices = clone_all(DEVICES.iter().map(|name| Path::new("/dev").join(name)))?;
    let network = clone_all(NETWORK_FILES.iter().map(PathBuf::from))?;
    let sys = clone(Path::new("/sys"))?;
    let proc = clone(Path::new("/proc"))?;
    let mut volumes = Vec::new();
    for volume in plan.volumes {
        volumes.push((clone(&volume.host)?, volume));
    }

    mount_overlay(plan)?;
    rustix::process::pivot_root(".", ".").at("pivot_root into", plan.scratch)?;
    mount::unmount(".", UnmountFlags::DETACH).at("leave", Path::new("/"))?;
    rustix::process::chdir("/").at("enter", Path::new("/"))?;

    system_mounts(proc, sys)?;
    device_mounts(devices)?;
    for (file, tree) in network {
        attach_file(tree, &file)?;
    }
    for (tree, volume) in volumes {
        attach_volume(tree, volume)?;
    }
    // Best effort: only the name that prompts show depends on it.
    let _ = rustix::system::sethostname(plan.hostname.as_bytes());
    if plan.read_only {
        let flags = MountFlags::BIND | MountFlags::RDONLY;
        mount::mount_remount("/", flags, c"").at("make read-only", Path::new("/"))?;
    }
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
    for (directory, mode) in [(&*upper, 0o755), (&*work, 0o700), (Path::new("root"), 0o755)] {
        make_directory(directory, mode)?;
    }
    let own_xattrs = if plan.unprivileged { ",userxattr" } else { "" };
    let options = format!(
        "lowerdir=lower,upperdir={},workdir={}{own_xattrs}",
        upper.display(),
        work.display()
    );
    let options = std::ffi::CString::new(options).map_err(io::Error::from);
    let options = options.at("name the layers of", scratch)?;
    mount::mount("shale", "root", "overlay", MountFlags::empty(), options.as_c_str())
        .at("mount the overlay at", &scratch.join("root"))?;
    rustix::process::chdir("root").at("enter", &scratch.join("root"))
}

fn system_mounts(proc: OwnedFd, sys: OwnedFd) -> Result<(), RootError> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let fresh =
        [("proc", "/proc", quiet, proc), ("sysfs", "/sys", quiet | MountFlags::RDONLY, sys)];
    for (kind, place, flags, host) in fresh {
        let place = Path::new(place);
        make_directory(place, 0o555)?;
        // A nested container may not mount these afresh; the host's own then have to do.
        if mount::mount(kind, place, kind, flags, c"").is_err() {
            attach(host, place)?;
        }
    }
    Ok(())
}

fn device_mounts(devices: Vec<(PathBuf, OwnedFd)>) -> Result<(), RootError> {
    let dev = Path::new("/dev");
    make_directory(dev, 0o755)?;
    mount::mount("shale", dev, "tmpfs", MountFlags::NOSUID, c"mode=0755,size=64k")
        .at("mount tmpfs at", dev)?;
    for (path, tree) in devices {
        attach_file(tree, &path)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        let link = dev.join(name);
        std::os::unix::fs::symlink(target, &link).at("link", &link)?;
    }
    let (pts, shm) = (dev.join("pts"), dev.join("shm"));
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    make_directory(&pts, 0o755)?;
    mount::mount("devpts", &pts, "devpts", quiet, c"newinstance,ptmxmode=0666,mode=0620")
        .at("mount devpts at", &pts)?;
    make_directory(&shm, 0o1777)?;
    mount::mount("shale", &shm, "tmpfs", quiet | MountFlags::NODEV, c"mode=1777")
        .at("mount tmpfs at", &shm)
}

fn attach_volume(tree: OwnedFd, volume: &Volume) -> Result<(), RootError> {
    if rustix::fs::fstat(&tree).is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
    }) {
        make_directory(&volume.inside, 0o755)?;
        attach(tree, &volume.inside)?;
    } else {
        attach_file(tree, &volume.inside)?;
    }
    if volume.read_only {
        let flags = MountFlags::BIND | MountFlags::RDONLY;
        mount::mount_remount(&volume.inside, flags, c"").at("make read-only", &volume.inside)?;
    }
    Ok(())
}

/// Clones of those host files that exist.
fn clone_all(paths: impl Iterator<Item = PathBuf>) -> Result<Vec<(PathBuf, OwnedFd)>, RootError> {
    paths.filter(|path| path.exists()).map(|path| Ok((path.clone(), clone(&path)?))).collect()
}

/// A detached copy of the mount at `path`, with what is mounted below it.
fn clone(path: &Path) -> Result<OwnedFd, RootError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    mount::open_tree(CWD, path, flags).at("clone the mount of", path)
}

fn attach(tree: OwnedFd, place: &Path) -> Result<(), RootError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    mount::move_mount(&tree, "", CWD, place, flags).at("attach a host path at", place)
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

fn make_directory(path: &Path, mode: u32) -> Result<(), RootError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).at("create the directory", path)
}
