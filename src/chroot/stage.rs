//! What a root has beside the image: /proc, /sys, /dev and the files that make names resolve.
//!
//! All of it is put together on the scratch tmpfs, where every path is ours, and cloned as detached
//! mounts; nothing here looks into the image. The files are copies: what the command writes to its
//! /etc/hosts, or the mode it gives its /dev/null, is not the host's.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;
use rustix::mount::{self, MountFlags};

use crate::sys::mount_attributes::{self, Attributes};

use super::mask;
use super::place::Kind;
use super::root::{At, Plan, RootError, make_directory};
use super::tmpfs::Tmpfs;
use super::volume::{Cloned, clone_tree};

/// Device nodes that every program may expect.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("core", "/proc/kcore"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// A detached mount and where it belongs.
pub(super) struct Staged {
    pub(super) tree: OwnedFd,
    pub(super) place: PathBuf,
}

/// Whole directories, in the order in which they are to be attached.
pub(super) fn directories(plan: &Plan<'_>) -> Result<Vec<Staged>, RootError> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let locked = if plan.rights.privileged { quiet } else { quiet | MountFlags::RDONLY };
    let proc = system("proc", "/proc", quiet, plan, mask::proc)?;
    let sys = system("sysfs", "/sys", locked, plan, mask::sys)?;
    let dev = Staged { tree: devices(plan)?, place: "/dev".into() };
    Ok(vec![proc, sys, dev])
}

/// The directories in memory that were asked for.
pub(super) fn memory<'a>(plan: &Plan<'a>) -> Result<Vec<Cloned<'a>>, RootError> {
    let mut staged = Vec::new();
    for (number, Tmpfs { inside, flags, options }) in plan.tmpfs.iter().enumerate() {
        let stage = plan.scratch.join(format!("tmpfs{number}"));
        make_directory(&stage, 0o755)?;
        mount::mount("tmpfs", &stage, "tmpfs", *flags, options.as_c_str())
            .at("mount tmpfs for", inside)?;
        let (tree, kind, host) = (clone_tree(&stage)?, Kind::Directory, Path::new("tmpfs"));
        staged.push(Cloned { tree, kind, host, inside });
    }
    Ok(staged)
}

/// A kernel file system of this namespace's own. A nested container may not have it: then the
/// host's has to do. `mask` takes away what root must not reach.
fn system(
    kind: &str,
    place: &str,
    flags: MountFlags,
    plan: &Plan<'_>,
    mask: impl FnOnce(&Path, &Path) -> Result<(), RootError>,
) -> Result<Staged, RootError> {
    let stage = plan.scratch.join(kind);
    make_directory(&stage, 0o555)?;
    let tree = match mount::mount(kind, &stage, kind, flags, c"") {
        Ok(()) => {
            if !plan.unprivileged && !plan.rights.privileged {
                mask(&stage, plan.scratch)?;
            }
            clone_tree(&stage)?
        }
        Err(_) => {
            let host = clone_tree(Path::new(place))?;
            if flags.contains(MountFlags::RDONLY) {
                // What an old kernel cannot do is no reason to have no /sys.
                let wanted = Attributes { read_only: true, ..Attributes::default() };
                let _ = mount_attributes::add(&host, wanted);
            }
            host
        }
    };
    Ok(Staged { tree, place: place.into() })
}

/// A /dev in which nodes that the command makes have no effect: each of ours is a mount of its own.
fn devices(plan: &Plan<'_>) -> Result<OwnedFd, RootError> {
    let (dev, nodes) = (plan.scratch.join("dev"), plan.scratch.join("nodes"));
    let mut flags = MountFlags::NOSUID;
    for directory in [&nodes, &dev] {
        make_directory(directory, 0o755)?;
        mount::mount("shale", directory, "tmpfs", flags, c"mode=0755,size=64k")
            .at("mount tmpfs at", directory)?;
        flags.set(MountFlags::NODEV, !plan.rights.dev());
    }
    for (name, major, minor) in DEVICES {
        device(&nodes.join(name), &dev.join(name), makedev(major, minor))?;
    }
    for (name, target) in LINKS {
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
        .at("mount tmpfs at", &shm)?;
    console(&dev)?;
    clone_tree(&dev)
}

/// Shows at `path` a node of our own, made at `node`; the host's where none may be made.
fn device(node: &Path, path: &Path, number: rustix::fs::Dev) -> Result<(), RootError> {
    let host = Path::new("/dev").join(path.file_name().unwrap_or_default());
    let mode = Mode::from_raw_mode(0o666);
    let shown = match mknodat(CWD, node, FileType::CharacterDevice, mode, number) {
        Ok(()) => node,
        // A user namespace, or a container without the right to.
        Err(Errno::PERM) if host.exists() => &host,
        Err(Errno::PERM) => return Ok(()),
        Err(error) => return Err(error).at("make the device", node),
    };
    fs::File::create(path).at("create", path)?;
    mount::mount_bind(shown, path).at("bind", shown)
}

/// The caller's terminal is none of the new /dev/pts: programs that ask for its name find it here.
fn console(dev: &Path) -> Result<(), RootError> {
    let stdin = rustix::stdio::stdin();
    if !rustix::termios::isatty(stdin) {
        return Ok(());
    }
    // By its name: the descriptor's own mount is another namespace's. One that has no name here is
    // done without.
    let device = |stat: rustix::fs::Stat| stat.st_rdev;
    let Ok(name) = fs::read_link("/proc/self/fd/0") else { return Ok(()) };
    let (named, open) = (rustix::fs::stat(&name).map(device), rustix::fs::fstat(stdin).map(device));
    if named.is_err() || named != open {
        return Ok(());
    }
    let path = dev.join("console");
    fs::File::create(&path).at("create", &path)?;
    mount::mount_bind(&name, &path).at("bind", &name)
}

/// Copies of the files that name this machine and its resolvers.
pub(super) fn files(plan: &Plan<'_>) -> Result<Vec<Staged>, RootError> {
    let mut hosts = fs::read("/etc/hosts").unwrap_or_else(|_| b"127.0.0.1 localhost\n".to_vec());
    if !hosts.ends_with(b"\n") {
        hosts.push(b'\n');
    }
    hosts.extend_from_slice(format!("127.0.1.1 {}\n", plan.hostname).as_bytes());
    let hostname = format!("{}\n", plan.hostname).into_bytes();
    let mut files = vec![("/etc/hosts", hosts), ("/etc/hostname", hostname)];
    files.extend(fs::read("/etc/resolv.conf").ok().map(|bytes| ("/etc/resolv.conf", bytes)));
    let mut staged = Vec::new();
    for (number, (place, bytes)) in files.into_iter().enumerate() {
        let path = plan.scratch.join(format!("file{number}"));
        fs::write(&path, bytes).at("write", &path)?;
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&path, mode).at("set the mode of", &path)?;
        staged.push(Staged { tree: clone_tree(&path)?, place: place.into() });
    }
    Ok(staged)
}
