//! Why a directory cannot be mounted on or unmounted; each reason its own, with a remedy.

use std::io;
use std::path::PathBuf;

/// A failed mount or unmount.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// There is nothing at the mount point.
    #[error("{}: no such directory", path.display())]
    Missing {
        /// The mount point as given.
        path: PathBuf,
    },
    /// Something other than a directory is there.
    #[error("{}: not a directory", path.display())]
    NotDirectory {
        /// The mount point as given.
        path: PathBuf,
    },
    /// The directory has entries, which the mount would hide.
    #[error("{}: the directory is not empty", path.display())]
    NotEmpty {
        /// The mount point.
        path: PathBuf,
    },
    /// Something is mounted there.
    #[error("{}: already a mount point ({by})", path.display())]
    AlreadyMounted {
        /// The mount point.
        path: PathBuf,
        /// Type and source of what is mounted there.
        by: String,
    },
    /// Somebody else is mounting there and does not come to an end.
    #[error("{}: somebody else keeps this directory locked", path.display())]
    Contended {
        /// The mount point.
        path: PathBuf,
    },
    /// The kernel has no FUSE, or its device file is missing.
    #[error("/dev/fuse is missing")]
    NoDevice,
    /// The device file may not be opened.
    #[error("/dev/fuse may not be opened: permission denied")]
    DeviceDenied,
    /// A normal user needs a helper program to mount, and it is not installed.
    #[error("fusermount3 is not installed")]
    NoHelper,
    /// A normal user may let others in only if the administrator allows it.
    #[error("allow_other is not allowed to normal users here")]
    AllowOtherDenied,
    /// The helper program may not gain its rights: the caller has given them up for itself and all
    /// that it starts.
    #[error("fusermount3 may gain no rights here: no new privileges are allowed (no_new_privs)")]
    NoNewPrivileges,
    /// The helper program finds no name for the user.
    #[error("fusermount3 mounts for users in /etc/passwd only, and user {uid} is not there")]
    UnknownUser {
        /// Who asked.
        uid: u32,
    },
    /// Root without the right to mount.
    #[error("{}: cannot mount: root has no CAP_SYS_ADMIN here", path.display())]
    NoCapability {
        /// The mount point.
        path: PathBuf,
    },
    /// Root of a user namespace that has no mount namespace of its own.
    #[error("{}: cannot mount: the mount namespace belongs to another user namespace", path.display())]
    ForeignNamespace {
        /// The mount point.
        path: PathBuf,
    },
    /// Files about processes are missing.
    #[error("/proc is not mounted")]
    NoProc,
    /// The helper program refused for another reason.
    #[error("{}: {message}", path.display())]
    HelperRefused {
        /// The mount point.
        path: PathBuf,
        /// What it said.
        message: String,
    },
    /// The kernel refused to mount.
    #[error("{}: cannot mount: {source}", path.display())]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody uses files or directories below the mount point.
    #[error("{}: the mount is busy", path.display())]
    Busy {
        /// The mount point.
        path: PathBuf,
    },
    /// Nothing is mounted there.
    #[error("{}: not mounted", path.display())]
    NotMounted {
        /// The place.
        path: PathBuf,
    },
    /// What is mounted there is not ours.
    #[error("{}: a mount of type {fstype}, not of shale", path.display())]
    NotShale {
        /// The place.
        path: PathBuf,
        /// What it is.
        fstype: String,
    },
    /// The mount point or the mount table cannot be looked at.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl MountError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => "`--mkdir` makes it",
            Self::NotDirectory { .. } | Self::NotEmpty { .. } => "choose an empty directory",
            Self::AlreadyMounted { .. } => "unmount it first, or choose another directory",
            Self::Contended { .. } => "see who has it open with `fuser -v DIR`",
            Self::NoDevice => {
                "load the kernel module with `modprobe fuse`; in a container, start it with --device /dev/fuse"
            }
            Self::DeviceDenied => {
                "ask the administrator to `chmod 0666 /dev/fuse`, as distributions have it"
            }
            Self::NoHelper => {
                "install it (Debian, Ubuntu and Fedora: package fuse3), or mount as root"
            }
            Self::AllowOtherDenied => {
                "ask the administrator to put user_allow_other into /etc/fuse.conf, or leave allow_other out"
            }
            Self::NoNewPrivileges => {
                "start it without `setpriv --no-new-privs`, systemd's NoNewPrivileges= or a container's no-new-privileges, or mount as root"
            }
            Self::UnknownUser { .. } => "add the user to /etc/passwd, or mount as root",
            Self::NoCapability { .. } => {
                "in a container, start it with --cap-add SYS_ADMIN --device /dev/fuse; `shale cat`, `cp` and `export` need no mount"
            }
            Self::ForeignNamespace { .. } => {
                "make one as well: unshare --user --map-root-user --mount"
            }
            Self::NoProc => "mount it: mount -t proc proc /proc",
            Self::Busy { .. } => "see who uses it with `fuser -vm DIR`, or detach it with --lazy",
            Self::HelperRefused { .. } => {
                "a normal user must own the directory and be allowed to mount there"
            }
            Self::NotShale { .. } => "use umount(8) for it",
            Self::NotMounted { .. } | Self::Refused { .. } | Self::Io { .. } => return None,
        })
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
