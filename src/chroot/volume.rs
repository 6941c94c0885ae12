//! Directories and files of the host that a command sees.
//!
//! They are cloned as detached mounts before anything of the image is looked at, and attached,
//! together with the directories in memory, in the order of their depth, so that one may lie in
//! another whatever the order of the command line.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType};
use rustix::mount::{self, OpenTreeFlags};

use super::place::{self, Kind, Made, PlaceError, Root};
use super::rights::Rights;
use super::root::{At, RootError, attach};
use crate::sys::mount_attributes::{self, Attributes};

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

/// Why a volume cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum VolumeFault {
    /// Nothing is there on the host.
    #[error("this machine has no {}", .0.display())]
    Missing(PathBuf),
    /// A file on a directory.
    #[error("a file cannot be shown in the place of a directory of the image")]
    FileOnDirectory,
    /// A directory on a file.
    #[error("a directory cannot be shown in the place of a file of the image")]
    DirectoryOnFile,
    /// /proc is what the kernel says of processes, and security rests on it.
    #[error("nothing can be shown at or below /proc")]
    InProc,
    /// The second would hide the first.
    #[error("another volume is shown there")]
    Twice,
    /// The image's path leads nowhere, or the system refuses.
    #[error("{0}")]
    Io(io::Error),
}

impl From<PlaceError> for VolumeFault {
    fn from(error: PlaceError) -> Self {
        Self::Io(error.into())
    }
}

impl From<rustix::io::Errno> for VolumeFault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A volume on its way.
pub(super) struct Cloned<'a> {
    pub(super) tree: OwnedFd,
    pub(super) kind: Kind,
    /// What it is, for messages.
    pub(super) host: &'a Path,
    pub(super) inside: &'a Path,
}

/// Clones the volumes. Set-user-ID bits have no effect on root's, and device nodes
/// neither but a node that is itself the volume, unless `rights` say otherwise.
pub(super) fn clone_all<'a>(
    volumes: &'a [Volume],
    rights: &Rights,
    unprivileged: bool,
) -> Result<Vec<Cloned<'a>>, RootError> {
    let mut cloned = Vec::new();
    for volume in volumes {
        if volume
            .host
            .symlink_metadata()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            let why = VolumeFault::Missing(volume.host.clone());
            return Err(fault(&volume.host, &volume.inside, why));
        }
        let tree = clone_tree(&volume.host)?;
        let found = place::kind_of(&tree).at("look at", &volume.host)?;
        let is_device = matches!(found, FileType::CharacterDevice | FileType::BlockDevice);
        // The mounts below it too.
        let attributes = Attributes {
            read_only: volume.read_only,
            nosuid: !unprivileged && !rights.suid(),
            nodev: !rights.dev() && !is_device,
        };
        mount_attributes::add(&tree, attributes).at("set the attributes of", &volume.host)?;
        let kind = if found == FileType::Directory { Kind::Directory } else { Kind::File };
        cloned.push(Cloned { tree, kind, host: &volume.host, inside: &volume.inside });
    }
    Ok(cloned)
}

/// A detached copy of the mount at `path`, with what is mounted below it.
pub(super) fn clone_tree(path: &Path) -> Result<OwnedFd, RootError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    mount::open_tree(CWD, path, flags).at("clone the mount of", path)
}

/// Attaches them; what was made for that, and the numbers of their mounts, are added to the lists.
pub(super) fn attach_all(
    root: &Root,
    mut volumes: Vec<Cloned<'_>>,
    made: &mut Vec<Made>,
    mounts: &mut Vec<u64>,
) -> Result<(), RootError> {
    volumes.sort_by_key(|volume| volume.inside.components().count());
    let mut taken: Vec<PathBuf> = Vec::new();
    for Cloned { tree, kind, host, inside } in volumes {
        mounts.extend(place::mount_of(&tree));
        let place = root.make_if(inside, kind, |path| check_path(path, &taken));
        let mut place = place.map_err(|why| fault(host, inside, why))?;
        made.append(&mut place.made);
        let attached = check_kind(kind, &place.fd).and_then(|()| Ok(attach(&tree, &place.fd)?));
        attached.map_err(|why| fault(host, inside, why))?;
        taken.push(place.path);
    }
    Ok(())
}

fn fault(host: &Path, inside: &Path, why: VolumeFault) -> RootError {
    RootError::Volume { host: host.to_owned(), inside: inside.to_owned(), why }
}

fn check_path(path: &Path, taken: &[PathBuf]) -> Result<(), VolumeFault> {
    match path {
        _ if path == Path::new("/") => Err(PlaceError::Root.into()),
        _ if path.starts_with("/proc") => Err(VolumeFault::InProc),
        _ if taken.iter().any(|other| other == path) => Err(VolumeFault::Twice),
        _ => Ok(()),
    }
}

fn check_kind(kind: Kind, place: &OwnedFd) -> Result<(), VolumeFault> {
    match (kind, place::kind_of(place)? == FileType::Directory) {
        (Kind::File, true) => Err(VolumeFault::FileOnDirectory),
        (Kind::Directory, false) => Err(VolumeFault::DirectoryOnFile),
        _ => Ok(()),
    }
}
